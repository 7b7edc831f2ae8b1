package operator

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/keyed"
)

// Replayer is implemented by operators that can be given dead letters of theirs again.
type Replayer interface {
	// Replay handles the record of a letter like one that comes from the input. It returns false when that is for another subtask.
	Replay(l *DeadLetter) (taken bool, err error)
}

// readLetter makes a batch of the record of a letter.
func readLetter[T any](l *DeadLetter) (*element.Of[T], error) {
	if l.Encoding != EncodedJSON {
		return nil, fmt.Errorf("a dead letter of operator %q is encoded as %q: only JSON can be read here", l.Operator, l.Encoding)
	}
	var r T
	if err := json.Unmarshal(l.Raw, &r); err != nil {
		return nil, fmt.Errorf("the record of a dead letter of operator %q cannot be read: %w", l.Operator, err)
	}
	b := &element.Of[T]{}
	b.Add(&r, l.EventTime.UnixNano())
	if l.Source != "" {
		b.Origins = append(b.Origins, element.Origin{Split: &element.SplitName{Source: l.Source, Split: l.Split}, Record: l.Record, Place: l.Place})
	}
	return b, nil
}

// replay lets op handle a letter, so that it is known to have been one if it fails again.
func (f *failures) replay(l *DeadLetter, b element.Batch, op Receiver) (bool, error) {
	f.replays = l.Replays + 1
	defer func() { f.replays = 0 }()
	f.c.Counters.Replayed.Add(1)
	return true, op.Process(b)
}

// replayStateless gives a letter to the first subtask.
func replayStateless[T any](s *stateless, l *DeadLetter, op Receiver) (bool, error) {
	if s.c.Subtask != 0 {
		return false, nil
	}
	b, err := readLetter[T](l)
	if err != nil {
		return false, err
	}
	return s.fail.replay(l, b, op)
}

// Replay implements Replayer.
func (m *mapOp[T, U]) Replay(l *DeadLetter) (bool, error) {
	return replayStateless[T](&m.stateless, l, m)
}

// Replay implements Replayer.
func (u *updateOp[T]) Replay(l *DeadLetter) (bool, error) {
	return replayStateless[T](&u.stateless, l, u)
}

// Replay implements Replayer.
func (f *filterOp[T]) Replay(l *DeadLetter) (bool, error) {
	return replayStateless[T](&f.stateless, l, f)
}

// Replay implements Replayer.
func (f *filterMapOp[T, U]) Replay(l *DeadLetter) (bool, error) {
	return replayStateless[T](&f.stateless, l, f)
}

// Replay implements Replayer.
func (f *flatMapOp[T, U]) Replay(l *DeadLetter) (bool, error) {
	return replayStateless[T](&f.stateless, l, f)
}

// Replay implements Replayer: the subtask that owns the key takes the letter.
func (x *processOp[K, T, O]) Replay(l *DeadLetter) (bool, error) {
	b, err := readLetter[T](l)
	if err != nil {
		return false, err
	}
	k := x.Key(&b.Records[0])
	if x.KeyCodec.Canon != nil {
		x.KeyCodec.Canon(&k)
	}
	c := x.c
	if g := keyed.Group(x.KeyCodec.Hash(&k), c.Groups); g < c.Lo || g >= c.Hi {
		return false, nil
	}
	return x.fail.replay(l, b, x)
}

// Replay implements Replayer: a record that could not be read is read again, and gets its event time. It does not move the watermark.
func (s *sourceOp[T]) Replay(l *DeadLetter) (bool, error) {
	if s.c.Subtask != 0 {
		return false, nil
	}
	b, err := s.readLetter(l)
	if err != nil {
		return false, err
	}
	s.fail.replays = l.Replays + 1
	defer func() { s.fail.replays = 0 }()
	c := s.c.Counters
	c.Replayed.Add(1)
	c.In.Add(1)
	o := element.Origin{Split: &element.SplitName{Source: l.Source, Split: l.Split}, Record: l.Record, Place: l.Place}
	x := &failure{attempts: 1, origin: &o, at: s.letterTime()}
	if b == nil {
		x.err, x.raw = errors.New(l.Error), l.Raw
	} else if _, _, x.err = s.tryStamp(b); x.err != nil {
		x.record = &b.Records[0]
	}
	if x.err != nil {
		if err := s.fail.failed(x); err != nil {
			return true, err
		}
		return true, s.tell(s.wm)
	}
	if len(b.Records) == 0 { // too far ahead
		return true, nil
	}
	c.Out.Add(1)
	if s.c.Origins {
		b.Origins = append(b.Origins, o)
	}
	return true, s.out.Process(b)
}

// readLetter reads the record of a letter as the reader would. It returns nil when that fails again, with the reason in the letter.
func (s *sourceOp[T]) readLetter(l *DeadLetter) (*element.Of[T], error) {
	if l.Encoding != EncodedRaw {
		return readLetter[T](l)
	}
	d, ok := s.src.(connect.RecordDecoder[T])
	if !ok {
		return nil, fmt.Errorf("dead letters of source %q cannot be read again: it has no DecodeRecord", l.Operator)
	}
	r, err := d.DecodeRecord(s.c, l.Split, l.Raw)
	b := &element.Of[T]{}
	if err == nil {
		b.Add(&r, 0)
	} else { // it is a dead letter again
		l.Error, b = err.Error(), nil
	}
	return b, nil
}
