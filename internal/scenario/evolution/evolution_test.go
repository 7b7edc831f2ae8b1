package evolution_test

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/task"
	"github.com/millrace-stream/millrace/millracetest"
)

// TestStateOfAProcessFunction goes on with changed types: from a savepoint at another parallelism and from a checkpoint, with all state in memory and
// most on the disk. The second version is stopped too, and goes on from its own checkpoints, in which nothing of the first may be left.
func TestStateOfAProcessFunction(t *testing.T) {
	const at, again, all = 47, 61, 95
	for _, disk := range []bool{false, true} {
		for _, save := range []bool{true, false} {
			t.Run(fmt.Sprintf("disk %t, savepoint %t", disk, save), func(t *testing.T) {
				dir, out := t.TempDir(), memory.NewSink[string]()
				savepoint := ""
				if save {
					savepoint = filepath.Join(dir, "save")
				}
				stopAt(t, firstJob(at, true, memory.NewSink[string]()), config(3, filepath.Join(dir, "first")), at, savepoint)
				for _, parallelism := range []int{2, 5} {
					cfg := config(parallelism, filepath.Join(dir, "first"))
					if save {
						cfg.From, cfg.Checkpoint.Dir = savepoint, filepath.Join(dir, "second")
					}
					if disk {
						cfg.State = millrace.StateConfig{Backend: millrace.DiskBackend, MemoryBudget: 16 << 20}
					}
					if parallelism == 2 {
						stopAt(t, secondJob(again, true, out), cfg, again, "")
					} else {
						run(t, secondJob(all, false, out), cfg)
					}
				}
				equal(t, out.Records(), said(at, all))
			})
		}
	}
}

// TestRecords changes the type of records that windows, sessions, joins and others hold. What is shown does not depend on it.
func TestRecords(t *testing.T) {
	const at, again, all = 47, 61, 95
	whole := memory.NewSink[string]()
	run(t, firstRecords(all, false, whole), config(2, ""))
	dir, out := t.TempDir(), memory.NewSink[string]()
	stopAt(t, firstRecords(at, true, out), config(3, dir), at, "")
	stopAt(t, secondRecords(again, true, out), config(2, dir), again, "")
	stopAt(t, thirdRecords(again+10, true, out), config(1, dir), again+10, "")
	run(t, secondRecords(all, false, out), config(4, dir))
	equal(t, out.Records(), whole.Records())
}

// TestManyStarts ends the second version again and again before much has happened: each start restores what the one before has left.
func TestManyStarts(t *testing.T) {
	const at, all = 30, 50
	save := filepath.Join(t.TempDir(), "save")
	stopAt(t, firstJob(at, true, memory.NewSink[string]()), config(2, ""), at, save)
	out := memory.NewSink[string]()
	for n := at + 1; n < all; n += 4 {
		cfg := config(1+n%3, filepath.Join(filepath.Dir(save), "second"))
		cfg.From = save
		cfg.Checkpoint.EveryRecords = 1
		stopAt(t, secondJob(n, true, out), cfg, n, "")
	}
	cfg := config(2, filepath.Join(filepath.Dir(save), "second"))
	cfg.From = save
	run(t, secondJob(all, false, out), cfg)
	equal(t, out.Records(), said(at, all))
}

var errKilled = errors.New("killed")

// TestKilledWhileMigrating kills the second version when it passes the n-th of all fault points, from the import of the savepoint to its end: nothing becomes
// true after that. The next start must bring about what one that nothing happened to does.
func TestKilledWhileMigrating(t *testing.T) {
	const at, all = 30, 50
	save := filepath.Join(t.TempDir(), "save")
	stopAt(t, firstJob(at, true, memory.NewSink[string]()), config(2, ""), at, save)
	killed := 0
	for n := 1; ; n += 5 {
		out := memory.NewSink[string]()
		cfg := config(2, t.TempDir())
		cfg.From, cfg.Checkpoint.EveryRecords = save, 7
		var passed atomic.Int64
		e := &env.Env{Sched: task.NewSystem(), FS: fsx.OS{}, Fault: func(string) error {
			if passed.Add(1) >= int64(n) {
				return errKilled
			}
			return nil
		}}
		err := millrace.Run(env.With(t.Context(), e), secondJob(all, false, out), cfg)
		if err == nil {
			equal(t, out.Records(), said(at, all))
			break
		}
		if !errors.Is(err, errKilled) {
			t.Fatalf("killed at %d: %v", n, err)
		}
		killed++
		run(t, secondJob(all, false, out), cfg)
		equal(t, out.Records(), said(at, all))
	}
	if killed < 5 {
		t.Errorf("killed %d times", killed)
	}
}

// job makes a job with one keyed operator.
func job(f func(in millrace.Stream[number], out *memory.Sink[string])) *millrace.Job {
	j := millrace.NewJob("evolving")
	f(j.From("in", millracetest.Script[number]().Records(numbers(0, 20)...), millrace.EventTime(number.time)), memory.NewSink[string]())
	return j
}

func process[S any](id string) func(millrace.Stream[number], *memory.Sink[string]) {
	return func(in millrace.Stream[number], out *memory.Sink[string]) {
		in.KeyBy(key).Process(id, func(p *millrace.Proc[string, S, string], _ number) error {
			_ = p.State()
			return nil
		}).To("out", out)
	}
}

// TestPlan says what becomes of each operator, and that a start does the same.
func TestPlan(t *testing.T) {
	type old struct {
		A int32
		B string
	}
	type wide struct {
		A int64
		B string
		C []int8
	}
	type narrow struct{ A int32 }
	type renamed struct {
		A    int32
		Name string
	}
	type tagged struct {
		A    int32
		Name string `state:"B"`
	}
	type other struct {
		A string
		B string
	}
	dir := t.TempDir()
	save := filepath.Join(dir, "save")
	in := millracetest.Script[number]().Records(numbers(0, 20)...).StayOpen()
	j := millrace.NewJob("evolving")
	process[old]("op")(j.From("in", in, millrace.EventTime(number.time)), memory.NewSink[string]())
	stopAt(t, j, config(2, ""), 20, save)
	const was = `operator "op" (FILE): state was "struct{A int32;B string}" in the checkpoint and is `
	for _, tt := range []struct {
		name string
		job  func(millrace.Stream[number], *memory.Sink[string])
		drop []string
		want string
	}{
		{"the same", process[old]("op"), nil, "keep in: source; keep op: process; keep out: sink"},
		{"a tag keeps the name", process[tagged]("op"), nil, "keep in: source; keep op: process; keep out: sink"},
		{"wider", process[wide]("op"), nil, "keep in: source; migrate op/state: A was int32 and is int64; C ([]int8) is added; keep out: sink"},
		{"a field less", process[narrow]("op"), nil, "keep in: source; migrate op/state: B (string) is removed (loses); keep out: sink"},
		{
			"a field of another name", process[renamed]("op"), nil,
			"keep in: source; refuse op/state: " + was + "\"struct{A int32;Name string}\" now: fields are gone and others new; if one has another name now, " +
				"keep that under which it is stored, by a tag `state:\"B\"`; if not, give them up: Drop \"op/state.B\"; keep out: sink",
		},
		{
			"which is given up", process[renamed]("op"),
			[]string{"op/state.B"},
			"keep in: source; migrate op/state: B (string) is removed; Name (string) is added (loses); keep out: sink",
		},
		{
			"another type", process[other]("op"), nil,
			"keep in: source; refuse op/state: " + was + `"struct{A string;B string}" now (A was int32 and is string): bring the old one back, or give it up: Drop "op/state"; keep out: sink`,
		},
		{
			"which is given up", process[other]("op"),
			[]string{"op/state"},
			"keep in: source; drop op/state: given up, as asked for: " + was + `"struct{A string;B string}" now (A was int32 and is string): bring the old one back (loses); keep out: sink`,
		},
		{
			"another operator", process[old]("op2"), nil,
			`keep in: source; refuse op: operator "op" (process) is in the checkpoint and not in the job: its state would be lost; bring it back, or give it up: Drop "op"; keep out: sink; ` +
				"new op2: process begins with nothing: it is not in the checkpoint",
		},
		{
			"which is given up", process[old]("op2"),
			[]string{"op", "nobody"},
			`keep in: source; drop op: given up, as asked for: operator "op" (process) is in the checkpoint and not in the job: its state would be lost; bring it back (loses); keep out: sink; ` +
				"new op2: process begins with nothing: it is not in the checkpoint",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := config(2, "")
			cfg.Drop = tt.drop
			steps, err := job(tt.job).Plan(cfg, save)
			if err != nil {
				t.Fatal(err)
			}
			var texts []string
			refused := false
			for _, s := range steps {
				name := s.Operator
				if s.State != "" {
					name += "/" + s.State
				}
				text := fmt.Sprintf("%s %s: %s", s.Action, name, s.Text)
				if s.Loses {
					text += " (loses)"
				}
				texts = append(texts, text)
				refused = refused || s.Action == millrace.PlanRefuse
			}
			got := strings.Join(texts, "; ")
			if at := strings.Index(got, "evolution_test.go:"); at >= 0 {
				open, end := strings.LastIndexByte(got[:at], '('), at+strings.IndexByte(got[at:], ')')
				got = got[:open+1] + "FILE" + got[end:]
			}
			if got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			cfg.From, cfg.Log = save, slog.New(slog.DiscardHandler)
			if err := millrace.Run(t.Context(), job(tt.job), cfg); (err != nil) != refused {
				t.Errorf("a start says %v", err)
			}
		})
	}
}

// TestDrop begins a state with nothing and keeps the others, over a restart too.
func TestDrop(t *testing.T) {
	const at, again, all = 31, 44, 60
	dir, out := t.TempDir(), memory.NewSink[string]()
	stopAt(t, firstJob(at, true, memory.NewSink[string]()), config(2, dir), at, "")
	cfg := config(3, dir)
	cfg.Drop = []string{"process/state.list"}
	if _, err := dropped(0, out).Plan(cfg, ""); err != nil {
		t.Fatal(err)
	}
	stopAt(t, dropped(again, out), cfg, again, "")
	run(t, dropped(-all, out), cfg) // the same again drops nothing more
	var want []string
	counts, lists := map[string]int{}, map[string]int{}
	for n := range all {
		k := key(number{n})
		counts[k]++
		if n >= at {
			lists[k]++
			want = append(want, fmt.Sprintf("%d %d %d", n, counts[k], lists[k]))
		}
	}
	slices.Sort(want)
	equal(t, out.Records(), want)
}

// dropping counts, where there was a list of items.
type dropping struct {
	count func() int64
	list  func() int
}

func (d *dropping) Record(c *millrace.Call[string, string], n number) error {
	c.Emit(fmt.Sprintf("%d %d %d", n.N, d.count(), d.list()))
	return nil
}
