// Package task may start goroutines.
package task

const (
	// FormatVersion is that of a page.
	FormatVersion = 2
	// FooterVersion has moved on.
	FooterVersion = 4
	fileMagic     = "MILL"
)

func start(f func()) { go f() }
