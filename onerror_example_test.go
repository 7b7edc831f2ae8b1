package millrace_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect/file"
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

// The ledger says what the job has given to a sink, and the sink what it has committed.
func ExampleAudit() {
	dir, err := os.MkdirTemp("", "audit")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	job := millrace.NewJob("copies")
	job.From("in", memory.Of("a", "b", "c")).To("out", file.Lines(filepath.Join(dir, "out")))
	cfg := millrace.Config{Log: slog.New(slog.DiscardHandler), Checkpoint: millrace.CheckpointConfig{Dir: filepath.Join(dir, "state")}}
	if err := millrace.Run(context.Background(), job, cfg); err != nil {
		fmt.Println(err)
		return
	}
	_, sinks, err := millrace.Audit(context.Background(), job, cfg)
	for _, s := range sinks {
		fmt.Println(s.Sink, s.Ledger, s.Committed, s.Balanced())
	}
	fmt.Println(err)
	// Output:
	// out 3 3 true
	// <nil>
}

// Dead letters in a file are read, and handled again when the cause is gone.
func ExampleReadDeadLetters() {
	dir, err := os.MkdirTemp("", "letters")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	down := true // the service that the function asks
	build := func(out *memory.Sink[string]) *millrace.Job {
		job := millrace.NewJob("asks")
		answers := job.From("in", memory.Of("a", "b")).
			FlatMap(func(_ *millrace.Context, question string, emit func(string)) error {
				if down && question == "b" {
					return errors.New("no answer")
				}
				emit("answer to " + question)
				return nil
			}).As("ask").OnError(millrace.ErrorPolicy{Action: millrace.DeadLetterRecord})
		answers.To("out", out)
		millrace.DeadLetters(answers).To("dead", file.JSONL[millrace.DeadLetter](filepath.Join(dir, "dead")))
		return job
	}
	out := memory.NewSink[string]()
	cfg := millrace.Config{Log: slog.New(slog.DiscardHandler), Checkpoint: millrace.CheckpointConfig{Dir: filepath.Join(dir, "state")}}
	err = millrace.Run(context.Background(), build(out), cfg)
	fmt.Println(out.Records(), err)

	down = false
	letters, err := millrace.ReadDeadLetters(filepath.Join(dir, "dead"))
	fmt.Println(len(letters), letters[0].Error, err)
	cfg.Replay = letters
	err = millrace.Run(context.Background(), build(out), cfg)
	fmt.Println(out.Records(), err)
	// Output:
	// [answer to a] <nil>
	// 1 no answer <nil>
	// [answer to a answer to b] <nil>
}
