package bench

const panesPerWindow = slidingSize / slidingSlide

// naiveSliding is what a programmer writes first: each record updates all of its windows, each a map.
func naiveSliding(events []event) tally {
	type value struct{ count, sum int64 }
	var out tally
	open := map[int64]map[uint64]value{} // by the number of the window's last second
	next := origin/slidingSlide + 1      // the first end that has not come
	newest := int64(0)
	closeTo := func(end int64) {
		for ; next <= end; next++ {
			for k, v := range open[next] {
				out.add(k, (next-panesPerWindow)*slidingSlide, v.count, v.sum)
			}
			delete(open, next)
		}
	}
	for len(events) > 0 {
		n := min(batch, len(events))
		for i := range events[:n] {
			e := &events[i]
			newest = max(newest, e.Time)
			first := e.Time/slidingSlide + 1
			for end := first; end < first+panesPerWindow; end++ {
				m := open[end]
				if m == nil {
					m = map[uint64]value{}
					open[end] = m
				}
				v := m[e.Key]
				v.count++
				v.sum += e.Val
				m[e.Key] = v
			}
		}
		events = events[n:]
		closeTo((newest - disorder) / slidingSlide)
	}
	closeTo(newest/slidingSlide + panesPerWindow)
	return out
}

// handSliding is what one writes who knows how: a table for each second, and two stacks of them. A window is the sum of the older
// seconds, kept for each place that it can begin at, and of the younger ones, kept as it grows.
func handSliding(events []event) tally {
	var out tally
	seconds := map[int64]*handTable{} // those of the younger stack, and open ones
	older := map[int64]*handTable{}   // from a second to the end of the older stack
	younger, window := newHandTable(), newHandTable()
	next := origin/slidingSlide + 1 // the first end that has not come
	border := next - 1              // the first second of the younger stack
	newest, current := int64(0), int64(0)
	var table *handTable
	flip := func(from, to int64) {
		clear(older)
		sum := newHandTable()
		for s := to - 1; s >= from; s-- {
			if t := seconds[s]; t != nil {
				sum.addAll(t)
				delete(seconds, s)
			}
			t := newHandTable()
			t.addAll(sum)
			older[s] = t
		}
		younger = newHandTable()
		border = to
	}
	closeTo := func(end int64) {
		for ; next <= end; next++ {
			if t := seconds[next-1]; t != nil {
				younger.addAll(t)
			}
			from := next - panesPerWindow
			if from >= border {
				flip(from, next)
			}
			clear(window.slots)
			window.used = 0
			if t := older[from]; t != nil {
				window.addAll(t)
			}
			window.addAll(younger)
			for i := range window.slots {
				if s := &window.slots[i]; s.count != 0 {
					out.add(s.key, from*slidingSlide, s.count, s.sum)
				}
			}
			delete(older, from)
		}
	}
	for len(events) > 0 {
		n := min(batch, len(events))
		for i := range events[:n] {
			e := &events[i]
			newest = max(newest, e.Time)
			if s := e.Time / slidingSlide; s != current || table == nil {
				if table = seconds[s]; table == nil {
					table = newHandTable()
					seconds[s] = table
				}
				current = s
			}
			s := table.slot(e.Key)
			s.count++
			s.sum += e.Val
		}
		events = events[n:]
		closeTo((newest - disorder) / slidingSlide)
	}
	closeTo(newest/slidingSlide + panesPerWindow)
	return out
}

// addAll adds all entries of another table.
func (t *handTable) addAll(o *handTable) {
	if o == nil {
		return
	}
	for i := range o.slots {
		if from := &o.slots[i]; from.count != 0 {
			s := t.slot(from.key)
			s.count += from.count
			s.sum += from.sum
		}
	}
}
