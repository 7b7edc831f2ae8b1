package operator

import (
	"github.com/millrace-stream/millrace/internal/element"
)

// BroadcastTo gives every element to all targets; each but the last gets a copy of its own.
type BroadcastTo struct {
	targets []Sender
}

// NewBroadcastTo returns the sender in front of an input that all subtasks read.
func NewBroadcastTo(targets []Sender) *BroadcastTo { return &BroadcastTo{targets} }

// Process pushes the batch to all.
func (s *BroadcastTo) Process(b element.Batch) error {
	last := len(s.targets) - 1
	for _, t := range s.targets[:last] {
		if err := t.Push(element.Element{Kind: element.KindBatch, Batch: b.Clone()}); err != nil {
			b.Free()
			return err
		}
	}
	return s.targets[last].Push(element.Element{Kind: element.KindBatch, Batch: b})
}

// Watermark tells all.
func (s *BroadcastTo) Watermark(t int64) error {
	return s.push(element.Element{Kind: element.KindWatermark, Time: t})
}

// Idle tells all.
func (s *BroadcastTo) Idle() error { return s.push(element.Element{Kind: element.KindIdle}) }

func (s *BroadcastTo) push(el element.Element) error {
	for _, t := range s.targets {
		if err := t.Push(el); err != nil {
			return err
		}
	}
	return nil
}

// clocked is an operator as its inputs see it.
type clocked interface {
	// advance moves the clock, flush passes on what has been put out, idle that nothing holds the watermark.
	advance(t int64) error
	flush() error
	Idle() error
	// count counts records taken.
	count(n int)
}

// inputPort takes the records of one input of an operator that has several.
type inputPort[T any] struct {
	op clocked
	// take handles the record with index i.
	take func(in *element.Of[T], i int) error
}

// Process takes each record, with the clock moving where the steps of the batch say.
func (p *inputPort[T]) Process(b element.Batch) error {
	in := b.(*element.Of[T])
	defer in.Free()
	p.op.count(len(in.Records))
	step := 0
	for i := range in.Records {
		for step < len(in.Steps) && int(in.Steps[step].At) <= i {
			if err := p.op.advance(in.Steps[step].Time); err != nil {
				return err
			}
			step++
		}
		if err := p.take(in, i); err != nil {
			return err
		}
	}
	for ; step < len(in.Steps); step++ {
		if err := p.op.advance(in.Steps[step].Time); err != nil {
			return err
		}
	}
	return p.op.flush()
}

// Watermark moves the clock.
func (p *inputPort[T]) Watermark(t int64) error {
	if err := p.op.advance(t); err != nil {
		return err
	}
	return p.op.flush()
}

// Idle passes on that nothing holds the watermark.
func (p *inputPort[T]) Idle() error { return p.op.Idle() }

// Broadcaster is an operator that takes broadcast records.
type Broadcaster interface {
	clocked
	// begin and end stand around the call for a record.
	begin(at int64)
	end(err error) error
}

// NewBroadcastInput returns the input that calls take for each broadcast record.
func NewBroadcastInput[B any](x Broadcaster, take func(r *B) error) Receiver {
	return &inputPort[B]{x, func(in *element.Of[B], i int) error {
		x.begin(in.Times[i])
		return x.end(take(&in.Records[i]))
	}}
}
