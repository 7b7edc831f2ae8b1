package states

import (
	"errors"
	"fmt"

	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/codec"
)

// Value is one value of type T for each key.
type Value[K comparable, T any] struct {
	cells[K, T]
	r    *Registry[K]
	keep func(*T)
}

// NewValue declares a value. Section is its place in snapshots.
func NewValue[T any, K comparable](r *Registry[K], name, section string, ttl TTL) *Value[K, T] {
	v := &Value[K, T]{r: r}
	c, keep, err := content[T]()
	v.keep = keep
	v.cells = cells[K, T]{name: section, times: &r.Times, key: r.key, value: c, layout: max(codec.LayoutOf[T](), codec.LayoutOf[K]()), ttl: ttl}
	r.add(name, section, codec.Describe[T](), ttl, v, err)
	return v
}

// content returns how values are stored, and what gives them memory of their own.
func content[T any]() (codec.Codec[T], func(*T), error) {
	c, err := codec.For[T]()
	if err != nil {
		return nil, nil, fmt.Errorf("it cannot be kept in checkpoints: %w", err)
	}
	keep, err := codec.Detach[T]()
	return c, keep, err
}

// Get returns the value of the key at hand for reading, or nil.
func (v *Value[K, T]) Get() *T { return v.get(&v.r.Key, v.r.Hash) }

// Ref returns the value of the key at hand for writing, made if there was none.
func (v *Value[K, T]) Ref() *T {
	p, _, _ := v.upsert(&v.r.Key, v.r.Hash)
	return p
}

// Set replaces the value of the key at hand.
func (v *Value[K, T]) Set(x T) {
	p := v.Ref()
	*p = x
	if v.keep != nil {
		v.keep(p)
	}
}

// Clear forgets the value of the key at hand.
func (v *Value[K, T]) Clear() { v.remove(&v.r.Key, v.r.Hash) }

// Reducing is an accumulator for each key.
type Reducing[K comparable, T, A, R any] struct {
	cells[K, A]
	r    *Registry[K]
	with agg.Aggregator[T, A, R]
	// at is the record at hand; a local one would be allocated for each call.
	at T
}

// NewReducing declares an accumulator.
func NewReducing[K comparable, T, A, R any](r *Registry[K], name, section string, with agg.Aggregator[T, A, R], ttl TTL) *Reducing[K, T, A, R] {
	v := &Reducing[K, T, A, R]{r: r, with: with}
	c, err := codec.For[A]()
	errs := []error{with.Err, err}
	if err != nil {
		errs[1] = fmt.Errorf("its accumulator cannot be kept in checkpoints: %w", err)
	}
	if with.Err == nil && (with.Add == nil || with.Result == nil) {
		errs = append(errs, errors.New("the aggregator has no Add or no Result"))
	}
	v.cells = cells[K, A]{name: section, times: &r.Times, key: r.key, value: c, layout: max(codec.LayoutOf[A](), codec.LayoutOf[K]()), ttl: ttl}
	r.add(name, section, "reducing "+codec.Describe[T]()+" in "+codec.Describe[A](), ttl, v, errs...)
	return v
}

// Add adds a record to the accumulator of the key at hand.
func (v *Reducing[K, T, A, R]) Add(x T) error {
	v.at = x
	if v.with.Check != nil {
		if err := v.with.Check(&v.at); err != nil {
			return err
		}
	}
	acc, fresh, _ := v.upsert(&v.r.Key, v.r.Hash)
	if fresh && v.with.Init != nil {
		v.with.Init(acc)
	}
	v.with.Add(acc, &v.at)
	return nil
}

// Get returns the result so far; ok is false when nothing has been added.
func (v *Reducing[K, T, A, R]) Get() (result R, ok bool, err error) {
	acc := v.get(&v.r.Key, v.r.Hash)
	if acc == nil {
		return result, false, nil
	}
	if v.with.Verify != nil {
		if err := v.with.Verify(acc); err != nil {
			return result, false, err
		}
	}
	return v.with.Result(acc), true, nil
}

// Clear forgets the accumulator of the key at hand.
func (v *Reducing[K, T, A, R]) Clear() { v.remove(&v.r.Key, v.r.Hash) }
