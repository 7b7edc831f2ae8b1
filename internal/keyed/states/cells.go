package states

import (
	"math"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/keyed"
)

// cells is a table whose entries may expire. Without a time to live it is a plain one: nothing is stored beside the values.
//
// An expired entry is never seen, whether it is still in memory or not; so when it leaves cannot be seen in results.
type cells[K comparable, V any] struct {
	name   string
	times  *Times
	key    *codec.Key[K]
	value  codec.Codec[V]
	layout codec.Layout
	ttl    TTL
	// removed is told, if not nil, of each entry that has expired, when it leaves.
	removed func(k *K)

	plain *keyed.Space[K, V]
	pane  *keyed.Pane[K, V]

	stamped *keyed.Space[K, stamped[V]]
	live    *keyed.Pane[K, stamped[V]]
	queue   turns[K]
}

func (c *cells[K, V]) section() string { return c.name }

func (c *cells[K, V]) open(cfg *Config) error {
	if !c.ttl.Set {
		c.plain = keyed.New(spaceConfig(cfg, c.name, c.key, c.value, c.layout))
		if err := cfg.Load(c.name, cfg.Lo, cfg.Hi, c.plain.Restore()); err != nil {
			return err
		}
		c.pane = c.plain.Ensure(0)
		return nil
	}
	with := spaceConfig[K, stamped[V]](cfg, c.name, c.key, stampedCodec[V]{c.value}, c.layout)
	with.Transient = turnCodec[V]{}
	c.stamped = keyed.New(with)
	if err := cfg.Load(c.name, cfg.Lo, cfg.Hi, c.stamped.Restore()); err != nil {
		return err
	}
	c.live = c.stamped.Ensure(0)
	c.refill()
	return nil
}

func spaceConfig[K comparable, V any](cfg *Config, name string, key *codec.Key[K], value codec.Codec[V], layout codec.Layout) keyed.Config[K, V] {
	return keyed.Config[K, V]{
		Operator: cfg.Operator, State: name, Key: key, Value: value, Layout: layout, Groups: cfg.Groups, Lo: cfg.Lo, Hi: cfg.Hi,
		Memory: cfg.Memory,
	}
}

// refill makes the queue from the table.
func (c *cells[K, V]) refill() {
	c.queue = newTurns[K](c.ttl.For)
	c.live.Rebuild(func(k *K, v *stamped[V], hash uint64) bool {
		v.turn = c.queue.of(satAdd(v.at, c.ttl.For))
		c.queue.add(v.turn, *k, hash)
		return true
	})
}

// clock is the time that has come.
func (c *cells[K, V]) clock() int64 {
	if c.ttl.Processing {
		return c.times.Now()
	}
	return c.times.Clock
}

// stamp is the time of a write.
func (c *cells[K, V]) stamp() int64 {
	if c.ttl.Processing {
		return c.times.Now()
	}
	return c.times.Event
}

func (c *cells[K, V]) expired(at int64) bool { return satAdd(at, c.ttl.For) <= c.clock() }

// get returns a value for reading, or nil. It is valid until the table changes.
func (c *cells[K, V]) get(k *K, hash uint64) *V {
	if c.pane != nil {
		return c.pane.Get(k, hash)
	}
	s := c.live.Get(k, hash)
	if s == nil || c.expired(s.at) {
		return nil
	}
	if c.ttl.Reads {
		if t := c.stamp(); t > s.at {
			if c.times.on {
				c.note(k, hash)
			}
			s = c.live.Update(k, hash)
			s.at = t
		}
	}
	return &s.value
}

// upsert returns a value for writing, a zero one when there was none. Added says that the table has one entry more, fresh that the value
// is a new one.
func (c *cells[K, V]) upsert(k *K, hash uint64) (v *V, fresh, added bool) {
	if c.times.on {
		c.note(k, hash)
	}
	if c.pane != nil {
		v, fresh = c.pane.Upsert(k, hash)
		return v, fresh, fresh
	}
	s, added := c.live.Upsert(k, hash)
	t := c.stamp()
	switch {
	case added:
		s.at = t
		s.turn = c.queue.of(satAdd(t, c.ttl.For))
		c.queue.add(s.turn, c.live.Own(k, hash), hash)
		if c.queue.n > 2*c.live.Len()+64 { // entries that were deleted and made again and again
			c.refill()
		}
		return &s.value, true, true
	case c.expired(s.at):
		var zero V
		s.value, s.at = zero, t
		return &s.value, true, false
	}
	s.at = max(s.at, t)
	return &s.value, false, false
}

// remove deletes an entry and reports whether it was in the table.
func (c *cells[K, V]) remove(k *K, hash uint64) bool {
	if c.times.on {
		c.note(k, hash)
	}
	if c.pane != nil {
		return c.pane.Delete(k, hash)
	}
	return c.live.Delete(k, hash)
}

func (c *cells[K, V]) sweep() {
	if c.ttl.Set && !c.ttl.Processing {
		c.expire()
	}
}

func (c *cells[K, V]) tick() {
	if c.ttl.Set && c.ttl.Processing {
		c.expire()
	}
}

func (c *cells[K, V]) due() int64 {
	if !c.ttl.Set || !c.ttl.Processing {
		return math.MaxInt64
	}
	return c.queue.next()
}

// expire looks at the entries of the turns that are over.
func (c *cells[K, V]) expire() {
	clock := c.clock()
	for len(c.queue.order) > 0 && c.queue.next() <= clock {
		turn, list := c.queue.take()
		for i := range list {
			c.look(turn, &list[i], clock)
		}
	}
}

// look removes an entry that has expired, or puts it into a later turn.
func (c *cells[K, V]) look(turn int64, d *due[K], clock int64) {
	s := c.live.Get(&d.key, d.hash)
	if s == nil || s.turn != turn {
		return // deleted, and perhaps made again
	}
	end := satAdd(s.at, c.ttl.For)
	if end <= clock {
		c.live.Delete(&d.key, d.hash)
		if c.removed != nil {
			c.removed(&d.key)
		}
		return
	}
	s = c.live.Amend(&d.key, d.hash)
	s.turn = c.queue.of(end)
	c.queue.add(s.turn, d.key, d.hash)
}

func (c *cells[K, V]) freeze(epoch uint64) keyed.Frozen {
	if c.plain != nil {
		return c.plain.Freeze(epoch)
	}
	return c.stamped.Freeze(epoch)
}

func (c *cells[K, V]) completed(epoch uint64) {
	if c.plain != nil {
		c.plain.Completed(epoch)
		return
	}
	c.stamped.Completed(epoch)
}

func (c *cells[K, V]) entries() int {
	if c.plain != nil {
		return c.plain.Len()
	}
	return c.stamped.Len()
}
