package evolution_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/internal/task"
	"github.com/millrace-stream/millrace/millracetest"
	"github.com/millrace-stream/millrace/state"
	"github.com/millrace-stream/millrace/window"
)

// number is the record of both versions of the job.
type number struct{ N int }

func numbers(from, to int) []number {
	var out []number
	for n := from; n < to; n++ {
		out = append(out, number{n})
	}
	return out
}

func (n number) time() time.Time { return time.Unix(int64(n.N), 0) }

// item is what states of the first version hold; total is its state.
type item struct {
	N     int32
	Label string
	Old   []string
}

type total struct {
	Count int32
	Sum   int64
	Notes map[string]item
	Extra string
}

// itemNow and totalNow are those of the second: Count is wider, Sum has another name, Extra and Old are gone.
type itemNow struct {
	N     int64
	Label string
}

type totalNow struct {
	Amount int64 `state:"Sum"`
	Seen   bool
	Count  int64
	Notes  map[string]itemNow
}

const keys = 5

func key(n number) string { return fmt.Sprint("k", n.N%keys) }

// first is the first version.
type first struct {
	one  *state.Value[total]
	list *state.List[item]
	m    *state.Map[int, item]
}

func (p *first) Record(c *millrace.Call[string, string], n number) error {
	one := p.one.Ref()
	one.Count++
	one.Sum += int64(n.N)
	if one.Notes == nil {
		one.Notes = map[string]item{}
	}
	one.Notes[fmt.Sprint(n.N%3)] = item{int32(n.N), "note", []string{"x"}}
	one.Extra += "e"
	p.list.Append(item{N: int32(n.N), Label: fmt.Sprint("l", n.N)})
	p.m.Set(n.N%2, item{N: int32(n.N), Old: []string{"y", "z"}})
	return nil
}

// second is the second version. It says what it has, so that what the first has left can be seen.
type second struct {
	one  *state.Value[totalNow]
	list *state.List[itemNow]
	m    *state.Map[int, itemNow]
}

func (p *second) Record(c *millrace.Call[string, string], n number) error {
	one := p.one.Ref()
	seen := one.Seen
	one.Seen = true
	one.Count++
	one.Amount += int64(n.N)
	if one.Notes == nil {
		one.Notes = map[string]itemNow{}
	}
	one.Notes[fmt.Sprint(n.N%3)] = itemNow{int64(n.N), "note"}
	p.list.Append(itemNow{N: int64(n.N), Label: fmt.Sprint("l", n.N)})
	p.m.Set(n.N%2, itemNow{N: int64(n.N)})
	text := fmt.Sprintf("%d %s %d %d %v %t", n.N, c.Key(), one.Count, one.Amount, one.Notes, seen)
	for x := range p.list.All() {
		text += " " + x.Label
	}
	for k, v := range p.m.All() {
		text += fmt.Sprintf(" %d:%v", k, v)
	}
	c.Emit(text)
	return nil
}

// said is what a plain loop says about the numbers from a place on, when the second version goes on there with what the first has left.
func said(from, to int) (out []string) {
	type mine struct {
		totalNow
		list string
		m    [2]string
	}
	all := map[string]*mine{}
	for n := range to {
		k := key(number{n})
		x := all[k]
		if x == nil {
			x = &mine{totalNow: totalNow{Notes: map[string]itemNow{}}}
			all[k] = x
		}
		x.Count++
		x.Amount += int64(n)
		x.Notes[fmt.Sprint(n%3)] = itemNow{int64(n), "note"}
		x.list += fmt.Sprint(" l", n)
		x.m[n%2] = fmt.Sprintf(" %d:%v", n%2, itemNow{N: int64(n)})
		if n >= from {
			out = append(out, fmt.Sprintf("%d %s %d %d %v %t%s%s%s", n, k, x.Count, x.Amount, x.Notes, x.Seen, x.list, x.m[0], x.m[1]))
			x.Seen = true
		}
	}
	return out
}

// source begins a job.
func source(upTo int, open bool) (*millrace.Job, millrace.Stream[number]) {
	in := millracetest.Script[number]().Records(numbers(0, upTo)...)
	if open {
		in = in.StayOpen()
	}
	j := millrace.NewJob("evolving")
	return j, j.From("in", in, millrace.EventTime(number.time))
}

func firstJob(upTo int, open bool, out *memory.Sink[string]) *millrace.Job {
	j, in := source(upTo, open)
	in.KeyBy(key).ProcessWith[string]("process", func(s *state.Set[string]) *first {
		return &first{s.Value[total]("one"), s.List[item]("list"), s.Map[int, item]("m", state.ExpireAfter(1000*time.Second))}
	}).To("out", out)
	return j
}

func secondJob(upTo int, open bool, out *memory.Sink[string]) *millrace.Job {
	j, in := source(upTo, open)
	in.KeyBy(key).ProcessWith[string]("process", func(s *state.Set[string]) *second {
		return &second{s.Value[totalNow]("one"), s.List[itemNow]("list"), s.Map[int, itemNow]("m", state.ExpireAfter(1000*time.Second))}
	}).To("out", out)
	return j
}

func config(parallelism int, dir string) millrace.Config {
	return millrace.Config{
		Parallelism: parallelism, KeyGroups: 16, Log: slog.New(slog.DiscardHandler),
		Checkpoint: millrace.CheckpointConfig{Interval: 5 * time.Millisecond, Dir: dir},
	}
}

// stopAt runs an open job until it has read so many records and stops it, with a savepoint if save is not empty.
func stopAt(t *testing.T, j *millrace.Job, cfg millrace.Config, records int, save string) {
	t.Helper()
	cfg.Control = &millrace.Control{}
	read := make(chan struct{})
	done := false
	cfg.ObserveEvery = time.Millisecond
	cfg.Observe = func(s millrace.Status) {
		if (s.In >= int64(records) || s.Ended) && !done {
			done = true
			close(read)
		}
	}
	end := make(chan error, 1)
	task.NewSystem().Go("job", func() { end <- millrace.Run(t.Context(), j, cfg) })
	<-read
	err := cfg.Control.Stop(t.Context(), save)
	if ended := <-end; err != nil || !errors.Is(ended, millrace.ErrStopped) {
		t.Fatalf("stop: %v; the job: %v", err, ended)
	}
}

func run(t *testing.T, j *millrace.Job, cfg millrace.Config) {
	t.Helper()
	if err := millrace.Run(t.Context(), j, cfg); err != nil {
		t.Fatal(err)
	}
}

func equal(t *testing.T, got, want []string) {
	t.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if slices.Equal(got, want) {
		return
	}
	for i := range max(len(got), len(want)) {
		g, w := "nothing", "nothing"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Fatalf("%d lines, want %d; line %d is\n%s\nwant\n%s", len(got), len(want), i, g, w)
		}
	}
}

// sized and sizedNow are records that operators of our own keep.
type sized struct {
	N    int32
	Text string
}

type sizedNow struct {
	Text string
	N    int64
	More []string
}

// recordsJob has operators that keep records: windows, sessions, triggers, joins and sorting. What it shows does not depend on what R has besides.
func recordsJob[R any](upTo int, open bool, of func(number) R, show func(R) string, out *memory.Sink[string]) *millrace.Job {
	j, in := source(upTo, open)
	byKey := in.Map(of).KeyBy(func(r R) string { return show(r)[:2] })
	list := func(rs []R) (text string) {
		for _, r := range rs {
			text += " " + show(r)
		}
		return text
	}
	pane := func(name string) func(p millrace.Pane[string, []R]) string {
		return func(p millrace.Pane[string, []R]) string {
			return fmt.Sprint(name, p.Start.Unix(), p.Key, list(p.Value))
		}
	}
	lines := byKey.Window(window.Sliding(20*time.Second, 10*time.Second)).Aggregate("sliding", agg.Collect[R]()).Map(pane("sliding "))
	sessions := byKey.Window(window.Session(8*time.Second)).Aggregate("session", agg.Collect[R]()).Map(pane("session "))
	counted := byKey.Window(window.Tumbling(30*time.Second)).Trigger(window.EveryCount(4)).Aggregate("counted", agg.Collect[R]()).Map(pane("counted "))
	joined := byKey.IntervalJoin(in.Filter(func(n number) bool { return n.N%2 == 0 }).Map(of).KeyBy(func(r R) string { return show(r)[:2] }), -15*time.Second, 3*time.Second).
		Full("joined", func(l, r R, hasLeft, hasRight bool) string {
			return fmt.Sprint("joined", hasLeft, show(l), hasRight, show(r))
		})
	sorted := byKey.SortByTime("sorted").Map(func(r R) string { return "sorted " + show(r) })
	lines.Union(sessions, counted, joined, sorted).To("out", out)
	return j
}

func firstRecords(upTo int, open bool, out *memory.Sink[string]) *millrace.Job {
	return recordsJob(upTo, open, func(n number) sized { return sized{int32(n.N), key(n)} }, func(r sized) string { return fmt.Sprintf("%-2s%d", r.Text, r.N) }, out)
}

func secondRecords(upTo int, open bool, out *memory.Sink[string]) *millrace.Job {
	return recordsJob(upTo, open, func(n number) sizedNow { return sizedNow{key(n), int64(n.N), []string{"more"}} },
		func(r sizedNow) string { return fmt.Sprintf("%-2s%d", r.Text, r.N) }, out)
}

// sizedLess lost a field again, and gained another.
type sizedLess struct {
	ID   string `state:"Text"`
	When time.Time
	N    int64
}

func thirdRecords(upTo int, open bool, out *memory.Sink[string]) *millrace.Job {
	return recordsJob(upTo, open, func(n number) sizedLess { return sizedLess{ID: key(n), N: int64(n.N)} }, func(r sizedLess) string { return fmt.Sprintf("%-2s%d", r.ID, r.N) }, out)
}

// dropped is a version whose list has become a number, and whose map is gone. A negative number of records means that there are no more.
func dropped(upTo int, out *memory.Sink[string]) *millrace.Job {
	j, in := source(max(upTo, -upTo), upTo > 0)
	in.KeyBy(key).ProcessWith[string]("process", func(s *state.Set[string]) *dropping {
		one, list := s.Value[totalNow]("one"), s.Value[int64]("list")
		_ = s.Map[int, itemNow]("m", state.ExpireAfter(1000*time.Second))
		return &dropping{
			count: func() int64 { one.Ref().Count++; return one.Ref().Count },
			list:  func() int { *list.Ref()++; return int(*list.Ref()) },
		}
	}).To("out", out)
	return j
}
