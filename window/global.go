package window

// GlobalWindows is made by Global.
type GlobalWindows struct{}

// Global returns one window for all records of a key. It never ends before bounded input does, so it needs a trigger that says when
// there are results: AnyOf(EveryCount(100), Every(time.Minute)), say. It needs no event time, unless its trigger does, and no record is
// late for it.
//
// The window of a result spans the event times of the records in it, from the first to a nanosecond after the last; without event time,
// those at which they were processed. The event time of the result is that of the latest record, or just after the watermark if that
// has passed it.
//
// The state of a key is kept for the whole life of the job, unless the trigger purges it or the windows are discarding; a few bytes are
// left of each key then.
func Global() GlobalWindows { return GlobalWindows{} }

// Spec returns what the assigner says.
func (w GlobalWindows) Spec() Spec { return Spec{Kind: KindGlobal} }

// Check returns all mistakes, joined.
func (w GlobalWindows) Check() error { return w.Spec().Check() }

// String returns the call that makes w.
func (w GlobalWindows) String() string { return w.Spec().String() }

func (GlobalWindows) sealed() {}
