package bench

import "math/bits"

// batch is the number of records after which the loops look at the watermark.
const batch = 1024

// handTable is an open-addressing table; a slot with count 0 is empty.
type handTable struct {
	slots []handSlot
	shift int
	used  int
}

type handSlot struct {
	key        uint64
	count, sum int64
}

func newHandTable() *handTable {
	t := &handTable{}
	t.resize(1024)
	return t
}

func (t *handTable) resize(n int) {
	t.slots = make([]handSlot, n)
	t.shift = 64 - bits.TrailingZeros(uint(n))
}

// slot returns the slot of a key, empty when it is new.
func (t *handTable) slot(key uint64) *handSlot {
	mask := uint64(len(t.slots) - 1)
	for i := key * 0x9e3779b97f4a7c15 >> t.shift; ; i = (i + 1) & mask {
		s := &t.slots[i&mask]
		if s.key == key && s.count != 0 {
			return s
		}
		if s.count != 0 {
			continue
		}
		if t.used >= len(t.slots)*5/8 {
			t.grow()
			return t.slot(key)
		}
		t.used++
		s.key = key
		return s
	}
}

func (t *handTable) grow() {
	old := t.slots
	t.resize(2 * len(old))
	t.used = 0
	for i := range old {
		if old[i].count != 0 {
			*t.slot(old[i].key) = old[i]
		}
	}
}

// openWindows is more than the number of windows that can be open at once; it is a power of two.
const openWindows = 4

// handLoop is the reference: what a programmer would write who knows the task in advance and needs no checkpoints, one
// table of its own for each open window.
func handLoop(events []event) tally {
	var out tally
	var open [openWindows]*handTable
	var spare []*handTable
	next := origin / windowSize // the first window that is not closed
	newest := int64(0)
	closeTo := func(end int64) {
		for ; next < end; next++ {
			t := open[next%openWindows]
			if t == nil {
				continue
			}
			open[next%openWindows] = nil
			for i := range t.slots {
				if s := &t.slots[i]; s.count != 0 {
					out.add(s.key, next*windowSize, s.count, s.sum)
				}
			}
			clear(t.slots)
			t.used = 0
			spare = append(spare, t)
		}
	}
	for len(events) > 0 {
		n := min(batch, len(events))
		for i := range events[:n] {
			e := &events[i]
			newest = max(newest, e.Time)
			w := e.Time / windowSize
			t := open[w%openWindows]
			if t == nil {
				if k := len(spare); k > 0 {
					t, spare = spare[k-1], spare[:k-1]
				} else {
					t = newHandTable()
				}
				open[w%openWindows] = t
			}
			s := t.slot(e.Key)
			s.count++
			s.sum += e.Val
		}
		events = events[n:]
		closeTo((newest - disorder) / windowSize)
	}
	closeTo(newest/windowSize + 1)
	return out
}

// mapLoop is the same with Go's map, one for each open window.
func mapLoop(events []event) tally {
	type value struct{ count, sum int64 }
	var out tally
	var open [openWindows]map[uint64]value
	next := origin / windowSize
	newest := int64(0)
	closeTo := func(end int64) {
		for ; next < end; next++ {
			m := open[next%openWindows]
			for k, v := range m {
				out.add(k, next*windowSize, v.count, v.sum)
			}
			clear(m)
		}
	}
	for i := range open {
		open[i] = map[uint64]value{}
	}
	for len(events) > 0 {
		n := min(batch, len(events))
		for i := range events[:n] {
			e := &events[i]
			newest = max(newest, e.Time)
			m := open[e.Time/windowSize%openWindows]
			v := m[e.Key]
			v.count++
			v.sum += e.Val
			m[e.Key] = v
		}
		events = events[n:]
		closeTo((newest - disorder) / windowSize)
	}
	closeTo(newest/windowSize + 1)
	return out
}
