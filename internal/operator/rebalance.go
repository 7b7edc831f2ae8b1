package operator

import "github.com/millrace-stream/millrace/internal/element"

// Rebalance gives batches to several targets in turn, where the order between records does not matter. All hear every watermark.
type Rebalance struct {
	targets []Sender
	next    int
	wm      int64
	idle    bool
}

// NewRebalance returns the sender in front of an input whose subtasks take any record.
func NewRebalance(targets []Sender) *Rebalance {
	return &Rebalance{targets: targets, wm: element.NoTime}
}

// Process gives the batch to the target whose turn it is, and its watermarks to the others.
func (r *Rebalance) Process(b element.Batch) error {
	to, before := r.next, r.wm
	r.next = (r.next + 1) % len(r.targets)
	if steps := b.Head().Steps; len(steps) > 0 {
		r.wm = max(r.wm, steps[len(steps)-1].Time)
	}
	awake := r.idle
	r.idle = false
	if err := r.targets[to].Push(element.Element{Kind: element.KindBatch, Batch: b}); err != nil {
		return err
	}
	if r.wm == before && (!awake || r.wm == element.NoTime) {
		return nil
	}
	for i, t := range r.targets {
		if i == to {
			continue
		}
		if err := t.Push(element.Element{Kind: element.KindWatermark, Time: r.wm}); err != nil {
			return err
		}
	}
	return nil
}

// Watermark tells all.
func (r *Rebalance) Watermark(t int64) error {
	r.wm, r.idle = max(r.wm, t), false
	return r.push(element.Element{Kind: element.KindWatermark, Time: t})
}

// Idle tells all.
func (r *Rebalance) Idle() error {
	r.idle = true
	return r.push(element.Element{Kind: element.KindIdle})
}

func (r *Rebalance) push(el element.Element) error {
	for _, t := range r.targets {
		if err := t.Push(el); err != nil {
			return err
		}
	}
	return nil
}
