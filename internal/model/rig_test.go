package model_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/keyed"
	"github.com/millrace-stream/millrace/internal/keyed/cold"
	"github.com/millrace-stream/millrace/internal/model"
	"github.com/millrace-stream/millrace/internal/operator"
	"github.com/millrace-stream/millrace/internal/snapshot"
	"github.com/millrace-stream/millrace/internal/task"

	"pgregory.net/rapid"
)

// A rig drives one operator without an engine: it gives it records and watermarks in batches of any size, freezes it at any
// place, and goes on with instances that are restored from that, as many as the plan says, each with its key groups. What
// comes out is compared with the model, record by record, with the watermark that stands before each.
//
// The operator is the one that the verb of the API has put into the graph of a job, so a rig drives whatever a stage can be.
type rig struct {
	t    tb
	spec *operator.Spec
	// hash is that of the key of a record on its way in.
	hash func(rec) uint64
	// sides take apart what comes out, by the name of the output.
	sides map[string]side
	pool  *element.Pool[rec]
	// ports is the number of inputs.
	ports int

	feed feed
	// pos is the place of the next item.
	pos int
	// each says that every item is sent alone.
	each  bool
	rng   *rand.Rand
	parts []*part
	epoch uint64
	// cut is the last durable epoch.
	cut *checkpoint
	// files are those of all durable epochs, oldest first.
	files []*stateFile
	// made is what durable epochs have put out.
	made map[string][]line
	// last are the watermarks of each instance at the end, each with the one before it, and counted the sums of all counters.
	last    map[string][][2]int64
	counted map[string]int64
	// spread says that at some time there was more than one instance.
	spread bool
	// tier is where the state is moved between batches, nil when it stays in memory.
	tier *keyed.Tier
}

// rigDisk is what is behind the state of rigs. It is in memory, and serves all of them: each state has a part of its own.
var rigDisk = sync.OnceValues(func() (*cold.Store, error) { return cold.Open(cold.Options{Memory: 8 << 20}) })

// evictions opens what the state of the rig is moved to after each batch.
func (r *rig) evictions() {
	store, err := rigDisk()
	if err != nil {
		r.t.Fatalf("%v", err)
	}
	r.tier = keyed.NewTier(keyed.TierConfig{Store: store, Limit: 8 << 20, EvictAll: true})
}

// event is a record and the input port that it comes to.
type event struct {
	rec
	Port int
}

// feed is the input of an operator with all of its ports: records and the watermark of all.
type feed []model.Item[event]

func (f feed) String() string {
	var b strings.Builder
	for _, x := range f {
		switch {
		case x.Mark && x.Time == model.End:
			b.WriteString(" | end")
		case x.Mark:
			fmt.Fprintf(&b, " | %d;", x.Time)
		default:
			fmt.Fprintf(&b, " {%d: At %d, V %d, K %d}", x.Value.Port, x.Value.At, x.Value.V, x.Value.K)
		}
	}
	return b.String()
}

// plain is the feed of an operator with one input.
func (f feed) plain() []model.Item[rec] {
	var out []model.Item[rec]
	for _, x := range f {
		out = append(out, model.Item[rec]{Value: x.Value.rec, Time: x.Time, Mark: x.Mark})
	}
	return out
}

// sided is the feed of an operator with two.
func (f feed) sided() []model.Item[model.Side[rec, rec]] {
	var out []model.Item[model.Side[rec, rec]]
	for _, x := range f {
		y := model.Item[model.Side[rec, rec]]{Time: x.Time, Mark: x.Mark}
		switch {
		case x.Mark:
		case x.Value.Port == 0:
			y.Value.Left = &x.Value.rec
		default:
			y.Value.Right = &x.Value.rec
		}
		out = append(out, y)
	}
	return out
}

// side turns a batch of an output into its lines.
type side func(b element.Batch) []line

// line is a record that came out.
type line struct {
	text string
	// key is what its order is certain within.
	key string
	at  int64
	// wm is the watermark that stands before it.
	wm int64
}

func (l line) String() string { return fmt.Sprintf("after %d: %s (at %d)", l.wm, l.text, l.at) }

// records is an output of records U.
func records[U any](text, key func(U) string) side {
	return func(b element.Batch) []line {
		in := b.(*element.Of[U])
		out := make([]line, len(in.Records))
		for i, r := range in.Records {
			out[i] = line{text: text(r), key: key(r), at: in.Times[i]}
		}
		return out
	}
}

// modelled turns an output of the model into lines. Last is the watermark at the end, next to last the one before it.
func modelled[U any](items []model.Item[U], text, key func(U) string) (out []line, last, nextToLast int64) {
	last, nextToLast = model.None, model.None
	for _, x := range items {
		if x.Mark {
			last, nextToLast = x.Time, last
			continue
		}
		out = append(out, line{text: text(x.Value), key: key(x.Value), at: x.Time, wm: last})
	}
	return out, last, nextToLast
}

// route is a plan for a rig.
type route struct {
	// Start is the number of instances at first.
	Start int
	// Flush chooses where batches end; 0 ends them after each item.
	Flush uint64
	Cuts  []stop
	// Disk says that all state is moved to the disk after each batch.
	Disk bool
}

// stop is a checkpoint.
type stop struct {
	// At is after how many items of the feed it is.
	At int
	// Behind is after how many more items the state is on disk: until then it is written beside the work.
	Behind int
	// Abort says that the epoch fails.
	Abort bool
	// Lost is after how many more items the instances die, and Next how many there are then; 0 if they live.
	Lost, Next int
}

// drawRoute draws a plan for a feed of n items.
func drawRoute(t *rapid.T, n int) route {
	p := route{Start: rapid.IntRange(1, 2).Draw(t, "instances")}
	if rapid.Bool().Draw(t, "batches") {
		p.Flush = rapid.Uint64().Draw(t, "flush")
	}
	p.Cuts = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) stop {
		c := stop{At: rapid.IntRange(0, n).Draw(t, "at"), Behind: rapid.SampledFrom([]int{0, 0, 1, 3, 9}).Draw(t, "behind")}
		switch rapid.IntRange(0, 4).Draw(t, "fate") {
		case 0:
		case 1:
			c.Abort = true
		default:
			c.Next = rapid.IntRange(1, 3).Draw(t, "next")
			c.Lost = rapid.SampledFrom([]int{0, 0, 2, 5}).Draw(t, "lost")
		}
		return c
	}), 0, 4).Draw(t, "cuts")
	slices.SortStableFunc(p.Cuts, func(a, b stop) int { return a.At - b.At })
	p.Disk = rapid.IntRange(0, 2).Draw(t, "disk") == 2
	return p
}

const rigGroups = 16

// rigRestores and rigLines count the restores and the records of all outputs, rigEvicted and rigFetched the entries that went to the disk and
// came back, so that a test of them that has none fails.
var rigRestores, rigLines, rigEvicted, rigFetched atomic.Int64

// newRig returns a rig for the operator with the id "op" in the job that build makes.
func newRig[K comparable](t tb, k keys[K], ports int, build func(in millrace.Stream[rec]), sides map[string]side) *rig {
	job := millrace.NewJob("rig")
	build(job.From("source", memory.Of[rec](), millrace.EventTime(moment)))
	r := &rig{t: t, sides: sides, pool: element.NewPool[rec](8), made: map[string][]line{}, last: map[string][][2]int64{}, counted: map[string]int64{}, ports: ports}
	planned := errors.New("planned")
	ctx := env.With(context.Background(), &env.Env{Sched: task.NewSystem(), FS: fsx.NewMem(), Plan: func(g *graph.Graph) error {
		for _, n := range g.Nodes {
			if n.ID == "op" {
				r.spec = n.Op.(*operator.Spec)
			}
		}
		return planned
	}})
	if err := millrace.Run(ctx, job, calm()); !errors.Is(err, planned) || r.spec == nil {
		t.Fatalf("there is no operator to drive: %v", err)
	}
	kc, err := codec.KeyFor[K]()
	if err != nil {
		t.Fatalf("%v", err)
	}
	r.hash = func(x rec) uint64 {
		key := k.engine(x)
		if kc.Canon != nil {
			kc.Canon(&key)
		}
		return kc.Hash(&key)
	}
	return r
}

// part is an instance.
type part struct {
	op       operator.Op
	counters *operator.Counters
	pending  feed
	tapes    map[string]*tape
	hashes   bool
	memory   *keyed.Memory
}

// tape notes an output of an instance.
type tape struct {
	t     tb
	name  string
	side  side
	lines []line
	wm    int64
	// nextToLast is the watermark before wm.
	nextToLast int64
	// silent says that the instance is new and has not yet said what the watermark was.
	silent bool
}

func (p *tape) Process(b element.Batch) error {
	h := b.Head()
	if b.Len() == 0 || len(h.Times) != b.Len() {
		p.t.Fatalf("output %q: a batch of %d records and %d times", p.name, b.Len(), len(h.Times))
	}
	lines := p.side(b)
	step := 0
	for i := range lines {
		for ; step < len(h.Steps) && int(h.Steps[step].At) <= i; step++ {
			p.advance(h.Steps[step].Time)
		}
		if p.silent && p.wm > model.None {
			p.t.Fatalf("output %q: %v stands before the restored watermark %d", p.name, lines[i], p.wm)
		}
		lines[i].wm = p.wm
		p.lines = append(p.lines, lines[i])
	}
	for ; step < len(h.Steps); step++ {
		p.advance(h.Steps[step].Time)
	}
	b.Free()
	return nil
}

func (p *tape) advance(t int64) {
	if t < p.wm || t == p.wm && !p.silent {
		p.t.Fatalf("output %q: the watermark goes from %d to %d", p.name, p.wm, t)
	}
	if t > p.wm {
		p.wm, p.nextToLast = t, p.wm
	}
	p.silent = false
}

func (p *tape) Watermark(t int64) error { p.advance(t); return nil }
func (p *tape) Idle() error             { return nil }

// start makes n instances, from the checkpoint if there is one.
func (r *rig) start(n int) {
	r.spread = r.spread || n > 1
	r.parts = nil
	for i := range n {
		lo, hi := keyed.Range(i, n, rigGroups)
		p := &part{op: r.spec.New(), counters: &operator.Counters{}, tapes: map[string]*tape{}, hashes: n > 1 || r.rng.IntN(2) > 0}
		c := &operator.Context{
			Context: context.Background(), Job: "rig", ID: "op", Subtask: i, Parallelism: n, Groups: rigGroups, Lo: lo, Hi: hi,
			Env: &env.Env{Sched: task.NewSystem(), FS: fsx.NewMem()}, Counters: p.counters,
			Outputs: func(name string) operator.Receiver {
				if p.tapes[name] == nil {
					return operator.Void{}
				}
				return p.tapes[name]
			},
			Load: func(string, snapshot.Visitor) error { return nil },
		}
		if r.tier != nil {
			p.memory = r.tier.Task(nil)
			c.Memory = p.memory
		}
		for name, s := range r.sides {
			p.tapes[name] = &tape{t: r.t, name: name, side: s, wm: model.None, nextToLast: model.None, silent: true}
		}
		if r.cut != nil {
			c.Old = r.cut.old
			c.Load = func(state string, v snapshot.Visitor) error { return r.replay(state, lo, hi, v) }
			if i == 0 {
				p.counters.Restore(r.cut.counters)
			}
			for name, wm := range r.cut.wm {
				p.tapes[name].wm, p.tapes[name].nextToLast = wm[0], wm[1]
			}
		}
		if err := p.op.Open(c); err != nil {
			r.t.Fatalf("open: %v", err)
		}
		p.memory.Settle()
		r.parts = append(r.parts, p)
	}
}

// checkpoint is what is known of the last durable epoch.
type checkpoint struct {
	at       int
	old      [][]byte
	counters map[string]int64
	wm       map[string][2]int64
}

// unwritten is an epoch that is being written.
type unwritten struct {
	stop
	cut    *checkpoint
	epoch  uint64
	frozen [][]operator.NamedFrozen // of each instance
	lines  []map[string][]line
}

// run drives the operator through a feed.
func (r *rig) run(f feed, p route) {
	r.feed, r.each = f, p.Flush == 0
	r.rng = rand.New(rand.NewPCG(p.Flush, 0))
	if p.Disk {
		r.evictions()
	}
	r.start(p.Start)
	for i, c := range p.Cuts {
		r.upTo(c.At)
		u := r.freeze(c)
		until := r.pos + c.Behind
		if i+1 < len(p.Cuts) {
			until = min(until, p.Cuts[i+1].At) // an epoch ends before the next begins
		}
		for r.pos < min(until, len(f)) {
			r.give()
			u.step()
		}
		r.write(u)
		if c.Next > 0 && !c.Abort {
			r.upTo(r.pos + c.Lost)
			r.end()
			r.pos = u.cut.at
			r.start(c.Next)
			rigRestores.Add(1)
		}
	}
	r.upTo(len(f))
	for _, p := range r.parts {
		r.send(p)
		for name, t := range p.tapes {
			r.made[name] = append(r.made[name], t.lines...)
			r.last[name] = append(r.last[name], [2]int64{t.wm, t.nextToLast})
		}
		p.counters.Add(r.counted)
	}
	r.end()
}

// upTo gives the items before n.
func (r *rig) upTo(n int) {
	for r.pos < min(n, len(r.feed)) {
		r.give()
	}
}

// give gives the next item: a record to the instance that owns its key, a watermark to all.
func (r *rig) give() {
	x := r.feed[r.pos]
	r.pos++
	owner := -1
	if !x.Mark {
		owner = keyed.Owner(keyed.Group(r.hash(x.Value.rec), rigGroups), len(r.parts), rigGroups)
	}
	for i, p := range r.parts {
		if x.Mark || i == owner {
			p.pending = append(p.pending, x)
		}
		if r.each || r.rng.IntN(5) == 0 {
			r.send(p)
		}
	}
}

// send gives an instance what is pending for it. Of watermarks without a record between them it sees the last one.
func (r *rig) send(p *part) {
	todo := p.pending
	p.pending = p.pending[:0]
	for len(todo) > 0 {
		if todo[0].Mark && (r.each || r.rng.IntN(2) == 0) {
			n := 1
			for n < len(todo) && todo[n].Mark && todo[n].Time < model.End && r.rng.IntN(2) == 0 {
				n++
			}
			r.must(p.op.Input(r.port()).Watermark(todo[n-1].Time))
			p.memory.Settle()
			todo = todo[n:]
			continue
		}
		todo = todo[r.batch(p, todo):]
		p.memory.Settle()
	}
}

// batch gives an instance a batch of the first items, all of one port, and returns their number.
func (r *rig) batch(p *part, todo feed) int {
	b, n, port := r.pool.Get(), 0, -1
	for ; n < len(todo); n++ {
		x := &todo[n]
		if x.Mark {
			b.Advance(len(b.Records), x.Time)
			continue
		}
		if port >= 0 && (x.Value.Port != port || r.rng.IntN(20) == 0) {
			break
		}
		port = x.Value.Port
		b.Add(&x.Value.rec, x.Time)
		if p.hashes {
			b.Hashes = append(b.Hashes, r.hash(x.Value.rec))
		}
	}
	if port >= 0 {
		r.must(p.op.Input(port).Process(b))
		return n
	}
	for _, s := range b.Steps {
		r.must(p.op.Input(r.port()).Watermark(s.Time))
	}
	b.Free()
	return n
}

// port chooses one for a watermark.
func (r *rig) port() int { return r.rng.IntN(r.ports) }

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("item %d: %v", r.pos, err)
	}
}

// freeze ends an epoch.
func (r *rig) freeze(c stop) *unwritten {
	r.epoch++
	u := &unwritten{stop: c, epoch: r.epoch, cut: &checkpoint{at: r.pos, counters: map[string]int64{}, wm: map[string][2]int64{}}}
	for i, p := range r.parts {
		r.send(p)
		cut, err := p.op.Freeze(r.epoch)
		r.must(err)
		u.cut.old = append(u.cut.old, cut.State)
		u.frozen = append(u.frozen, cut.Frozen)
		p.counters.Add(u.cut.counters)
		lines := map[string][]line{}
		for name, t := range p.tapes {
			lines[name], t.lines = t.lines, nil
			if i > 0 && t.wm != u.cut.wm[name][0] {
				r.t.Fatalf("output %q: one instance says that the watermark is %d, another %d", name, u.cut.wm[name][0], t.wm)
			}
			u.cut.wm[name] = [2]int64{t.wm, t.nextToLast}
		}
		u.lines = append(u.lines, lines)
	}
	return u
}

// step does a piece of the work of the owner of the state.
func (u *unwritten) step() {
	for _, frozen := range u.frozen {
		for _, z := range frozen {
			if z.Pending() {
				z.Step()
			}
		}
	}
}

// write makes an epoch durable, or gives it up.
func (r *rig) write(u *unwritten) {
	for i, p := range r.parts {
		for _, z := range u.frozen[i] {
			for z.Pending() {
				z.Step()
			}
			file := &stateFile{state: z.State}
			if !u.Abort || r.rng.IntN(2) == 0 {
				r.must(z.WriteTo(file))
			}
			z.Release()
			if !u.Abort {
				r.files = append(r.files, file)
			}
		}
		for name, lines := range u.lines[i] {
			if u.Abort { // the next epoch commits them
				p.tapes[name].lines = append(lines, p.tapes[name].lines...)
			} else {
				r.made[name] = append(r.made[name], lines...)
			}
		}
		if !u.Abort {
			p.op.Completed(u.epoch)
		}
	}
	if !u.Abort {
		r.cut = u.cut
	}
}

// end closes the instances.
func (r *rig) end() {
	for _, p := range r.parts {
		r.must(p.op.Close())
		if p.memory != nil {
			rigEvicted.Add(p.memory.Counters.Evicted.Load())
			rigFetched.Add(p.memory.Counters.Fetched.Load())
		}
	}
	r.parts = nil
}

// stateFile is what an epoch has written of a named state.
type stateFile struct {
	state    string
	sections []stateSection
}

type stateSection struct {
	snapshot.Section
	entries []stateEntry
}

type stateEntry struct {
	key, value []byte
	gone       bool
}

func (f *stateFile) Begin(s snapshot.Section) error {
	f.sections = append(f.sections, stateSection{Section: s})
	return nil
}

func (f *stateFile) add(e stateEntry) error {
	s := &f.sections[len(f.sections)-1]
	s.entries = append(s.entries, e)
	return nil
}

func (f *stateFile) Put(key, value []byte) error {
	return f.add(stateEntry{key: slices.Clone(key), value: slices.Clone(value)})
}

func (f *stateFile) Delete(key []byte) error {
	return f.add(stateEntry{key: slices.Clone(key), gone: true})
}

// replay tells what the durable files say about a state of the groups [lo, hi).
func (r *rig) replay(state string, lo, hi int, v snapshot.Visitor) error {
	for g := lo; g < hi; g++ {
		for _, f := range r.files {
			for _, s := range f.sections {
				if f.state != state || s.Group != g {
					continue
				}
				if err := s.replay(v); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *stateSection) replay(v snapshot.Visitor) error {
	var err error
	switch s.Kind {
	case snapshot.Reset:
		err = v.Reset(s.Group)
	case snapshot.Dropped, snapshot.Full:
		err = v.Drop(s.Group, s.Span)
	}
	for _, e := range s.entries {
		if err != nil {
			break
		}
		if e.gone {
			err = v.Delete(s.Group, s.Span, e.key)
		} else {
			err = v.Put(s.Group, s.Span, e.key, e.value)
		}
	}
	return err
}

// wants compares an output with that of the model. With one instance all of it is in the order of the model, with several that of
// each key.
func (r *rig) wants(side string, want []line) {
	r.t.Helper()
	got := r.made[side]
	rigLines.Add(int64(len(got)))
	if r.spread {
		byKey := func(a, b line) int { return strings.Compare(a.key, b.key) }
		slices.SortStableFunc(got, byKey)
		slices.SortStableFunc(want, byKey)
	}
	if !slices.Equal(got, want) {
		r.t.Fatalf("output %q: %s", side, difference(texted(got), texted(want), true))
	}
}

// wantsAlso is wants for an output of which the model does not say where watermarks stand.
func (r *rig) wantsAlso(side string, want []line) {
	r.t.Helper()
	for i := range r.made[side] {
		r.made[side][i].wm = model.None
	}
	for i := range want {
		want[i].wm = model.None
	}
	r.wants(side, want)
}

// wantsLast compares the watermark at the end, and the one before if all has come from one instance.
func (r *rig) wantsLast(side string, last, nextToLast int64) {
	r.t.Helper()
	for _, got := range r.last[side] {
		if got[0] != last || !r.spread && last == model.End && got[1] != nextToLast {
			r.t.Fatalf("output %q: the last watermarks are %d and %d, want %d and %d", side, got[1], got[0], nextToLast, last)
		}
	}
}

// wantsCount compares a counter.
func (r *rig) wantsCount(name string, want int64) {
	r.t.Helper()
	if got := r.counted[name]; got != want {
		r.t.Fatalf("counter %s is %d, want %d", name, got, want)
	}
}

func texted(lines []line) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = l.String()
	}
	return out
}
