package operator

import (
	"testing"
	"time"

	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/pane"
	"github.com/millrace-stream/millrace/internal/snapshot"
	"github.com/millrace-stream/millrace/window"
)

// TestWindowRefusesBoundsThatHaveMoved: after a change of the time zone data a window of the checkpoint may begin at no bound. To go on would
// split it in two.
func TestWindowRefusesBoundsThatHaveMoved(t *testing.T) {
	key, err := codec.KeyFor[int64]()
	if err != nil {
		t.Fatal(err)
	}
	acc, err := codec.For[int64]()
	if err != nil {
		t.Fatal(err)
	}
	layout, err := pane.New(window.Calendar(window.Day, time.FixedZone("east", 3600)).Spec())
	if err != nil {
		t.Fatal(err)
	}
	open := func(start time.Time) error {
		op := NewWindow(WindowConfig[int64, int64, int64, int64]{
			Panes: layout, Key: func(r *int64) int64 { return *r }, KeyCodec: key, Acc: acc, Agg: agg.Count[int64](),
			Pool: element.NewPool[window.Pane[int64, int64]](8), LatePool: element.NewPool[int64](8),
		})
		c := keyedContext(func(string) Receiver { return Void{} })
		c.Load = func(state string, v snapshot.Visitor) error {
			if state != windowState {
				return nil
			}
			k, n := int64(7), int64(1)
			return v.Put(codec.Group(key.Hash(&k), c.Groups), start.UnixNano(), key.Append(nil, &k), acc.Append(nil, &n))
		}
		return op.Open(c)
	}
	if err := open(time.Date(2024, 5, 1, 23, 0, 0, 0, time.UTC)); err != nil {
		t.Errorf("a window that begins at a bound: %v", err)
	}
	const want = "the checkpoint holds a window from 2024-05-02T00:00:00Z, which now begins at 2024-05-01T23:00:00Z: the time zone data has changed; " +
		"start with that of the run before"
	if err := open(time.Date(2024, 5, 2, 0, 0, 0, 0, time.UTC)); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
