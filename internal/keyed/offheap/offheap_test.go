package offheap_test

import (
	"testing"

	"github.com/millrace-stream/millrace/internal/keyed/offheap"
)

func TestMappedMemoryIsZeroAndWritable(t *testing.T) {
	before := offheap.InUse()
	for _, size := range []int{1, 4096, offheap.Least, 3*offheap.Least + 8} {
		b := offheap.Map(size)
		if b == nil {
			t.Skip("no memory beside the heap here: the race detector is on, or this is not Unix")
		}
		if len(b) != size {
			t.Fatalf("%d bytes, want %d", len(b), size)
		}
		for i := range b {
			if b[i] != 0 {
				t.Fatalf("byte %d of %d is %d", i, size, b[i])
			}
			b[i] = byte(i)
		}
		for i := range b {
			if b[i] != byte(i) {
				t.Fatalf("byte %d of %d does not stay", i, size)
			}
		}
		if got := offheap.InUse() - before; got != int64(size) {
			t.Errorf("%d bytes are in use, want %d", got, size)
		}
		offheap.Unmap(b)
	}
	if got := offheap.InUse(); got != before {
		t.Errorf("%d bytes are in use after all have gone back, %d before", got, before)
	}
}
