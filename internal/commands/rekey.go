package commands

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/millrace-stream/millrace/internal/clock"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

// Rekey returns the command rekey, which writes a savepoint with another number of key groups.
func Rekey(files fsx.FS, c clock.Clock) *cobra.Command {
	groups := 0
	cmd := &cobra.Command{
		Use:   "rekey SAVEPOINT NEW",
		Short: "write a savepoint with another number of key groups",
		Long: `Rekey writes what is in a savepoint into a new directory, with another number of key groups: the most that the parallelism of a job can be, which is fixed
otherwise. The old savepoint stays as it is. Start the job from the new one, in a new checkpoint directory and with that number of key groups.`,
		Example: "  millrace rekey monday monday-1024 --key-groups 1024",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if groups == 0 {
				return errors.New("rekey: say how many key groups there are to be, by --key-groups")
			}
			v, err := snapshot.Look(files, args[0], "", 0)
			if err == nil {
				err = v.Rekey(files, args[1], groups, c.Now())
			}
			if err != nil {
				return fmt.Errorf("rekey: %w", err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "savepoint of job %q in %s: %d key groups, %d before\n", v.Manifest.Job, args[1], groups, v.Manifest.Groups)
			return err
		},
	}
	cmd.Flags().IntVar(&groups, "key-groups", 0, "number of key groups")
	return cmd
}
