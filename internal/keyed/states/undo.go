package states

import "github.com/millrace-stream/millrace/codec"

// Journal notes how to take back what has been done to the states since Begin. Its zero value notes nothing.
type Journal struct {
	on    bool
	steps []func()
}

// Begin makes states note how to take back what is done to them from here on. What was noted before is forgotten.
func (u *Journal) Begin() {
	clear(u.steps)
	u.on, u.steps = true, u.steps[:0]
}

// End makes them note nothing any more.
func (u *Journal) End() {
	clear(u.steps)
	u.on, u.steps = false, u.steps[:0]
}

// Undo takes back what has been done since Begin, the last change first, and notes nothing any more.
func (u *Journal) Undo() {
	u.on = false
	for i := len(u.steps) - 1; i >= 0; i-- {
		u.steps[i]()
	}
	u.End()
}

// do notes a step.
func (u *Journal) do(back func()) { u.steps = append(u.steps, back) }

// note notes how to bring back an entry that is about to be changed, or handed out for changes.
func (c *cells[K, V]) note(k *K, hash uint64) {
	key := *k
	if c.pane != nil {
		old := c.pane.Get(k, hash)
		if old == nil {
			c.times.do(func() { c.pane.Delete(&key, hash) })
			return
		}
		restore := c.keepCopy(old)
		c.times.do(func() {
			v, _ := c.pane.Upsert(&key, hash)
			restore(v)
		})
		return
	}
	old := c.live.Get(k, hash)
	if old == nil {
		c.times.do(func() { c.live.Delete(&key, hash) })
		return
	}
	at := old.at
	restore := c.keepCopy(&old.value)
	c.times.do(func() {
		s, added := c.live.Upsert(&key, hash)
		restore(&s.value)
		s.at = at
		if added { // it may stand in a turn still, which does no harm
			s.turn = c.queue.of(satAdd(at, c.ttl.For))
			c.queue.add(s.turn, c.live.Own(&key, hash), hash)
		}
	})
}

// keepCopy copies a value that is about to be changed, and returns what puts the copy back.
func (c *cells[K, V]) keepCopy(v *V) (restore func(to *V)) {
	if c.layout != codec.Deep {
		old := *v
		return func(to *V) { *to = old }
	}
	encoded := c.value.Append(nil, v)
	return func(to *V) {
		var old V
		if _, err := c.value.Decode(encoded, &old); err != nil {
			panic(err) // a codec that cannot read what it has written; a checkpoint could not be read either
		}
		*to = old
	}
}
