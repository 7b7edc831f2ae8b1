package progress

// enter gives an input a status; an active one goes into the heap.
func (c *Combiner) enter(i int, s Status) {
	c.inputs[i].status = s
	c.count[s]++
	if s == Active {
		c.heap = append(c.heap, int32(i))
		c.inputs[i].at = int32(len(c.heap) - 1)
		c.rise(len(c.heap) - 1)
	}
}

// leave takes its status from an input, and an active one out of the heap.
func (c *Combiner) leave(i int) {
	s := c.inputs[i].status
	c.count[s]--
	if s != Active {
		return
	}
	at, last := int(c.inputs[i].at), len(c.heap)-1
	c.swap(at, last)
	c.heap = c.heap[:last]
	if at < last {
		c.sink(at)
		c.rise(at)
	}
}

// less orders places in the heap by watermark.
func (c *Combiner) less(a, b int) bool { return c.inputs[c.heap[a]].wm < c.inputs[c.heap[b]].wm }

func (c *Combiner) swap(a, b int) {
	h := c.heap
	h[a], h[b] = h[b], h[a]
	c.inputs[h[a]].at, c.inputs[h[b]].at = int32(a), int32(b)
}

// rise moves the input at a place up to where it belongs.
func (c *Combiner) rise(at int) {
	for at > 0 {
		up := (at - 1) / 2
		if !c.less(at, up) {
			return
		}
		c.swap(at, up)
		at = up
	}
}

// sink moves the input at a place down to where it belongs.
func (c *Combiner) sink(at int) {
	for {
		least := at
		for child := 2*at + 1; child <= 2*at+2 && child < len(c.heap); child++ {
			if c.less(child, least) {
				least = child
			}
		}
		if least == at {
			return
		}
		c.swap(at, least)
		at = least
	}
}
