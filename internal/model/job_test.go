package model_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/internal/model"
	"github.com/millrace-stream/millrace/window"
)

// rec is what all streams of the tests carry, so that any operator can stand behind any other.
type rec struct {
	At  int64
	V   int32
	K   uint8
	Tag string
}

func (r rec) text() string { return fmt.Sprintf("%d %d k%d %s", r.At, r.V, r.K, r.Tag) }

func at(r rec) int64         { return r.At }
func value(r rec) int32      { return r.V }
func moment(r rec) time.Time { return time.Unix(0, r.At).In(time.FixedZone("east", 3600)) }
func twice(r rec) rec        { r.V = r.V*2 + 1; return r }
func keep(r rec) bool        { return r.V%3 != 0 }

// copies is a function for FlatMap: none to three records of one.
func copies(r rec) []rec {
	var out []rec
	for i := range int(r.V & 3) {
		c := r
		c.K, c.V, c.Tag = (r.K+uint8(i))%8, r.V+int32(i), fmt.Sprintf("%s/%d", r.Tag, i)
		out = append(out, c)
	}
	return out
}

// wholeStream is the kind of keys of windows over all records.
const wholeStream = 9

// The kinds of stages.
const (
	opMap     = "map"
	opFilter  = "filter"
	opFlatMap = "flatmap"
	opWindow  = "window"
	opProcess = "process"
	opJoin    = "join"
	// opTemporal joins a stream with itself as a table.
	opTemporal = "temporal"
	opGroup    = "group" // a window join
	opDedup    = "dedup"
	opSort     = "sort"
)

// stage is one operator of a random job, from records to records.
type stage struct {
	Op string
	// Keys is one of the kinds of keys, for windows and processes.
	Keys int
	Win  windows
	Agg  int
	// Program is what a process does; Deep gives it a state with a slice.
	Program int
	Deep    bool
	// Join is what a join does.
	Join join
	// Tick is the unit of the times of timers.
	Tick int64
	// Horizon is that of a dedup; its lateness is in Win.
	Horizon int64
	// Steady says that there is one split, so that the clock before each record and in each timer is determined.
	Steady bool
	// Apply gives the records of a window to a function. Their order is compared if Ordered.
	Apply, Ordered bool
	// PreAggregate is 1 to forbid it; it is on otherwise.
	PreAggregate int
	// Missed also gives what missed some windows to a sink of its own.
	Missed bool
	// Tap also gives the output of the stage to a sink of its own.
	Tap bool
}

// windows are those of a window stage. Gap makes sessions.
type windows struct {
	Size, Slide, Offset, Gap, Lateness int64
	// Each makes the gap of sessions that of each record, a multiple of Gap.
	Each bool
	// Step makes windows cumulative.
	Step int64
	// Unit makes windows those of a calendar in Zone.
	Unit window.Unit
	Zone string
}

// gap is that of a record in sessions whose records have gaps of their own.
func (w windows) gap(r rec) int64 { return w.Gap * int64(1+r.V&3) }

func (w windows) assigner() window.Assigner {
	d := func(n int64) time.Duration { return time.Duration(n) }
	switch {
	case w.Each:
		return window.SessionBy(func(r rec) time.Duration { return d(w.gap(r)) })
	case w.Gap > 0:
		return window.Session(d(w.Gap))
	case w.Unit > 0:
		return window.Calendar(w.Unit, zone(w.Zone))
	case w.Step > 0:
		return window.Cumulative(d(w.Size), d(w.Step)).Offset(d(w.Offset))
	case w.Size == w.Slide:
		return window.Tumbling(d(w.Size)).Offset(d(w.Offset))
	}
	return window.Sliding(d(w.Size), d(w.Slide)).Offset(d(w.Offset))
}

// keys are one kind of keys, as the engine is given them and as the model is.
type keys[K comparable] struct {
	engine, model func(rec) K
	compare       func(a, b K) int
	text          func(K) string
}

type place struct {
	Zone string
	N    int8
}

var names = []string{"b", "a\x00", "", "ab", "a", "é", "A", "zz"}

func plain[K comparable](key func(rec) K, compare func(a, b K) int) keys[K] {
	return keys[K]{key, key, compare, func(k K) string { return fmt.Sprintf("%q", fmt.Sprint(k)) }}
}

var (
	stringKeys = plain(func(r rec) string { return names[r.K%8] }, strings.Compare)
	intKeys    = plain(func(r rec) int { return 3 - int(r.K) }, cmp.Compare[int])
	structKeys = plain(func(r rec) place { return place{names[r.K%3], 4 - int8(r.K)} }, func(a, b place) int {
		return cmp.Or(strings.Compare(a.Zone, b.Zone), cmp.Compare(a.N, b.N))
	})
	allKeys = keys[window.All]{
		engine: func(rec) window.All { return window.All{} }, model: func(rec) window.All { return window.All{} },
		compare: func(_, _ window.All) int { return 0 }, text: window.All.String,
	}
	// The same time in two zones is one key.
	timeKeys = keys[time.Time]{
		engine: func(r rec) time.Time {
			return time.Unix(3000-1000*int64(r.K%8), 5).In(time.FixedZone("", 3600*int(r.V&1)))
		},
		model:   func(r rec) time.Time { return time.Unix(3000-1000*int64(r.K%8), 5).UTC() },
		compare: time.Time.Compare,
		text:    func(t time.Time) string { return fmt.Sprint(t.UnixNano()) },
	}
)

// The aggregators, each as the engine's and as a loop over all records of a window.
const aggs = 8

func text[T any](v T) string { return fmt.Sprintf("%v", v) }

func texts(rs []rec) string {
	var b strings.Builder
	for _, r := range rs {
		fmt.Fprintf(&b, "(%s)", r.text())
	}
	return b.String()
}

type three struct {
	N         int64
	Sum, Most int32
}

func aggregate[K comparable](w millrace.Windowed[K, rec], id string, kind int) millrace.Stream[millrace.Pane[K, string]] {
	switch kind {
	case 0:
		return w.Aggregate(id, agg.Then(agg.Count[rec](), text[int64]))
	case 1:
		return w.Aggregate(id, agg.Then(agg.Sum(value), text[int32]))
	case 2:
		return w.Aggregate(id, agg.Then(agg.Min(value), text[int32]))
	case 3:
		return w.Aggregate(id, agg.Then(agg.Max(value), text[int32]))
	case 4:
		return w.Aggregate(id, agg.Then(agg.Collect[rec](), texts))
	case 5:
		return w.Aggregate(id, agg.Then(agg.TopBy(2, value), texts))
	case 6:
		return w.Aggregate(id, agg.Then(agg.CountDistinct(value), text[int64]))
	}
	all := agg.Combine3(agg.Count[rec](), agg.Sum(value), agg.Max(value), func(n int64, s, m int32) three { return three{n, s, m} })
	return w.Aggregate(id, agg.Then(all, text[three]))
}

// byField is the order of records of codec.Ordered.
func byField(a, b rec) int {
	return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.V, b.V), cmp.Compare(a.K, b.K), cmp.Compare(a.Tag, b.Tag))
}

// result is what aggregate makes of records.
func result(kind int) func([]rec) string {
	return func(rs []rec) string {
		vs, sum := make([]int32, len(rs)), int32(0)
		for i, r := range rs {
			vs[i] = r.V
			sum += r.V
		}
		switch kind {
		case 0:
			return text(len(rs))
		case 1:
			return text(sum)
		case 2:
			return text(slices.Min(vs))
		case 3:
			return text(slices.Max(vs))
		case 4:
			slices.SortFunc(rs, byField)
			return texts(rs)
		case 5:
			slices.SortFunc(rs, func(a, b rec) int { return cmp.Or(-cmp.Compare(a.V, b.V), byField(a, b)) })
			return texts(rs[:min(2, len(rs))])
		case 6:
			slices.Sort(vs)
			return text(len(slices.Compact(vs)))
		}
		return text(three{int64(len(rs)), sum, slices.Max(vs)})
	}
}

// paneRec makes a record of a pane, so that others can follow it.
func paneRec[K comparable](k keys[K]) func(p window.Pane[K, string]) rec {
	return func(p window.Pane[K, string]) rec {
		tag := fmt.Sprintf("<%s [%d,%d) %s #%d %v", k.text(p.Key), p.Start.UnixNano(), p.End.UnixNano(), p.Value, p.Revision, p.Kind)
		if p.Gap > 0 {
			tag += fmt.Sprintf(" last %d", p.Last().UnixNano())
		}
		if p.Replaces != "" {
			tag += fmt.Sprintf(" for %s", p.Replaces)
		}
		tag += ">"
		return rec{At: p.End.UnixNano() - 1, V: int32(len(p.Value)) + p.Revision, K: uint8(len(tag) % 5), Tag: tag}
	}
}

// missedRec makes a record of one that has missed windows.
func missedRec[K comparable](k keys[K]) func(m window.Missed[K, rec]) rec {
	return func(m window.Missed[K, rec]) rec {
		r := m.Record
		r.Tag = fmt.Sprintf("<%s %s missed %s>", k.text(m.Key), r.Tag, m.Windows)
		return r
	}
}

// sinks are those of a job, by name. They outlive its runs.
type sinks map[string]*memory.Sink[string]

func (s sinks) of(name string) *memory.Sink[string] {
	if s[name] == nil {
		s[name] = memory.NewSink[string]()
	}
	return s[name]
}

func (s sinks) take(from millrace.Stream[rec], name string) { from.Map(rec.text).To(name, s.of(name)) }

// build adds the stage to a job.
func (s stage) build(in millrace.Stream[rec], id string, out sinks) millrace.Stream[rec] {
	var next millrace.Stream[rec]
	switch s.Op {
	case opMap:
		next = in.Map(twice)
	case opFilter:
		next = in.Filter(keep)
	case opFlatMap:
		next = in.FlatMap(func(_ *millrace.Context, r rec, emit func(rec)) error {
			for _, c := range copies(r) {
				emit(c)
			}
			return nil
		})
	default:
		switch s.Keys {
		case wholeStream:
			next = keyedStage(s, in, id, out, allKeys)
		case 0:
			next = keyedStage(s, in, id, out, stringKeys)
		case 1:
			next = keyedStage(s, in, id, out, intKeys)
		case 2:
			next = keyedStage(s, in, id, out, structKeys)
		default:
			next = keyedStage(s, in, id, out, timeKeys)
		}
	}
	if s.Tap {
		out.take(next, "tap-"+id)
	}
	return next
}

func keyedStage[K comparable](s stage, in millrace.Stream[rec], id string, out sinks, k keys[K]) millrace.Stream[rec] {
	if s.Op == opDedup {
		d := in.Dedup(id, k.engine, time.Duration(s.Horizon)).AllowedLateness(time.Duration(s.Win.Lateness)).Content(value)
		out.take(d.Late(), "late-"+id)
		out.take(d.Duplicates(), "again-"+id)
		return d.Stream
	}
	keyed := in.KeyBy(k.engine)
	switch s.Op {
	case opJoin:
		return joinStage(s, keyed, in, id, out, k)
	case opTemporal:
		return temporalStage(keyed, id, out)
	case opGroup:
		return groupStage(s, keyed, in, id, out, k)
	}
	if s.Op == opProcess {
		if s.Deep {
			return processStage[K, deep](s, keyed, id, k)
		}
		return processStage[K, flat](s, keyed, id, k)
	}
	if s.Op == opSort {
		sorted := keyed.SortByTime(id)
		out.take(sorted.Late(), "late-"+id)
		return sorted.Stream
	}
	w := keyed.Window(s.Win.assigner())
	if s.Keys == wholeStream {
		w = any(in.WindowAll(s.Win.assigner())).(millrace.Windowed[K, rec])
	}
	if s.PreAggregate == 1 {
		w = w.PreAggregate(false)
	}
	if s.Win.Lateness > 0 {
		w = w.AllowedLateness(time.Duration(s.Win.Lateness))
	}
	var next millrace.Stream[rec]
	if s.Apply {
		next = w.Apply(id, func(p millrace.Pane[K, []rec], emit func(rec)) error {
			for _, r := range applied(s, k, p) {
				emit(r)
			}
			return nil
		})
	} else {
		next = aggregate(w, id, s.Agg).Map(paneRec(k))
	}
	out.take(w.Late(), "late-"+id)
	if s.Missed {
		out.take(millrace.Missed(w).Map(missedRec(k)), "missed-"+id)
	}
	return next
}

// applied is what a function applied to the records of a window emits: its pane, and for an even number of records the last as well.
func applied[K comparable](s stage, k keys[K], p window.Pane[K, []rec]) []rec {
	records := slices.Clone(p.Value)
	if !s.Ordered {
		slices.SortFunc(records, byField)
	}
	out := []rec{paneRec(k)(window.Pane[K, string]{
		Key: p.Key, Start: p.Start, End: p.End, Value: texts(records), Revision: p.Revision, Kind: p.Kind, Gap: p.Gap, Replaces: p.Replaces,
	})}
	if n := len(records); n%2 == 0 {
		last := records[n-1]
		last.At = p.End.UnixNano() - 1 // a record has its event time
		out = append(out, last)
	}
	return out
}

// wanted is what the model says comes out of a job.
type wanted struct {
	sinks        map[string][]string
	late, missed int64
	// again counts duplicates, other those of them whose content differs.
	again, other int64
}

func (w *wanted) take(from []model.Item[rec], name string) {
	w.sinks[name] = []string{}
	for _, r := range model.Records(from) {
		w.sinks[name] = append(w.sinks[name], r.text())
	}
}

// model is the stage by the model.
func (s stage) model(in []model.Item[rec], id string, out *wanted) []model.Item[rec] {
	var next []model.Item[rec]
	switch s.Op {
	case opMap:
		next = model.FlatMap(in, func(r rec) []rec { return []rec{twice(r)} })
	case opFilter:
		next = model.FlatMap(in, func(r rec) []rec { return slices.DeleteFunc([]rec{r}, func(r rec) bool { return !keep(r) }) })
	case opFlatMap:
		next = model.FlatMap(in, copies)
	default:
		switch s.Keys {
		case wholeStream:
			next = keyedModel(s, in, id, out, allKeys)
		case 0:
			next = keyedModel(s, in, id, out, stringKeys)
		case 1:
			next = keyedModel(s, in, id, out, intKeys)
		case 2:
			next = keyedModel(s, in, id, out, structKeys)
		default:
			next = keyedModel(s, in, id, out, timeKeys)
		}
	}
	if s.Tap {
		out.take(next, "tap-"+id)
	}
	return next
}

func keyedModel[K comparable](s stage, in []model.Item[rec], id string, out *wanted, k keys[K]) []model.Item[rec] {
	switch s.Op {
	case opJoin:
		return joinModel(s, in, id, out, k)
	case opGroup:
		return groupModel(s, in, id, out, k)
	}
	if s.Op == opDedup {
		d := model.Dedup[K, rec, int32]{Horizon: s.Horizon, Lateness: s.Win.Lateness, ID: k.model, Content: value}.Run(in)
		out.take(d.Late, "late-"+id)
		out.take(d.Duplicates, "again-"+id)
		out.late += int64(len(d.Late))
		out.again += int64(len(d.Duplicates))
		out.other += d.Conflicts
		return d.Kept
	}
	if s.Op == opProcess {
		if s.Deep {
			return processModel[K, deep](s, in, k)
		}
		return processModel[K, flat](s, in, k)
	}
	if s.Op == opSort {
		next, late := model.Sort[K, rec]{Key: k.model, Compare: k.compare}.Run(in)
		out.take(late, "late-"+id)
		out.late += int64(len(late))
		return next
	}
	if s.Apply {
		panes := windowModel(s, in, id, out, k, func(rs []rec) []rec { return rs })
		return model.FlatMap(panes, func(p window.Pane[K, []rec]) []rec { return applied(s, k, p) })
	}
	panes := windowModel(s, in, id, out, k, result(s.Agg))
	return model.FlatMap(panes, func(p window.Pane[K, string]) []rec { return []rec{paneRec(k)(p)} })
}

// windowModel is a window stage by the model, with what result makes of records.
func windowModel[K comparable, R any](
	s stage, in []model.Item[rec], id string, out *wanted, k keys[K], result func([]rec) R,
) []model.Item[window.Pane[K, R]] {
	w := modelWindows(s.Win, model.Windows[K, rec, R]{Key: k.model, Compare: k.compare, Result: result})
	if s.Win.Each {
		w.GapOf = s.Win.gap
	}
	o := w.Run(in)
	out.take(o.Late, "late-"+id)
	out.late += int64(len(o.Late))
	for _, m := range o.Missed {
		spans, _ := m.Value.Windows.List()
		out.missed += int64(len(spans))
	}
	if s.Missed {
		out.take(model.FlatMap(o.Missed, func(m window.Missed[K, rec]) []rec { return []rec{missedRec(k)(m)} }), "missed-"+id)
	}
	return o.Panes
}
