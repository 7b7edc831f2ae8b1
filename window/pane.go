package window

import (
	"fmt"
	"time"
)

// Firing says why a pane was emitted.
type Firing uint8

// The reasons to emit a pane.
const (
	// OnTime panes are emitted when the watermark reaches the end of the window. There is one for each key and window.
	OnTime Firing = iota
	// Late panes are emitted again, or for the first time, because a record came after that and within the allowed lateness.
	Late
	// Early panes are emitted before the watermark reaches the end of the window, because a trigger said so. What comes later replaces
	// them, or adds to them when the windows are discarding.
	Early
)

// String returns "early", "on-time" or "late".
func (k Firing) String() string {
	switch k {
	case OnTime:
		return "on-time"
	case Late:
		return "late"
	case Early:
		return "early"
	}
	return fmt.Sprintf("Firing(%d)", uint8(k))
}

// MarshalText encodes the reason in words.
func (k Firing) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText decodes what MarshalText encodes.
func (k *Firing) UnmarshalText(b []byte) error {
	switch string(b) {
	case "on-time":
		*k = OnTime
	case "late":
		*k = Late
	case "early":
		*k = Early
	default:
		return fmt.Errorf("window: unknown kind of pane %q", b)
	}
	return nil
}

// Pane is one result of a window: the value for a key over [Start, End). Its event time is End minus one nanosecond, so
// a window of the same size after it takes up the same span. Count and Global say what is different for them.
type Pane[K comparable, R any] struct {
	Key K `json:"key" csv:"key"`
	// Start is the first moment of the window, End the first moment after it, both in UTC.
	Start time.Time `json:"start" csv:"start"`
	End   time.Time `json:"end" csv:"end"`
	Value R         `json:"value" csv:"value"`
	// Revision counts the panes of the same key and window: 0, 1, 2 ..., early, on-time and late ones alike. A later one replaces those
	// before, unless the windows are discarding: then each is of other records.
	Revision int32  `json:"revision" csv:"revision"`
	Kind     Firing `json:"kind" csv:"kind"`
	// Gap is how long a session lasts beyond its newest record; 0 for other windows. See Last.
	Gap time.Duration `json:"gap,omitempty" csv:"gap"`
	// Replaces are the windows of earlier panes of this key whose records are in this pane now: sessions that a record has joined or
	// made longer after they had been emitted. It is empty for other windows.
	Replaces Spans `json:"replaces,omitempty" csv:"replaces"`
}

// Last returns the event time of the newest record of a session, End less Gap. Other windows do not know it: for them it is End.
func (p Pane[K, R]) Last() time.Time { return p.End.Add(-p.Gap) }
