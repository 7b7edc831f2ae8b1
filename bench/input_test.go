package bench

import (
	"math/rand/v2"
	"sync"
	"time"
)

// event is a record of the windowed benchmarks.
type event struct {
	Time int64 // ns since 1970
	Key  uint64
	Val  int64
}

const (
	windowSize = int64(10 * time.Second)
	// disorder is how far back an event time may lie behind one before it.
	disorder = int64(5 * time.Second)
	// spacing is the event time between records before they are moved back.
	spacing = int64(10 * time.Microsecond)
	// origin is the first event time, a multiple of the window size.
	origin = int64(1_700_000_000 * time.Second)
)

// inputs are the records of each number of keys. Slices of different lengths are beginnings of the longest so far.
var inputs struct {
	sync.Mutex
	keys   uint64
	events []event
}

// makeInput returns n records with uniform keys below keys, each moved back by a uniform time below disorder. Only the input
// of one number of keys is kept.
func makeInput(n int, keys uint64) []event {
	inputs.Lock()
	defer inputs.Unlock()
	if inputs.keys == keys && len(inputs.events) >= n {
		return inputs.events[:n]
	}
	inputs.keys, inputs.events = keys, nil
	rng := rand.New(rand.NewPCG(1, keys))
	events := make([]event, n)
	for i := range events {
		events[i] = event{
			Time: origin + int64(i)*spacing + disorder - rng.Int64N(disorder),
			Key:  spread(rng.Uint64N(keys)),
			Val:  int64(i & 1023),
		}
	}
	inputs.events = events
	return events
}

// spread makes a key of a number: keys that are counted up would fall into a table of the right size as if sorted, which
// favours whoever multiplies instead of hashing.
func spread(x uint64) uint64 {
	x = (x ^ x>>31) * 0x7fb5d329728ea185
	x = (x ^ x>>27) * 0x81dadef4bc2dd44d
	return x ^ x>>33
}

// tally is a checksum over results that does not depend on their order.
type tally struct {
	Count int64
	Sum   uint64
}

// add adds the result of a key and window.
func (t *tally) add(key uint64, start, count, sum int64) {
	x := key*0x9e3779b97f4a7c15 ^ uint64(start)
	x = (x ^ x>>29) * 0xbf58476d1ce4e5b9
	x += uint64(count)*0x94d049bb133111eb ^ uint64(sum)
	x = (x ^ x>>32) * 0xd6e8feb86659fd93
	t.Count++
	t.Sum += x ^ x>>29
}
