package millrace_test

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect/memory"
)

// Texts that are no numbers are left out, and counted.
func ExampleStream_OnError() {
	job := millrace.NewJob("numbers")
	out := memory.NewSink[int]()
	job.From("in", memory.Of("1", "two", "3")).
		FlatMap(func(_ *millrace.Context, text string, emit func(int)) error {
			n, err := strconv.Atoi(text)
			if err != nil {
				return err
			}
			emit(n)
			return nil
		}).
		OnError(millrace.ErrorPolicy{Action: millrace.SkipRecord}).
		To("out", out)
	var status millrace.Status
	err := millrace.Run(context.Background(), job, millrace.Config{
		Log: slog.New(slog.DiscardHandler), Observe: func(s millrace.Status) { status = s },
	})
	fmt.Println(out.Records(), "skipped:", status.Skipped, err)
	// Output: [1 3] skipped: 1 <nil>
}

// Texts that are no numbers become dead letters, which say where they come from and what is wrong with them.
func ExampleDeadLetters() {
	job := millrace.NewJob("numbers")
	out, dead := memory.NewSink[int](), memory.NewSink[millrace.DeadLetter]()
	numbers := job.From("in", memory.Of("1", "two", "3")).
		FlatMap(func(_ *millrace.Context, text string, emit func(int)) error {
			n, err := strconv.Atoi(text)
			if err != nil {
				return err
			}
			emit(n)
			return nil
		}).
		As("parsed").
		OnError(millrace.ErrorPolicy{Action: millrace.DeadLetterRecord})
	numbers.To("out", out)
	millrace.DeadLetters(numbers).To("dead", dead)
	err := millrace.Run(context.Background(), job, millrace.Config{Log: slog.New(slog.DiscardHandler)})
	fmt.Println(out.Records(), err)
	for _, l := range dead.Records() {
		fmt.Printf("%s at %s, %s: %s, %s\n", l.Operator, l.Place, l.Encoding, l.Raw, l.Error)
	}
	// Output:
	// [1 3] <nil>
	// parsed at slice-000000[1], json: "two", strconv.Atoi: parsing "two": invalid syntax
}
