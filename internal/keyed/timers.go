package keyed

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

// TimersConfig describes Timers.
type TimersConfig[K comparable] struct {
	// Operator and State name the sections in snapshots.
	Operator, State string
	// Key may be used by the owner and by a background writer at the same time.
	Key *codec.Key[K]
	// Layout is that of the keys: Flat or Immutable.
	Layout codec.Layout
	// Groups is the number of key groups of the job; these Timers hold those in [Lo, Hi).
	Groups, Lo, Hi int
	// Memory is that of Config. The order of the timers stays in memory.
	Memory *Memory
}

// Timers holds at most one timer per key and name, ordered by (time, encoded key, name). It belongs to one task.
//
// The truth is in a Space, which goes into snapshots. Beside it stands a heap that is only a guess of what comes next: setting,
// moving and deleting a timer leaves old entries in the heap, which are passed over because their number is not that of the timer
// any more. When the heap is more than twice as long as there are timers it is built anew, so its memory is bounded however
// often timers move.
type Timers[K comparable] struct {
	space *Space[timerKey[K], timerAt]
	key   *codec.Key[K]
	heap  []timer[K]
	late  []timer[K] // set while Fire runs, for a time that it has reached
	until int64      // that time
	busy  bool       // Fire runs
	now   timer[K]   // the timer that fires
	stale bool       // the heap has to be built from the space
	seq   uint64     // the number of the last Set
}

// timerKey is the key of a timer.
type timerKey[K comparable] struct {
	key  K
	name string
}

// timerAt is the value of a timer. seq tells this setting from earlier ones in this process; it is not stored.
type timerAt struct {
	at  int64
	seq uint64
}

// timer is an entry of the heap. hash is that of the user's key.
type timer[K comparable] struct {
	timerKey[K]
	timerAt
	hash uint64
}

var errNested = errors.New("keyed: timers are firing already")

// NewTimers returns Timers without a timer. It refuses keys with a Deep layout.
func NewTimers[K comparable](cfg TimersConfig[K]) (*Timers[K], error) {
	if cfg.Layout == codec.Deep {
		return nil, fmt.Errorf("keyed: timers %s/%s: keys that point to memory which can change cannot have timers", cfg.Operator, cfg.State)
	}
	return &Timers[K]{key: cfg.Key, space: New(Config[timerKey[K], timerAt]{
		Operator: cfg.Operator, State: cfg.State, Key: timerKeys(cfg.Key), Value: timerCodec{}, Layout: codec.Immutable,
		Groups: cfg.Groups, Lo: cfg.Lo, Hi: cfg.Hi, Memory: cfg.Memory, Transient: settingCodec{},
	})}, nil
}

// Len returns the number of timers.
func (t *Timers[K]) Len() int { return t.space.Len() }

// Set sets the timer of a key and name to a time, and moves it when it is set already. hash is that of the key. A timer set while
// Fire runs, for a time that it has reached, waits for the next Fire.
func (t *Timers[K]) Set(k *K, hash uint64, name string, at int64) {
	p := t.space.Ensure(0)
	tk, h := timerKey[K]{key: *k, name: name}, withName(hash, name)
	v, fresh := p.Upsert(&tk, h)
	if !fresh && v.at == at {
		return
	}
	t.seq++
	*v = timerAt{at: at, seq: t.seq}
	if t.stale {
		return
	}
	// The key of the slot, unlike the caller's, has memory of its own.
	e := timer[K]{timerKey: p.Own(&tk, h), timerAt: *v, hash: hash}
	if t.busy && at <= t.until {
		t.late = append(t.late, e)
	} else {
		t.push(e)
	}
	t.trim()
}

// Delete removes the timer of a key and name, and reports whether it was set.
func (t *Timers[K]) Delete(k *K, hash uint64, name string) bool {
	p := t.space.Pane(0)
	if p == nil {
		return false
	}
	tk := timerKey[K]{key: *k, name: name}
	if !p.Delete(&tk, withName(hash, name)) {
		return false
	}
	t.trim()
	return true
}

// Fire removes the timers whose time is at most until, in order, and calls fire for each; k is valid during the call only. fire may
// set and delete timers: one that is deleted or moved before its turn does not fire. Fire returns how many fired, and stops at
// the first error of fire, whose timer is gone. It must not be called by fire.
func (t *Timers[K]) Fire(until int64, fire func(k *K, hash uint64, name string, at int64) error) (fired int, err error) {
	if t.busy {
		return 0, errNested
	}
	t.build()
	t.busy, t.until = true, until
	defer t.rest()
	for {
		t.skip()
		if len(t.heap) == 0 || t.heap[0].at > until {
			return fired, nil
		}
		t.now = t.pop()
		e := &t.now
		t.space.Pane(0).Delete(&e.timerKey, withName(e.hash, e.name))
		fired++
		if err := fire(&e.key, e.hash, e.name, e.at); err != nil {
			return fired, err
		}
	}
}

// rest ends a Fire.
func (t *Timers[K]) rest() {
	t.busy = false
	for i := range t.late {
		if t.valid(&t.late[i]) {
			t.push(t.late[i])
		}
	}
	clear(t.late)
	t.late = t.late[:0]
	t.trim()
}

// Next returns the time of the earliest timer, or false when there is none.
func (t *Timers[K]) Next() (at int64, ok bool) {
	t.build()
	t.skip()
	if len(t.heap) == 0 {
		return 0, false
	}
	return t.heap[0].at, true
}

// Freeze is Space.Freeze.
func (t *Timers[K]) Freeze(epoch uint64) Frozen { return t.space.Freeze(epoch) }

// Completed is Space.Completed.
func (t *Timers[K]) Completed(epoch uint64) { t.space.Completed(epoch) }

// Restore is Space.Restore.
func (t *Timers[K]) Restore() snapshot.Visitor {
	t.stale = true
	return t.space.Restore()
}

// timerKeys makes the functions for timer keys: the encoding of the key, which is never the beginning of that of another, and then the
// name. The hash has its upper half, and so the key group, from the user's key alone.
func timerKeys[K comparable](key *codec.Key[K]) *codec.Key[timerKey[K]] {
	return &codec.Key[timerKey[K]]{
		Shape: "struct{key " + key.Shape + ";name rest}", By: key.By,
		Append: func(dst []byte, k *timerKey[K]) []byte { return append(key.Append(dst, &k.key), k.name...) },
		Decode: func(src []byte, k *timerKey[K]) ([]byte, error) {
			name, err := key.Decode(src, &k.key)
			k.name = string(name)
			return nil, err
		},
		Hash: func(k *timerKey[K]) uint64 { return withName(key.Hash(&k.key), k.name) },
		Compare: func(a, b *timerKey[K]) int {
			if c := key.Compare(&a.key, &b.key); c != 0 {
				return c
			}
			return strings.Compare(a.name, b.name)
		},
		Clone: func(k *timerKey[K]) {
			if key.Clone != nil {
				key.Clone(&k.key)
			}
			k.name = strings.Clone(k.name)
		},
	}
}

// withName mixes a name into the lower half of a hash, which places an entry within its table.
func withName(hash uint64, name string) uint64 {
	low := uint32(hash)
	for i := range len(name) {
		low = (low ^ uint32(name[i])) * 0x01000193
	}
	low ^= low >> 15
	return hash&^(1<<32-1) | uint64(low)
}

// timerCodec stores the time of a timer.
type timerCodec struct{}

// Shape describes it as codec.Describe would.
func (timerCodec) Shape() string { return "int64be" }

// Append implements codec.Codec.
func (timerCodec) Append(dst []byte, v *timerAt) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(v.at))
}

// Decode implements codec.Codec.
func (timerCodec) Decode(src []byte, v *timerAt) ([]byte, error) {
	if len(src) < 8 {
		return nil, fmt.Errorf("keyed: the time of a timer has 8 bytes, not %d", len(src))
	}
	*v = timerAt{at: int64(binary.BigEndian.Uint64(src))}
	return src[8:], nil
}

// settingCodec stores which setting of a timer it is, on the way to the disk and back.
type settingCodec struct{}

// Append implements codec.Codec.
func (settingCodec) Append(dst []byte, v *timerAt) []byte { return binary.AppendUvarint(dst, v.seq) }

// Decode implements codec.Codec.
func (settingCodec) Decode(src []byte, v *timerAt) ([]byte, error) {
	seq, n := binary.Uvarint(src)
	if n <= 0 {
		return nil, errBadEntry
	}
	v.seq = seq
	return src[n:], nil
}
