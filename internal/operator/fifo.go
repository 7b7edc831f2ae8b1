package operator

// fifo is a queue in a slice. Its front moves on, and the slice is moved back when half of it is unused.
type fifo[E any] struct {
	items []E
	head  int
}

func (f *fifo[E]) len() int { return len(f.items) - f.head }

func (f *fifo[E]) push(e E) { f.items = append(f.items, e) }

// at returns the element with index i, counted from the front.
func (f *fifo[E]) at(i int) *E { return &f.items[f.head+i] }

func (f *fifo[E]) first() *E { return f.at(0) }

// last returns the element that was pushed last, or nil.
func (f *fifo[E]) last() *E {
	if f.len() == 0 {
		return nil
	}
	return &f.items[len(f.items)-1]
}

// pop removes the first element.
func (f *fifo[E]) pop() {
	var zero E
	f.items[f.head] = zero
	f.head++
	if f.head >= 32 && 2*f.head >= len(f.items) || f.head == len(f.items) {
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
}

// compact keeps the elements that keep returns true for.
func (f *fifo[E]) compact(keep func(E) bool) {
	n := 0
	for _, e := range f.items[f.head:] {
		if keep(e) {
			f.items[n] = e
			n++
		}
	}
	clear(f.items[n:])
	f.items, f.head = f.items[:n], 0
}
