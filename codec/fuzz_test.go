package codec

import (
	"bytes"
	"testing"
	"time"
)

// FuzzDecode feeds any bytes to the decoder of a type with everything in it: it must not panic nor allocate without measure, and
// what it accepts must survive another round.
func FuzzDecode(f *testing.F) {
	c := mustFor[everything](f)
	for _, e := range []everything{
		{},
		{
			Name: "name", Raw: []byte{1}, Strs: []string{"", "x"}, When: time.Unix(1, 2), Map: map[string][]int{"k": {1}},
			Set: map[int16]struct{}{1: {}, 2: {}}, Ptr: &place{name: "p", ok: true}, None: make([]nothing, 2), Unit: make([]struct{}, 3),
		},
	} {
		f.Add(c.Append(nil, &e))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var first, second everything
		if _, err := c.Decode(in, &first); err != nil {
			return
		}
		b := c.Append(nil, &first)
		rest, err := c.Decode(b, &second)
		if err != nil || len(rest) != 0 {
			t.Fatalf("what was decoded cannot be decoded again: %d bytes left, error %v", len(rest), err)
		}
		if again := c.Append(nil, &second); !bytes.Equal(b, again) {
			t.Fatalf("two rounds differ:\n%x\n%x", b, again)
		}
	})
}

// FuzzKeyDecode does the same for keys, whose encoding is unique: what is accepted must be what Append writes.
func FuzzKeyDecode(f *testing.F) {
	key := mustKey[ride](f)
	f.Add(key.Append(nil, &ride{}))
	f.Add(key.Append(nil, &ride{card: "a\x00b", line: -1, when: time.Unix(5, 6), tags: [2]string{"\x00", ""}, night: true}))
	f.Fuzz(func(t *testing.T, in []byte) {
		var k ride
		rest, err := key.Decode(in, &k)
		if err != nil {
			return
		}
		if again := key.Append(nil, &k); !bytes.Equal(again, in[:len(in)-len(rest)]) {
			t.Fatalf("decoded from %x, encoded as %x", in[:len(in)-len(rest)], again)
		}
	})
}
