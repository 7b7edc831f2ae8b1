// Package jobs makes random jobs for the simulator, each with what the naive model (internal/model) says comes out of it.
//
// A job has one source and some branches behind it, each an operator with sinks of its own. With one split, records may come late, and
// exactly what is late by the rules must be; with several, nothing is late, and the order between the splits does not matter.
package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/model"
	"github.com/millrace-stream/millrace/internal/sim"
)

// rec is what all streams carry.
type rec struct {
	At  int64
	V   int32
	K   uint8
	Tag string
}

func (r rec) text() string { return fmt.Sprintf("%d %d k%d %s", r.At, r.V, r.K, r.Tag) }

func at(r rec) int64         { return r.At }
func value(r rec) int32      { return r.V }
func moment(r rec) time.Time { return time.Unix(0, r.At) }

var names = []string{"b", "a\x00", "", "ab", "a", "é", "A", "zz", "key-8", "key-9", "key-10", "key-11"}

func key(r rec) string { return names[int(r.K)%len(names)] }

// tick is the unit of event times.
const tick = int64(time.Millisecond)

// job is a random job: what it reads and what it does.
type job struct {
	world  *sim.World
	splits [][]rec
	bound  int64
	// several says that there are splits with no order between them, so nothing is late.
	several  bool
	branches []branch
	// unread is how many in 1000 reads find nothing for now.
	quiet int

	sinks map[string]*sink
	// wanted is what the model says of each sink.
	wanted map[string][]string
	late   int64
}

// branch is an operator and what it is given.
type branch struct {
	op operator
	id string
	// files says that results go to files; otherwise they are collected in memory. Twin also gives them to the other kind.
	files, twin bool
}

// operator is something that a branch does, by the engine and by the model.
type operator interface {
	build(j *job, id string, in millrace.Stream[rec]) millrace.Stream[rec]
	model(j *job, id string, in []model.Item[rec]) []model.Item[rec]
}

// sink is where results are seen.
type sink struct {
	mem  *memory.Sink[string]
	dir  string
	seen map[string]int
}

// New draws a job. Its operators are those that only names, all kinds if it is empty.
func New(w *sim.World, only ...string) sim.Job {
	r := w.Draw
	j := &job{world: w, sinks: map[string]*sink{}, wanted: map[string][]string{}, quiet: []int{0, 0, 20, 300}[r.IntN(4)]}
	j.several = r.IntN(2) == 0
	n := 1
	if j.several {
		n = 1 + r.IntN(4)
	}
	j.bound = int64(r.IntN(8)) * tick
	base := []int64{0, -30, 1_700_000_000_000}[r.IntN(3)] * tick
	for i := range n {
		j.splits = append(j.splits, records(r, base, i))
	}
	if j.several {
		for _, sp := range j.splits {
			j.bound = max(j.bound, disorder(sp))
		}
	}
	for i := range 1 + r.IntN(3) {
		b := branch{op: draw(r, j.several, only), id: fmt.Sprint("op", i), files: r.IntN(2) == 0, twin: r.IntN(4) == 0}
		j.branches = append(j.branches, b)
	}
	j.want()
	return sim.Job{Build: j.build, Look: j.look, Check: j.check, Configure: j.configure}
}

// records makes a split. Mostly it is short, so that many lives of a job fit into little time.
func records(r *rand.Rand, base int64, split int) []rec {
	n := r.IntN(60)
	if r.IntN(12) == 0 {
		n = 300 + r.IntN(1200) // more than a batch
	}
	spread := int64(1 + r.IntN(12))
	kinds := 1 + r.IntN(len(names))
	steps := []int64{0, 1, 1, 2, 3, 9}
	now := int64(0)
	out := make([]rec, 0, n)
	for i := range n {
		now += steps[r.IntN(len(steps))]
		x := rec{At: base + (now-r.Int64N(spread))*tick, V: int32(r.IntN(19)) - 9, K: uint8(r.IntN(kinds)), Tag: fmt.Sprintf("s%d.%d", split, i)}
		x.At += []int64{0, 0, -1, 1}[r.IntN(4)]
		out = append(out, x)
	}
	return out
}

// disorder is how far records come behind the newest before them.
func disorder(rs []rec) int64 {
	most, newest := int64(0), int64(model.None)
	for _, r := range rs {
		newest = max(newest, r.At)
		most = max(most, newest-r.At)
	}
	return most
}

// configure keeps the number of epochs small where there are many records.
func (j *job) configure(c *millrace.Config) {
	for _, sp := range j.splits {
		if n := int64(len(sp) / 20); c.Checkpoint.EveryRecords > 0 {
			c.Checkpoint.EveryRecords = max(c.Checkpoint.EveryRecords, n)
		}
	}
}

// build makes the job for a start.
func (j *job) build() *millrace.Job {
	jb := millrace.NewJob(sim.JobName())
	in := jb.From("source", source{memory.Splits(j.splits...), j}, millrace.EventTime(moment).OutOfOrderness(time.Duration(j.bound))).
		Map(func(r rec) rec { j.world.Pass(); return r })
	for _, b := range j.branches {
		j.take(b.op.build(j, b.id, in), b.id, b.files, b.twin)
	}
	return jb
}

// take gives a stream to a sink, or to two.
func (j *job) take(from millrace.Stream[rec], name string, files, twin bool) {
	lines := from.Map(rec.text)
	if files || twin {
		lines.To("to-"+name+"-files", file.Lines(j.sink(name+"-files", true).dir))
	}
	if !files || twin {
		lines.To("to-"+name, j.sink(name, false).mem)
	}
}

// sink returns the sink of a name. It outlives the lives of the job.
func (j *job) sink(name string, files bool) *sink {
	s := j.sinks[name]
	if s == nil {
		s = &sink{seen: map[string]int{}}
		if files {
			s.dir = filepath.Join(sim.OutDir, name)
		} else {
			s.mem = memory.NewSink[string]()
		}
		j.sinks[name] = s
	}
	return s
}

// lines returns what a reader sees.
func (j *job) lines(s *sink) ([]string, error) {
	if s.mem != nil {
		return s.mem.Records(), nil
	}
	return readLines(j.world.Mem(), s.dir)
}

func readLines(m *fsx.Mem, dir string) (out []string, err error) {
	all, err := sim.Visible(m, dir)
	if err != nil {
		return nil, err
	}
	for _, content := range all {
		for line := range strings.Lines(content) {
			out = append(out, strings.TrimSuffix(line, "\n"))
		}
	}
	return out, nil
}

// want asks the model.
func (j *job) want() {
	var in []model.Item[rec]
	if j.several {
		var all [][]model.Item[rec]
		for _, sp := range j.splits {
			all = append(all, model.Source(sp, at, j.bound))
		}
		in = model.Union(all...)
	} else {
		in = model.Source(j.splits[0], at, j.bound)
	}
	for _, b := range j.branches {
		out := b.op.model(j, b.id, in)
		if b.files || b.twin {
			j.expect(b.id+"-files", out)
		}
		if !b.files || b.twin {
			j.expect(b.id, out)
		}
	}
}

func (j *job) expect(name string, from []model.Item[rec]) {
	lines := []string{}
	for _, r := range model.Records(from) {
		lines = append(lines, r.text())
	}
	j.wanted[name] = lines
}

// look compares what a reader sees with what may be seen: nothing that is not in the end result, nothing of it twice, nothing gone that has been seen.
func (j *job) look(l sim.Look) error {
	for _, name := range slices.Sorted(maps.Keys(j.sinks)) {
		s := j.sinks[name]
		lines, err := j.lines(s)
		if err != nil {
			return err
		}
		now, may := count(lines), count(j.wanted[name])
		for _, line := range slices.Sorted(maps.Keys(now)) {
			if now[line] > may[line] {
				return fmt.Errorf("sink %q shows %q %d times, and the whole result has it %d times", name, line, now[line], may[line])
			}
		}
		if l.Kept {
			for _, line := range slices.Sorted(maps.Keys(s.seen)) {
				if now[line] < s.seen[line] {
					return fmt.Errorf("sink %q has shown %q %d times and shows it %d times now", name, line, s.seen[line], now[line])
				}
			}
		}
		if l.Lasting {
			s.seen = now
		}
	}
	return nil
}

func count(lines []string) map[string]int {
	n := map[string]int{}
	for _, l := range lines {
		n[l]++
	}
	return n
}

// check compares the end result, and the ledger, with the model.
func (j *job) check(s millrace.Status) error {
	for _, name := range slices.Sorted(maps.Keys(j.wanted)) {
		got, err := j.lines(j.sinks[name])
		if err != nil {
			return err
		}
		if d := difference(got, j.wanted[name]); d != "" {
			return fmt.Errorf("sink %q: %s\n%v", name, d, j)
		}
	}
	in, out := int64(0), int64(0)
	for _, sp := range j.splits {
		in += int64(len(sp))
	}
	for _, lines := range j.wanted {
		out += int64(len(lines))
	}
	switch {
	case s.In != in || s.Out != out:
		return fmt.Errorf("the ledger has %d records in and %d out, want %d and %d", s.In, s.Out, in, out)
	case s.Late != j.late:
		return fmt.Errorf("the ledger has %d late records, want %d", s.Late, j.late)
	case !s.Finished:
		return errors.New("the last status does not say that the job has finished")
	}
	for _, b := range j.branches {
		if o, ok := b.op.(interface{ ordered(lines []string) error }); ok && !b.files {
			if err := o.ordered(j.sinks[b.id].mem.Records()); err != nil {
				return fmt.Errorf("sink %q: %w", b.id, err)
			}
		}
	}
	return nil
}

// String tells what the job is.
func (j *job) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "  splits %d, bound %v\n", len(j.splits), time.Duration(j.bound))
	for _, x := range j.branches {
		fmt.Fprintf(&b, "  %s: %T%+v\n", x.id, x.op, x.op)
	}
	return b.String()
}

// difference tells what only one of two outputs has, in any order.
func difference(got, want []string) string {
	more, less := without(got, want), without(want, got)
	if len(more)+len(less) == 0 {
		return ""
	}
	return fmt.Sprintf("%d records, want %d\n  too many:%s\n  missing:%s", len(got), len(want), list(more), list(less))
}

// without returns what a has more than b.
func without(a, b []string) (out []string) {
	n := count(b)
	for _, s := range a {
		if n[s]--; n[s] < 0 {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return out
}

// list shows the first lines.
func list(lines []string) (out string) {
	for _, s := range lines[:min(len(lines), 6)] {
		out += fmt.Sprintf("\n    %.300s", s)
	}
	return out
}

// source reads few records at a time, or none, or fails, as the world wants.
type source struct {
	*memory.Source[rec]
	job *job
}

func (s source) Open(ctx context.Context, sp connect.Split, position []byte) (connect.Reader[rec], error) {
	r, err := s.Source.Open(ctx, sp, position)
	return reader{r, s.job}, err
}

type reader struct {
	connect.Reader[rec]
	job *job
}

func (r reader) Read(ctx context.Context, out []rec) (int, error) {
	n, err := r.job.world.Read(len(out), r.job.quiet)
	if n == 0 || err != nil {
		return 0, err
	}
	return r.Reader.Read(ctx, out[:n])
}

// byKey is the order of keys.
func byKey(a, b string) int { return cmp.Compare(a, b) }
