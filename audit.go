package millrace

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/millrace-stream/millrace/internal/console"
	"github.com/millrace-stream/millrace/internal/engine"
)

// SinkAudit compares what the ledger says of a sink with what is committed.
type SinkAudit = engine.SinkAudit

// Audit compares the ledger in the newest checkpoint of a job that does not run with what each of its sinks has committed, and returns the epoch of that
// checkpoint. A sink that has committed other than the ledger says is not an error but a SinkAudit that is not Balanced. Audit reads all output and changes
// nothing. What a job had committed when it died, or is about to commit when it starts again, is settled by that start: a job that was killed between
// deciding an epoch and committing it is not balanced before.
func Audit(ctx context.Context, job *Job, cfg Config) (epoch uint64, sinks []SinkAudit, err error) {
	if err := errors.Join(job.Validate(), cfg.Validate()); err != nil {
		return 0, nil, err
	}
	epoch, sinks, err = engine.Audit(ctx, cfg.withDefaults().engine(job))
	if err != nil {
		return epoch, sinks, fmt.Errorf("millrace: %w", err)
	}
	return epoch, sinks, nil
}

// printAudit writes a line for each sink. It returns an error when one is not balanced.
func printAudit(w io.Writer, epoch uint64, sinks []SinkAudit) error {
	rows := make([]console.AuditRow, len(sinks))
	for i, s := range sinks {
		rows[i] = console.AuditRow(s)
	}
	wrong, err := console.WriteAudit(w, epoch, rows)
	if err == nil && wrong > 0 {
		err = fmt.Errorf("%d of %d sinks have committed other than the ledger says", wrong, len(sinks))
	}
	return err
}

// auditCommand makes the command audit.
func auditCommand(job *Job, cfg *Config) *cobra.Command {
	cmd := &cobra.Command{
		Use: "audit", Short: "compare the ledger of the newest checkpoint with what the sinks have committed", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			epoch, sinks, err := Audit(cmd.Context(), job, *cfg)
			if err != nil {
				return err
			}
			return printAudit(cmd.OutOrStdout(), epoch, sinks)
		},
	}
	cmd.Flags().StringVar(&cfg.Checkpoint.Dir, "checkpoint-dir", cfg.Checkpoint.Dir, "directory for checkpoints")
	return cmd
}
