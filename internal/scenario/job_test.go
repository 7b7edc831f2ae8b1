package scenario_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // the same zones on every machine

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/internal/task"
	"github.com/millrace-stream/millrace/state"
	"github.com/millrace-stream/millrace/window"
)

// sinks are the outputs of a job by name. They outlive its runs.
type sinks map[string]*memory.Sink[string]

func (s sinks) of(name string) *memory.Sink[string] {
	if s[name] == nil {
		s[name] = memory.NewSink[string]()
	}
	return s[name]
}

// through makes a sink one that shows at once what it is given, and cannot do otherwise.
type through struct{ connect.Sink[string] }

func (through) Guarantee() connect.Guarantee { return connect.AtLeastOnce }

func (t through) OpenWriter(ctx context.Context, info connect.SinkInfo) (connect.Writer[string], error) {
	info.Delivery = connect.AtLeastOnce
	return t.Sink.OpenWriter(ctx, info)
}

func (through) OpenCommitter(context.Context, connect.SinkInfo) (connect.Committer, error) {
	return nil, nil
}

// take gives a stream to an output, each record as a line with its event time.
func take[T any](out sinks, name string, from millrace.Stream[T], text func(T) string) {
	from.FlatMap(func(c *millrace.Context, r T, emit func(string)) error {
		emit(clock(c.EventTime()) + "  " + text(r))
		return nil
	}).To(name, out.of(name))
}

// builder makes a job of the words of a scenario.
type builder struct {
	out  sinks
	errs []error
	// disorder and lateness are options of a later part.
	disorder, lateness time.Duration
	windows            window.Assigner
	firing             firing
	in                 millrace.Stream[rec]
	windowed           millrace.Windowed[string, rec]
	panes              millrace.Stream[millrace.Pane[string, string]]
}

// build makes the job of a scenario over a source.
func build(name string, parts [][]string, in connect.Source[rec], out sinks) (*millrace.Job, error) {
	b := &builder{out: out}
	job := millrace.NewJob(name)
	timing := millrace.EventTime(rec.time)
	for _, p := range parts {
		switch p[0] {
		case "out-of-order":
			timing = timing.OutOfOrderness(b.duration(p, 1))
		case "max-ahead":
			timing = timing.MaxAhead(b.duration(p, 1))
		case "drop-ahead":
			timing = timing.DropAhead()
		case "align":
			timing = timing.AlignWithin(b.duration(p, 1))
		}
	}
	b.in = job.From("in", in, timing)
	for _, p := range parts {
		b.part(p)
	}
	return job, errors.Join(b.errs...)
}

func (b *builder) fail(format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf("job: "+format, args...))
}

func (b *builder) duration(words []string, i int) time.Duration {
	if i >= len(words) {
		b.fail("%s needs a duration", strings.Join(words, " "))
		return 1
	}
	d, err := time.ParseDuration(words[i])
	if err != nil {
		b.fail("%s: %v", strings.Join(words, " "), err)
	}
	return d
}

// assigner reads windows: "tumbling 10s", "sliding 10s 5s", "cumulative 30s 10s", "session 5s", each perhaps with "offset 1s", and
// "calendar day Europe/Berlin".
func (b *builder) assigner(w []string) window.Assigner {
	var offset time.Duration
	if i := slices.Index(w, "offset"); i >= 0 {
		offset = b.duration(w, i+1)
	}
	switch w[0] {
	case "tumbling":
		return window.Tumbling(b.duration(w, 1)).Offset(offset)
	case "sliding":
		return window.Sliding(b.duration(w, 1), b.duration(w, 2)).Offset(offset)
	case "session":
		return window.Session(b.duration(w, 1))
	case "cumulative":
		return window.Cumulative(b.duration(w, 1), b.duration(w, 2)).Offset(offset)
	case "calendar":
		return b.calendar(w)
	case "records":
		return b.records(w)
	case "global":
		return window.Global()
	case "session-of-n":
		return window.SessionBy(func(r rec) time.Duration { return time.Duration(r.N) * time.Second })
	}
	b.fail("there are no windows %q", w[0])
	return window.Tumbling(1)
}

func (b *builder) calendar(w []string) window.Assigner {
	units := map[string]window.Unit{"day": window.Day, "week": window.Week, "month": window.Month, "quarter": window.Quarter, "year": window.Year}
	zone, err := time.LoadLocation(w[2])
	if err != nil || units[w[1]] == 0 {
		b.fail("%s: %v", strings.Join(w, " "), err)
	}
	return window.Calendar(units[w[1]], zone)
}

// number reads a number behind a word.
func (b *builder) number(w []string, i int) int64 {
	if i < len(w) {
		if n, err := strconv.ParseInt(w[i], 10, 64); err == nil {
			return n
		}
	}
	b.fail("%s needs a number", strings.Join(w, " "))
	return 1
}

// part adds what a part of the job's line says.
func (b *builder) part(w []string) {
	switch w[0] {
	case "out-of-order", "max-ahead", "align", "splits", "every", "no-seek", "file", "out-of-range", "at-least-once", "at-most-once":
	case "drop-ahead":
		take(b.out, "ahead", b.in.Ahead(), rec.String)
	case "trigger", "early", "late", "discarding":
		b.when(w)
	case "tumbling", "sliding", "session", "session-of-n", "cumulative", "calendar", "records", "global":
		b.windows = b.assigner(w)
	case "lateness":
		b.lateness = b.duration(w, 1)
	case "list", "number", "sum", "max", "max-x", "top":
		b.aggregate(w)
	case "again":
		b.again(w)
	case "missed":
		take(b.out, "missed", millrace.Missed(b.windowed), func(m window.Missed[string, rec]) string {
			return fmt.Sprintf("%v missed %s", m.Record, spans(m.Windows))
		})
	case "process":
		b.process(w)
	case "join":
		b.join(w)
	case "window-join":
		b.windowJoin(w)
	case "temporal-join":
		b.temporalJoin()
	case "dedup":
		d := b.in.Dedup("op", rec.key, b.duration(w, 1)).Content(rec.n)
		take(b.out, "out", d.Stream, rec.String)
		take(b.out, "duplicate", d.Duplicates(), rec.String)
		take(b.out, "late", d.Late(), rec.String)
	case "sort":
		s := b.in.KeyBy(rec.key).SortByTime("op")
		take(b.out, "out", s.Stream, rec.String)
		take(b.out, "late", s.Late(), rec.String)
	case "union":
		take(b.out, "out", b.side(false).Union(b.side(true)), rec.String)
	case "async":
		b.async(w)
	case "pass":
		take(b.out, "out", b.in, rec.String)
	case "print":
		b.in.FlatMap(func(c *millrace.Context, r rec, emit func(string)) error {
			emit(clock(c.EventTime()) + "  " + r.String())
			return nil
		}).To("out", through{b.out.of("out")})
	case "keys":
		b.keys(w)
	default:
		b.fail("there is no part %q", strings.Join(w, " "))
	}
}

// async makes a request for each record, which takes as many seconds as its n.
func (b *builder) async(w []string) {
	out := b.in.Async("op", func(_ context.Context, r rec) (string, error) {
		task.NewSystem().NewEvent().Wait(time.Duration(r.N) * time.Second)
		return r.String(), nil
	})
	if slices.Contains(w, "unordered") {
		out = out.Unordered()
	}
	take(b.out, "out", out.Stream, text[string])
}

// spans writes windows in the clock of scenarios.
func spans(s window.Spans) string {
	list, err := s.List()
	if err != nil {
		return err.Error()
	}
	var out []string
	for _, w := range list {
		out = append(out, fmt.Sprintf("[%s, %s)", clock(time.Unix(0, w.Start)), clock(time.Unix(0, w.End))))
	}
	return strings.Join(out, " ")
}

// paneText writes a pane; that it is late, and its revision, only where it is not the first one on time.
func paneText(p millrace.Pane[string, string]) string {
	s := fmt.Sprintf("[%s, %s) %s: %s", clock(p.Start), clock(p.End), p.Key, p.Value)
	if p.Kind != window.OnTime || p.Revision > 0 {
		s += fmt.Sprintf(" (%v, revision %d)", p.Kind, p.Revision)
	}
	if p.Replaces != "" {
		s += " in place of " + spans(p.Replaces)
	}
	return s
}

func text[T any](v T) string { return fmt.Sprint(v) }

func list(rs []rec) string {
	slices.SortStableFunc(rs, func(a, b rec) int { return a.At.Compare(b.At) })
	var out []string
	for _, r := range rs {
		s := clock(r.At)
		if r.N != 1 {
			s += fmt.Sprintf("=%d", r.N)
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func (b *builder) aggregate(w []string) {
	b.windowed = b.fire(b.in.KeyBy(rec.key).Window(b.windows).AllowedLateness(b.lateness))
	switch w[0] {
	case "list":
		b.panes = b.windowed.Aggregate("op", agg.Then(agg.Collect[rec](), list))
	case "number":
		b.panes = b.windowed.Aggregate("op", agg.Then(agg.Count[rec](), text[int64]))
	case "sum":
		b.panes = b.windowed.Aggregate("op", agg.Then(agg.Sum(rec.n), text[int64]))
	case "max":
		b.panes = b.windowed.Aggregate("op", agg.Then(agg.Max(rec.n), text[int64]))
	case "max-x":
		b.panes = b.windowed.Aggregate("op", agg.Then(agg.Max(rec.x), text[float64]))
	case "top":
		n, err := strconv.Atoi(w[1])
		if err != nil {
			b.fail("top: %v", err)
		}
		b.panes = b.windowed.Aggregate("op", agg.Then(agg.TopBy(n, rec.n), list))
	}
	take(b.out, "out", b.panes, paneText)
	if _, ok := b.windows.(window.CountWindows); !ok && b.windows != window.Assigner(window.Global()) {
		take(b.out, "late", b.windowed.Late(), rec.String)
	}
}

// again counts the panes of the windows before in windows of their own.
func (b *builder) again(w []string) {
	next := b.panes.KeyBy(func(p millrace.Pane[string, string]) string { return p.Key }).Window(b.assigner(w[1:]))
	counts := next.Aggregate("op-again", agg.Then(agg.Count[millrace.Pane[string, string]](), func(n int64) string { return fmt.Sprint(n, " windows") }))
	take(b.out, "again", counts, paneText)
	take(b.out, "again-late", next.Late(), paneText)
}

// process makes a function whose records say what it does: "set x 5s", "delete x", "clear". Its state may expire: "process ttl 10s".
func (b *builder) process(w []string) {
	keyed := b.in.KeyBy(rec.key).SideOutputs()
	if len(w) > 1 {
		keyed = keyed.StateTTL(state.ExpireAfter(b.duration(w, 2)))
	}
	out := keyed.Process("op", func(p *millrace.Proc[string, int64, string], r rec) error {
		*p.State() += r.N
		w := append(strings.Fields(r.Do), "", "", "")
		switch w[0] {
		case "set":
			at, err := moment(w[2])
			if err != nil {
				return err
			}
			p.SetTimer(w[1], at)
		case "delete":
			p.DeleteTimer(w[1])
		case "clear":
			p.Clear()
		case "":
			p.Emit(fmt.Sprintf("%s has seen %d", p.Key(), *p.State()))
		}
		return nil
	}, func(p *millrace.Proc[string, int64, string], t millrace.Timer) error {
		now := "-"
		if w, ok := p.Watermark(); ok {
			now = clock(w)
			if w.Year() > 2200 {
				now = "the end"
			}
		}
		p.Emit(fmt.Sprintf("timer %s of %s, set for %s, at %s, has seen %d", t.Name, p.Key(), clock(t.At), now, *p.State()))
		return nil
	})
	take(b.out, "out", out, text[string])
}

// side returns the records of one side.
func (b *builder) side(right bool) millrace.Stream[rec] {
	return b.in.Filter(func(r rec) bool { return r.Right == right })
}

func pair(l, r string) string { return l + " with " + r }

func (b *builder) join(w []string) {
	j := b.side(false).KeyBy(rec.key).IntervalJoin(b.side(true).KeyBy(rec.key), b.duration(w, 2), b.duration(w, 3))
	var out millrace.Stream[string]
	switch w[1] {
	case "inner":
		out = j.Inner("op", func(l, r rec) string { return pair(l.String(), r.String()) })
	case "left":
		out = j.Left("op", func(l, r rec, ok bool) string {
			if !ok {
				return pair(l.String(), "nothing")
			}
			return pair(l.String(), r.String())
		})
	case "right":
		out = j.Right("op", func(l, r rec, ok bool) string {
			if !ok {
				return pair("nothing", r.String())
			}
			return pair(l.String(), r.String())
		})
	default:
		out = j.Full("op", func(l, r rec, hasLeft, hasRight bool) string {
			switch {
			case !hasLeft:
				return pair("nothing", r.String())
			case !hasRight:
				return pair(l.String(), "nothing")
			}
			return pair(l.String(), r.String())
		})
	}
	take(b.out, "out", out, text[string])
}

func (b *builder) windowJoin(w []string) {
	j := b.side(false).KeyBy(rec.key).WindowJoin(b.side(true).KeyBy(rec.key), b.assigner(w[1:]))
	take(b.out, "out", j.Inner("op", func(l, r rec) string { return pair(l.String(), r.String()) }), text[string])
}

func (b *builder) temporalJoin() {
	j := b.side(false).KeyBy(rec.key).TemporalJoin(b.side(true).KeyBy(rec.key))
	take(b.out, "out", j.Lookup("op", func(l, v rec, ok bool) string {
		if !ok {
			return pair(l.String(), "no version")
		}
		return pair(l.String(), v.String())
	}), text[string])
}

// keys counts by keys of a kind.
func (b *builder) keys(w []string) {
	type place struct {
		Town string
		N    int64
	}
	switch w[1] {
	case "struct":
		b.counted(byKey(b.in, func(r rec) place { return place{r.Key, r.N} }, func(p place) string { return fmt.Sprintf("%s %d", p.Town, p.N) }))
	case "time":
		b.counted(byKey(b.in, func(r rec) time.Time { return r.At.Truncate(time.Minute).In(time.FixedZone("", int(r.N)*3600)) }, clock))
	case "int":
		b.counted(byKey(b.in, rec.n, text[int64]))
	case "float":
		b.counted(byKey(b.in, rec.x, text[float64]))
	default:
		b.fail("there are no keys %q", w[1])
	}
}

func (b *builder) counted(s millrace.Stream[string]) { take(b.out, "out", s, text[string]) }

func byKey[K comparable](in millrace.Stream[rec], key func(rec) K, name func(K) string) millrace.Stream[string] {
	return in.KeyBy(key).Window(window.Tumbling(time.Hour)).Aggregate("op", agg.Count[rec]()).
		Map(func(p millrace.Pane[K, int64]) string { return fmt.Sprintf("%s: %d", name(p.Key), p.Value) })
}

// lines returns what the sinks hold, output by output.
func (s sinks) lines(sorted bool, from map[string]int) []string {
	names := make([]string, 0, len(s))
	for name := range s {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b)) })
	var all []string
	for _, name := range names {
		records := s[name].Records()
		fresh := slices.Clone(records[from[name]:])
		from[name] = len(records)
		if sorted {
			slices.Sort(fresh)
		}
		for _, r := range fresh {
			all = append(all, fmt.Sprintf("%-4s %s", name, r))
		}
	}
	return all
}

// rank puts the main output first.
func rank(name string) int {
	if name == "out" {
		return 0
	}
	return 1
}
