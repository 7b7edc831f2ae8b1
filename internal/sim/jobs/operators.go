package jobs

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/internal/model"
	"github.com/millrace-stream/millrace/window"
)

// Kinds are the kinds of operators.
var Kinds = []string{"window", "session", "dedup", "sort", "process", "total", "join", "pass"}

// draw makes an operator of one of the kinds that only names, or of any. With several splits it is one that does not look at the order of records.
func draw(r *rand.Rand, several bool, only []string) operator {
	kinds := only
	if len(kinds) == 0 {
		kinds = []string{"window", "window", "session", "dedup", "sort", "process", "pass"}
		if several {
			kinds = []string{"window", "window", "session", "sort", "total", "join", "pass"}
		}
	}
	lateness := []int64{0, 0, 1, 2, 5, 20}[r.IntN(6)] * tick
	switch kind := kinds[r.IntN(len(kinds))]; kind {
	case "window":
		size := int64(1 + r.IntN(12))
		w := windows{Size: size * tick, Slide: size * tick, Lateness: lateness, PreAggregate: r.IntN(3) > 0, All: r.IntN(6) == 0}
		if r.IntN(2) == 0 {
			w.Slide = (1 + r.Int64N(size)) * tick
		}
		return w
	case "session":
		return windows{Gap: int64(1+r.IntN(12)) * tick, Lateness: lateness}
	case "dedup":
		return dedup{Horizon: int64(1+r.IntN(20)) * tick, Lateness: lateness}
	case "sort":
		return sorter{}
	case "process":
		return process{}
	case "total":
		return total{}
	case "join":
		lower := int64(r.IntN(14)-8) * tick
		return join{Lower: lower, Upper: lower + r.Int64N(8)*tick, Outer: r.IntN(2) == 0}
	default:
		return pass{}
	}
}

// missed gives what is late to a sink of its own.
func (j *job) missed(late millrace.Stream[rec], id string) { j.take(late, id+"-late", false, false) }

func (j *job) expectLate(late []model.Item[rec], id string) {
	j.expect(id+"-late", late)
	j.late += int64(len(late))
}

// windows sums up windows, or lists the records of sessions.
type windows struct {
	Size, Slide, Gap, Lateness int64
	PreAggregate               bool
	// All are windows of one key.
	All bool
}

func (w windows) key(r rec) string {
	if w.All {
		return ""
	}
	return key(r)
}

func paneRec(p window.Pane[string, string]) rec {
	tag := fmt.Sprintf("<%q [%d,%d) %s #%d %v", p.Key, p.Start.UnixNano(), p.End.UnixNano(), p.Value, p.Revision, p.Kind)
	if p.Replaces != "" {
		tag += fmt.Sprintf(" for %s", p.Replaces)
	}
	return rec{At: p.End.UnixNano() - 1, Tag: tag + ">"}
}

func sumText(n int64) string { return fmt.Sprint(n) }
func wide(r rec) int64       { return int64(r.V) }

func listText(rs []rec) string {
	slices.SortFunc(rs, func(a, b rec) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Tag, b.Tag)) })
	var b strings.Builder
	for _, r := range rs {
		fmt.Fprintf(&b, "(%s)", r.text())
	}
	return b.String()
}

func (w windows) build(j *job, id string, in millrace.Stream[rec]) millrace.Stream[rec] {
	var by window.Assigner = window.Session(time.Duration(w.Gap))
	switch {
	case w.Gap > 0:
	case w.Size == w.Slide:
		by = window.Tumbling(time.Duration(w.Size))
	default:
		by = window.Sliding(time.Duration(w.Size), time.Duration(w.Slide))
	}
	win := in.KeyBy(w.key).Window(by)
	if w.Lateness > 0 {
		win = win.AllowedLateness(time.Duration(w.Lateness))
	}
	if !w.PreAggregate && w.Gap == 0 {
		win = win.PreAggregate(false)
	}
	var out millrace.Stream[rec]
	if w.Gap > 0 {
		out = win.Apply(id, func(p millrace.Pane[string, []rec], emit func(rec)) error {
			emit(paneRec(window.Pane[string, string]{
				Key: p.Key, Start: p.Start, End: p.End, Value: listText(slices.Clone(p.Value)), Revision: p.Revision, Kind: p.Kind, Replaces: p.Replaces,
			}))
			return nil
		})
	} else {
		out = win.Aggregate(id, agg.Then(agg.Sum(wide), sumText)).Map(paneRec)
	}
	j.missed(win.Late(), id)
	return out
}

func (w windows) model(j *job, id string, in []model.Item[rec]) []model.Item[rec] {
	result := listText
	if w.Gap == 0 {
		result = func(rs []rec) string {
			sum := int64(0)
			for _, r := range rs {
				sum += int64(r.V)
			}
			return sumText(sum)
		}
	}
	o := model.Windows[string, rec, string]{
		Size: w.Size, Slide: w.Slide, Gap: w.Gap, Lateness: w.Lateness, Key: w.key, Compare: byKey, Result: result,
	}.Run(in)
	j.expectLate(o.Late, id)
	return model.FlatMap(o.Panes, func(p window.Pane[string, string]) []rec { return []rec{paneRec(p)} })
}

// dedup passes the first record of a key within the horizon on.
type dedup struct{ Horizon, Lateness int64 }

func (d dedup) build(j *job, id string, in millrace.Stream[rec]) millrace.Stream[rec] {
	out := in.Dedup(id, key, time.Duration(d.Horizon)).AllowedLateness(time.Duration(d.Lateness)).Content(value)
	j.missed(out.Late(), id)
	j.take(out.Duplicates(), id+"-again", false, false)
	return out.Stream
}

func (d dedup) model(j *job, id string, in []model.Item[rec]) []model.Item[rec] {
	o := model.Dedup[string, rec, int32]{Horizon: d.Horizon, Lateness: d.Lateness, ID: key, Content: value}.Run(in)
	j.expectLate(o.Late, id)
	j.expect(id+"-again", o.Duplicates)
	return o.Kept
}

// sorter puts the records of each key in the order of time.
type sorter struct{}

func (sorter) build(j *job, id string, in millrace.Stream[rec]) millrace.Stream[rec] {
	s := in.KeyBy(key).SortByTime(id)
	j.missed(s.Late(), id)
	return s.Stream
}

func (sorter) model(j *job, id string, in []model.Item[rec]) []model.Item[rec] {
	out, late := model.Sort[string, rec]{Key: key, Compare: byKey}.Run(in)
	j.expectLate(late, id)
	return out
}

// join joins records of even and of odd value.
type join struct {
	Lower, Upper int64
	Outer        bool
}

func even(r rec) bool { return r.V%2 == 0 }

func (x join) result(l, r *rec) rec {
	switch {
	case r == nil:
		return rec{At: l.At + max(0, x.Upper), Tag: fmt.Sprintf("<%s | none>", l.text())}
	case l == nil:
		return rec{At: r.At + max(0, -x.Lower), Tag: fmt.Sprintf("<none | %s>", r.text())}
	}
	return rec{At: max(l.At, r.At), Tag: fmt.Sprintf("<%s | %s>", l.text(), r.text())}
}

func (x join) build(_ *job, id string, in millrace.Stream[rec]) millrace.Stream[rec] {
	left := in.Filter(even).KeyBy(key)
	right := in.Filter(func(r rec) bool { return !even(r) }).KeyBy(key)
	i := left.IntervalJoin(right, time.Duration(x.Lower), time.Duration(x.Upper))
	if !x.Outer {
		return i.Inner(id, func(l, r rec) rec { return x.result(&l, &r) })
	}
	return i.Full(id, func(l, r rec, hasLeft, hasRight bool) rec {
		switch {
		case !hasLeft:
			return x.result(nil, &r)
		case !hasRight:
			return x.result(&l, nil)
		}
		return x.result(&l, &r)
	})
}

func (x join) model(_ *job, _ string, in []model.Item[rec]) []model.Item[rec] {
	var sides []model.Item[model.Side[rec, rec]]
	for _, i := range in {
		s := model.Item[model.Side[rec, rec]]{Time: i.Time, Mark: i.Mark}
		switch {
		case i.Mark:
		case even(i.Value):
			s.Value.Left = &i.Value
		default:
			s.Value.Right = &i.Value
		}
		sides = append(sides, s)
	}
	return model.Join[string, rec, rec, rec]{
		Lower: x.Lower, Upper: x.Upper, LeftKey: key, RightKey: key, Compare: byKey, LeftOuter: x.Outer, RightOuter: x.Outer, Out: x.result,
	}.Run(sides).Results
}

// state is that of processes.
type state struct {
	N, Sum int64
	Log    []int32
}

// hand is what a process works with, in the engine and in the model.
type hand struct {
	key    string
	time   int64
	get    func() *state
	forget func()
	emit   func(rec)
	set    func(name string, at int64)
	del    func(name string)
}

func engineHand(p *millrace.Proc[string, state, rec]) hand {
	return hand{
		key: p.Key(), time: p.EventTime().UnixNano(), get: p.State, forget: p.Clear, emit: p.Emit,
		set: func(name string, at int64) { p.SetTimer(name, time.Unix(0, at)) }, del: p.DeleteTimer,
	}
}

func modelHand(c *model.Call[string, state, rec]) hand {
	return hand{key: c.Key, time: c.Time, get: c.Get, forget: c.Forget, emit: c.Emit, set: c.Set, del: c.Delete}
}

// processor is a process by the engine and by the model.
type processor struct {
	onRecord func(h hand, r rec)
	onTimer  func(h hand, name string, at int64)
}

func (x processor) build(id string, in millrace.Stream[rec]) millrace.Stream[rec] {
	return in.KeyBy(key).Process(id, func(p *millrace.Proc[string, state, rec], r rec) error {
		x.onRecord(engineHand(p), r)
		return nil
	}, func(p *millrace.Proc[string, state, rec], t millrace.Timer) error {
		x.onTimer(engineHand(p), t.Name, t.At.UnixNano())
		return nil
	})
}

func (x processor) model(in []model.Item[rec]) []model.Item[rec] {
	p := model.Process[string, rec, state, rec]{
		Key: key, Compare: byKey,
		OnRecord: func(c *model.Call[string, state, rec], r rec) { x.onRecord(modelHand(c), r) },
		OnTimer:  func(c *model.Call[string, state, rec], name string, at int64) { x.onTimer(modelHand(c), name, at) },
	}
	return p.Run(in)
}

// process sets, moves and deletes timers, in timers too, and makes and drops states.
type process struct{}

var programs = processor{
	onRecord: func(h hand, r rec) {
		switch r.V & 7 {
		case 0:
			h.set("a", r.At+int64(r.K)*tick)
		case 1:
			h.set("b", h.time-5*tick)
		case 2:
			h.del("a")
		case 3:
			h.set("a", h.time+10*tick)
		case 4:
			h.forget()
		case 5:
			h.emit(rec{At: h.time, Tag: fmt.Sprintf("<%q has no state>", h.key)}) // the state is made by a later record
			return
		case 6:
			h.del("b")
			h.set("b", h.time+20*tick)
		}
		s := h.get()
		s.N++
		s.Log = append(s.Log, r.V)
		h.emit(rec{At: h.time, Tag: fmt.Sprintf("<%q n=%d log=%v>", h.key, s.N, s.Log)})
	},
	onTimer: func(h hand, name string, at int64) {
		s := h.get()
		s.Sum++
		if name == "a" {
			h.set("b", at+2*tick)
			h.set("c", at+1)
		}
		h.emit(rec{At: h.time, Tag: fmt.Sprintf("<%q timer %q %d n=%d timers=%d>", h.key, name, at, s.N, s.Sum)})
	},
}

func (process) build(_ *job, id string, in millrace.Stream[rec]) millrace.Stream[rec] {
	return programs.build(id, in)
}
func (process) model(_ *job, _ string, in []model.Item[rec]) []model.Item[rec] {
	return programs.model(in)
}

// total adds up the records of each key and tells at the end, so that it does not depend on their order.
type total struct{}

var totals = processor{
	onRecord: func(h hand, r rec) {
		s := h.get()
		s.N++
		s.Sum += int64(r.V)
		h.set("end", 9e18)
	},
	onTimer: func(h hand, _ string, _ int64) {
		s := h.get()
		h.emit(rec{At: h.time, Tag: fmt.Sprintf("<%q n=%d sum=%d>", h.key, s.N, s.Sum)})
	},
}

func (total) build(_ *job, id string, in millrace.Stream[rec]) millrace.Stream[rec] {
	return totals.build(id, in)
}
func (total) model(_ *job, _ string, in []model.Item[rec]) []model.Item[rec] { return totals.model(in) }

// pass sends each record through a keyed exchange as it is.
type pass struct{}

var passes = processor{onRecord: func(h hand, r rec) { h.emit(r) }, onTimer: func(hand, string, int64) {}}

func (pass) build(_ *job, id string, in millrace.Stream[rec]) millrace.Stream[rec] {
	return passes.build(id, in)
}
func (pass) model(_ *job, _ string, in []model.Item[rec]) []model.Item[rec] { return passes.model(in) }

// ordered checks that the records of a key of one split are in the order in which they were read.
func (pass) ordered(lines []string) error {
	last := map[string]int{}
	for _, line := range lines {
		var at, v int64
		var k, split, n int
		if _, err := fmt.Sscanf(line, "%d %d k%d s%d.%d", &at, &v, &k, &split, &n); err != nil {
			return fmt.Errorf("line %q: %w", line, err)
		}
		of := fmt.Sprint(names[k%len(names)], "/", split)
		if before, ok := last[of]; ok && n < before {
			return fmt.Errorf("records of one key are out of order: %q comes after record %d of its split", line, before)
		}
		last[of] = n
	}
	return nil
}
