package millrace_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/internal/task"
	"github.com/millrace-stream/millrace/millracetest"
	"github.com/millrace-stream/millrace/window"
)

// hours counts numbers, which are minutes of a day, by the hour.
func hours(name string, minutes millracetest.Scripted[int], out *memory.Sink[string]) *millrace.Job {
	job := millrace.NewJob(name)
	job.From("minutes", minutes, millrace.EventTime(func(m int) time.Time { return time.Unix(int64(m)*60, 0) })).
		KeyBy(func(int) string { return "all" }).
		Window(window.Tumbling(time.Hour)).
		Aggregate("hours", agg.Count[int]()).
		Map(func(p millrace.Pane[string, int64]) string {
			return fmt.Sprintf("%s: %d", p.Start.Format("15:04"), p.Value)
		}).
		To("out", out)
	return job
}

// runs lets a job run beside the example until it has read n records, then asks for what the example wants, and returns how the job has ended.
func runs(job *millrace.Job, cfg millrace.Config, n int64, ask func(*millrace.Control) error) error {
	control := &millrace.Control{}
	read, end := make(chan bool, 1000), make(chan error, 1)
	cfg.Control, cfg.Log, cfg.ObserveEvery = control, quiet(), time.Millisecond
	cfg.Observe = func(s millrace.Status) {
		if s.In >= n {
			select {
			case read <- true:
			default:
			}
		}
	}
	task.NewSystem().Go("example", func() { end <- millrace.Run(context.Background(), job, cfg) })
	<-read
	if err := ask(control); err != nil {
		return err
	}
	return <-end
}

// A savepoint of a running job, and a fork that begins there: the hour that is open goes on in it, those before are not shown again.
func ExampleControl_Savepoint() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	save := filepath.Join(dir, "monday")
	state := millrace.CheckpointConfig{Dir: filepath.Join(dir, "state"), Interval: time.Millisecond}
	ctx := context.Background()
	first, fork := memory.NewSink[string](), memory.NewSink[string]()
	so := millracetest.Script[int]().Records(10, 50, 70)

	err = runs(hours("hours", so.StayOpen(), first), millrace.Config{Checkpoint: state}, 3, func(c *millrace.Control) error {
		if err := c.Savepoint(ctx, save); err != nil {
			return err
		}
		return c.Stop(ctx, "")
	})
	fmt.Println(first.Records(), err)

	err = millrace.Run(ctx, hours("what-if", so.Records(80, 90), fork), millrace.Config{Checkpoint: state, From: save, Log: quiet()})
	fmt.Println(fork.Records(), err)
	// Output:
	// [00:00: 2] millrace: stopped
	// [01:00: 3] <nil>
}

// Drain ends the input where it is: the open hour fires, and the job has come to its end.
func ExampleControl_Drain() {
	out := memory.NewSink[string]()
	err := runs(hours("hours", millracetest.Script[int]().Records(10, 50, 70).StayOpen(), out), millrace.Config{}, 3, func(c *millrace.Control) error {
		return c.Drain(context.Background())
	})
	fmt.Println(out.Records(), err)
	// Output: [00:00: 2 01:00: 1] <nil>
}

// What a job that has changed would do with a savepoint: the sum is kept under another name, the number is wider, and a state that is gone stands in
// the way until it is named in Drop.
func ExampleJob_Plan() {
	type before struct {
		Cents int64
		N     int32
	}
	type after struct {
		Amount int64 `state:"Cents"`
		N      int64
	}
	sums := func(in millracetest.Scripted[int], id string, f func(s millrace.Keyed[bool, int], id string) millrace.Stream[int]) *millrace.Job {
		job := millrace.NewJob("sums")
		f(job.From("in", in).KeyBy(func(n int) bool { return n < 0 }), id).To("out", memory.NewSink[int]())
		return job
	}
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	save := filepath.Join(dir, "save")
	old := func(s millrace.Keyed[bool, int], id string) millrace.Stream[int] {
		return s.Process(id, func(p *millrace.Proc[bool, before, int], n int) error { p.State().N++; return nil })
	}
	job := sums(millracetest.Script[int]().Records(1, 2, 3).StayOpen(), "sum", old)
	err = runs(job, millrace.Config{}, 3, func(c *millrace.Control) error { return c.Stop(context.Background(), save) })
	fmt.Println(err)

	changed := func(s millrace.Keyed[bool, int], id string) millrace.Stream[int] {
		return s.Process(id, func(p *millrace.Proc[bool, after, int], n int) error { p.State().N++; return nil })
	}
	for _, c := range []struct {
		id   string
		drop []string
	}{{"sum", nil}, {"total", nil}, {"total", []string{"sum"}}} {
		steps, err := sums(millracetest.Script[int](), c.id, changed).Plan(millrace.Config{Drop: c.drop}, save)
		if err != nil {
			fmt.Println(err)
		}
		for _, s := range steps {
			if s.Action != millrace.PlanKeep {
				fmt.Println(s.Action, s.Operator, s.State, s.Text)
			}
		}
	}
	// Output:
	// millrace: stopped
	// migrate sum state N was int32 and is int64
	// refuse sum  operator "sum" (process) is in the checkpoint and not in the job: its state would be lost; bring it back, or give it up: Drop "sum"
	// new total  process begins with nothing: it is not in the checkpoint
	// drop sum  given up, as asked for: operator "sum" (process) is in the checkpoint and not in the job: its state would be lost; bring it back
	// new total  process begins with nothing: it is not in the checkpoint
}
