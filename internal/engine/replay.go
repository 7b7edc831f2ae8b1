package engine

import (
	"fmt"
	"strings"

	"github.com/millrace-stream/millrace/internal/operator"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

// replayed marks, among the counts of the first operator, the sets of dead letters that the job has handled again.
const replayed = "replayed "

// toReplay reports whether there are dead letters that no checkpoint knows to have been handled again.
func (a *attempt) toReplay() bool {
	if len(a.cfg.Replay) == 0 {
		return false
	}
	return a.manifest == nil || len(a.manifest.Operators) == 0 || a.manifest.Operators[0].Counters[replayed+a.cfg.ReplayID] == 0
}

// noteReplays says in a manifest which sets have been handled: those before, and that of this attempt, all of which stands before its first barrier.
func (a *attempt) noteReplays(m *snapshot.Manifest) {
	to := m.Operators[0].Counters
	if a.manifest != nil && len(a.manifest.Operators) > 0 {
		for k, v := range a.manifest.Operators[0].Counters {
			if strings.HasPrefix(k, replayed) {
				to[k] = v
			}
		}
	}
	if len(a.letters) > 0 {
		to[replayed+a.cfg.ReplayID] = 1
	}
}

// replay lets the operators of the task handle their dead letters again. The restored watermarks are known, and no record has come yet, so the effect of
// all letters is in the first epoch, or, when that fails, in none.
func (t *taskRun) replay() error {
	if t.replayed || !t.begun {
		return nil
	}
	t.replayed = true
	taken := 0
	for i, o := range t.ops {
		for j := range t.attempt.letters {
			l := t.attempt.letters[j] // a copy: each subtask has its own
			if l.Operator != o.node.ID {
				continue
			}
			t.at.Store(int32(i))
			r, ok := o.op.(operator.Replayer)
			if !ok {
				return fmt.Errorf("dead letters of a %s cannot be handled again", o.node.Kind)
			}
			ok, err := r.Replay(&l)
			if err != nil {
				return err
			}
			if ok {
				taken++
			}
		}
	}
	if taken > 0 {
		t.attempt.cfg.Log.Info("dead letters handled again", "job", t.attempt.cfg.Job, "task", t.name, "letters", taken)
	}
	return nil
}
