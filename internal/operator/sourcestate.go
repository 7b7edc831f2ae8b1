package operator

import (
	"encoding/json"
	"fmt"

	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/progress"
)

// splitState is a split in a checkpoint.
type splitState struct {
	ID       string `json:"id"`
	Position []byte `json:"position,omitempty"`
	// Newest is the largest event time, from which bounded disorder makes the watermark.
	Newest int64 `json:"newest"`
	// Watermark is what a reader has dictated, or a generator made.
	Watermark *int64 `json:"watermark,omitempty"`
	// Generator is the state of a generator other than that of bounded disorder.
	Generator []byte `json:"generator,omitempty"`

	Status  progress.Status `json:"status"`
	Records int64           `json:"records"`
	Bytes   int64           `json:"bytes"`
}

// sourceState is a subtask of a source in a checkpoint.
type sourceState struct {
	// Watermark is what the subtask had passed on.
	Watermark int64        `json:"watermark"`
	Splits    []splitState `json:"splits"`
}

// oldSplits is what a checkpoint says about a source.
type oldSplits struct {
	splits map[string]splitState
	// watermark is the smallest of the subtasks.
	watermark int64
}

func readSplits(old [][]byte) (oldSplits, error) {
	o := oldSplits{splits: map[string]splitState{}, watermark: element.NoTime}
	for i, b := range old {
		var st sourceState
		if err := json.Unmarshal(b, &st); err != nil {
			return o, fmt.Errorf("source state of subtask %d in the checkpoint: %w", i, err)
		}
		if i == 0 || st.Watermark < o.watermark {
			o.watermark = st.Watermark
		}
		for _, sp := range st.Splits {
			o.splits[sp.ID] = sp
		}
	}
	return o, nil
}

// OldSplits returns the splits in a checkpoint's source states by id, and whether each had ended.
func OldSplits(old [][]byte) (ended map[string]bool, err error) {
	o, err := readSplits(old)
	if err != nil {
		return nil, err
	}
	ended = make(map[string]bool, len(o.splits))
	for id, sp := range o.splits {
		ended[id] = sp.Status == progress.Ended
	}
	return ended, nil
}

// OldProgress returns how many bytes a checkpoint's source states have read, and the newest event time; ok is false when no
// record had one.
func OldProgress(old [][]byte) (bytes, newest int64, ok bool, err error) {
	o, err := readSplits(old)
	if err != nil {
		return 0, 0, false, err
	}
	newest = element.NoTime
	for _, sp := range o.splits {
		bytes += sp.Bytes
		newest = max(newest, sp.Newest)
	}
	return bytes, newest, newest > element.NoTime, nil
}

// Freeze notes the positions of all splits.
func (s *sourceOp[T]) Freeze(uint64) (Cut, error) {
	state := sourceState{Watermark: s.wm, Splits: make([]splitState, len(s.splits))}
	for i, sp := range s.splits {
		if sp.reader != nil {
			sp.pos = sp.reader.Position()
		}
		if sp.Unseekable {
			sp.pos = nil
		}
		state.Splits[i] = splitState{
			ID: sp.ID, Position: sp.pos, Newest: sp.bounded.State(), Status: s.combiner.Status(sp.index),
			Records: sp.records, Bytes: sp.bytes,
		}
		if (sp.told || sp.gen != nil) && !sp.ended {
			state.Splits[i].Watermark = &sp.wm
		}
		if sp.gen != nil {
			state.Splits[i].Generator = sp.gen.State()
		}
	}
	b, err := json.Marshal(state)
	if err != nil {
		return Cut{}, fmt.Errorf("encode source positions: %w", err)
	}
	return Cut{State: b}, nil
}

// restore sets the split from a checkpoint and returns its state as an input of the combiner, whose output is given.
func (sp *split[T]) restore(st *splitState, output int64) (progress.InputState, error) {
	sp.pos, sp.records, sp.bytes = st.Position, st.Records, st.Bytes
	sp.bounded.Restore(st.Newest)
	in := progress.InputState{Watermark: sp.bounded.Watermark(), Status: st.Status}
	if st.Watermark != nil {
		in.Watermark, sp.told = *st.Watermark, true
	}
	if sp.gen != nil && st.Generator != nil {
		if err := sp.gen.Restore(st.Generator); err != nil {
			return in, fmt.Errorf("state of the watermarks of split %s in the checkpoint: %w", sp.ID, err)
		}
	}
	switch in.Status {
	case progress.Ended:
		sp.ended = true
		in.Watermark = element.EndTime
	case progress.Removed: // it ended while others could still come
		sp.ended = true
	case progress.Behind:
		if in.Watermark >= output {
			in.Status = progress.Active
		}
	case progress.Idle:
		sp.quiet.Restore(true)
	}
	return in, nil
}

// Holder looks at the splits that have not ended and are not idle.
func (s *sourceOp[T]) Holder() (split string, watermark, ahead int64) {
	watermark, ahead = element.EndTime, element.NoTime
	for _, sp := range s.splits {
		ahead = max(ahead, sp.wm)
		if s.combiner.Status(sp.index) == progress.Active && sp.wm < watermark {
			split, watermark = sp.ID, sp.wm
		}
	}
	return split, watermark, ahead
}
