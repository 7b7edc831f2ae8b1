package state_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/state"
)

// word is a word that somebody has said.
type word struct {
	Who, Text string
	Second    int64
}

func (w word) who() string     { return w.Who }
func (w word) time() time.Time { return time.Unix(w.Second, 0) }

var said = []word{{"ann", "to", 0}, {"bob", "not", 1}, {"ann", "be", 2}, {"ann", "to", 3}, {"bob", "to", 9}, {"ann", "or", 10}}

// try runs a processor over the words and prints what it emits.
func try[P millrace.Processor[string, word, string]](factory func(s *state.Set[string]) P) {
	job := millrace.NewJob("words")
	out := memory.NewSink[string]()
	job.From("said", memory.Of(said...), millrace.EventTime(word.time)).KeyBy(word.who).ProcessWith("words", factory).To("out", out)
	if err := millrace.Run(context.Background(), job, millrace.Config{Parallelism: 1, Log: slog.New(slog.DiscardHandler)}); err != nil {
		fmt.Println(err)
	}
	for _, s := range out.Records() {
		fmt.Println(s)
	}
}

// each is a processor of one function.
type each func(c *millrace.Call[string, string], w word) error

func (f each) Record(c *millrace.Call[string, string], w word) error { return f(c, w) }

func ExampleSet_Value() {
	try(func(s *state.Set[string]) each {
		before := s.Value[string]("before")
		return func(c *millrace.Call[string, string], w word) error {
			if old, ok := before.Get(); ok {
				c.Emit(fmt.Sprintf("%s: %s after %s", c.Key(), w.Text, old))
			}
			before.Set(w.Text)
			return nil
		}
	})
	// Output:
	// ann: be after to
	// ann: to after be
	// bob: to after not
	// ann: or after to
}

func ExampleSet_List() {
	try(func(s *state.Set[string]) each {
		last := s.List[string]("last")
		return func(c *millrace.Call[string, string], w word) error {
			last.Append(w.Text)
			if last.Len() > 2 {
				last.DropFirst(1)
			}
			c.Emit(fmt.Sprintf("%s: %s", c.Key(), strings.Join(slices.Collect(last.All()), " ")))
			return nil
		}
	})
	// Output:
	// ann: to
	// bob: not
	// ann: to be
	// ann: be to
	// bob: not to
	// ann: to or
}

func ExampleSet_Map() {
	try(func(s *state.Set[string]) each {
		times := s.Map[string, int]("times")
		return func(c *millrace.Call[string, string], w word) error {
			*times.Ref(w.Text)++
			c.Emit(fmt.Sprintf("%s: %v", c.Key(), maps.Collect(times.All())))
			return nil
		}
	})
	// Output:
	// ann: map[to:1]
	// bob: map[not:1]
	// ann: map[be:1 to:1]
	// ann: map[be:1 to:2]
	// bob: map[not:1 to:1]
	// ann: map[be:1 or:1 to:2]
}

func ExampleSet_Reducing() {
	try(func(s *state.Set[string]) each {
		different := s.Reducing("different", agg.CountDistinct(func(w word) string { return w.Text }))
		return func(c *millrace.Call[string, string], w word) error {
			if err := different.Add(w); err != nil {
				return err
			}
			n, _, err := different.Get()
			c.Emit(fmt.Sprintf("%s: %d", c.Key(), n))
			return err
		}
	})
	// Output:
	// ann: 1
	// bob: 1
	// ann: 2
	// ann: 2
	// bob: 2
	// ann: 3
}

// What was said is forgotten five seconds later; looking at it does not make it live on.
func ExampleExpireAfter() {
	try(func(s *state.Set[string]) each {
		recent := s.Map[string, bool]("recent", state.ExpireAfter(5*time.Second))
		return func(c *millrace.Call[string, string], w word) error {
			recent.Set(w.Text, true)
			c.Emit(fmt.Sprintf("%d %s: %d", w.Second, c.Key(), recent.Len()))
			return nil
		}
	})
	// Output:
	// 0 ann: 1
	// 1 bob: 1
	// 2 ann: 2
	// 3 ann: 2
	// 9 bob: 2
	// 10 ann: 1
}
