package model

import (
	"cmp"
	"slices"
	"time"

	"github.com/millrace-stream/millrace/window"
)

// Triggered says how a keyed stream is cut into windows and when they give results. Besides Size and Gap of Windows there are Count for
// count windows, of which one begins every Every records, and Global.
type Triggered[K comparable, T, R any] struct {
	Windows[K, T, R]
	Count, Every int
	Partial      bool
	Global       bool
	// Spans, if set, are the windows of a time, in their order, in the place of what Size, Slide and Offset say.
	Spans      func(t int64) []window.Span
	Trigger    window.TriggerSpec
	Discarding bool
	// Own makes the trigger of a user's own that stands for a custom one, for each window.
	Own func() Own[T]
}

// Own is a trigger of a user's own at work in one window.
type Own[T any] interface {
	Record(c window.TriggerContext, r T) window.Decision
	EventTime(c window.TriggerContext) window.Decision
	ProcessingTime(c window.TriggerContext) window.Decision
	Merge(from Own[T])
}

// Timed is a step of a stream at a processing time. A Tick moves the processing time and is nothing else.
type Timed[T any] struct {
	Item[T]
	Now  int64
	Tick bool
}

// stir is what happens to a trigger: a record, an event time or a processing time.
type stir[T any] struct {
	record     bool
	r          T
	time       int64 // the event time of the record
	event      bool  // the clock has come to a time
	end        bool  // and it is the end of the window
	processing bool
	last       bool // it is the end of the input, which only triggers of a user's own are told
	clock, now int64
	earliest   int64 // before which no processing timer can be set
}

// trigger is one trigger at work in one window.
type trigger[T any] interface {
	// stir reports whether there is to be a result, and whether the content is to be forgotten.
	stir(s stir[T], c *content[T]) (fire, purge bool)
	// again makes it forget what it has seen. unasked says that it had fired and was not asked since.
	again(now int64, unasked bool)
	// merge adds what another of its kind has seen.
	merge(o trigger[T])
	// alarms are the processing times that triggers of a user's own wait for.
	alarms() []int64
}

// counter fires after n records.
type counter[T any] struct {
	n    int64
	seen []T
}

func (x *counter[T]) stir(s stir[T], _ *content[T]) (fire, purge bool) {
	if !s.record {
		return false, false
	}
	if x.seen = append(x.seen, s.r); int64(len(x.seen)) < x.n {
		return false, false
	}
	x.seen = nil
	return true, false
}

func (x *counter[T]) again(int64, bool)  { x.seen = nil }
func (x *counter[T]) merge(o trigger[T]) { x.seen = append(x.seen, o.(*counter[T]).seen...) }
func (x *counter[T]) alarms() []int64    { return nil }

// waiter fires when a time has come that each record sets.
type waiter[T any] struct {
	kind  window.TriggerKind
	d     int64
	times []int64 // one for each record
}

func (x *waiter[T]) stir(s stir[T], _ *content[T]) (fire, purge bool) {
	now, asked := s.clock, s.event
	if x.kind == window.TriggerProcessingTime {
		now, asked = s.now, s.processing && !s.last
	}
	if s.record {
		switch x.kind {
		case window.TriggerProcessingTime:
			x.times = append(x.times, s.now+x.d)
		case window.TriggerWatermark:
			x.times = append(x.times, s.clock+1)
		default:
			// The first multiple of d after the record that the clock has not come to: it is reached a tick before.
			m := floor(s.time, x.d) * x.d
			for m <= s.time || m-1 <= s.clock {
				m += x.d
			}
			x.times = append(x.times, m-1)
		}
	}
	if !asked || len(x.times) == 0 || slices.Min(x.times) > now {
		return false, false
	}
	x.times = nil
	return true, false
}

func (x *waiter[T]) again(int64, bool)  { x.times = nil }
func (x *waiter[T]) merge(o trigger[T]) { x.times = append(x.times, o.(*waiter[T]).times...) }
func (x *waiter[T]) alarms() []int64    { return nil }

// joined are the triggers that are made of others.
type joined[T any] struct {
	kind  window.TriggerKind
	parts []trigger[T]
	// fired are those of AllOf that have.
	fired map[int]bool
	// at is the one that a sequence waits for.
	at int
}

func (x *joined[T]) stir(s stir[T], c *content[T]) (fire, purge bool) {
	if x.kind == window.TriggerSequence {
		fire, purge = x.parts[x.at].stir(s, c)
		if fire && x.at < len(x.parts)-1 {
			x.at++
		}
		return fire, purge
	}
	n := 0
	for i, p := range x.parts {
		if x.fired[i] {
			n++
			continue
		}
		f, g := p.stir(s, c)
		purge = purge || g
		if f {
			n++
			if x.kind == window.TriggerAllOf {
				x.fired[i] = true
			}
		}
	}
	if n == 0 || x.kind == window.TriggerAllOf && n < len(x.parts) {
		return false, purge
	}
	x.again(s.now, false)
	return true, purge
}

func (x *joined[T]) again(now int64, unasked bool) {
	if x.kind == window.TriggerSequence {
		x.parts[x.at].again(now, unasked)
		return
	}
	for i, p := range x.parts {
		p.again(now, unasked || x.fired[i])
	}
	x.fired = map[int]bool{}
}

func (x *joined[T]) merge(o trigger[T]) {
	y := o.(*joined[T])
	if x.kind == window.TriggerSequence {
		switch {
		case x.at < y.at:
			x.at, x.parts = y.at, y.parts
		case x.at == y.at:
			x.parts[x.at].merge(y.parts[x.at])
		}
		return
	}
	for i, p := range x.parts {
		p.merge(y.parts[i])
		x.fired[i] = x.fired[i] || y.fired[i]
	}
}

func (x *joined[T]) alarms() (all []int64) {
	for i, p := range x.parts {
		if !x.fired[i] && (x.kind != window.TriggerSequence || x.at == i) {
			all = append(all, p.alarms()...)
		}
	}
	return all
}

// custom is a trigger of a user's own with its timers.
type custom[T any] struct {
	own               Own[T]
	event, processing []int64 // none or one
	s                 stir[T]
	c                 *content[T]
}

func (x *custom[T]) stir(s stir[T], c *content[T]) (fire, purge bool) {
	x.s, x.c = s, c
	var d window.Decision
	switch {
	case s.record:
		d = x.own.Record(x, s.r)
	case s.event:
		if !s.end && (len(x.event) == 0 || x.event[0] > s.clock) {
			return false, false
		}
		if len(x.event) > 0 && x.event[0] <= s.clock {
			x.event = nil
		}
		d = x.own.EventTime(x)
	default:
		if len(x.processing) == 0 || x.processing[0] > s.now && !s.last {
			return false, false
		}
		x.processing = nil
		d = x.own.ProcessingTime(x)
	}
	return d&window.Fire != 0, d&window.Purge != 0
}

// again sets a timer whose time has come while nobody asked for the next instant.
func (x *custom[T]) again(now int64, unasked bool) {
	if unasked && len(x.processing) > 0 && x.processing[0] <= now {
		x.processing = []int64{now + 1}
	}
}

func (x *custom[T]) merge(o trigger[T]) {
	y := o.(*custom[T])
	earlier := func(a, b []int64) []int64 {
		all := slices.Concat(a, b)
		if len(all) == 0 {
			return nil
		}
		return []int64{slices.Min(all)}
	}
	x.event, x.processing = earlier(x.event, y.event), earlier(x.processing, y.processing)
	x.own.Merge(y.own)
}

func (x *custom[T]) alarms() []int64 { return x.processing }

// What follows is window.TriggerContext.

func (x *custom[T]) Window() window.Span { return window.Span{Start: x.c.start, End: x.c.end} }

func (x *custom[T]) EventTime() time.Time {
	switch {
	case x.s.record:
		return time.Unix(0, x.s.time).UTC()
	case x.s.end:
		return time.Unix(0, x.c.end-1).UTC()
	}
	return time.Unix(0, x.s.clock).UTC()
}

func (x *custom[T]) Watermark() (time.Time, bool) {
	return time.Unix(0, x.s.clock).UTC(), x.s.clock > None
}
func (x *custom[T]) Ended() bool               { return x.c.ended || x.s.end }
func (x *custom[T]) ProcessingTime() time.Time { return time.Unix(0, x.s.now).UTC() }
func (x *custom[T]) Records() int64            { return int64(len(x.c.records)) }
func (x *custom[T]) NewRecords() int64         { return int64(x.c.fresh) }
func (x *custom[T]) SetEventTimer(t time.Time) { x.event = []int64{t.UnixNano()} }
func (x *custom[T]) SetProcessingTimer(t time.Time) {
	if !x.s.last {
		x.processing = []int64{max(t.UnixNano(), x.s.earliest)}
	}
}
func (x *custom[T]) DeleteTimers() { x.event, x.processing = nil, nil }

// newTrigger makes the trigger that a spec describes.
func newTrigger[T any](s window.TriggerSpec, own func() Own[T]) trigger[T] {
	switch s.Kind {
	case window.TriggerCount:
		return &counter[T]{n: s.Count}
	case window.TriggerProcessingTime, window.TriggerEventTime, window.TriggerWatermark:
		return &waiter[T]{kind: s.Kind, d: int64(s.Every)}
	case window.TriggerCustom:
		return &custom[T]{own: own()}
	}
	x := &joined[T]{kind: s.Kind, fired: map[int]bool{}}
	for _, p := range s.Parts {
		x.parts = append(x.parts, newTrigger(p, own))
	}
	return x
}

// content is what a window holds, and what its trigger may know of it.
type content[T any] struct {
	start, end int64
	ended      bool
	records    []T
	fresh      int // records since the last result
}

// cell is a window of a key.
type cell[K comparable, T any] struct {
	content[T]
	key K
	// first and last are the bounds of the event times of the records; taken counts all records, also those that are forgotten.
	first, last int64
	taken       int
	number      int // of the count window
	panes       int32
	// newest is the largest event time of a session, and shown are the spans of panes that the next one takes the place of.
	newest      int64
	shown       []window.Span
	early, late trigger[T] // early may be nil
}

// triggeredRun is windows with triggers at work.
type triggeredRun[K comparable, T, R any] struct {
	Triggered[K, T, R]
	Output[K, T, R]
	cells  []*cell[K, T]
	counts map[K]int
	clock  int64
	marked int64
	before int64 // the watermark that stands before a result
	now    int64
	ticked int64 // the processing time of the last tick
	lowest int64 // the smallest event time so far
}

// Run returns what the windows make of a stream.
func (w Triggered[K, T, R]) Run(in []Timed[T]) Output[K, T, R] {
	r := &triggeredRun[K, T, R]{Triggered: w, counts: map[K]int{}, clock: None, marked: None, before: None, lowest: End}
	for _, x := range in {
		r.now = x.Now
		switch {
		case x.Tick:
			r.tick(x.Now)
		case x.Mark && w.sessions() && x.Time != End:
			r.advance(x.Time - 1)
		case x.Mark:
			r.advance(x.Time)
		default:
			r.lowest = min(r.lowest, x.Time)
			r.record(x.Item)
		}
	}
	return r.Output
}

func (r *triggeredRun[K, T, R]) bounded() bool { return r.Count == 0 && !r.Global }

func (r *triggeredRun[K, T, R]) atEnd() bool { return r.Trigger.Kind == window.TriggerAtEnd }

func (r *triggeredRun[K, T, R]) past(end int64) bool { return add(end-1, r.Lateness) <= r.clock }

func (r *triggeredRun[K, T, R]) open(key K, start, end int64) *cell[K, T] {
	c := &cell[K, T]{key: key, content: content[T]{start: start, end: end}, newest: None}
	if !r.atEnd() {
		c.early = newTrigger(r.Trigger, r.Own)
		c.late = c.early
	} else {
		late := window.PerRecord().TriggerSpec()
		if r.Trigger.Late != nil {
			late = *r.Trigger.Late
		}
		c.late = newTrigger(late, r.Own)
		r.renew(c)
	}
	r.cells = append(r.cells, c)
	return c
}

// renew makes the early trigger new.
func (r *triggeredRun[K, T, R]) renew(c *cell[K, T]) {
	if r.Trigger.Early != nil {
		c.early = newTrigger(*r.Trigger.Early, r.Own)
	}
}

// record puts a record into its windows.
func (r *triggeredRun[K, T, R]) record(x Item[T]) {
	key := r.Key(x.Value)
	switch {
	case r.Global:
		for _, c := range r.cells {
			if c.key == key {
				r.take(c, x)
				return
			}
		}
		r.take(r.open(key, 0, 0), x)
	case r.Count > 0:
		r.group(key, x)
	case r.sessions():
		r.session(key, x)
	default:
		r.aligned(key, x)
	}
}

func (r *triggeredRun[K, T, R]) group(key K, x Item[T]) {
	n := r.counts[key]
	r.counts[key]++
	if n%r.Every == 0 {
		r.open(key, 0, 0).number = n
	}
	var full *cell[K, T]
	for _, c := range r.cells { // oldest first
		if c.key != key {
			continue
		}
		if c.taken++; c.taken < r.Count {
			r.take(c, x)
			continue
		}
		full = c
		r.keep(c, x)
		r.last(c, window.OnTime)
	}
	r.cells = slices.DeleteFunc(r.cells, func(c *cell[K, T]) bool { return c == full })
}

// spans returns the windows of a time.
func (r *triggeredRun[K, T, R]) spans(t int64) (all []window.Span) {
	if r.Spans != nil {
		return r.Spans(t)
	}
	for start := floor(t-r.Size-r.Offset, r.Slide)*r.Slide + r.Offset; start <= t; start += r.Slide {
		if start+r.Size > t {
			all = append(all, window.Span{Start: start, End: start + r.Size})
		}
	}
	return all
}

func (r *triggeredRun[K, T, R]) aligned(key K, x Item[T]) {
	taken := false
	var missed []window.Span
	for _, s := range r.spans(x.Time) {
		if r.past(s.End) {
			missed = append(missed, s)
			continue
		}
		taken = true
		i := slices.IndexFunc(r.cells, func(c *cell[K, T]) bool { return c.key == key && c.start == s.Start && c.end == s.End })
		if i < 0 {
			r.take(r.open(key, s.Start, s.End), x)
		} else {
			r.take(r.cells[i], x)
		}
	}
	if !taken {
		r.Late = append(r.Late, x)
	}
	r.miss(key, x, missed)
}

func (r *triggeredRun[K, T, R]) session(key K, x Item[T]) {
	gap := r.Gap
	if r.GapOf != nil {
		gap = r.GapOf(x.Value)
	}
	start, end := x.Time, x.Time+gap
	var mine []*cell[K, T]
	for _, c := range r.cells {
		if c.key == key && c.start <= x.Time+gap && x.Time <= c.end {
			mine = append(mine, c)
			start, end = min(start, c.start), max(end, c.end)
		}
	}
	if r.past(end) {
		r.Late = append(r.Late, x)
		r.miss(key, x, []window.Span{{Start: start, End: end}})
		return
	}
	if len(mine) == 0 {
		r.take(r.open(key, start, end), x)
		return
	}
	slices.SortFunc(mine, func(a, b *cell[K, T]) int { return cmp.Compare(a.start, b.start) })
	c := mine[0]
	for _, o := range mine[1:] {
		c.newest = max(c.newest, o.newest)
		c.shown = append(c.shown, o.shown...)
		c.records = append(c.records, o.records...)
		c.fresh += o.fresh
		c.panes = max(c.panes, o.panes)
		if c.early != nil {
			c.early.merge(o.early)
		}
		if c.late != c.early {
			c.late.merge(o.late)
		}
	}
	r.cells = slices.DeleteFunc(r.cells, func(o *cell[K, T]) bool { return slices.Contains(mine[1:], o) })
	c.start, c.end = start, end
	if c.ended = end-1 <= r.clock; !c.ended && c.late != c.early {
		o := r.open(key, 0, 0) // for a late trigger that has seen nothing
		c.late = o.late
		r.cells = r.cells[:len(r.cells)-1]
	}
	r.take(c, x)
}

// keep adds a record to a window.
func (r *triggeredRun[K, T, R]) keep(c *cell[K, T], x Item[T]) {
	if len(c.records) == 0 {
		c.first, c.last = x.Time, x.Time
	}
	c.first, c.last, c.newest = min(c.first, x.Time), max(c.last, x.Time), max(c.newest, x.Time)
	c.records = append(c.records, x.Value)
	c.fresh++
}

// take adds a record to a window and asks the trigger.
func (r *triggeredRun[K, T, R]) take(c *cell[K, T], x Item[T]) {
	r.keep(c, x)
	r.stir(c, stir[T]{record: true, r: x.Value, time: x.Time})
}

// stir asks the trigger of a window.
func (r *triggeredRun[K, T, R]) stir(c *cell[K, T], s stir[T]) {
	s.clock = r.clock
	if s.now == 0 {
		s.now = r.now
	}
	if s.earliest == 0 {
		s.earliest = None
	}
	c.ended = r.bounded() && c.end-1 <= r.clock && !s.end
	t, kind := c.early, window.Early
	switch {
	case s.end:
		kind = window.OnTime
	case c.ended:
		t, kind = c.late, window.Late
	}
	if t == nil {
		return
	}
	if !r.bounded() {
		c.start, c.end = 0, 0
		if len(c.records) > 0 {
			c.start, c.end = c.first, c.last+1
		}
	}
	fire, purge := t.stir(s, &c.content)
	if fire {
		r.result(c, kind)
	}
	if purge {
		c.purge()
	}
}

// purge forgets the content.
func (c *cell[K, T]) purge() { c.records, c.fresh, c.shown = nil, 0, nil }

// result emits a window that has content.
func (r *triggeredRun[K, T, R]) result(c *cell[K, T], kind window.Firing) {
	if len(c.records) == 0 {
		return
	}
	r.mark(r.before)
	start, end := c.start, c.end
	at := end - 1
	if !r.bounded() {
		start, end = c.first, c.last+1
		at = max(c.last, r.marked+1)
	}
	p := window.Pane[K, R]{
		Key: c.key, Start: time.Unix(0, start).UTC(), End: time.Unix(0, end).UTC(),
		Value: r.Result(slices.Clone(c.records)), Revision: c.panes, Kind: kind,
	}
	if r.sessions() {
		p.Gap = time.Duration(end - c.newest)
		if span := (window.Span{Start: start, End: end}); !slices.Equal(c.shown, []window.Span{span}) {
			p.Replaces = window.SpansOf(c.shown...)
			c.shown = []window.Span{span}
		}
	}
	c.panes++
	c.fresh = 0
	if r.Discarding {
		c.purge()
	}
	r.Panes = append(r.Panes, Item[window.Pane[K, R]]{Value: p, Time: at})
}

// last gives the last result of a window, at its end or after it.
func (r *triggeredRun[K, T, R]) last(c *cell[K, T], kind window.Firing) {
	if r.atEnd() && kind == window.OnTime {
		r.result(c, kind)
	} else {
		r.stir(c, stir[T]{event: true, end: kind == window.OnTime})
	}
	if r.Trigger.Kind != window.TriggerCustom && c.fresh > 0 {
		r.result(c, kind)
	}
}

// sorted returns the windows in the order in which they do what they do at one time.
func (r *triggeredRun[K, T, R]) sorted() []*cell[K, T] {
	all := slices.Clone(r.cells)
	slices.SortStableFunc(all, func(a, b *cell[K, T]) int {
		if !r.bounded() {
			return cmp.Or(r.Compare(a.key, b.key), cmp.Compare(a.number, b.number))
		}
		return cmp.Or(cmp.Compare(a.end, b.end), cmp.Compare(a.start, b.start), r.Compare(a.key, b.key))
	})
	return all
}

// tick moves the processing time, nanosecond by nanosecond.
func (r *triggeredRun[K, T, R]) tick(to int64) {
	for x := r.ticked + 1; x <= to; x++ {
		for _, c := range r.sorted() {
			r.stir(c, stir[T]{processing: true, now: x, earliest: to + 1})
		}
	}
	r.ticked = to
}

// advance moves the clock, nanosecond by nanosecond.
func (r *triggeredRun[K, T, R]) advance(t int64) {
	if t <= r.clock {
		return
	}
	if t == End {
		r.lastTick()
	}
	atEnd := t == End && !r.bounded() // the end of windows without bounds, for which triggers do not wait
	if !atEnd {
		r.moment(r.clock + 1)
	}
	if len(r.cells) > 0 && !atEnd {
		highest := r.lowest
		for _, c := range r.cells {
			highest = max(highest, c.last, c.newest, c.end+r.Lateness)
		}
		const beyond = 100 // no timer of the tests is set further from its record
		for x := max(r.clock+1, r.lowest-beyond); x <= min(t, highest+beyond); x++ {
			r.moment(x)
		}
	}
	r.clock, r.before = t, None
	if atEnd {
		for _, c := range r.sorted() {
			if r.Global || r.Partial {
				r.last(c, window.OnTime)
			}
		}
		r.cells = nil
	}
	r.mark(t)
}

// moment is the clock at t.
func (r *triggeredRun[K, T, R]) moment(t int64) {
	r.before, r.clock = t-1, t
	for _, c := range r.sorted() {
		switch last := c.end - 1; {
		case !r.bounded(), t < last, t > last && t < last+r.Lateness:
			r.stir(c, stir[T]{event: true})
		case t == last && r.Lateness == 0:
			r.last(c, window.OnTime)
		case t == last && r.atEnd():
			r.result(c, window.OnTime)
			r.renew(c)
		case t == last:
			r.stir(c, stir[T]{event: true, end: true})
			if r.Trigger.Kind != window.TriggerCustom && c.fresh > 0 {
				r.result(c, window.OnTime)
				c.early.again(r.now, false)
			}
		case t == last+r.Lateness:
			r.last(c, window.Late)
		}
	}
	r.cells = slices.DeleteFunc(r.cells, func(c *cell[K, T]) bool { return r.bounded() && r.past(c.end) })
}

// lastTick is the end of the input for triggers of a user's own.
func (r *triggeredRun[K, T, R]) lastTick() {
	type alarm struct {
		at int64
		c  *cell[K, T]
	}
	var all []alarm
	for _, c := range r.sorted() {
		t := c.early
		if r.bounded() && c.end-1 <= r.clock {
			t = c.late
		}
		if t == nil {
			continue
		}
		if at := t.alarms(); len(at) > 0 {
			all = append(all, alarm{slices.Min(at), c})
		}
	}
	slices.SortStableFunc(all, func(a, b alarm) int { return cmp.Compare(a.at, b.at) })
	for _, a := range all {
		r.stir(a.c, stir[T]{processing: true, last: true, now: a.at})
	}
}

// mark emits a watermark, unless it is there already.
func (r *triggeredRun[K, T, R]) mark(t int64) {
	if t > r.marked {
		r.marked = t
		r.Panes = append(r.Panes, Item[window.Pane[K, R]]{Time: t, Mark: true})
	}
}
