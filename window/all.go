package window

import "fmt"

// All is the one key of windows over all records of a stream, which are not divided by key. It is written as "all".
type All struct{}

// String returns "all".
func (All) String() string { return "all" }

// MarshalText returns "all".
func (All) MarshalText() ([]byte, error) { return []byte("all"), nil }

// UnmarshalText accepts "all".
func (*All) UnmarshalText(b []byte) error {
	if string(b) != "all" {
		return fmt.Errorf("window: %q is not the key of windows over all records, which is \"all\"", b)
	}
	return nil
}
