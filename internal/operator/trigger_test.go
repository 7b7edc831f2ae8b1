package operator_test

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/keyed"
	"github.com/millrace-stream/millrace/internal/keyed/cold"
	"github.com/millrace-stream/millrace/internal/model"
	"github.com/millrace-stream/millrace/internal/operator"
	"github.com/millrace-stream/millrace/internal/pane"
	"github.com/millrace-stream/millrace/internal/snapshot"
	"github.com/millrace-stream/millrace/internal/task"
	"github.com/millrace-stream/millrace/window"

	"pgregory.net/rapid"
)

// rec is a record.
type rec struct {
	At int64
	V  int32
	K  uint8
}

func (r rec) text() string { return fmt.Sprintf("%d:%d", r.At, r.V) }

// key has lengths and bytes that an order by encoding could get wrong.
func (r rec) key() string { return []string{"b", "a\x00", ""}[r.K] }

// texts is the result of a window: its records in the order of codec.Ordered.
func texts(rs []rec) string {
	slices.SortFunc(rs, func(a, b rec) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.V, b.V), cmp.Compare(a.K, b.K))
	})
	var all []string
	for _, r := range rs {
		all = append(all, r.text())
	}
	return strings.Join(all, " ")
}

// moods is a trigger of a user's own that does everything such a trigger can, as the records say.
var moods = window.Custom[rec, mood]{
	Name: "moods",
	OnRecord: func(c window.TriggerContext, s *mood, r *rec) window.Decision {
		s.Sum += int64(r.V)
		s.Log = append(s.Log, r.V)
		wm, known := c.Watermark()
		switch r.V & 7 {
		case 0:
			c.SetEventTimer(c.EventTime().Add(3))
		case 1:
			c.SetEventTimer(c.EventTime().Add(-2))
		case 2:
			if known {
				c.SetEventTimer(wm)
			}
		case 3, 4:
			c.SetProcessingTimer(c.ProcessingTime().Add(time.Duration(r.V & 7)))
		case 5:
			c.DeleteTimers()
		}
		if c.Ended() {
			s.Sum++
		}
		return []window.Decision{window.Fire, window.Continue, window.Continue, window.Purge, window.FireAndPurge}[(s.Sum+c.Records()+90)%5]
	},
	OnEventTime: func(c window.TriggerContext, s *mood) window.Decision {
		s.Calls++
		if s.Calls%3 > 0 {
			c.SetEventTimer(c.EventTime().Add(time.Duration(s.Calls % 4)))
		}
		if c.Ended() || c.NewRecords() > 1 || c.Window().Start%2 == 0 {
			return window.Fire
		}
		return window.Decision(s.Calls % 2 * 3)
	},
	OnProcessingTime: func(c window.TriggerContext, s *mood) window.Decision {
		s.Calls++
		if s.Calls%4 > 0 {
			c.SetProcessingTimer(c.ProcessingTime().Add(time.Duration(s.Calls % 3)))
		}
		if s.Calls%5 == 0 {
			return window.Purge
		}
		return window.Fire
	},
	OnMerge: func(dst, src *mood) {
		dst.Sum, dst.Calls, dst.Log = dst.Sum+src.Sum, dst.Calls+src.Calls, append(dst.Log, src.Log...)
	},
}

type mood struct {
	Sum, Calls int64
	Log        []int32
}

// ownMood is moods as the model has it.
type ownMood struct{ s mood }

func (o *ownMood) Record(c window.TriggerContext, r rec) window.Decision {
	return moods.OnRecord(c, &o.s, &r)
}

func (o *ownMood) EventTime(c window.TriggerContext) window.Decision {
	return moods.OnEventTime(c, &o.s)
}

func (o *ownMood) ProcessingTime(c window.TriggerContext) window.Decision {
	return moods.OnProcessingTime(c, &o.s)
}
func (o *ownMood) Merge(from model.Own[rec]) { moods.OnMerge(&o.s, &from.(*ownMood).s) }

// triggerCase is windows with a trigger, and what comes to them.
type triggerCase struct {
	Win          model.Windows[string, rec, string]
	Kind         window.Kind
	Count, Every int64
	Partial      bool
	Trigger      window.TriggerSpec
	Discarding   bool
	Input        []model.Timed[rec]
	// Batches chooses where batches end, Moves where the operator is frozen and restored, by as many instances.
	Batches uint64
	Moves   map[int]int
}

func (c triggerCase) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v windows size %d slide %d offset %d gap %d lateness %d count %d every %d partial %v\n  %v discarding %v\n  batches %d moves %v\n ",
		c.Kind, c.Win.Size, c.Win.Slide, c.Win.Offset, c.Win.Gap, c.Win.Lateness, c.Count, c.Every, c.Partial, c.Trigger, c.Discarding, c.Batches, c.Moves)
	for _, x := range c.Input {
		switch {
		case x.Tick:
			fmt.Fprintf(&b, " tick %d;", x.Now)
		case x.Mark:
			fmt.Fprintf(&b, " | %d (%d);", x.Time, x.Now)
		default:
			fmt.Fprintf(&b, " {At: %d, V: %d, K: %d} (%d);", x.Time, x.Value.V, x.Value.K, x.Now)
		}
	}
	return b.String()
}

// drawTrigger draws a trigger that can be a part of others.
func drawTrigger(t *rapid.T, depth int) window.Trigger {
	n := rapid.Int64Range(1, 5).Draw(t, "n")
	most := 8
	if depth == 0 {
		most = 4
	}
	parts := func() []window.Trigger {
		return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) window.Trigger { return drawTrigger(t, depth-1) }), 1, 3).Draw(t, "parts")
	}
	switch rapid.IntRange(0, most).Draw(t, "trigger") {
	case 0:
		return window.EveryCount(n)
	case 1:
		return window.Every(time.Duration(n))
	case 2:
		return window.EveryEventTime(time.Duration(n))
	case 3:
		return window.PerWatermark()
	case 4:
		return moods
	case 5, 6:
		return window.AnyOf(parts()...)
	case 7:
		return window.AllOf(parts()...)
	}
	return window.Sequence(parts()...)
}

func drawTriggerCase(t *rapid.T) triggerCase {
	c := triggerCase{Discarding: rapid.Bool().Draw(t, "discarding"), Batches: rapid.Uint64().Draw(t, "batches"), Moves: map[int]int{}}
	size := rapid.Int64Range(1, 12).Draw(t, "size")
	bounded := true
	switch c.Kind = rapid.SampledFrom([]window.Kind{
		window.KindTumbling, window.KindSliding, window.KindCumulative, window.KindSession, window.KindSession, window.KindSessionBy, window.KindCount, window.KindGlobal,
	}).Draw(t, "kind"); c.Kind {
	case window.KindSliding:
		c.Win.Size, c.Win.Slide = size, rapid.Int64Range(1, size).Draw(t, "slide")
	case window.KindCumulative:
		step := rapid.Int64Range(1, 4).Draw(t, "step")
		c.Win.Size, c.Win.Slide = step*size, step
	case window.KindSession:
		c.Win.Gap = size
	case window.KindSessionBy:
	case window.KindCount:
		c.Count, bounded, c.Partial = size, false, rapid.Bool().Draw(t, "partial")
		c.Every = rapid.Int64Range(1, size).Draw(t, "every")
	case window.KindGlobal:
		bounded = false
	default:
		c.Win.Size, c.Win.Slide = size, size
		c.Win.Offset = rapid.Int64Range(-size+1, size-1).Draw(t, "offset")
	}
	if bounded {
		c.Win.Lateness = rapid.SampledFrom([]int64{0, 0, 1, 4, 20}).Draw(t, "lateness")
	}
	switch rapid.IntRange(0, 3).Draw(t, "root") {
	case 0:
		c.Trigger = drawTrigger(t, 2).TriggerSpec()
	default:
		at := window.AtEnd()
		if rapid.IntRange(0, 3).Draw(t, "early") > 0 {
			at = at.Early(drawTrigger(t, 2))
		}
		if c.Win.Lateness > 0 && rapid.Bool().Draw(t, "late") {
			at = at.Late(drawTrigger(t, 1))
		}
		c.Trigger = at.TriggerSpec()
	}
	drawTimed(t, &c)
	for range rapid.IntRange(0, 3).Draw(t, "moves") {
		c.Moves[rapid.IntRange(0, len(c.Input)).Draw(t, "move")] = rapid.IntRange(1, 3).Draw(t, "instances")
	}
	return c
}

// drawTimed draws the input.
func drawTimed(t *rapid.T, c *triggerCase) {
	event, wm, now := int64(0), int64(model.None), int64(0)
	add := func(x model.Timed[rec]) {
		x.Now = now
		c.Input = append(c.Input, x)
	}
	for range rapid.IntRange(0, 30).Draw(t, "items") {
		switch rapid.IntRange(0, 9).Draw(t, "item") {
		case 0, 1:
			if at := event - rapid.Int64Range(-3, 6).Draw(t, "behind"); at > wm {
				wm = at
				add(model.Timed[rec]{Item: model.Item[rec]{Time: wm, Mark: true}})
			}
		case 2:
			now += rapid.Int64Range(1, 6).Draw(t, "later")
			add(model.Timed[rec]{Tick: true})
		case 3:
			now += rapid.Int64Range(0, 3).Draw(t, "later, and no tick")
		default:
			event += rapid.SampledFrom([]int64{0, 1, 1, 2, 5}).Draw(t, "step")
			r := rec{At: event - rapid.SampledFrom([]int64{0, 0, 1, 3, 8}).Draw(t, "late"), V: rapid.Int32Range(-9, 9).Draw(t, "v")}
			r.K = uint8(rapid.IntRange(0, 2).Draw(t, "k"))
			add(model.Timed[rec]{Item: model.Item[rec]{Value: r, Time: r.At}})
		}
	}
	if rapid.IntRange(0, 4).Draw(t, "end") > 0 {
		add(model.Timed[rec]{Item: model.Item[rec]{Time: model.End, Mark: true}})
	}
}

// sameWithoutTrigger holds the model of triggers against that of windows without one, where there is nothing else.
func (c triggerCase) sameWithoutTrigger(t *rapid.T, got model.Output[string, rec, string]) {
	if s := c.Trigger; s.Kind != window.TriggerAtEnd || s.Early != nil || s.Late != nil || c.Discarding || c.Kind == window.KindCount || c.Kind == window.KindGlobal || c.Kind == window.KindCumulative {
		return
	}
	w := c.Win
	w.Key, w.Compare, w.Result = rec.key, strings.Compare, texts
	if c.Kind == window.KindSessionBy {
		w.GapOf = gapOf
	}
	var in []model.Item[rec]
	for _, x := range c.Input {
		if !x.Tick {
			in = append(in, x.Item)
		}
	}
	if want := w.Run(in); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("the models disagree:\n%v\n%v\n%v", got, want, c)
	}
}

// growing are the cumulative windows of a time.
func (c triggerCase) growing(t int64) (all []window.Span) {
	start := int64(-1000) * c.Win.Size
	for start+c.Win.Size <= t {
		start += c.Win.Size
	}
	for end := start + c.Win.Slide; end <= start+c.Win.Size; end += c.Win.Slide {
		if end > t {
			all = append(all, window.Span{Start: start, End: end})
		}
	}
	return all
}

// gapOf is the gap of sessions by record.
func gapOf(r rec) int64 { return int64(r.V&3) + 1 }

// want asks the model.
func (c triggerCase) want() model.Output[string, rec, string] {
	w := model.Triggered[string, rec, string]{
		Windows: c.Win,
		Count:   int(c.Count), Every: int(c.Every), Partial: c.Partial, Global: c.Kind == window.KindGlobal,
		Trigger: c.Trigger, Discarding: c.Discarding, Own: func() model.Own[rec] { return &ownMood{} },
	}
	w.Key, w.Compare, w.Result = rec.key, strings.Compare, texts
	if c.Kind == window.KindSessionBy {
		w.GapOf = gapOf
	}
	if c.Kind == window.KindCumulative {
		w.Spans = c.growing
	}
	return w.Run(c.Input)
}

// triggerRig drives the operator of a case.
type triggerRig struct {
	t     *rapid.T
	c     triggerCase
	make  func() operator.Op
	hash  func(rec) uint64
	pool  *element.Pool[rec]
	rng   *rand.Rand
	clock fakeClock
	parts []*triggerPart
	epoch uint64
	state map[stateKey]map[string]string
	old   [][]byte
	wm    int64
	lines []string
	keys  []string
	late  map[string]int
	// spread says that there has been more than one instance.
	spread bool
	// tier is where the state is moved after each batch, nil when it stays in memory.
	tier *keyed.Tier
}

// triggerPart is an instance.
type triggerPart struct {
	rig     *triggerRig
	memory  *keyed.Memory
	op      operator.Op
	pending []model.Timed[rec]
	wm      int64
}

type stateKey struct {
	state string
	group int
	span  int64
}

type fakeClock struct{ now int64 }

func (c *fakeClock) Now() time.Time { return time.Unix(0, c.now) }

const triggerGroups = 16

// triggerDisk is what is behind the state of a third of the rigs. It is in memory.
var triggerDisk = sync.OnceValues(func() (*cold.Store, error) { return cold.Open(cold.Options{Memory: 8 << 20}) })

// triggerEvicted counts the entries that were moved there.
var triggerEvicted atomic.Int64

func newTriggerRig(t *rapid.T, c triggerCase) *triggerRig {
	r := &triggerRig{
		t: t, c: c, pool: element.NewPool[rec](4), rng: rand.New(rand.NewPCG(c.Batches, 0)), wm: model.None,
		state: map[stateKey]map[string]string{}, late: map[string]int{},
	}
	if c.Batches%3 == 0 {
		store, err := triggerDisk()
		r.must(err)
		r.tier = keyed.NewTier(keyed.TierConfig{Store: store, Limit: 8 << 20, EvictAll: true})
	}
	kc, err := codec.KeyFor[string]()
	r.must(err)
	value, err := codec.For[operator.Cells[agg.CollectState[rec]]]()
	r.must(err)
	r.must(c.Trigger.Check())
	key := func(x *rec) string { return x.key() }
	r.hash = func(x rec) uint64 { k := key(&x); return kc.Hash(&k) }
	cfg := operator.TriggerConfig[string, rec, agg.CollectState[rec], string]{
		Kind: c.Kind, Gap: c.Win.Gap, Count: c.Count, Every: c.Every, Partial: c.Partial, Trigger: c.Trigger, Discarding: c.Discarding,
		Lateness: c.Win.Lateness, Timed: true, Key: key, KeyCodec: kc, Value: value, Agg: agg.Then(agg.Collect[rec](), texts),
		Pool: element.NewPool[window.Pane[string, string]](2), LatePool: element.NewPool[rec](2),
		MissedPool: element.NewPool[window.Missed[string, rec]](2),
	}
	switch c.Kind {
	case window.KindTumbling, window.KindSliding, window.KindCumulative:
		spec := window.Spec{Kind: c.Kind, Size: time.Duration(c.Win.Size), Slide: time.Duration(c.Win.Slide), Offset: time.Duration(c.Win.Offset)}
		if c.Kind == window.KindCumulative {
			spec = window.Cumulative(spec.Size, spec.Slide).Spec()
		}
		panes, err := pane.New(spec)
		r.must(err)
		cfg.Windows, cfg.Single = panes.AppendWindows, panes.PanesPerWindow() == 1
	case window.KindSessionBy:
		cfg.GapOf = func(x *rec) time.Duration { return time.Duration(gapOf(*x)) }
	}
	r.make = func() operator.Op { return operator.NewTriggered(cfg) }
	return r
}

func (r *triggerRig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("%v\n%v", err, r.c)
	}
}

// start makes n instances, from what was frozen if something was.
func (r *triggerRig) start(n int) {
	r.parts, r.spread = nil, r.spread || n > 1
	for i := range n {
		lo, hi := keyed.Range(i, n, triggerGroups)
		p := &triggerPart{rig: r, op: r.make(), wm: r.wm}
		c := &operator.Context{
			Context: context.Background(), ID: "op", Subtask: i, Parallelism: n, Groups: triggerGroups, Lo: lo, Hi: hi, Old: r.old,
			Env: &env.Env{Sched: task.System{Clock: &r.clock}}, Counters: &operator.Counters{},
			Outputs: func(side string) operator.Receiver {
				if side == "" {
					return p
				}
				return lateOf{r, side}
			},
			Load: func(state string, v snapshot.Visitor) error {
				for at, entries := range r.state {
					for k, x := range entries {
						if at.state == state && at.group >= lo && at.group < hi {
							r.must(v.Put(at.group, at.span, []byte(k), []byte(x)))
						}
					}
				}
				return nil
			},
		}
		if r.tier != nil {
			p.memory = r.tier.Task(nil)
			c.Memory = p.memory
		}
		r.must(p.op.Open(c))
		p.memory.Settle()
		r.parts = append(r.parts, p)
	}
}

// run gives the input.
func (r *triggerRig) run() {
	r.start(1)
	for i := 0; i <= len(r.c.Input); i++ {
		if n, ok := r.c.Moves[i]; ok {
			r.move(n)
		}
		if i < len(r.c.Input) {
			r.give(r.c.Input[i])
		}
	}
	for _, p := range r.parts {
		p.send()
		if p.memory != nil {
			triggerEvicted.Add(p.memory.Counters.Evicted.Load())
		}
	}
}

// give gives an item: a record to the owner of its key, others to all.
func (r *triggerRig) give(x model.Timed[rec]) {
	owner := keyed.Owner(keyed.Group(r.hash(x.Value), triggerGroups), len(r.parts), triggerGroups)
	for i, p := range r.parts {
		if x.Tick || len(p.pending) > 0 && p.pending[0].Now != x.Now {
			p.send()
		}
		r.clock.now = x.Now
		switch {
		case x.Tick:
			ticked := p.op.(operator.Ticked)
			if ticked.NextTick() <= x.Now || r.rng.IntN(2) == 0 {
				r.must(ticked.Tick(x.Now))
				p.memory.Settle()
			}
		case x.Mark || i == owner:
			p.pending = append(p.pending, x)
		}
		if r.rng.IntN(3) == 0 {
			p.send()
		}
	}
}

// send passes on what is pending, as batches and watermarks.
func (p *triggerPart) send() {
	todo := p.pending
	p.pending = nil
	for len(todo) > 0 {
		p.rig.clock.now = todo[0].Now
		if todo[0].Mark && p.rig.rng.IntN(2) == 0 {
			p.rig.must(p.op.Input(0).Watermark(todo[0].Time))
			p.memory.Settle()
			todo = todo[1:]
			continue
		}
		b, n := p.rig.pool.Get(), 0
		for ; n < len(todo) && todo[n].Now == todo[0].Now; n++ {
			if todo[n].Mark {
				b.Advance(len(b.Records), todo[n].Time)
			} else {
				b.Add(&todo[n].Value, todo[n].Time)
			}
		}
		todo = todo[n:]
		if len(b.Records) == 0 {
			for _, s := range b.Steps {
				p.rig.must(p.op.Input(0).Watermark(s.Time))
			}
			b.Free()
			continue
		}
		p.rig.must(p.op.Input(0).Process(b))
		p.memory.Settle()
	}
}

// move freezes the operator and goes on with n instances that are restored from that.
func (r *triggerRig) move(n int) {
	r.epoch++
	r.old = nil
	for _, p := range r.parts {
		p.send()
	}
	for _, p := range r.parts {
		cut, err := p.op.Freeze(r.epoch)
		r.must(err)
		r.old = append(r.old, cut.State)
		for _, z := range cut.Frozen {
			for z.Pending() {
				z.Step()
			}
			r.must(z.WriteTo(&stateWriter{rig: r, state: z.State}))
			z.Release()
		}
		p.op.Completed(r.epoch)
		r.wm = p.wm
	}
	if r.rng.IntN(4) > 0 { // else they live on, and write less the next time
		for _, p := range r.parts {
			r.must(p.op.Close())
		}
		r.start(n)
	}
}

// stateWriter keeps what an epoch writes of a state.
type stateWriter struct {
	rig   *triggerRig
	state string
	at    stateKey
}

func (w *stateWriter) Begin(s snapshot.Section) error {
	w.at = stateKey{w.state, s.Group, s.Span}
	switch s.Kind {
	case snapshot.Full, snapshot.Dropped:
		delete(w.rig.state, w.at)
	case snapshot.Reset:
		for k := range w.rig.state {
			if k.state == w.state && k.group == s.Group {
				delete(w.rig.state, k)
			}
		}
	}
	return nil
}

func (w *stateWriter) Put(key, value []byte) error {
	if w.rig.state[w.at] == nil {
		w.rig.state[w.at] = map[string]string{}
	}
	w.rig.state[w.at][string(key)] = string(value)
	return nil
}

func (w *stateWriter) Delete(key []byte) error {
	delete(w.rig.state[w.at], string(key))
	return nil
}

// paneLine is the text of a pane with its event time and the watermark before it.
func paneLine(p window.Pane[string, string], at, wm int64) string {
	return fmt.Sprintf("%q [%d, %d) %s #%d %v gap %d replaces %q, at %d after %d",
		p.Key, p.Start.UnixNano(), p.End.UnixNano(), p.Value, p.Revision, p.Kind, p.Gap, p.Replaces, at, wm)
}

// Process notes results.
func (p *triggerPart) Process(b element.Batch) error {
	in := b.(*element.Of[window.Pane[string, string]])
	step := 0
	for i, x := range in.Records {
		for ; step < len(in.Steps) && int(in.Steps[step].At) <= i; step++ {
			p.advance(in.Steps[step].Time)
		}
		p.rig.lines = append(p.rig.lines, paneLine(x, in.Times[i], p.wm))
		p.rig.keys = append(p.rig.keys, x.Key)
	}
	for ; step < len(in.Steps); step++ {
		p.advance(in.Steps[step].Time)
	}
	in.Free()
	return nil
}

func (p *triggerPart) advance(t int64) {
	if t < p.wm {
		p.rig.t.Fatalf("the watermark goes from %d to %d\n%v", p.wm, t, p.rig.c)
	}
	p.wm = t
}

func (p *triggerPart) Watermark(t int64) error { p.advance(t); return nil }
func (p *triggerPart) Idle() error             { return nil }

// lateOf counts the records of a side output.
type lateOf struct {
	rig  *triggerRig
	side string
}

func (l lateOf) Process(b element.Batch) error {
	switch in := b.(type) {
	case *element.Of[rec]:
		for _, x := range in.Records {
			l.rig.late[l.side+" "+x.text()]++
		}
	case *element.Of[window.Missed[string, rec]]:
		for _, x := range in.Records {
			l.rig.late[fmt.Sprintf("%s %q %s %s", l.side, x.Key, x.Record.text(), x.Windows)]++
		}
	}
	b.Free()
	return nil
}

func (lateOf) Watermark(int64) error { return nil }
func (lateOf) Idle() error           { return nil }

// check compares what came out with the model.
func (r *triggerRig) check() {
	out := r.c.want()
	byKey := func(lines, keys []string) []string {
		if !r.spread {
			return lines
		}
		at := make([]int, len(lines))
		for i := range at {
			at[i] = i
		}
		slices.SortStableFunc(at, func(a, b int) int { return strings.Compare(keys[a], keys[b]) })
		sorted := make([]string, len(lines))
		for i := range at {
			sorted[i] = lines[at[i]]
		}
		return sorted
	}
	var lines, keys []string
	wm := int64(model.None)
	for _, x := range out.Panes {
		if x.Mark {
			wm = x.Time
			continue
		}
		lines, keys = append(lines, paneLine(x.Value, x.Time, wm)), append(keys, x.Value.Key)
	}
	got, want := byKey(r.lines, r.keys), byKey(lines, keys)
	if !slices.Equal(got, want) {
		n := 0
		for n < min(len(got), len(want)) && got[n] == want[n] {
			n++
		}
		r.t.Fatalf("%d results, want %d; they part at %d\n  got\n    %s\n  want\n    %s\n%v", len(got), len(want), n,
			strings.Join(got[n:], "\n    "), strings.Join(want[n:], "\n    "), r.c)
	}
	r.c.sameWithoutTrigger(r.t, out)
	for _, p := range r.parts {
		if p.wm != wm && len(r.c.Input) > 0 {
			r.t.Fatalf("the last watermark is %d, want %d\n%v", p.wm, wm, r.c)
		}
	}
	late := map[string]int{}
	for _, x := range out.Late {
		late["late "+x.Value.text()]++
	}
	for _, x := range out.Missed {
		late[fmt.Sprintf("missed %q %s %s", x.Value.Key, x.Value.Record.text(), x.Value.Windows)]++
	}
	if fmt.Sprint(late) != fmt.Sprint(r.late) {
		r.t.Fatalf("late: %v\nwant %v\n%v", r.late, late, r.c)
	}
}

// TestTriggersGiveTheSequenceOfTheModel drives the operator of triggers without an engine: batches that end anywhere, processing time that
// passes with and without a tick, and restores into other numbers of instances. What comes out, and which watermark stands before
// each result, is that of the model.
func TestTriggersGiveTheSequenceOfTheModel(t *testing.T) {
	results := 0
	atLeast(t, 4000, func(t *rapid.T) {
		r := newTriggerRig(t, drawTriggerCase(t))
		r.run()
		r.check()
		results += len(r.lines)
	})
	t.Logf("%d results", results)
	if !t.Failed() && results == 0 {
		t.Error("there was no result to compare")
	}
	if n := triggerEvicted.Load(); !t.Failed() && n == 0 {
		t.Error("no state was moved to the disk")
	}
}

// TestTriggerIsToldOfATimeThatPassedUnasked is a case that was found: a custom trigger has fired in an AllOf, which does not ask it again until
// all have, and its processing time comes meanwhile.
func TestTriggerIsToldOfATimeThatPassedUnasked(t *testing.T) {
	mark := func(at, now int64) model.Timed[rec] {
		return model.Timed[rec]{Item: model.Item[rec]{Time: at, Mark: true}, Now: now}
	}
	record := func(v int32, now int64) model.Timed[rec] {
		return model.Timed[rec]{Item: model.Item[rec]{Value: rec{V: v}}, Now: now}
	}
	for _, end := range []int64{3, 4, 9} {
		c := triggerCase{Kind: window.KindSession, Trigger: window.AllOf(moods, window.AnyOf(window.Every(3))).TriggerSpec()}
		c.Win.Gap = 1
		c.Input = []model.Timed[rec]{mark(0, 0), record(3, 0), {Tick: true, Now: 3}, record(0, 3), {Tick: true, Now: end}, mark(model.End, end)}
		rapid.Check(t, func(t *rapid.T) {
			c.Batches = rapid.Uint64().Draw(t, "batches")
			r := newTriggerRig(t, c)
			r.run()
			r.check()
		})
	}
}

// atLeast checks n random cases, a fifth of them if tests are to be short.
func atLeast(t *testing.T, n int, f func(*rapid.T)) {
	t.Helper()
	checks := flag.Lookup("rapid.checks")
	chosen := checks.Value.String()
	defer func() {
		if err := checks.Value.Set(chosen); err != nil {
			t.Error(err)
		}
	}()
	if err := checks.Value.Set(strconv.Itoa(n)); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, f)
}
