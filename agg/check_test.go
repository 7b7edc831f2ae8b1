package agg

import (
	"bytes"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/millrace-stream/millrace/codec"
	"pgregory.net/rapid"
)

type trip struct {
	Zone  string
	Fare  float64
	Cents int32
	Miles uint8
}

func genTrip() *rapid.Generator[trip] {
	return rapid.Custom(func(t *rapid.T) trip {
		return trip{
			Zone:  rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "zone"),
			Fare:  rapid.SampledFrom([]float64{-1e18, -1, math.Copysign(0, -1), 0, 0.1, 1, 1e18}).Draw(t, "fare"),
			Cents: rapid.Int32Range(-3, 3).Draw(t, "cents"), Miles: rapid.Uint8().Draw(t, "miles"),
		}
	})
}

// check compares an aggregator with a model: a plain loop over all records. The records come in any order and are divided among
// accumulators that are merged as any tree, encoded and decoded on the way.
func check[T, A, R any](t *testing.T, a Aggregator[T, A, R], gen *rapid.Generator[T], model func([]T) R) {
	t.Helper()
	checkEqual(t, a, gen, model, func(got, want R) bool { return reflect.DeepEqual(got, want) })
}

func checkEqual[T, A, R any](
	t *testing.T, a Aggregator[T, A, R], gen *rapid.Generator[T], model func([]T) R, equal func(got, want R) bool,
) {
	t.Helper()
	if a.Err != nil {
		t.Fatal(a.Err)
	}
	c, err := codec.For[A]()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		records := rapid.SliceOfN(gen, 0, 30).Draw(t, "records")
		want := model(slices.Clone(records))
		accs := make([]*A, rapid.IntRange(1, 5).Draw(t, "accumulators"))
		for i := range accs {
			accs[i] = newAcc(a)
		}
		for _, r := range rapid.Permutation(records).Draw(t, "order") {
			if a.Check != nil {
				if err := a.Check(&r); err != nil {
					t.Fatal(err)
				}
			}
			i := rapid.IntRange(0, len(accs)-1).Draw(t, "where")
			a.Add(accs[i], &r)
			if rapid.Bool().Draw(t, "restart") {
				accs[i] = restart(t, c, accs[i])
			}
		}
		for len(accs) > 1 {
			i := rapid.IntRange(1, len(accs)-1).Draw(t, "merge")
			j := rapid.IntRange(0, i-1).Draw(t, "into")
			before := c.Append(nil, accs[i])
			a.Merge(accs[j], accs[i])
			if after := c.Append(nil, accs[i]); !bytes.Equal(before, after) {
				t.Fatalf("Merge changed its source: %x to %x", before, after)
			}
			accs = slices.Delete(accs, i, i+1)
		}
		acc := restart(t, c, accs[0])
		before := c.Append(nil, acc)
		if a.Verify != nil {
			if err := a.Verify(acc); err != nil {
				t.Fatal(err)
			}
		}
		got := a.Result(acc)
		if !equal(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		scribble(reflect.ValueOf(&got).Elem())
		if after := c.Append(nil, acc); !bytes.Equal(before, after) {
			t.Fatalf("the result shares memory with the accumulator, or Result has changed it: %x to %x", before, after)
		}
	})
}

func newAcc[T, A, R any](a Aggregator[T, A, R]) *A {
	acc := new(A)
	if a.Init != nil {
		a.Init(acc)
	}
	return acc
}

// restart returns what a restored job would have in place of acc.
func restart[A any](t *rapid.T, c codec.Codec[A], acc *A) *A {
	out := new(A)
	if rest, err := c.Decode(c.Append(nil, acc), out); err != nil || len(rest) > 0 {
		t.Fatalf("the accumulator cannot be decoded: %d bytes left, error %v", len(rest), err)
	}
	return out
}

// scribble writes to all memory that a result can be written through.
func scribble(v reflect.Value) {
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			scribble(v.Index(i))
			v.Index(i).SetZero()
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				scribble(v.Field(i))
			}
		}
	}
}
