package keyed

import (
	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

type TimersConfig[K comparable] struct {
	Operator, State string
	Key             *codec.Key[K]
	Layout          codec.Layout
	Groups, Lo, Hi  int
}
type Timers[K comparable] struct{}
type Timer[K comparable] struct {
	Key  K
	Name string
	Hash uint64
	At   int64
}

func NewTimers[K comparable](cfg TimersConfig[K]) (*Timers[K], error)             { return nil, nil }
func (t *Timers[K]) Set(k *K, hash uint64, name string, at int64)                 {}
func (t *Timers[K]) Delete(k *K, hash uint64, name string) bool                   { return false }
func (t *Timers[K]) PopUntil(at int64, dst []Timer[K]) []Timer[K]                 { return dst }
func (t *Timers[K]) Freeze(epoch uint64) Frozen                                   { return nil }
func (t *Timers[K]) Completed(epoch uint64)                                       {}
func (t *Timers[K]) Restore() snapshot.Visitor                                    { return nil }
