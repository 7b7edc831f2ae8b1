// Millrace looks at and changes what jobs have on storage. It knows nothing of the types of a job: commands that need them are those of the job's own
// program, see millrace.Main.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/millrace-stream/millrace/internal/commands"
	"github.com/millrace-stream/millrace/internal/fsx"
)

func main() {
	root := &cobra.Command{
		Use: "millrace", Short: "look at and change what jobs have on storage", SilenceUsage: true, SilenceErrors: true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(commands.Inspect(fsx.OS{}, "", ""))
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
