package millrace_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/task"
	"github.com/millrace-stream/millrace/millracetest"
	"github.com/millrace-stream/millrace/state"
)

var sevens = millrace.NewSideOutput[ride]("sevens")

// tracker has a state of each kind, with and without a time to live, timers and a side output.
type tracker struct {
	total  *state.Value[int64]
	recent *state.List[int64]
	seen   *state.Map[int64, string]
	most   *state.Reducing[ride, int64]
}

func newTracker(s *state.Set[string]) *tracker {
	return &tracker{
		total:  s.Value[int64]("total"),
		recent: s.List[int64]("recent", state.ExpireAfter(60*time.Second)),
		seen:   s.Map[int64, string]("seen", state.ExpireAfter(30*time.Second).OnRead()),
		most:   s.Reducing("most", agg.Max(func(r ride) int64 { return r.N })),
	}
}

func (x *tracker) Record(c *millrace.Call[string, string], r ride) error {
	*x.total.Ref() += r.N
	x.recent.Append(r.N)
	before, _ := x.seen.Get(r.N % 3)
	x.seen.Set(r.N%5, fmt.Sprint("v", r.N))
	if err := x.most.Add(r); err != nil {
		return err
	}
	if r.N%7 == 0 {
		c.EmitSide(sevens, r)
	}
	c.SetTimer("quiet", c.EventTime().Add(40*time.Second))
	c.Emit(fmt.Sprintf("%s %d before=%s %s", c.Key(), r.At, before, x.text()))
	return nil
}

func (x *tracker) text() string {
	total, _ := x.total.Get()
	most, _, _ := x.most.Get()
	seen := []string{}
	for e, v := range x.seen.All() {
		seen = append(seen, fmt.Sprint(e, v))
	}
	return fmt.Sprintf("total=%d recent=%v/%d seen=%v/%d most=%d", total, slices.Collect(x.recent.All()), x.recent.Len(), seen, x.seen.Len(), most)
}

func (x *tracker) OnTimer(c *millrace.Call[string, string], t millrace.Timer) error {
	c.Emit(fmt.Sprintf("%s %s at %d %s", c.Key(), t.Name, t.At.Unix(), x.text()))
	x.total.Clear()
	x.most.Clear()
	x.recent.DropFirst(1)
	return nil
}

// plainTracker is what tracker should do, by plain maps: nothing is removed, and what has expired is passed over.
type plainTracker struct {
	bound, newest, clock int64
	total, most          map[string]int64
	recent               map[string][]plainCell
	seen                 map[string]map[int64]plainCell
	timers               map[string]int64
	out, side            []string
}

type plainCell struct {
	v  string
	at int64
}

// advance fires the timers up to a watermark, at which the clock then stands. Times are in ns.
func (p *plainTracker) advance(t int64) {
	keys := slices.SortedFunc(maps.Keys(p.timers), func(a, b string) int { return cmp.Or(cmp.Compare(p.timers[a], p.timers[b]), cmp.Compare(a, b)) })
	for _, k := range keys {
		at := p.timers[k]
		if at > t {
			break
		}
		delete(p.timers, k)
		p.clock = max(p.clock, at)
		p.out = append(p.out, fmt.Sprintf("%s quiet at %d %s", k, at/1e9, p.text(k, at)))
		delete(p.total, k)
		delete(p.most, k)
		if l := p.alive(k); len(l) > 0 {
			p.recent[k] = l[1:]
		}
	}
	p.clock = max(p.clock, t)
}

func (p *plainTracker) alive(k string) []plainCell {
	return slices.DeleteFunc(slices.Clone(p.recent[k]), func(c plainCell) bool { return c.at+60e9 <= p.clock })
}

// read returns an entry of the map, which lives on by that.
func (p *plainTracker) read(k string, e, t int64) (plainCell, bool) {
	c, ok := p.seen[k][e]
	if !ok || c.at+30e9 <= p.clock {
		return plainCell{}, false
	}
	c.at = max(c.at, t)
	p.seen[k][e] = c
	return c, true
}

func (p *plainTracker) text(k string, t int64) string {
	recent := []string{}
	for _, c := range p.alive(k) {
		recent = append(recent, c.v)
	}
	seen := []string{}
	for e := range int64(5) {
		if c, ok := p.read(k, e, t); ok {
			seen = append(seen, fmt.Sprint(e, c.v))
		}
	}
	return fmt.Sprintf("total=%d recent=[%s]/%d seen=%v/%d most=%d", p.total[k], strings.Join(recent, " "), len(recent), seen, len(seen), p.most[k])
}

func (p *plainTracker) record(r ride) {
	k, t := r.Base, r.At*1e9
	p.total[k] += r.N
	p.most[k] = max(p.most[k], r.N)
	p.recent[k] = append(p.recent[k], plainCell{fmt.Sprint(r.N), t})
	if p.seen[k] == nil {
		p.seen[k] = map[int64]plainCell{}
	}
	before, _ := p.read(k, r.N%3, t)
	set := plainCell{fmt.Sprint("v", r.N), t}
	if old, ok := p.seen[k][r.N%5]; ok && old.at+30e9 > p.clock {
		set.at = max(set.at, old.at)
	}
	p.seen[k][r.N%5] = set
	if r.N%7 == 0 {
		p.side = append(p.side, fmt.Sprint(r))
	}
	p.timers[k] = t + 40e9
	p.out = append(p.out, fmt.Sprintf("%s %d before=%s %s", k, r.At, before.v, p.text(k, t)))
	if t > p.newest {
		p.newest = t
		p.advance(t - p.bound - 1)
	}
}

// TestProcessorKilledAnywhereGivesThePlainResults compares a processor, killed at all kinds of moments, with plain maps.
func TestProcessorKilledAnywhereGivesThePlainResults(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	var in []ride
	for i := range 900 {
		in = append(in, ride{Base: fmt.Sprint("b", rng.IntN(5)), At: int64(i)*3 + rng.Int64N(80) + 100, N: rng.Int64N(30)})
	}
	const bound = 20 * time.Second
	plain := &plainTracker{
		bound: int64(bound), clock: math.MinInt64, total: map[string]int64{}, most: map[string]int64{}, recent: map[string][]plainCell{},
		seen: map[string]map[int64]plainCell{}, timers: map[string]int64{},
	}
	for _, r := range in {
		plain.record(r)
	}
	plain.advance(math.MaxInt64)
	slices.Sort(plain.out)
	r := millracetest.Crash(t, func(w *millracetest.Trial) *millrace.Job {
		job := millrace.NewJob("tracked")
		tracked := job.From("in", memory.Of(in...), millrace.EventTime(ride.time).OutOfOrderness(bound)).KeyBy(ride.base).
			SideOutputs(sevens).ProcessWith("track", newTracker)
		tracked.To("out", w.Collect[string]("out"))
		tracked.Side(sevens).To("sevens", w.Collect[ride]("sevens"))
		return job
	}, millracetest.Kills(14), millracetest.Check(func(w *millracetest.Trial) error {
		got := slices.Sorted(slices.Values(w.Collect[string]("out").Records()))
		if !slices.Equal(got, plain.out) {
			return fmt.Errorf("%d results, want %d; first difference: %s", len(got), len(plain.out), firstDifference(got, plain.out))
		}
		if n := len(w.Collect[ride]("sevens").Records()); n != len(plain.side) {
			return fmt.Errorf("%d records in the side output, want %d", n, len(plain.side))
		}
		return nil
	}))
	if r.InEpoch < 4 || len(plain.side) < 50 {
		t.Errorf("too little was tried: %+v", r)
	}
}

// broken is a processor whose methods have other types than they should.
type broken struct{}

func (broken) Record(*millrace.Call[string, ride], ride) error { return nil }
func (broken) Open() error                                     { return nil }
func (broken) OnTimer(*millrace.Call[string, string], millrace.Timer) error {
	return nil
}
func (broken) Close() {}

// fine is a processor of which the parts can be replaced.
type fine struct {
	record func(c *millrace.Call[string, ride], r ride) error
	open   func(c *millrace.OpenContext) error
	close  func() error
}

func (f *fine) Record(c *millrace.Call[string, ride], r ride) error {
	if f.record == nil {
		return nil
	}
	return f.record(c, r)
}

func (f *fine) Open(c *millrace.OpenContext) error {
	if f.open == nil {
		return nil
	}
	return f.open(c)
}

func (f *fine) Close() error {
	if f.close == nil {
		return nil
	}
	return f.close()
}

// TestMistakesOfProcessorsAreNamed makes each mistake in a job of its own.
func TestMistakesOfProcessorsAreNamed(t *testing.T) {
	hour := state.ExpireAfter(time.Hour)
	with := func(declare func(s *state.Set[string])) func(*millrace.Job) {
		return func(j *millrace.Job) {
			rides(j).KeyBy(ride.base).ProcessWith("p", func(s *state.Set[string]) *fine { declare(s); return &fine{} }).To("out", memory.NewSink[ride]())
		}
	}
	pass := func(*millrace.Proc[string, int64, ride], ride) error { return nil }
	for _, c := range []struct {
		name string
		make func(*millrace.Job)
		want string
	}{
		{"nil factory", func(j *millrace.Job) {
			rides(j).KeyBy(ride.base).ProcessWith[ride, *fine]("p", nil).To("out", memory.NewSink[ride]())
		}, `JOB:LINE: operator "p": the factory is nil`},
		{"nil processor", func(j *millrace.Job) {
			rides(j).KeyBy(ride.base).ProcessWith("p", func(*state.Set[string]) *fine { return nil }).To("out", memory.NewSink[ride]())
		}, `JOB:LINE: operator "p": the factory returns nil`},
		{"methods of other types", func(j *millrace.Job) {
			rides(j).KeyBy(ride.base).ProcessWith("p", func(*state.Set[string]) broken { return broken{} }).To("out", memory.NewSink[ride]())
		}, `JOB:LINE: operator "p": method Open of millrace_test.broken would never be called: it must be Open(*millrace.OpenContext) error
		method OnTimer of millrace_test.broken would never be called: it must be OnTimer(*millrace.Call[string,github.com/millrace-stream/millrace_test.ride], millrace.Timer) error
		method Close of millrace_test.broken would never be called: it must be Close() error`},
		{
			"a name twice", with(func(s *state.Set[string]) { s.Value[int]("n"); s.List[int]("n") }),
			`JOB:LINE: operator "p": state "n": another state has this name: give each its own`,
		},
		{
			"no name", with(func(s *state.Set[string]) { s.Value[int]("") }),
			`JOB:LINE: operator "p": state "": the name is empty: it names the state in checkpoints`,
		},
		{
			"a bad name", with(func(s *state.Set[string]) { s.Value[int]("a b") }),
			`JOB:LINE: operator "p": state "a b": the name has the character ' ': letters a-z and A-Z, digits, '-', '_' and '.' are allowed`,
		},
		{
			"a long name", with(func(s *state.Set[string]) { s.Value[int](strings.Repeat("n", 65)) }),
			`JOB:LINE: operator "p": state "` + strings.Repeat("n", 65) + `": the name is 65 bytes long, at most 64 are allowed`,
		},
		{
			"a value that cannot be kept", with(func(s *state.Set[string]) { s.Value[withFunc]("f") }),
			`JOB:LINE: operator "p": state "f": it cannot be kept in checkpoints: codec: field withFunc.F: func() has no stable encoding; leave it out of the state, or give the type around it AppendState and DecodeState`,
		},
		{
			"a key that cannot be one", with(func(s *state.Set[string]) { s.Map[float64, int]("m") }),
			`JOB:LINE: operator "p": state "m": the key of its entries: codec: key field float64: float64 cannot be (part of) a key; NaN is not equal to itself and -0 equals 0; round it to an integer of a unit (cents, micrometres), or take math.Float64bits`,
		},
		{
			"no aggregator", with(func(s *state.Set[string]) { s.Reducing("r", agg.Aggregator[ride, int64, int64]{}) }),
			`JOB:LINE: operator "p": state "r": the aggregator has no Add or no Result`,
		},
		{
			"no time to live", with(func(s *state.Set[string]) { s.Value[int]("n", state.ExpireAfter(0)) }),
			`JOB:LINE: operator "p": state "n": the time to live is 0s: it must be greater than 0`,
		},
		{
			"two times to live", with(func(s *state.Set[string]) { s.Value[int]("n", hour, hour) }),
			`JOB:LINE: operator "p": state "n": it has more than one time to live: give one`,
		},
		{"expiry without event time", func(j *millrace.Job) {
			j.From("in", memory.Of[ride]()).KeyBy(ride.base).StateTTL(hour).Process("p", pass).To("out", memory.NewSink[ride]())
		}, `JOB:LINE: operator "p": state "state": the time to live is one of event time, and the stream has none: give EventTime to its source, or measure by ProcessingTime`},
		{"StateTTL of a processor", func(j *millrace.Job) {
			rides(j).KeyBy(ride.base).StateTTL(hour).ProcessWith("p", func(*state.Set[string]) *fine { return &fine{} }).To("out", memory.NewSink[ride]())
		}, `JOB:LINE: operator "p": StateTTL is an option of Process: give each state of a processor its own, where it is declared`},
		{"StateTTL twice", func(j *millrace.Job) {
			rides(j).KeyBy(ride.base).StateTTL(hour).StateTTL(hour).Process("p", pass).To("out", memory.NewSink[ride]())
		}, `JOB:LINE: operator "p": StateTTL is given twice`},
		{"a side output twice", func(j *millrace.Job) {
			rides(j).KeyBy(ride.base).SideOutputs(sevens).SideOutputs(millrace.NewSideOutput[int]("sevens")).Process("p", pass).To("out", memory.NewSink[ride]())
		}, `JOB:LINE: operator "p": side output "sevens" is declared twice: give each a name of its own`},
		{"side outputs that are none", func(j *millrace.Job) {
			rides(j).KeyBy(ride.base).SideOutputs(nil, millrace.SideOutput[int]{}, millrace.NewSideOutput[int]("")).Process("p", pass).To("out", memory.NewSink[ride]())
		}, `JOB:LINE: operator "p": a side output has no name: give it one, it is the empty one of the main output
	JOB:LINE: operator "p": a side output is nil: make it with NewSideOutput
	JOB:LINE: operator "p": a side output is nil: make it with NewSideOutput`},
		{"a side output that is not declared is read", func(j *millrace.Job) {
			rides(j).KeyBy(ride.base).Process("p", pass).Side(sevens).To("out", memory.NewSink[ride]())
		}, `JOB:LINE: operator "side-1": side output "sevens" is read, which the process at JOB:LINE has not declared: name it in SideOutputs`},
		{"a side output is read with another type", func(j *millrace.Job) {
			rides(j).KeyBy(ride.base).SideOutputs(sevens).Process("p", pass).Side(millrace.NewSideOutput[string]("sevens")).To("out", memory.NewSink[string]())
		}, `JOB:LINE: operator "side-1": side output "sevens" is read with another type than that with which the process at JOB:LINE has declared it`},
	} {
		t.Run(c.name, func(t *testing.T) {
			job := millrace.NewJob("job")
			c.make(job)
			got := normal(job.Validate(), "")
			_, got, _ = strings.Cut(got, ":\n\t")
			if got != c.want {
				t.Errorf("got\n\t%s\nwant\n\t%s", got, c.want)
			}
		})
	}
}

// TestProcessorsThatFail shows what goes wrong while a job runs.
func TestProcessorsThatFail(t *testing.T) {
	boom := errors.New("boom")
	var calls atomic.Int64
	for _, c := range []struct {
		name string
		make func(s *state.Set[string]) *fine
		want string
	}{
		{"open", func(*state.Set[string]) *fine {
			return &fine{open: func(*millrace.OpenContext) error { return boom }, close: func() error { panic("closed without being open") }}
		}, `open: boom`},
		{"a side output that is not declared", func(*state.Set[string]) *fine {
			return &fine{record: func(c *millrace.Call[string, ride], r ride) error { c.EmitSide(sevens, r); return nil }}
		}, `record with event time 1970-01-01T00:00:01Z: a record is put into the side output "sevens", which the operator has not declared: name it in SideOutputs`},
		{"a timer without a function", func(*state.Set[string]) *fine {
			return &fine{record: func(c *millrace.Call[string, ride], _ ride) error { c.SetTimer("t", c.EventTime()); return nil }}
		}, `record with event time 1970-01-01T00:00:01Z: timer "t" is set, and there is no function for timers: it could never be heard of`},
		{"a timer out of range", func(*state.Set[string]) *fine {
			return &fine{record: func(c *millrace.Call[string, ride], _ ride) error { c.SetProcessingTimer("t", time.Time{}); return nil }}
		}, `record with event time 1970-01-01T00:00:01Z: SetProcessingTimer("t"): 0001-01-01 00:00:00 +0000 UTC: time is out of range: event times are from 1678-01-01 to 2261-12-31 UTC; is the unit of the field right`},
		{"other states than before", func(s *state.Set[string]) *fine {
			if calls.Add(1) > 1 {
				s.Value[int64]("later")
			}
			return &fine{}
		}, `the factory declares other states now than when the job was built: map[state.later:int64], and before map[]: it must always declare the same`},
		{"a state after the factory", func(s *state.Set[string]) *fine {
			return &fine{open: func(*millrace.OpenContext) error { s.Value[int64]("later"); return nil }}
		}, `state "later": it is declared after the factory has returned: declare all states in the factory`},
		{"a broadcast state in a record", func(s *state.Set[string]) *fine {
			b := s.Broadcast[string, int]("b")
			return &fine{record: func(*millrace.Call[string, ride], ride) error { b.Set("x", 1); return nil }}
		}, `record with event time 1970-01-01T00:00:01Z: state "b": Set outside of Broadcast: the subtasks would not have the same table any more; change it for broadcast records only`},
	} {
		t.Run(c.name, func(t *testing.T) {
			calls.Store(0)
			job := millrace.NewJob("job")
			job.From("in", memory.Of(ride{Base: "a", At: 1}), millrace.EventTime(ride.time)).KeyBy(ride.base).ProcessWith("p", c.make).
				To("out", memory.NewSink[ride]())
			got, _, _ := strings.Cut(fmt.Sprint(millrace.Run(context.Background(), job, quietly)), " (while")
			if !strings.HasSuffix(got, c.want) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestRestoreWithAnotherStateIsRefused changes the type of a state, takes one away, and adds one, which is the only thing allowed.
func TestRestoreWithAnotherStateIsRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		declare func(s *state.Set[string])
		want    string
	}{
		{"the same", func(s *state.Set[string]) { s.Value[int64]("n"); s.List[string]("l") }, ""},
		{"longer lives", func(s *state.Set[string]) { s.List[string]("l"); s.Value[int64]("n"); s.Value[int64]("more") }, ""},
		{
			"another type", func(s *state.Set[string]) { s.Value[int32]("n"); s.List[string]("l") },
			`state.n was "int64" in the checkpoint and is "int32" now (was int64 and is int32): bring the old one back, or give it up: Drop "p/state.n"`,
		},
		{
			"gone", func(s *state.Set[string]) { s.Value[int64]("n") },
			`state.l was "list string" in the checkpoint and is "" now: bring the old one back, or give it up: Drop "p/state.l"`,
		},
		{
			"expiring", func(s *state.Set[string]) { s.Value[int64]("n", state.ExpireAfter(1)); s.List[string]("l") },
			`state.n was "int64" in the checkpoint and is "int64, expires by event time" now (it was one value and is one value, expires by event time): bring the old one back, or give it up: Drop "p/state.n"`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			job := func(declare func(s *state.Set[string])) *millrace.Job {
				j := millrace.NewJob("job")
				rides(j).KeyBy(ride.base).ProcessWith("p", func(s *state.Set[string]) *fine { declare(s); return &fine{} }).To("out", memory.NewSink[ride]())
				return j
			}
			if err := millrace.Run(context.Background(), job(func(s *state.Set[string]) { s.Value[int64]("n"); s.List[string]("l") }), small(dir)); err != nil {
				t.Fatal(err)
			}
			err := millrace.Run(context.Background(), job(c.declare), small(dir))
			if (err != nil) != (c.want != "") || err != nil && !strings.HasSuffix(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// movable is a clock that a test moves.
type movable struct{ ns atomic.Int64 }

func (m *movable) Now() time.Time { return time.Unix(0, m.ns.Load()).UTC() }

// alarm sets timers of processing time, and tells of them.
type alarm struct{ heard func() }

func (a *alarm) Record(c *millrace.Call[string, string], r ride) error {
	c.SetProcessingTimer("b", c.ProcessingTime().Add(time.Duration(r.N)*time.Hour))
	c.SetProcessingTimer("a", c.ProcessingTime().Add(time.Duration(r.N)*time.Hour))
	c.SetProcessingTimer("gone", c.ProcessingTime().Add(time.Minute))
	c.DeleteProcessingTimer("gone")
	c.SetTimer("a", c.EventTime())
	return nil
}

func (a *alarm) OnTimer(c *millrace.Call[string, string], t millrace.Timer) error {
	w, _ := c.Watermark()
	c.Emit(fmt.Sprintf("%s %s processing=%v at=%d event=%d.%09d wm=%d.%09d", c.Key(), t.Name, t.ProcessingTime, t.At.Unix(),
		c.EventTime().Unix(), c.EventTime().Nanosecond(), w.Unix(), w.Nanosecond()))
	if t.ProcessingTime && t.Name != "again" {
		c.SetProcessingTimer("again", t.At.Add(time.Nanosecond))
	}
	if a.heard != nil {
		a.heard()
	}
	return nil
}

// TestProcessingTimersAtTheEndOfInput: they fire once, behind those of event time, by time, key and name; what they set is counted.
func TestProcessingTimersAtTheEndOfInput(t *testing.T) {
	clock := &movable{}
	clock.ns.Store(1000e9)
	out := memory.NewSink[string]()
	job := millrace.NewJob("alarms")
	job.From("in", memory.Of(ride{"y", 10, 2}, ride{"z", 10, 1}, ride{"x", 11, 2}), millrace.EventTime(ride.time)).
		KeyBy(ride.base).ProcessWith("alarm", func(*state.Set[string]) *alarm { return &alarm{} }).To("out", out)
	ctx := env.With(context.Background(), &env.Env{Sched: task.System{Clock: clock}, FS: fsx.OS{}})
	if err := millrace.Run(ctx, job, quietly); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"y a processing=false at=10 event=10.000000000 wm=10.000000000",
		"z a processing=false at=10 event=10.000000000 wm=10.000000000",
		"x a processing=false at=11 event=11.000000000 wm=11.000000000",
		"z a processing=true at=4600 event=11.000000001 wm=11.000000000",
		"z b processing=true at=4600 event=11.000000001 wm=11.000000000",
		"x a processing=true at=8200 event=11.000000001 wm=11.000000000",
		"x b processing=true at=8200 event=11.000000001 wm=11.000000000",
		"y a processing=true at=8200 event=11.000000001 wm=11.000000000",
		"y b processing=true at=8200 event=11.000000001 wm=11.000000000",
	}
	same(t, "timers", out.Records(), want)
}

// TestOverdueProcessingTimersFireAfterARestore stops a job that waits for timers, and starts it when their time is past.
func TestOverdueProcessingTimersFireAfterARestore(t *testing.T) {
	noLeaks(t)
	dir, out := t.TempDir(), memory.NewSink[string]()
	stop := errors.New("stop")
	clock := &movable{}
	clock.ns.Store(1000e9)
	run := func(at time.Duration, until int) {
		ctx, cancel := context.WithCancelCause(context.Background())
		clock.ns.Add(int64(at))
		in := millracetest.Script[ride]().Records(ride{"y", 10, 2}, ride{"z", 10, 1}, ride{"x", 11, 2}).Watermark(time.Unix(12, 0)).StayOpen()
		job, heard := millrace.NewJob("alarms"), 0
		job.From("in", in, millrace.EventTime(ride.time)).KeyBy(ride.base).
			ProcessWith("alarm", func(*state.Set[string]) *alarm {
				return &alarm{heard: func() {
					if heard++; heard == until {
						cancel(stop)
					}
				}}
			}).To("out", out)
		ctx = env.With(ctx, &env.Env{Sched: task.System{Clock: clock}, FS: fsx.OS{}})
		cfg := quietly
		cfg.Checkpoint.Dir = dir
		if err := millrace.Run(ctx, job, cfg); !errors.Is(err, stop) {
			t.Fatal(err)
		}
	}
	run(0, 3)              // the timers of event time
	run(90*time.Minute, 3) // those of z, and what they set for a time already past
	run(48*time.Hour, 6)
	got := out.Records()
	for i := range got {
		got[i], _, _ = strings.Cut(got[i], " event")
	}
	same(t, "timers", got, []string{
		"y a processing=false at=10", "z a processing=false at=10", "x a processing=false at=11",
		"z a processing=true at=4600", "z b processing=true at=4600", "z again processing=true at=4600",
		"x a processing=true at=8200", "x b processing=true at=8200", "y a processing=true at=8200", "y b processing=true at=8200",
		"x again processing=true at=8200", "y again processing=true at=8200",
	})
}

// TestProcessorsAreOpenedAndClosedOnce: in each subtask, and the one that the job makes to learn its states never.
func TestProcessorsAreOpenedAndClosedOnce(t *testing.T) {
	var made, closed atomic.Int64
	var places sync.Map
	job := millrace.NewJob("job")
	rides(job).KeyBy(ride.base).ProcessWith("p", func(*state.Set[string]) *fine {
		made.Add(1)
		return &fine{
			open: func(c *millrace.OpenContext) error {
				places.Store(fmt.Sprint(c.Job, c.Operator, c.Subtask, c.Parallelism, c.Err(), c.Log != nil), true)
				return nil
			},
			close: func() error { closed.Add(1); return nil },
		}
	}).To("out", memory.NewSink[ride]())
	cfg := quietly
	cfg.Parallelism = 3
	if err := millrace.Run(context.Background(), job, cfg); err != nil {
		t.Fatal(err)
	}
	var got []string
	places.Range(func(k, _ any) bool { got = append(got, k.(string)); return true })
	slices.Sort(got)
	same(t, "places", got, []string{"jobp0 3 <nil> true", "jobp1 3 <nil> true", "jobp2 3 <nil> true"})
	if made.Load() != 4 || closed.Load() != 3 {
		t.Errorf("%d were made and %d closed, want 4 and 3", made.Load(), closed.Load())
	}
}

// TestUnreadSideOutput: what is put into an output that nobody reads is gone, and the job goes on.
func TestUnreadSideOutput(t *testing.T) {
	out := memory.NewSink[string]()
	job := millrace.NewJob("job")
	job.From("in", memory.Of(ride{"a", 1, 7}, ride{"b", 2, 14}), millrace.EventTime(ride.time)).KeyBy(ride.base).SideOutputs(sevens).
		ProcessWith("track", newTracker).To("out", out)
	if err := millrace.Run(context.Background(), job, quietly); err != nil {
		t.Fatal(err)
	}
	if n := len(out.Records()); n != 4 {
		t.Errorf("%d results, want 4", n)
	}
}
