package window

// CountWindows is made by Count and CountSliding.
type CountWindows struct{ spec Spec }

// Count returns windows of n records of a key each, in the order of their arrival. A window gives its result when it is full. It needs
// no event time, and no record is late for it.
//
// The window of a result spans the event times of its records, from the first to a nanosecond after the last; without event time, those
// at which they were processed. The event time of the result is that of the latest record, or just after the watermark if that has
// passed it: so the result is not late for those who take it.
//
// What is left when bounded input ends gives no result: see Partial. The state of a key is kept until its window is full.
func Count(n int64) CountWindows { return CountWindows{Spec{Kind: KindCount, Records: n, Every: n}} }

// CountSliding returns windows of n records of a key each, of which one begins with every every-th record. A record is in n/every of them,
// and is added to each; see Count for the rest.
func CountSliding(n, every int64) CountWindows {
	return CountWindows{Spec{Kind: KindCount, Records: n, Every: every}}
}

// Partial makes the windows that are not full at the end of bounded input give a result too.
func (w CountWindows) Partial() CountWindows { w.spec.Partial = true; return w }

// Spec returns what the assigner says.
func (w CountWindows) Spec() Spec { return w.spec }

// Check returns all mistakes, joined.
func (w CountWindows) Check() error { return w.spec.Check() }

// String returns the call that makes w.
func (w CountWindows) String() string { return w.spec.String() }

func (CountWindows) sealed() {}

// checkCount returns what is wrong with a spec of count windows.
func (s Spec) checkCount(wrong func(format string, args ...any)) {
	if s.Records < 1 {
		wrong("the number of records is %d, it must be at least 1", s.Records)
	}
	switch {
	case s.Every < 1:
		wrong("a window begins every %d records, it must be at least 1", s.Every)
	case s.Every > s.Records:
		wrong("a window begins every %d records and has %d: the records between two windows would be in none; it must be at most the "+
			"number of records", s.Every, s.Records)
	case s.Records/s.Every > MaxPanes:
		wrong("a record is in %d windows; %d are the most allowed", s.Records/s.Every, MaxPanes)
	}
}
