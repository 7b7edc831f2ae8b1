package gen

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// The model.
const (
	epoch            = 50 // events after which the mix repeats: a person, three auctions, 46 bids
	auctionsPerEpoch = 3

	firstID    = 1000 // of persons and of auctions
	hotBatch   = 100  // so many ids in a row have one hot key
	active     = 1000 // persons that do something
	inFlight   = 100  // auctions that are bid for
	lead       = 10   // picks may reach up to 9 ids beyond the newest
	category   = 10   // the first of
	categories = 5

	personSize, auctionSize, bidSize = 200, 500, 100 // bytes, on average

	channels = 10_000
	// stride is the step of the permutation that puts a group out of order. It is prime.
	stride = 953
)

// Base is the time of the first event unless Config says otherwise: 2015-07-15T00:00:00Z, in ms since 1970.
const Base = 1436918400000

// Config says which events there are. Its zero value, but for Events, is that of the published runs.
type Config struct {
	// Events is their number.
	Events int64
	// Rate is the number of events per second of event time; 0 means 10,000.
	Rate int64
	// Seed chooses the events; 0 means 1.
	Seed uint64
	// Group, if above 1, puts events out of order within groups of so many. It must not be a multiple of 953.
	Group int64
	// Base is the time of the first event in ms since 1970; 0 means Base.
	Base int64
}

func (c *Config) withDefaults() Config {
	d := *c
	if c.Rate == 0 {
		d.Rate = 10_000
	}
	if c.Seed == 0 {
		d.Seed = 1
	}
	if c.Group == 0 {
		d.Group = 1
	}
	if c.Base == 0 {
		d.Base = Base
	}
	return d
}

// Check returns all mistakes, joined.
func (c *Config) Check() error {
	d := c.withDefaults()
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf("nexmark: "+format, args...)) }
	if d.Events < 0 || d.Events > math.MaxInt64/1_000_000-epoch*inFlight {
		wrong("Events is %d: it must be from 0 to 9e12", d.Events)
	}
	if d.Rate < 1 || d.Rate > 1e9 {
		wrong("Rate is %d: it must be from 1 to 1e9 events per second", d.Rate)
	}
	switch {
	case d.Group < 1 || d.Group > 1<<40:
		wrong("Group is %d: it must be from 1 to 2^40", d.Group)
	case d.Group%stride == 0:
		wrong("Group is %d: it must not be a multiple of %d, or some events would come twice and others never", d.Group, stride)
	}
	return errors.Join(errs...)
}

// Generator makes events. It may be used by several goroutines.
type Generator struct {
	Config
	hotURL  [4]string
	channel []string
	url     []string
}

// New returns a generator, or all that is wrong with c.
func New(c Config) (*Generator, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	g := &Generator{Config: c.withDefaults(), channel: make([]string, channels), url: make([]string, channels)}
	m := maker{random: random(mix(g.Seed ^ 0xC0FFEE))}
	m.text.Grow(channels * 90)
	for i := range g.hotURL {
		g.hotURL[i] = m.makeURL()
	}
	for i := range channels {
		g.channel[i] = "channel-" + strconv.Itoa(i)
		g.url[i] = m.makeURL()
		if m.n(10) > 0 {
			id := int64(int32(bits.Reverse32(uint32(i))))
			g.url[i] += "&channel_id=" + strconv.FormatInt(max(id, -id), 10)
		}
	}
	return g, nil
}

// number returns the number of the event that comes at a position. Within a group it is a permutation.
func (c *Config) number(position int64) int64 {
	if c.Group == 1 {
		return position
	}
	return position - position%c.Group + position%c.Group*stride%c.Group
}

// time returns the time of an event in ms.
func (c *Config) time(event int64) int64 { return c.Base + event*1_000_000/c.Rate/1000 }

// Watermark returns the watermark in ns in front of a position: no event from there on is of that time or an earlier one.
func (c *Config) Watermark(position int64) int64 {
	return c.time(position-position%c.Group)*1_000_000 - 1
}

// random is SplitMix64.
type random uint64

const golden = 0x9E3779B97F4A7C15

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

func (r *random) draw() uint64 {
	*r += golden
	return mix(uint64(*r))
}

// n returns a number from 0 to k-1.
func (r *random) n(k int64) int64 { return int64((r.draw() >> 32) * uint64(k) >> 32) }

// price returns a price in cents, of which there are as many from 1 to 10 as from 1,000 to 10,000.
func (r *random) price() int64 {
	f := float64(r.draw()>>11) * 0x1p-53
	return int64(math.Floor(math.Pow(10, f*6)*100 + 0.5))
}

func lastPerson(event int64) int64 { return event / epoch }

func lastAuction(event int64) int64 {
	block, o := event/epoch, event%epoch
	switch {
	case o < 1:
		return (block-1)*auctionsPerEpoch + auctionsPerEpoch - 1
	case o <= auctionsPerEpoch:
		return block*auctionsPerEpoch + o - 1
	}
	return block*auctionsPerEpoch + auctionsPerEpoch - 1
}

// maker makes the events of a batch. Their strings are parts of one text, and so one allocation.
type maker struct {
	random
	text strings.Builder
	// scratch is where a string is made before it is added to the text.
	scratch [1024]byte
}

// keep adds a string to the text and returns it.
func (m *maker) keep(b []byte) string {
	m.text.Write(b)
	s := m.text.String() // of the memory of the text: nothing is copied, and what stands in it stays
	return s[len(s)-len(b):]
}

// appendWord appends a string of up to longest letters, with a special one among them now and then, and without spaces at its ends.
func (m *maker) appendWord(dst []byte, longest int64, special byte) []byte {
	from := len(dst)
	for range 3 + m.n(longest-3) {
		if m.n(13) == 0 {
			dst = append(dst, special)
		} else {
			dst = append(dst, 'a'+byte(m.n(26)))
		}
	}
	if special != ' ' {
		return dst
	}
	start, end := from, len(dst)
	for start < end && dst[start] == ' ' {
		start++
	}
	for end > start && dst[end-1] == ' ' {
		end--
	}
	return dst[:from+copy(dst[from:], dst[start:end])]
}

// extra returns what brings an event of a size to about the average.
func (m *maker) extra(size, average int) string {
	if size > average {
		return ""
	}
	d := average - size
	delta := (2*d + 5) / 10
	length := d - delta
	if delta > 0 {
		length += int(m.n(int64(2 * delta)))
	}
	b := m.scratch[:length]
	for len(b) > 0 {
		u := m.draw()
		n := min(12, len(b))
		for i := range n {
			b[i] = 'a' + byte(u%26)
			u /= 26
		}
		b = b[n:]
	}
	return m.keep(m.scratch[:length])
}

func (m *maker) makeURL() string {
	b := append(m.scratch[:0], "https://www.nexmark.com/"...)
	for range 3 {
		b = append(m.appendWord(b, 5, '_'), '/')
	}
	return m.keep(append(b, "item.htm?query=1"...))
}

func (m *maker) pickPerson(event int64) int64 {
	count := lastPerson(event) + 1
	some := min(count, active)
	return count - some + m.n(some+lead)
}

func (m *maker) pickAuction(event int64) int64 {
	last := lastAuction(event)
	first := max(last-inFlight, 0)
	return first + m.n(last-first+1+lead)
}

var (
	firstNames = [...]string{"Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"}
	lastNames  = [...]string{"Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"}
	cities     = [...]string{"Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne"}
	states     = [...]string{"AZ", "CA", "ID", "OR", "WA", "WY"}
	hotChannel = [...]string{"Google", "Facebook", "Baidu", "Apple"}
)

func (m *maker) person(event int64, p *Person) {
	p.ID = lastPerson(event) + firstID
	b := append(m.scratch[:0], firstNames[m.n(int64(len(firstNames)))]...)
	b = append(append(b, ' '), lastNames[m.n(int64(len(lastNames)))]...)
	p.Name = m.keep(b)
	b = append(m.appendWord(m.scratch[:0], 7, ' '), '@')
	p.Email = m.keep(append(m.appendWord(b, 5, ' '), ".com"...))
	b = m.scratch[:0]
	for i := range 4 {
		if i > 0 {
			b = append(b, ' ')
		}
		n := m.n(10_000)
		b = append(b, '0'+byte(n/1000), '0'+byte(n/100%10), '0'+byte(n/10%10), '0'+byte(n%10))
	}
	p.Card = m.keep(b)
	p.City = cities[m.n(int64(len(cities)))]
	p.State = states[m.n(int64(len(states)))]
	p.Extra = m.extra(8+len(p.Name)+len(p.Email)+len(p.Card)+len(p.City)+len(p.State), personSize)
}

func (m *maker) auction(c *Config, event int64, a *Auction) {
	a.ID = lastAuction(event) + firstID
	if m.n(4) > 0 {
		a.Seller = lastPerson(event) / hotBatch * hotBatch
	} else {
		a.Seller = m.pickPerson(event)
	}
	a.Seller += firstID
	a.Category = category + m.n(categories)
	a.InitialBid = m.price()
	// The time until so many auctions more will have been opened.
	horizon := c.time(event+inFlight*epoch/auctionsPerEpoch) - c.time(event)
	a.Expires = c.time(event) + 1 + m.n(max(2*horizon, 1))
	a.Item = m.keep(m.appendWord(m.scratch[:0], 20, ' '))
	a.Description = m.keep(m.appendWord(m.scratch[:0], 100, ' '))
	a.Reserve = a.InitialBid + m.price()
	a.Extra = m.extra(8+len(a.Item)+len(a.Description)+40, auctionSize)
}

func (m *maker) bid(g *Generator, event int64, b *Bid) {
	if m.n(2) > 0 {
		b.Auction = lastAuction(event) / hotBatch * hotBatch
	} else {
		b.Auction = m.pickAuction(event)
	}
	b.Auction += firstID
	if m.n(4) > 0 {
		b.Bidder = lastPerson(event)/hotBatch*hotBatch + 1
	} else {
		b.Bidder = m.pickPerson(event)
	}
	b.Bidder += firstID
	b.Price = m.price()
	if m.n(2) > 0 {
		k := m.n(int64(len(hotChannel)))
		b.Channel, b.URL = hotChannel[k], g.hotURL[k]
	} else {
		k := m.n(channels)
		b.Channel, b.URL = g.channel[k], g.url[k]
	}
	b.Extra = m.extra(32, bidSize)
}

// Fill makes the events at the positions from, from + step, from + 2 step and so on. Their strings share one allocation, their persons one
// and their auctions one.
func (g *Generator) Fill(events []Event, from, step int64) {
	m := maker{}
	m.text.Grow(len(events) * 120)
	var persons []Person
	var auctions []Auction
	for i := range events {
		e := &events[i]
		n := g.number(from + int64(i)*step)
		m.random = random(mix(g.Seed + uint64(n)*golden))
		*e = Event{ID: n, Time: g.time(n)}
		switch o := n % epoch; {
		case o == 0:
			persons = room(persons, len(events)-i)
			e.Kind, e.Person = KindPerson, &persons[len(persons)-1]
			m.person(n, e.Person)
		case o <= auctionsPerEpoch:
			auctions = room(auctions, len(events)-i)
			e.Kind, e.Auction = KindAuction, &auctions[len(auctions)-1]
			m.auction(&g.Config, n, e.Auction)
		default:
			e.Kind = KindBid
			m.bid(g, n, &e.Bid)
		}
	}
}

// room makes a slice one longer. What is full is left to those who point into it, and a new one is begun.
func room[T any](s []T, left int) []T {
	if len(s) == cap(s) {
		s = make([]T, 0, left/10+1)
	}
	return s[:len(s)+1]
}
