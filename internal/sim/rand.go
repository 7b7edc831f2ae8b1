package sim

// Rand gives the numbers of a seed (splitmix64): what is left to chance in a simulation comes from here, and is the same in every run.
type Rand struct{ state uint64 }

// newRand returns one of the streams of numbers of a seed.
func newRand(seed, stream uint64) *Rand {
	r := &Rand{state: seed}
	r.state = r.Uint64() ^ stream*0x9e3779b97f4a7c15
	return r
}

// Uint64 returns 64 random bits.
func (r *Rand) Uint64() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// IntN returns a number from 0 to n-1.
func (r *Rand) IntN(n int) int { return int(r.Uint64() % uint64(n)) }

// Int64N returns a number from 0 to n-1.
func (r *Rand) Int64N(n int64) int64 { return int64(r.Uint64() % uint64(n)) }

// pick returns one of the choices.
func pick[T any](r *Rand, choices ...T) T { return choices[r.IntN(len(choices))] }

// upTo draws a number from 1 to n, small ones as often as large ones.
func upTo(r *Rand, n int) int {
	size := 1
	for size < n {
		size *= 2
	}
	for size > 1 && r.IntN(3) > 0 {
		size /= 2
	}
	return 1 + r.IntN(min(n, size))
}

// scaled draws a number of a size that is drawn first, between 2^from and 2^to.
func scaled(r *Rand, from, to int) int {
	size := 1 << (from + r.IntN(to-from+1))
	return size + r.IntN(size)
}
