package model_test

import (
	"flag"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/internal/model"
	"github.com/millrace-stream/millrace/window"

	"pgregory.net/rapid"
)

// directCases is how many random cases of operators without an engine a run of the tests tries in all.
const directCases = 10_000

// directKinds are the kinds of cases with their shares of directCases, in percent.
var directKinds = []struct {
	name    string
	percent int
	check   func(t *rapid.T)
}{
	{"windows", 30, directWindows(false)},
	{"sessions", 25, directWindows(true)},
	{"joins", 20, directJoins},
	{"temporal joins", 7, directTemporal},
	{"dedups", 6, directPlain(opDedup)},
	{"sorts", 6, directPlain(opSort)},
	{"processes", 6, directPlain(opProcess)},
}

// TestOperatorsGiveTheSequenceOfTheModel drives operators without an engine: batches that end anywhere, watermarks that come
// as one or as several, epochs that are durable or given up, restores into other numbers of instances. What comes out,
// and which watermark stands before each record of it, is that of the model.
func TestOperatorsGiveTheSequenceOfTheModel(t *testing.T) {
	checks := flag.Lookup("rapid.checks")
	chosen := checks.Value.String()
	defer func() {
		if err := checks.Value.Set(chosen); err != nil {
			t.Error(err)
		}
	}()
	var all, want atomic.Int64
	for _, k := range directKinds {
		// Package rapid takes a fifth of what it is told if tests are to be short.
		n := directCases * k.percent / 100
		if err := checks.Value.Set(strconv.Itoa(n)); err != nil {
			t.Fatal(err)
		}
		t.Run(strings.ReplaceAll(k.name, " ", "-"), func(t *testing.T) {
			if testing.Short() {
				n /= 5
			}
			want.Add(int64(n))
			rapid.Check(t, func(t *rapid.T) {
				k.check(t)
				all.Add(1)
			})
		})
	}
	t.Logf("%d cases with %d restores and %d records put out; %d entries evicted and %d fetched", all.Load(), rigRestores.Load(), rigLines.Load(),
		rigEvicted.Load(), rigFetched.Load())
	if !t.Failed() && (rigEvicted.Load() < want.Load() || rigFetched.Load() < want.Load()/2) {
		t.Errorf("too little state was moved to the disk: %d entries, and %d back", rigEvicted.Load(), rigFetched.Load())
	}
	if !t.Failed() && (all.Load() < want.Load() || rigRestores.Load() < want.Load()/4 || rigLines.Load() < want.Load()) {
		t.Errorf("too little was tried: want %d cases, and restores and records with them", want.Load())
	}
}

// drawFeed draws the input of an operator.
func drawFeed(t *rapid.T, ports int, tick int64) feed {
	var f feed
	now, wm := int64(0), int64(model.None)
	base := drawBase(t, tick)
	edges := []int64{0, 0, -1, 1}
	if tick < 3 {
		edges = []int64{0}
	}
	mark := func(at int64) {
		if at > wm {
			wm = at
			f = append(f, model.Item[event]{Time: at, Mark: true})
		}
	}
	for range rapid.IntRange(0, 25).Draw(t, "records") {
		now += rapid.SampledFrom([]int64{0, 1, 1, 2, 3, 9}).Draw(t, "step")
		x := event{Port: rapid.IntRange(0, ports-1).Draw(t, "port")}
		x.At = base + (now-rapid.SampledFrom([]int64{0, 0, 1, 2, 4, 7, 12}).Draw(t, "behind"))*tick
		x.At += rapid.SampledFrom(edges).Draw(t, "edge")
		x.V = rapid.Int32Range(-9, 9).Draw(t, "v")
		x.K = uint8(rapid.IntRange(0, 7).Draw(t, "k"))
		f = append(f, model.Item[event]{Value: x, Time: x.At})
		if back := rapid.SampledFrom([]int64{-1, -1, 0, 1, 2, 5}).Draw(t, "watermark"); back >= 0 {
			mark(base + (now-back)*tick - 1)
			if rapid.IntRange(0, 3).Draw(t, "two watermarks") == 3 {
				mark(wm + tick)
			}
		}
	}
	if rapid.IntRange(0, 7).Draw(t, "end") > 0 {
		mark(model.End)
	}
	return f
}

// direct is one case: a stage and its input.
type direct struct {
	Stage stage
	Feed  feed
	Route route
}

func (d direct) String() string {
	return fmt.Sprintf("\n  %+v\n  %+v\n  input:%v", d.Stage, d.Route, d.Feed)
}

// drawDirect draws the input of a stage and what happens to its operator.
func drawDirect(t *rapid.T, s stage, ports int) direct {
	d := direct{Stage: s, Feed: drawFeed(t, ports, s.Tick)}
	d.Route = drawRoute(t, len(d.Feed))
	return d
}

// telling adds the case to what fails.
type telling struct {
	*rapid.T
	direct
}

func (t *telling) Fatalf(format string, args ...any) {
	t.Helper()
	t.T.Fatalf(format+"%v", append(args, t.direct)...)
}

// check tries the case.
func (d direct) check(t *rapid.T) {
	to := &telling{t, d}
	switch d.Stage.Keys {
	case 0:
		checkDirect(to, stringKeys)
	case 1:
		checkDirect(to, intKeys)
	case 2:
		checkDirect(to, structKeys)
	default:
		checkDirect(to, timeKeys)
	}
}

func checkDirect[K comparable](t *telling, k keys[K]) {
	switch t.Stage.Op {
	case opWindow:
		checkWindow(t, k)
	case opJoin, opTemporal:
		checkJoin(t, k)
	case opDedup:
		checkDedup(t, k)
	case opSort:
		checkSort(t, k)
	default:
		checkProcess(t, k)
	}
}

// rigFor makes the rig of the case and runs it.
func rigFor[K comparable](t *telling, k keys[K], ports int, sides map[string]side) *rig {
	r := newRig(t, k, ports, func(in millrace.Stream[rec]) { out := sinks{}; out.take(t.Stage.build(in, "op", out), "main") }, sides)
	r.run(t.Feed, t.Route)
	return r
}

// keyText returns the text of the key of a record.
func keyText[K comparable](k keys[K]) func(rec) string {
	return func(r rec) string { return k.text(k.engine(r)) }
}

func drawDirectStage(t *rapid.T, op string) stage {
	return stage{
		Op: op, Keys: rapid.IntRange(0, 3).Draw(t, "keys"), Agg: rapid.IntRange(0, aggs-1).Draw(t, "agg"),
		Tick: rapid.SampledFrom(ticks).Draw(t, "tick"), Steady: true, Join: join{Self: true},
	}
}

func directWindows(sessions bool) func(t *rapid.T) {
	return func(t *rapid.T) {
		s := drawDirectStage(t, opWindow)
		for s.Win = drawWindows(t, s.Tick); s.Win.Gap > 0 != sessions; {
			s.Win = drawWindows(t, s.Tick)
		}
		s.Missed = true
		drawDirect(t, s, 1).check(t)
	}
}

func checkWindow[K comparable](t *telling, k keys[K]) {
	w := t.Stage.Win
	recKey := keyText(k)
	paneText := func(p window.Pane[K, string]) string { return paneRec(k)(p).text() }
	paneKey := func(p window.Pane[K, string]) string { return k.text(p.Key) }
	missedText := func(m window.Missed[K, rec]) string { return missedRec(k)(m).text() }
	missedKey := func(m window.Missed[K, rec]) string { return k.text(m.Key) }
	r := rigFor(t, k, 1, map[string]side{
		"": records(paneText, paneKey), "late": records(rec.text, recKey), "missed": records(missedText, missedKey),
	})
	by := modelWindows(w, model.Windows[K, rec, string]{Key: k.model, Compare: k.compare, Result: result(t.Stage.Agg)})
	if w.Each {
		by.GapOf = w.gap
	}
	o := by.Run(t.Feed.plain())
	main, last, nextToLast := modelled(o.Panes, paneText, paneKey)
	late, _, _ := modelled(o.Late, rec.text, recKey)
	r.wants("", main)
	r.wantsLast("", last, nextToLast)
	r.wantsAlso("late", late)
	missed, _, _ := modelled(o.Missed, missedText, missedKey)
	r.wantsAlso("missed", missed)
	r.wantsCount("late", int64(len(late)))
	var windows int64
	for _, m := range o.Missed {
		spans, err := m.Value.Windows.List()
		if err != nil {
			t.Fatalf("%v", err)
		}
		windows += int64(len(spans))
	}
	r.wantsCount("late_windows", windows)
	r.wantsCount("out", int64(len(main)))
}

func directJoins(t *rapid.T) {
	s := drawDirectStage(t, opJoin)
	s.Join = drawJoin(t, s.Tick)
	s.Join.Self = true // one function for the keys of both sides
	drawDirect(t, s, 2).check(t)
}

func directTemporal(t *rapid.T) { drawDirect(t, drawDirectStage(t, opTemporal), 2).check(t) }

func checkJoin[K comparable](t *telling, k keys[K]) {
	key := keyText(k)
	recs := records(rec.text, key)
	r := rigFor(t, k, 2, map[string]side{"": recs, "late-left": recs, "late-right": recs})
	var o model.JoinOutput[rec, rec, rec]
	if t.Stage.Op == opTemporal {
		o = model.Temporal[K, rec, rec, rec]{LeftKey: k.model, RightKey: k.model, Compare: k.compare, Out: versionOf}.Run(t.Feed.sided())
	} else {
		j := t.Stage.Join
		o = model.Join[K, rec, rec, rec]{
			Lower: j.Lower, Upper: j.Upper, LeftKey: k.model, RightKey: k.model, Compare: k.compare,
			LeftOuter: j.Left, RightOuter: j.Right, Out: j.result,
		}.Run(t.Feed.sided())
	}
	main, last, nextToLast := modelled(o.Results, rec.text, key)
	left, _, _ := modelled(o.LateLeft, rec.text, key)
	right, _, _ := modelled(o.LateRight, rec.text, key)
	r.wants("", main)
	r.wantsLast("", last, nextToLast)
	r.wantsAlso("late-left", left)
	r.wantsAlso("late-right", right)
	r.wantsCount("late", int64(len(left)+len(right)))
	r.wantsCount("out", int64(len(main)))
}

// directPlain is a stage with one input.
func directPlain(op string) func(t *rapid.T) {
	return func(t *rapid.T) {
		s := drawDirectStage(t, op)
		switch op {
		case opDedup:
			s.Horizon = rapid.Int64Range(1, 12).Draw(t, "horizon") * s.Tick
			s.Win.Lateness = drawLateness(t, s.Tick)
		case opProcess:
			s.Deep = rapid.Bool().Draw(t, "deep")
			s.Program = drawProgram(t, exact)
		}
		drawDirect(t, s, 1).check(t)
	}
}

func checkDedup[K comparable](t *telling, k keys[K]) {
	key := keyText(k)
	recs := records(rec.text, key)
	r := rigFor(t, k, 1, map[string]side{"": recs, "late": recs, "duplicate": recs})
	o := model.Dedup[K, rec, int32]{Horizon: t.Stage.Horizon, Lateness: t.Stage.Win.Lateness, ID: k.model, Content: value}.Run(t.Feed.plain())
	main, last, nextToLast := modelled(o.Kept, rec.text, key)
	late, _, _ := modelled(o.Late, rec.text, key)
	again, _, _ := modelled(o.Duplicates, rec.text, key)
	r.wants("", main)
	r.wantsLast("", last, nextToLast)
	r.wantsAlso("late", late)
	r.wantsAlso("duplicate", again)
	r.wantsCount("late", int64(len(late)))
	r.wantsCount("duplicates", int64(len(again)))
	r.wantsCount("conflicts", o.Conflicts)
}

func checkSort[K comparable](t *telling, k keys[K]) {
	key := keyText(k)
	recs := records(rec.text, key)
	r := rigFor(t, k, 1, map[string]side{"": recs, "late": recs})
	out, tooLate := model.Sort[K, rec]{Key: k.model, Compare: k.compare}.Run(t.Feed.plain())
	main, last, nextToLast := modelled(out, rec.text, key)
	late, _, _ := modelled(tooLate, rec.text, key)
	r.wants("", main)
	r.wantsLast("", last, nextToLast)
	r.wantsAlso("late", late)
	r.wantsCount("late", int64(len(late)))
}

func checkProcess[K comparable](t *telling, k keys[K]) {
	// The text of what a process puts out begins with the key.
	key := func(r rec) string {
		if quoted, ok := strings.CutPrefix(r.Tag, `<"`); ok {
			name, _, _ := strings.Cut(quoted, `"`)
			return name
		}
		text, _, _ := strings.Cut(r.Tag, " ")
		return text
	}
	r := rigFor(t, k, 1, map[string]side{"": records(rec.text, key)})
	var out []model.Item[rec]
	if t.Stage.Deep {
		out = processModel[K, deep](t.Stage, t.Feed.plain(), k)
	} else {
		out = processModel[K, flat](t.Stage, t.Feed.plain(), k)
	}
	main, last, nextToLast := modelled(out, rec.text, key)
	r.wants("", main)
	r.wantsLast("", last, nextToLast)
}
