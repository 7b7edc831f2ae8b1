package millracetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/task"
)

// Collect returns a sink that keeps in memory what is committed to it, exactly once, for Records to return. In Crash it is
// Trial.Collect that is needed.
func Collect[T any]() *memory.Sink[T] { return memory.NewSink[T]() }

// Run runs the job to its end, with checkpoints in a directory that is removed afterwards, and returns its last status. The test fails when the
// job does, and when it is stuck: then with a picture of what waits where. See StuckAfter.
func Run(t TB, job *millrace.Job, opts ...Option) millrace.Status {
	t.Helper()
	s, err := newSettings(opts, false)
	if err == nil && job == nil {
		err = errors.New("the job is nil")
	}
	if err != nil {
		t.Fatalf("millracetest: Run: %v", err)
		return millrace.Status{}
	}
	dir, err := os.MkdirTemp("", "millracetest-")
	if err != nil {
		t.Fatalf("millracetest: Run: make a directory for checkpoints: %v", err)
		return millrace.Status{}
	}
	cfg := s.config(s.parallelism[0])
	cfg.Checkpoint.Dir = dir
	for _, f := range s.configure {
		f(&cfg)
	}
	var status millrace.Status
	err = s.inTime(t, func() (err error) {
		status, err = start(job, cfg, &env.Env{Sched: task.NewSystem(), FS: fsx.OS{}, Strict: true}, s.stuck)
		return err
	})
	if rerr := os.RemoveAll(dir); err == nil && rerr != nil {
		err = fmt.Errorf("remove the checkpoints: %w", rerr)
	}
	if err != nil {
		t.Fatalf("millracetest: job %s: %v", job.Name(), err)
	}
	return status
}

// start runs a job once, in a world, and watches it.
func start(job *millrace.Job, cfg millrace.Config, world *env.Env, stuck time.Duration) (millrace.Status, error) {
	w := &watch{sched: task.NewSystem()}
	ctx, cancel := context.WithCancelCause(context.WithValue(env.With(context.Background(), world), watchKey{}, w))
	defer cancel(nil)
	w.ev = w.sched.NewEvent()
	w.mu.moved = w.sched.Now()
	user := cfg.Observe
	cfg.Observe = func(s millrace.Status) {
		w.see(s)
		if user != nil {
			user(s)
		}
	}
	if cfg.ObserveEvery == 0 {
		cfg.ObserveEvery = min(max(stuck/20, time.Millisecond), 100*time.Millisecond)
	}
	w.sched.Go("millracetest "+job.Name(), func() { w.end(millrace.Run(ctx, job, cfg)) })
	if w.wait(stuck) {
		return w.result()
	}
	s := &stuckError{job: job.Name(), after: stuck, status: w.last(), stacks: running()}
	cancel(s)
	s.ended = w.waitFor(cfg.StopTimeout + time.Second)
	return w.last(), s
}

// watch sees whether a job moves.
type watch struct {
	sched task.Scheduler
	ev    task.Event

	mu struct {
		sync.Mutex
		status millrace.Status
		moved  time.Time
		done   bool
		err    error
	}
}

func (w *watch) see(s millrace.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.Ended || !slices.EqualFunc(w.mu.status.Operators, s.Operators, samePlace) {
		if now := w.sched.Now(); now.After(w.mu.moved) {
			w.mu.moved = now
		}
	}
	w.mu.status = s
}

type watchKey struct{}

// expected returns what tells who watches the run of the context that nothing will move before a time.
func expected(ctx context.Context) func(time.Time) {
	if w, ok := ctx.Value(watchKey{}).(*watch); ok {
		return w.expect
	}
	return func(time.Time) {}
}

func (w *watch) expect(until time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if until.After(w.mu.moved) {
		w.mu.moved = until
	}
}

// samePlace ignores what waits: a queue that fills shows in the counts of who fills it.
func samePlace(a, b millrace.OperatorStatus) bool {
	a.Queued, b.Queued, a.Busy, b.Busy = 0, 0, 0, 0
	return a == b
}

func (w *watch) end(err error) {
	w.mu.Lock()
	w.mu.done, w.mu.err = true, err
	w.mu.Unlock()
	w.ev.Set()
}

func (w *watch) result() (millrace.Status, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mu.status, w.mu.err
}

func (w *watch) last() millrace.Status {
	s, _ := w.result()
	return s
}

// wait returns true when the run has ended, and false when it has not moved for the time.
func (w *watch) wait(stuck time.Duration) bool {
	for {
		w.mu.Lock()
		done, left := w.mu.done, stuck-w.sched.Now().Sub(w.mu.moved)
		w.mu.Unlock()
		if done {
			return true
		}
		if left <= 0 {
			return false
		}
		w.ev.Wait(left)
	}
}

// waitFor reports whether the run ends within the time.
func (w *watch) waitFor(d time.Duration) bool {
	w.mu.Lock()
	w.mu.moved = w.sched.Now().Add(24 * time.Hour) // what moves now does not matter
	w.mu.Unlock()
	for until := w.sched.Now().Add(d); ; {
		w.mu.Lock()
		done := w.mu.done
		w.mu.Unlock()
		left := until.Sub(w.sched.Now())
		if done || left <= 0 {
			return done
		}
		w.ev.Wait(left)
	}
}

// stuckError is a picture of a job that does not move.
type stuckError struct {
	job    string
	after  time.Duration
	status millrace.Status
	stacks []string
	// ended says that the job could be stopped.
	ended bool
}

func (e *stuckError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "stuck: nothing has moved for %v, %d epochs are decided\n", e.after, e.status.Epochs)
	b.WriteString(picture(e.status))
	for _, s := range e.stacks {
		fmt.Fprintf(&b, "a task of this process is busy in:\n%s\n", s)
	}
	if !e.ended {
		b.WriteString("the job could not be stopped either: a function of it does not return\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

// picture shows where each operator stands.
func picture(s millrace.Status) string {
	if len(s.Operators) == 0 {
		return "  no operator has begun: the job is being restored, or a source lists its splits, or a sink recovers\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "  %-20s %-12s %10s %10s %10s  %s\n", "operator", "kind", "in", "out", "waiting", "watermark")
	for _, o := range s.Operators {
		wm := "none yet"
		switch {
		case o.Ended:
			wm = "at the end"
		case !o.Watermark.IsZero():
			wm = o.Watermark.UTC().Format(time.RFC3339Nano)
		}
		fmt.Fprintf(&b, "  %-20s %-12s %10d %10d %10d  %s\n", o.ID, o.Kind, o.In, o.Out, o.Queued, wm)
	}
	return b.String()
}

// running returns the stacks of operators that do something rather than wait for the engine.
func running() (stacks []string) {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	for s := range strings.SplitSeq(string(buf), "\n\n") {
		if strings.Contains(s, "engine.(*taskRun).run(") && !strings.Contains(s, "task.(*chanEvent).Wait(") {
			lines := strings.Split(s, "\n")
			stacks = append(stacks, "  "+strings.Join(lines[:min(len(lines), 15)], "\n  "))
		}
	}
	return stacks[:min(len(stacks), 3)]
}
