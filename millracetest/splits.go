package millracetest

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-stream/millrace/connect"
)

// ScriptedSplits is a source of several splits, each of which does what a script of its own says, beside the others. It implements
// connect.Source. Unlike the splits within one script it has no order between them: the job reads them as it reads those of other
// sources, from the one that is furthest behind, in several subtasks if there are as many.
type ScriptedSplits[T any] struct{ scripts []Scripted[T] }

// Splits returns a source with one split for each script. It is for what the engine does between splits: alignment, idleness, and the watermark of
// all of them.
//
//	millracetest.Splits(
//		millracetest.Script[Ride]().Records(early).Wait(time.Minute).Records(later),
//		millracetest.Script[Ride]().Records(farAhead...),
//	)
func Splits[T any](scripts ...Scripted[T]) ScriptedSplits[T] {
	return ScriptedSplits[T]{scripts: scripts}
}

func scriptID(i int) string { return fmt.Sprintf("script-%06d", i) }

// Check returns the mistakes of all scripts.
func (s ScriptedSplits[T]) Check() error {
	var errs []error
	if len(s.scripts) == 0 {
		errs = append(errs, errors.New("Splits of no script: a source needs one split at least"))
	}
	for i, script := range s.scripts {
		if err := script.Check(); err != nil {
			errs = append(errs, fmt.Errorf("script %d: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

// Splits lists a split for each script.
func (s ScriptedSplits[T]) Splits(context.Context) ([]connect.Split, error) {
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("millracetest: %w", err)
	}
	out := make([]connect.Split, len(s.scripts))
	for i := range s.scripts {
		out[i] = connect.Split{ID: scriptID(i)}
	}
	return out, nil
}

// Open returns a reader of one script that goes on after position.
func (s ScriptedSplits[T]) Open(ctx context.Context, split connect.Split, position []byte) (connect.Reader[T], error) {
	for i, script := range s.scripts {
		if scriptID(i) == split.ID {
			return script.Open(ctx, split, position)
		}
	}
	return nil, fmt.Errorf("millracetest: there is no split %q, only %d scripts", split.ID, len(s.scripts))
}
