// Package commands has the commands that need no job: those of the program millrace, which every program made by millrace.Main has too.
package commands

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/inspect"
)

// Inspect returns the command inspect, which shows what is in a checkpoint or savepoint. Dir and job stand for what is not given; both may be empty.
func Inspect(files fsx.FS, dir, job string) *cobra.Command {
	src := inspect.Source{FS: files, Dir: dir, Job: job}
	var x inspect.Export
	var asJSON, export bool
	largest := 3
	cmd := &cobra.Command{
		Use:   "inspect [DIR]",
		Short: "show what is in a checkpoint or savepoint",
		Long: `Inspect shows the newest checkpoint of a job, running or not, or a savepoint: operators, watermarks, positions of sources, what sinks
have prepared, and sizes and largest entries of all state. With --export it prints entries as JSON lines instead. It reads only.

DIR is the directory of a savepoint, that of a job's checkpoints, or the one above it.`,
		Example: `  millrace inspect state
  millrace inspect state --export --operator fraud --key 4711`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				if src.Dir = args[0]; !cmd.Flags().Changed("job") {
					src.Job = ""
				}
			}
			if src.Dir == "" {
				return errors.New("inspect: name the directory of a checkpoint or savepoint")
			}
			out := bufio.NewWriter(cmd.OutOrStdout())
			if err := show(out, src, x, largest, asJSON, export); err != nil {
				return err
			}
			return out.Flush()
		},
	}
	f := cmd.Flags()
	f.StringVar(&src.Job, "job", job, "job, if DIR has several")
	f.Uint64Var(&src.Epoch, "epoch", 0, "epoch of the checkpoint (0: the newest)")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.IntVar(&largest, "largest", largest, "how many of the largest entries of each state are shown")
	f.BoolVar(&export, "export", false, "print the entries of keyed state as JSON lines")
	f.StringVar(&x.Operator, "operator", "", "with --export: entries of this operator only")
	f.StringVar(&x.State, "state", "", "with --export: entries of this state only")
	f.StringVar(&x.Key, "key", "", "with --export: entries of this key only, as text or JSON")
	return cmd
}

func show(out io.Writer, src inspect.Source, x inspect.Export, largest int, asJSON, export bool) error {
	if export {
		return x.Write(src, func(b []byte) error {
			_, err := out.Write(append(b, '\n'))
			return err
		})
	}
	if x != (inspect.Export{}) {
		return errors.New("inspect: --operator, --state and --key choose what --export prints: give --export too")
	}
	if largest < 0 {
		return fmt.Errorf("inspect: --largest %d: it must not be negative", largest)
	}
	r, err := inspect.Read(src, largest)
	if err != nil {
		return err
	}
	if !asJSON {
		return r.Print(out)
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
