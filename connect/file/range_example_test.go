package file_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/connect/memory"
)

// A log is read, cut short by somebody, and read again: from its start, since the place at which the job had stopped is gone.
func ExampleFiles_OutOfRange() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "app.log")
	out := memory.NewSink[string]()
	var status millrace.Status
	run := func(content string, until int) error {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		job := millrace.NewJob("log")
		job.From("log", file.Lines(path).Follow(1e6).OutOfRange(connect.OutOfRangeFromStart)).To("out", out)
		return millrace.Run(ctx, job, millrace.Config{
			Log: slog.New(slog.DiscardHandler), ObserveEvery: 1e6,
			Checkpoint: millrace.CheckpointConfig{Dir: filepath.Join(dir, "state"), Interval: 1e6},
			Observe: func(s millrace.Status) {
				if status = s; len(out.Records()) == until {
					stop()
				}
			},
		})
	}
	fmt.Println(run("one\ntwo\nthree\n", 3))
	fmt.Println(run("four\n", 4))
	fmt.Println(out.Records(), status.OutOfRange)
	// Output:
	// millrace: context canceled
	// millrace: context canceled
	// [one two three four] 1
}
