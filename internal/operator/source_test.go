package operator

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/task"
)

// handClock is a clock that a test sets.
type handClock struct{ now int64 }

func (c *handClock) Now() time.Time { return time.Unix(0, c.now) }

// feed is a source whose splits bring what a test puts into them, one batch for each Read. A nil batch is a Read that finds nothing.
type feed struct {
	reads map[string][][]int64
	open  bool // splits do not end
}

func (f *feed) Splits(context.Context) (out []connect.Split, err error) {
	for _, id := range slices.Sorted(maps.Keys(f.reads)) {
		out = append(out, connect.Split{ID: id})
	}
	return out, nil
}

func (f *feed) Open(_ context.Context, split connect.Split, position []byte) (connect.Reader[int64], error) {
	r := &feedReader{feed: f, id: split.ID}
	if position != nil {
		at, _ := binary.Uvarint(position)
		r.at = int(at)
	}
	return r, nil
}

type feedReader struct {
	feed *feed
	id   string
	at   int
}

func (r *feedReader) Read(_ context.Context, out []int64) (int, error) {
	reads := r.feed.reads[r.id]
	if r.at == len(reads) {
		if r.feed.open {
			return 0, nil
		}
		return 0, io.EOF
	}
	r.at++
	return copy(out, reads[r.at-1]), nil
}

func (r *feedReader) Position() []byte   { return binary.AppendUvarint(nil, uint64(r.at)) }
func (r *feedReader) Where(i int) string { return fmt.Sprintf("%s:%d[%d]", r.id, r.at, i) }
func (r *feedReader) BytesRead() int64   { return 0 }
func (r *feedReader) Close() error       { return nil }

// plain takes records for their event times in ns.
func plain(records, times []int64) (int, error) {
	copy(times, records)
	return 0, nil
}

// rig is a subtask of a source in a test.
type rig struct {
	Source
	t     *testing.T
	clock *handClock
	*recorder
	ahead *recorder
	c     *Context
}

// newRig makes a subtask that reads all splits of the feed, or those that are named. It is not opened yet, so that others can join.
func newRig(t *testing.T, f *feed, spec TimeSpec[int64], clock *handClock, old ...[]byte) *rig {
	t.Helper()
	g := &rig{Source: NewSource(f, spec, element.NewPool[int64](8)), t: t, clock: clock, recorder: newRecorder(t), ahead: newRecorder(t)}
	g.c = testContext(g.recorder)
	g.c.Outputs = func(side string) Receiver {
		if side == AheadSide {
			return g.ahead
		}
		return g.recorder
	}
	g.c.Old, g.c.Env = old, &env.Env{Sched: task.System{Clock: clock}, FS: fsx.OS{}}
	return g
}

func (g *rig) start(ids ...string) *rig {
	g.t.Helper()
	splits, _ := g.List(g.t.Context())
	if len(ids) > 0 {
		splits = slices.DeleteFunc(splits, func(s connect.Split) bool { return !slices.Contains(ids, s.ID) })
	}
	for _, err := range []error{g.Open(g.c), g.Assign(splits), g.Start()} {
		if err != nil {
			g.t.Fatal(err)
		}
	}
	return g
}

func (g *rig) poll() PollResult {
	g.t.Helper()
	r, err := g.Poll(8)
	if err != nil {
		g.t.Fatal(err)
	}
	return r
}

func (g *rig) spec() TimeSpec[int64] { return g.Source.(*sourceOp[int64]).time }

func (g *rig) state() []byte {
	g.t.Helper()
	cut, err := g.Freeze(1)
	if err != nil {
		g.t.Fatal(err)
	}
	return cut.State
}

// records are those seen, without watermarks.
func records(s []seen) (out []int64) {
	for _, x := range s {
		out = append(out, x.record)
	}
	return out
}

// TestQuietSplitBesideABusyOneBecomesIdle: the busy one always has a record, so there is no poll without any; still the quiet one
// is found idle, and is read when it wakes.
func TestQuietSplitBesideABusyOneBecomesIdle(t *testing.T) {
	clock := &handClock{}
	f := &feed{reads: map[string][][]int64{"a": {{5}}, "b": nil}, open: true}
	for i := range int64(100) {
		f.reads["b"] = append(f.reads["b"], []int64{10 + i})
	}
	g := newRig(t, f, TimeSpec[int64]{Extract: plain, IdleAfter: 50 * time.Millisecond}, clock).start()
	var idleAt int64
	for range 60 {
		g.poll()
		clock.now += int64(2 * time.Millisecond)
		if g.wm > 4 && idleAt == 0 {
			idleAt = clock.now
		}
	}
	if at := time.Duration(idleAt); at < 50*time.Millisecond || at > 80*time.Millisecond {
		t.Fatalf("the watermark has gone on without the quiet split after %v, want a little more than 50ms", at)
	}
	f.reads["a"] = append(f.reads["a"], []int64{7}) // wakes, behind the watermark
	for range 10 {
		g.poll()
		clock.now += int64(2 * time.Millisecond)
	}
	if !slices.Contains(records(g.seen), 7) {
		t.Fatalf("the split that woke was not read while the other was busy: %v", records(g.seen))
	}
	if at := slices.IndexFunc(g.seen, func(s seen) bool { return s.record == 7 }); g.seen[at].wm < 7 {
		t.Errorf("the record is behind the watermark and was seen at %d", g.seen[at].wm)
	}
}

// aligned makes two subtasks of one source, with a split each.
func aligned(t *testing.T, f *feed, within int64, idle time.Duration) (a, b *rig, woken *[2]int) {
	clock := &handClock{}
	spec := TimeSpec[int64]{Extract: plain, IdleAfter: idle, Align: &AlignSpec{Within: time.Duration(within)}}
	a, b = newRig(t, f, spec, clock), newRig(t, f, spec, clock)
	woken = &[2]int{}
	all := Alignments{}
	a.Join(all, "in", func() { woken[0]++ })
	b.Join(all, "in", func() { woken[1]++ })
	return a.start("a"), b.start("b"), woken
}

// TestAlignedSplitWaitsForTheSlowest: a split more than the distance ahead is not read until the other has come near enough, and its subtask
// is woken then.
func TestAlignedSplitWaitsForTheSlowest(t *testing.T) {
	f := &feed{reads: map[string][][]int64{"a": {{1}, {2}, {51}, {52}, {400}}, "b": {{100}, {101}, {102}, {103}}}}
	a, b, woken := aligned(t, f, 50, 0)
	script := []struct {
		rig  *rig
		want PollResult
		read string
	}{
		{b, PollMore, "100"},    // a has no watermark, and neither has b: nobody is ahead
		{b, PollNothing, "100"}, // b is ahead of a, which has none
		{a, PollMore, "1"},
		{b, PollNothing, "100"}, // 99 > 0 + 50
		{a, PollMore, "1 2"},
		{b, PollNothing, "100"},
		{a, PollMore, "1 2 51"}, // 99 <= 50 + 50
		{b, PollMore, "100 101"},
		{b, PollMore, "100 101 102"}, // 100 <= 50 + 50
		{b, PollNothing, "100 101 102"},
		{a, PollMore, "1 2 51 52"},
		{b, PollMore, "100 101 102 103"},
		{a, PollMore, "1 2 51 52 400"},
		{a, PollNothing, "1 2 51 52 400"}, // 399 > 102 + 50
		{b, PollEnded, "100 101 102 103"}, // holds nobody any more
		{a, PollEnded, "1 2 51 52 400"},
	}
	for i, s := range script {
		got := s.rig.poll()
		if read := strings.Trim(fmt.Sprint(records(s.rig.seen)), "[]"); got != s.want || read != s.read {
			t.Fatalf("poll %d: result %d and records %s, want %d and %s", i, got, read, s.want, s.read)
		}
	}
	if *woken != [2]int{1, 2} {
		t.Errorf("woken %v times: b waited twice and a once, and each must hear of the end of it", *woken)
	}
}

// TestAlignedSplitDoesNotWaitForIdleOnes: a split that is idle holds nobody; when it wakes up it does.
func TestAlignedSplitDoesNotWaitForIdleOnes(t *testing.T) {
	f := &feed{reads: map[string][][]int64{"a": {{1}}, "b": {{100}, {200}, {300}}}, open: true}
	a, b, _ := aligned(t, f, 50, 10*time.Millisecond)
	if a.poll() != PollMore || b.poll() != PollMore || b.poll() != PollNothing {
		t.Fatal("b does not wait for a")
	}
	for range 4 {
		a.clock.now += int64(5 * time.Millisecond)
		a.poll()
	}
	first, second := b.poll(), b.poll()
	if first != PollMore || second != PollMore || len(b.seen) != 3 {
		t.Fatalf("b waits for a split that is idle: %v", records(b.seen))
	}
	f.reads["a"] = append(f.reads["a"], []int64{120}, []int64{130})
	f.reads["b"] = append(f.reads["b"], []int64{400})
	if a.poll() != PollMore || b.poll() != PollNothing || a.poll() != PollMore || b.poll() != PollNothing {
		t.Fatal("b does not wait for a although it woke up")
	}
	for range 4 {
		a.clock.now += int64(5 * time.Millisecond)
		a.poll()
	}
	if b.poll() != PollMore {
		t.Fatal("b waits for a split that is idle again")
	}
}

// TestIdleSplitIsAskedAlthoughItIsAhead: a restored split that was idle may have a backlog. It says that it is idle only when it has been asked, however
// far it is ahead, else the watermark would go on without it and make the backlog late.
func TestIdleSplitIsAskedAlthoughItIsAhead(t *testing.T) {
	f := &feed{reads: map[string][][]int64{"a": {{90}}, "b": {{100}}}, open: true}
	a, b, _ := aligned(t, f, 50, 10*time.Millisecond)
	a.poll()
	b.poll()
	for range 4 {
		b.clock.now += int64(5 * time.Millisecond)
		b.poll()
	}
	if b.idle != 1 {
		t.Fatal("b is not idle")
	}
	f.reads["b"] = append(f.reads["b"], []int64{101})
	all, old := Alignments{}, [][]byte{a.state(), b.state()}
	slow, again := newRig(t, f, a.spec(), a.clock, old...), newRig(t, f, a.spec(), a.clock, old...)
	slow.Join(all, "in", func() {}) // does not begin for now
	again.Join(all, "in", func() {})
	again.start("b")
	if again.poll() != PollMore || !slices.Equal(records(again.seen), []int64{101}) || again.idle > 0 {
		t.Fatalf("read %v, idle %d times", records(again.seen), again.idle)
	}
	f.reads["b"] = append(f.reads["b"], []int64{102})
	if again.poll() != PollNothing || again.idle > 0 {
		t.Errorf("a split that is awake and ahead is read, or said to be idle: %v", records(again.seen))
	}
}

// TestAlignmentWithinOneSubtask: the quiet split has the smallest watermark, so the other waits although both are read by one goroutine. A split
// that waits is never idle: it has records.
func TestAlignmentWithinOneSubtask(t *testing.T) {
	clock := &handClock{}
	f := &feed{reads: map[string][][]int64{"a": {{1}}, "b": {{100}, {200}}}, open: true}
	spec := TimeSpec[int64]{Extract: plain, Align: &AlignSpec{Within: 50}, IdleAfter: 20 * time.Millisecond}
	g := newRig(t, f, spec, clock)
	g.Join(Alignments{}, "in", func() {})
	g.start()
	for range 3 {
		g.poll()
		clock.now += int64(2 * time.Millisecond)
	}
	if got := records(g.seen); !slices.Equal(got, []int64{1, 100}) {
		t.Fatalf("read %v", got)
	}
	for range 20 {
		g.poll()
		clock.now += int64(2 * time.Millisecond)
	}
	if got := records(g.seen); !slices.Equal(got, []int64{1, 100, 200}) || g.wm != 199 {
		t.Errorf("read %v up to watermark %d: a is idle, so b goes on", got, g.wm)
	}
}

// TestAlignmentWithMoreSplitsThanReaders: those that wait for a reader hold nobody, else none would ever get one.
func TestAlignmentWithMoreSplitsThanReaders(t *testing.T) {
	f := &feed{reads: map[string][][]int64{}}
	for i := range maxOpenReaders + 20 {
		f.reads[fmt.Sprintf("s%03d", i)] = [][]int64{{1}, {1000}, {2000}}
	}
	g := newRig(t, f, TimeSpec[int64]{Extract: plain, Align: &AlignSpec{Within: 10}}, &handClock{})
	g.Join(Alignments{}, "in", func() {})
	g.start()
	polls := 0
	for ; g.poll() != PollEnded; polls++ {
		if polls > 10_000 {
			t.Fatalf("stuck with %d records read", len(g.seen))
		}
	}
	if len(g.seen) != 3*(maxOpenReaders+20) {
		t.Errorf("%d records", len(g.seen))
	}
}

// TestAlignGroupJoinsSources: sources of one group wait for each other, others do not.
func TestAlignGroupJoinsSources(t *testing.T) {
	f := &feed{reads: map[string][][]int64{"a": {{1}}, "b": {{100}, {200}}, "c": {{300}, {400}}}, open: true}
	all := Alignments{}
	join := func(id, group string) *rig {
		g := newRig(t, f, TimeSpec[int64]{Extract: plain, Align: &AlignSpec{Within: 10, Group: group}}, &handClock{})
		g.Join(all, id, func() {})
		return g
	}
	a, b, c := join("one", "both"), join("two", "both"), join("three", "")
	a.start("a")
	b.start("b")
	c.start("c")
	for range 3 {
		a.poll()
		b.poll()
		c.poll()
	}
	if got := fmt.Sprint(records(a.seen), records(b.seen), records(c.seen)); got != "[1] [100] [300 400]" {
		t.Errorf("read %s", got)
	}
}

// TestClockGivesTimeAndWatermark: records have the time of their read, the watermark stands a tick behind the clock with and without
// records, and neither goes back with the clock or over a restart.
func TestClockGivesTimeAndWatermark(t *testing.T) {
	clock := &handClock{now: 1000}
	f := &feed{reads: map[string][][]int64{"a": {{1, 2}, {3}, {4}, nil, {5}}}, open: true}
	g := newRig(t, f, TimeSpec[int64]{Clock: true}, clock).start()
	g.poll()
	clock.now = 2000
	g.poll()
	clock.now = 1500 // set back
	g.poll()
	clock.now = 3000
	g.poll() // nothing
	if g.wm != 2999 {
		t.Fatalf("without a record the watermark is %d at 3000", g.wm)
	}
	g.poll()
	if want := []seen{{1, 999}, {2, 999}, {3, 1999}, {4, 1999}, {5, 2999}}; !slices.Equal(g.seen, want) || g.wm != 2999 {
		t.Fatalf("saw %v and then watermark %d, want %v", g.seen, g.wm, want)
	}
	if want := []int64{1000, 1000, 2000, 2000, 3000}; !slices.Equal(g.times, want) {
		t.Fatalf("times are %v, want %v", g.times, want)
	}
	clock.now = 2500 // another machine, whose clock is behind
	f.reads["a"] = append(f.reads["a"], []int64{6})
	r := newRig(t, f, TimeSpec[int64]{Clock: true}, clock, g.state()).start()
	r.poll()
	clock.now = 4000
	r.poll()
	if want := []seen{{6, 2999}}; !slices.Equal(r.seen, want) || r.times[0] != 3000 || r.wm != 3999 || r.idle != 0 {
		t.Errorf("after a restart saw %v at %v and then watermark %d, want %v at 3000 and 3999", r.seen, r.times, r.wm, want)
	}
}

// TestClockReadsSplitsInTurn: no split is left waiting while another always has records.
func TestClockReadsSplitsInTurn(t *testing.T) {
	clock := &handClock{now: 1}
	f := &feed{reads: map[string][][]int64{"a": {{1}, {2}, {3}, {4}}, "b": {{11}, {12}, {13}, {14}}}}
	g := newRig(t, f, TimeSpec[int64]{Clock: true}, clock).start()
	for range 6 {
		g.poll()
		clock.now++
	}
	if got := records(g.seen); !slices.Equal(got, []int64{1, 11, 2, 12, 3, 13}) {
		t.Errorf("read %v, want both in turn", got)
	}
}

// marker is a generator whose watermark is the sum of the records so far.
type marker struct{ sum int64 }

func (m *marker) Observe(records, _, marks []int64) (int, error) {
	for i, r := range records {
		m.sum += r
		marks[i] = m.sum
		if r == 0 {
			marks[i] = element.NoTime
		}
		if r < -100 {
			return i, fmt.Errorf("watermark: %d is not one", r)
		}
	}
	return 0, nil
}
func (m *marker) State() []byte { return binary.AppendVarint(nil, m.sum) }
func (m *marker) Restore(b []byte) error {
	m.sum, _ = binary.Varint(b)
	return nil
}

func byMarker() Generator[int64] { return &marker{} }

// TestGeneratorIsPerSplitAndInTheCheckpoint: watermarks are those of the generator of each split, the smallest counts, one that goes back is
// ignored, and a restore at any read changes nothing.
func TestGeneratorIsPerSplitAndInTheCheckpoint(t *testing.T) {
	f := &feed{reads: map[string][][]int64{"a": {{3, 0, 4}, {-2, 1}, {20}}, "b": {{5}, {6, 0}}}}
	spec := TimeSpec[int64]{Extract: plain, NewGenerator: byMarker}
	whole := newRig(t, f, spec, &handClock{}).start()
	for whole.poll() != PollEnded {
	}
	// a: 3, -, 7, (5), (6), 26; b: 5, 11, -. The split that is furthest behind is read.
	want := []seen{{3, element.NoTime}, {0, element.NoTime}, {4, element.NoTime}, {5, element.NoTime}, {6, 5}, {0, 7}, {-2, 7}, {1, 7}, {20, 7}}
	if !slices.Equal(whole.seen, want) {
		t.Fatalf("saw %v, want %v", whole.seen, want)
	}
	for n := range 6 {
		before := newRig(t, f, spec, &handClock{}).start()
		for range n {
			before.poll()
		}
		// A second epoch without a read between.
		again := newRig(t, f, spec, &handClock{}, before.state()).start()
		after := newRig(t, f, spec, &handClock{}, again.state()).start()
		for after.poll() != PollEnded {
		}
		if got := slices.Concat(before.seen, after.seen); !slices.Equal(got, want) {
			t.Errorf("restored after %d polls: %v, want %v", n, got, want)
		}
	}
}

// TestRecordsAheadOfTheClock: those beyond the limit fail with their place, or go to their output, and move no watermark either way. The
// place of a later error is that of the record in the input.
func TestRecordsAheadOfTheClock(t *testing.T) {
	f := &feed{reads: map[string][][]int64{"a": {{90, 111, 105, 500, 110}, {600}, {107, 700, -200}}}, open: true}
	clock := &handClock{now: 100}
	spec := TimeSpec[int64]{Extract: plain, NewGenerator: byMarker, Ahead: &AheadSpec{Most: 10}}
	g := newRig(t, f, spec, clock).start()
	_, err := g.Poll(8)
	const says = "a:1[1]: event time: 1970-01-01T00:00:00.000000111Z is more than 10ns ahead of the clock, which says 1970-01-01T00:00:00.0000001Z: " +
		"is the unit of the field right"
	if err == nil || err.Error() != says || len(g.seen) != 0 {
		t.Fatalf("got %v and records %v, want %s", err, g.seen, says)
	}
	spec.Ahead.Drop = true
	g = newRig(t, f, spec, clock).start()
	g.poll()
	g.poll()
	if want := []seen{{90, element.NoTime}, {105, 90}, {110, 195}}; !slices.Equal(g.seen, want) {
		t.Errorf("saw %v, want %v", g.seen, want)
	}
	if want := []seen{{111, element.NoTime}, {500, element.NoTime}, {600, 305}}; !slices.Equal(g.ahead.seen, want) {
		t.Errorf("ahead are %v, want %v", g.ahead.seen, want)
	}
	if c := g.c.Counters; c.In.Load() != 6 || c.Out.Load() != 3 || c.Ahead.Load() != 3 {
		t.Errorf("in %d, out %d, ahead %d", c.In.Load(), c.Out.Load(), c.Ahead.Load())
	}
	if _, err := g.Poll(8); err == nil || err.Error() != "a:3[2]: watermark: -200 is not one" {
		t.Errorf("got %v, want the place of the last record", err)
	}
}
