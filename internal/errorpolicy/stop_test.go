package errorpolicy_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/millracetest"
)

// endless is a script of a record each second.
func endless(n int64) connect.Source[int64] {
	s := millracetest.Script[int64]()
	for i := range n {
		s = s.Records(i).Wait(time.Second)
	}
	return s
}

// TestF43StopInEveryPhase stops a job, drains it or ends its context while it runs, while an epoch is being prepared, and while it waits for its next start
// after a failure. It ends within its limit, with all that was decided committed, once, and nothing of what was not.
func TestF43StopInEveryPhase(t *testing.T) {
	const limit = 20 * time.Second
	for _, phase := range []string{"running", "preparing", "waiting to start again"} {
		for _, how := range []string{"cancel", "stop", "drain"} {
			t.Run(phase+", "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sink := &slow{Sink: memory.NewSink[int64]()}
					switch phase {
					case "preparing":
						sink.prepare = 2 * time.Second
					case "waiting to start again":
						sink.failAt = 3
					}
					control := &millrace.Control{}
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					job := millrace.NewJob("ends")
					job.From("in", endless(1000)).To("out", sink)
					asked := errors.New("not asked yet")
					var at time.Time
					time.AfterFunc(5500*time.Millisecond, func() {
						at = time.Now()
						switch how {
						case "cancel":
							cancel(errors.New("enough"))
							asked = nil
						case "stop":
							asked = control.Stop(context.Background(), "")
						case "drain":
							asked = control.Drain(context.Background())
						}
					})
					var status millrace.Status
					err := millrace.Run(ctx, job, millrace.Config{
						Log: slog.New(slog.DiscardHandler), Parallelism: 1, Control: control, StopTimeout: limit,
						Restart: millrace.RestartConfig{Attempts: 3, Strategy: millrace.RestartFixed, Backoff: 5 * time.Second},
						Observe: func(s millrace.Status) { status = s },
					})
					took := time.Since(at)
					synctest.Wait()
					if at.IsZero() || took > limit || asked != nil {
						t.Errorf("it ended after %v, %v: %v", took, asked, err)
					}
					if phase == "waiting to start again" && how == "cancel" {
						if took > time.Second { // there is nothing to wait for
							t.Errorf("it took %v", took)
						}
					} else if wrong := how == "drain" && err != nil || how == "stop" && !errors.Is(err, millrace.ErrStopped) || how == "cancel" && err == nil; wrong {
						t.Errorf("%v", err)
					}
					got := sink.Records()
					for i, n := range got {
						if n != int64(i) {
							t.Fatalf("committed: %v", got)
						}
					}
					if int64(len(got)) != status.Out && phase != "waiting to start again" {
						t.Errorf("%d records are committed, and %d were put out", len(got), status.Out)
					}
				})
			})
		}
	}
}

// slow is a sink that takes its time to prepare an epoch, and may fail once.
type slow struct {
	*memory.Sink[int64]
	prepare time.Duration
	failAt  int64
}

func (s *slow) OpenWriter(ctx context.Context, info connect.SinkInfo) (connect.Writer[int64], error) {
	w, err := s.Sink.OpenWriter(ctx, info)
	return &slowWriter{w, s}, err
}

type slowWriter struct {
	connect.Writer[int64]
	s *slow
}

func (w *slowWriter) Write(ctx context.Context, records []int64) error {
	if at := w.s.failAt; at > 0 && records[0] == at {
		w.s.failAt = 0
		return connect.Retryable(errors.New("down for a moment"))
	}
	return w.Writer.Write(ctx, records)
}

func (w *slowWriter) Prepare(ctx context.Context, epoch uint64) (connect.Finish, error) {
	finish, err := w.Writer.Prepare(ctx, epoch)
	if err != nil || finish == nil {
		return finish, err
	}
	return func(ctx context.Context) ([]byte, error) {
		<-time.NewTimer(w.s.prepare).C // virtual time
		return finish(ctx)
	}, nil
}

// TestI19EpochsGoOnAfterTheLastFault: with a sink that fails for a minute, the next epoch is decided within three times the greatest wait and the interval.
func TestI19EpochsGoOnAfterTheLastFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var last time.Time
		faults := 0
		sink := flaky{memory.NewSink[int64](), func() error {
			if since := time.Since(began); since > 10*time.Second && since < 70*time.Second {
				last = time.Now()
				faults++
				return connect.Retryable(errors.New("down"))
			}
			return nil
		}}
		const wait, interval = 4 * time.Second, 2 * time.Second
		job := millrace.NewJob("goes-on")
		job.From("in", endless(100)).To("out", sink)
		var epochs int64
		var next time.Time
		err := millrace.Run(context.Background(), job, millrace.Config{
			Log: slog.New(slog.DiscardHandler), Parallelism: 1, Checkpoint: millrace.CheckpointConfig{Interval: interval},
			Restart:      millrace.RestartConfig{Attempts: 1000, Backoff: 100 * time.Millisecond, MaxBackoff: wait},
			ObserveEvery: 10 * time.Millisecond,
			Observe: func(s millrace.Status) {
				if s.Epochs > epochs && !last.IsZero() && next.Before(last) {
					next = time.Now()
				}
				epochs = s.Epochs
			},
		})
		if err != nil || faults < 10 || next.Sub(last) > 3*(wait+interval) || !next.After(last) {
			t.Errorf("%d faults, the next epoch %v after the last: %v", faults, next.Sub(last), err)
		}
		if got := sink.Records(); len(got) != 100 {
			t.Errorf("committed: %v", got)
		}
	})
}

// TestI23PoisonBlocksNoOtherSplit: a split of which every record fails keeps none of another from its way, and each failure is counted and told.
func TestI23PoisonBlocksNoOtherSplit(t *testing.T) {
	good, poison := make([]int64, 1000), make([]int64, 1000)
	for i := range good {
		good[i], poison[i] = int64(2*i), int64(2*i+1)
	}
	for _, parallelism := range []int{1, 2} {
		job, out, dead := millrace.NewJob("splits"), memory.NewSink[int64](), memory.NewSink[millrace.DeadLetter]()
		s := job.From("in", memory.Splits(poison, good)).Map(func(n int64) int64 {
			if n%2 == 1 {
				panic(fmt.Sprint("poison ", n))
			}
			return n
		}).OnError(letters)
		s.To("out", out)
		millrace.DeadLetters(s).To("dead", dead)
		status := millracetest.Run(t, job, millracetest.Parallelism(parallelism))
		why := map[string]bool{}
		for _, l := range dead.Records() {
			why[fmt.Sprint(l.Split, l.Record, l.Error)] = true
		}
		for i, n := range poison {
			if !why[fmt.Sprint("slice-000000", i, "panic: poison ", n)] {
				t.Fatalf("%d has no letter", n)
			}
		}
		if len(out.Records()) != len(good) || len(dead.Records()) != len(poison) || status.DeadLettered != int64(len(poison)) {
			t.Errorf("%d records, %d letters, %d counted", len(out.Records()), len(dead.Records()), status.DeadLettered)
		}
	}
}
