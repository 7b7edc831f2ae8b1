package millrace_test

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/millracetest"
	"github.com/millrace-stream/millrace/state"
)

// limit is a rule: from an event time on, a base has a limit.
type limit struct {
	Base string
	From int64
	Most int64
}

func (l limit) time() time.Time { return time.Unix(l.From, 0) }
func (l limit) base() string    { return l.Base }

// limiter holds rides until the limits of their time are known, and tells which are above.
type limiter struct {
	limits *state.Broadcast[string, []limit]
	held   *state.List[ride]
}

func newLimiter(s *state.Set[string]) *limiter {
	return &limiter{limits: s.Broadcast[string, []limit]("limits"), held: s.List[ride]("held")}
}

func (x *limiter) Broadcast(l limit) error {
	old, _ := x.limits.Get(l.Base)
	all := append(slices.Clone(old), l)
	slices.SortStableFunc(all, func(a, b limit) int { return cmp.Compare(a.From, b.From) })
	x.limits.Set(l.Base, all)
	return nil
}

func (x *limiter) Record(c *millrace.Call[string, string], r ride) error {
	x.held.Append(r)
	c.SetTimer(fmt.Sprint(r.At), c.EventTime())
	return nil
}

func (x *limiter) OnTimer(c *millrace.Call[string, string], t millrace.Timer) error {
	for r := range x.held.All() {
		if r.At == t.At.Unix() {
			c.Emit(verdict(r, x.limits.All))
		}
	}
	for first := range x.held.All() {
		if first.At > t.At.Unix() {
			break
		}
		x.held.DropFirst(1)
	}
	return nil
}

// verdict judges a ride by all limits that hold at its time.
func verdict(r ride, all func() iter.Seq2[string, []limit]) string {
	var above []string
	for base, versions := range all() {
		most := int64(-1)
		for _, v := range versions {
			if v.From <= r.At {
				most = v.Most
			}
		}
		if most >= 0 && r.N > most {
			above = append(above, fmt.Sprintf("%s>%d", base, most))
		}
	}
	return fmt.Sprint(r, above)
}

// TestBroadcastKilledAnywhereGivesThePlainResults compares rules that go to all subtasks, from several splits, with a loop.
func TestBroadcastKilledAnywhereGivesThePlainResults(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var in []ride
	limits := make([][]limit, 3)
	for i := range 500 {
		in = append(in, ride{Base: fmt.Sprint("b", i%6), At: int64(i), N: rng.Int64N(30)})
	}
	for i := range 90 { // limits of one base come from one split, at times of their own
		b := rng.IntN(6)
		limits[b%3] = append(limits[b%3], limit{Base: fmt.Sprint("b", b), From: int64(i) * 6, Most: rng.Int64N(40)})
	}
	known := map[string][]limit{}
	for _, l := range slices.Concat(limits...) {
		known[l.Base] = append(known[l.Base], l)
	}
	var want []string
	for _, r := range in {
		want = append(want, verdict(r, func() iter.Seq2[string, []limit] {
			return func(yield func(string, []limit) bool) {
				for b := range 6 {
					if k := fmt.Sprint("b", b); known[k] != nil && !yield(k, known[k]) {
						return
					}
				}
			}
		}))
	}
	slices.Sort(want)
	millracetest.Crash(t, func(w *millracetest.Trial) *millrace.Job {
		job := millrace.NewJob("limits")
		rules := job.From("limits", memory.Splits(limits...), millrace.EventTime(limit.time))
		job.From("in", memory.Of(in...), millrace.EventTime(ride.time)).KeyBy(ride.base).
			ProcessBroadcast("judge", rules, newLimiter).To("out", w.Collect[string]("out"))
		return job
	}, millracetest.Kills(12), millracetest.Check(func(w *millracetest.Trial) error {
		if got := slices.Sorted(slices.Values(w.Collect[string]("out").Records())); !slices.Equal(got, want) {
			return fmt.Errorf("%d results, want %d; first difference: %s", len(got), len(want), firstDifference(got, want))
		}
		return nil
	}))
}

// joined is a ride with the version of the table that it has found; 0 is none.
type joined struct {
	Base       string
	Part, N, V int64
}

// monotone checks that no ride of a base, in its order, has found an older version than one before: a table that is lost, or goes back, would
// show so. Hits says how many have found one.
func monotone(rs []joined) (hits int, err error) {
	newest := map[string]int64{}
	for _, r := range rs {
		k := fmt.Sprint(r.Base, r.Part)
		if r.V < newest[k] {
			return 0, fmt.Errorf("%+v came after version %d", r, newest[k])
		}
		newest[k] = r.V
		if r.V > 0 {
			hits++
		}
	}
	return hits, nil
}

// TestLookupJoinsKilledAnywhereKeepTheirTables kills joins with tables as they are now. Which version a record finds is a matter of arrival; that
// each leaves once, and that no version is older than one seen before, is not.
func TestLookupJoinsKilledAnywhereKeepTheirTables(t *testing.T) {
	parts := make([][]ride, 4)
	var table []ride
	for i := range 800 {
		parts[i%4] = append(parts[i%4], ride{Base: fmt.Sprint("b", i/4%5), At: int64(i % 4), N: int64(i)})
	}
	for i := range 300 {
		table = append(table, ride{Base: fmt.Sprint("b", i%5), N: int64(i/5) + 1})
	}
	out := func(l, v ride, _ bool) joined { return joined{l.Base, l.At, l.N, v.N} }
	for name, join := range map[string]func(in, table millrace.Stream[ride]) millrace.Stream[joined]{
		"latest": func(in, table millrace.Stream[ride]) millrace.Stream[joined] {
			return in.KeyBy(ride.base).LatestJoin(table.KeyBy(ride.base)).Left("join", out)
		},
		"broadcast": func(in, table millrace.Stream[ride]) millrace.Stream[joined] {
			return in.BroadcastJoin(table.KeyBy(ride.base), ride.base).Left("join", out)
		},
	} {
		t.Run(name, func(t *testing.T) {
			hits := 0
			millracetest.Crash(t, func(w *millracetest.Trial) *millrace.Job {
				job := millrace.NewJob("lookup")
				sink := w.Once("out", memory.NewSink[joined])
				w.Output("ids", func() (ids []int64) {
					for _, r := range sink.Records() {
						ids = append(ids, r.N)
					}
					return ids
				})
				join(job.From("in", memory.Splits(parts...)), job.From("table", memory.Of(table...))).To("out", sink)
				return job
			}, millracetest.Kills(8), millracetest.Check(func(w *millracetest.Trial) error {
				n, err := monotone(w.Once("out", memory.NewSink[joined]).Records())
				hits += n
				return err
			}))
			if hits < 100 {
				t.Errorf("only %d records have found anything", hits)
			}
		})
	}
}

// after lets a source have nothing until n records have passed a function.
func after[T, V any, K comparable](n int64, s connect.Source[T], key func(V) K) (connect.Source[T], func(V) K) {
	seen := &atomic.Int64{}
	return gatedBy(s, func() bool { return seen.Load() >= n }), func(v V) K {
		seen.Add(1)
		return key(v)
	}
}

// gatedBy lets a source have nothing until a condition holds.
func gatedBy[T any](s connect.Source[T], open func() bool) connect.Source[T] {
	return condition[T]{s, open}
}

type condition[T any] struct {
	connect.Source[T]
	open func() bool
}

func (g condition[T]) Open(ctx context.Context, s connect.Split, pos []byte) (connect.Reader[T], error) {
	r, err := g.Source.Open(ctx, s, pos)
	return conditionReader[T]{r, g}, err
}

type conditionReader[T any] struct {
	connect.Reader[T]
	g condition[T]
}

func (r conditionReader[T]) Read(ctx context.Context, records []T) (int, error) {
	if !r.g.open() {
		return 0, nil
	}
	return r.Reader.Read(ctx, records)
}

// TestLookupJoinsFindTheLatest: by arrival and not by event time, inner and left, with misses counted.
func TestLookupJoinsFindTheLatest(t *testing.T) {
	table := []limit{{"a", 30, 1}, {"b", 5, 2}, {"a", 10, 3}}
	in := []ride{{"a", 1, 10}, {"b", 2, 20}, {"c", 3, 30}, {"a", 4, 40}}
	inner := func(l ride, v limit) string { return fmt.Sprint(l, v) }
	left := func(l ride, v limit, ok bool) string { return fmt.Sprint(l, v, ok) }
	for _, c := range []struct {
		name string
		join func(in millrace.Stream[ride], table millrace.Keyed[string, limit]) millrace.Stream[string]
		want []string
	}{
		{"latest inner", func(in millrace.Stream[ride], table millrace.Keyed[string, limit]) millrace.Stream[string] {
			return in.KeyBy(ride.base).LatestJoin(table).Inner("join", inner)
		}, []string{"{a 1 10} {a 10 3}", "{b 2 20} {b 5 2}", "{a 4 40} {a 10 3}"}},
		{"latest left", func(in millrace.Stream[ride], table millrace.Keyed[string, limit]) millrace.Stream[string] {
			return in.KeyBy(ride.base).LatestJoin(table).Left("join", left)
		}, []string{"{a 1 10} {a 10 3} true", "{b 2 20} {b 5 2} true", "{c 3 30} { 0 0} false", "{a 4 40} {a 10 3} true"}},
		{"broadcast inner", func(in millrace.Stream[ride], table millrace.Keyed[string, limit]) millrace.Stream[string] {
			return in.BroadcastJoin(table, ride.base).Inner("join", inner)
		}, []string{"{a 1 10} {a 10 3}", "{b 2 20} {b 5 2}", "{a 4 40} {a 10 3}"}},
		{"broadcast left", func(in millrace.Stream[ride], table millrace.Keyed[string, limit]) millrace.Stream[string] {
			return in.BroadcastJoin(table, ride.base).Left("join", left)
		}, []string{"{a 1 10} {a 10 3} true", "{b 2 20} {b 5 2} true", "{c 3 30} { 0 0} false", "{a 4 40} {a 10 3} true"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := memory.NewSink[string]()
			job := millrace.NewJob("lookup")
			source, key := after[ride](3, memory.Of(in...), limit.base)
			c.join(job.From("in", source, millrace.EventTime(ride.time)), job.From("table", memory.Of(table...), millrace.EventTime(limit.time).OutOfOrderness(time.Hour)).KeyBy(key)).
				To("out", out)
			var last millrace.Status
			cfg := quietly
			cfg.Observe = func(s millrace.Status) { last = s }
			if err := millrace.Run(context.Background(), job, cfg); err != nil {
				t.Fatal(err)
			}
			same(t, "results", out.Records(), c.want)
			if last.Misses != 1 {
				t.Errorf("%d misses, want 1", last.Misses)
			}
		})
	}
}

// TestMistakesOfLookupJoinsAreNamed makes all mistakes in one job.
func TestMistakesOfLookupJoinsAreNamed(t *testing.T) {
	job, other := millrace.NewJob("bad"), rides(millrace.NewJob("other"))
	in := rides(job)
	key := in.KeyBy(ride.base)
	drop := func(s millrace.Stream[ride], id string) { s.To(id, memory.NewSink[ride]()) }
	drop(key.LatestJoin(key).Inner[ride]("nil", nil), "o1")
	drop(key.LatestJoin(other.KeyBy(ride.base)).Left("two-jobs", func(r, _ ride, _ bool) ride { return r }), "o2")
	drop(key.LatestJoin(in.KeyBy[string](nil)).Inner("no-key", func(r, _ ride) ride { return r }), "o3")
	drop(in.BroadcastJoin(other.KeyBy(ride.base), ride.base).Left[ride]("b-nil", nil), "o4")
	drop(in.BroadcastJoin(key, nil).Inner("b-no-key", func(r, _ ride) ride { return r }), "o5")
	drop(in.BroadcastJoin(in.Map(func(ride) withFunc { return withFunc{} }).KeyBy(func(withFunc) string { return "" }), ride.base).
		Inner("b-func", func(r ride, _ withFunc) ride { return r }), "o6")
	drop(key.ProcessBroadcast("p-two-jobs", other, func(*state.Set[string]) *both { return &both{} }), "o7")
	got := normal(job.Validate(), "")
	_, got, _ = strings.Cut(got, ":\n\t")
	want := strings.Join([]string{
		`JOB:LINE: operator "nil": the function is nil`,
		`JOB:LINE: operator "two-jobs": the table is of another job: both streams must be of one job`,
		`JOB:LINE: operator "no-key": KeyBy of the table: the key function is nil`,
		`JOB:LINE: operator "b-nil": the function is nil`,
		`JOB:LINE: operator "b-nil": the table is of another job: both streams must be of one job`,
		`JOB:LINE: operator "b-no-key": the key function is nil`,
		`JOB:LINE: operator "b-func": the records of the table cannot be kept in checkpoints: codec: field withFunc.F: func() has no stable encoding; leave it out of the state, or give the type around it AppendState and DecodeState`,
		`JOB:LINE: operator "p-two-jobs": the broadcast stream is of another job: both streams must be of one job`,
	}, "\n\t")
	if got != want {
		t.Errorf("got\n\t%s\nwant\n\t%s", got, want)
	}
}

// both takes rides of two streams and does nothing.
type both struct{}

func (*both) Record(*millrace.Call[string, ride], ride) error { return nil }
func (*both) Broadcast(ride) error                            { return nil }
