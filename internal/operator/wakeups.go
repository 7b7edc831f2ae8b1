package operator

// wakeup is an entry of a heap by time.
type wakeup[K comparable] struct {
	at   int64
	hash uint64
	key  K
}

// wakeups is a heap: the earliest entry is the first. It is typed, since container/heap would allocate for each entry.
type wakeups[K comparable] []wakeup[K]

// push adds an entry.
func (w *wakeups[K]) push(e wakeup[K]) {
	h := append(*w, e)
	*w = h
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].at <= e.at {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = e
}

// pop removes the first entry and returns it.
func (w *wakeups[K]) pop() wakeup[K] {
	h := *w
	first, n := h[0], len(h)-1
	e := h[n]
	h[n] = wakeup[K]{}
	*w = h[:n]
	if n == 0 {
		return first
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= n {
			break
		}
		if child+1 < n && h[child+1].at < h[child].at {
			child++
		}
		if e.at <= h[child].at {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = e
	return first
}
