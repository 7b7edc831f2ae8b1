package formats_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-stream/millrace/internal/clock"
	"github.com/millrace-stream/millrace/internal/commands"
	"github.com/millrace-stream/millrace/internal/fsx"
)

// rekeyed runs the command rekey.
func rekeyed(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := commands.Rekey(fsx.OS{}, clock.System{})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// TestRekey goes on with other numbers of key groups, and goes back: what is exported is the same each time but for the groups, and the job's results
// are those of a run that was never stopped.
func TestRekey(t *testing.T) {
	want := whole(t)
	dir := t.TempDir()
	save(t, dir)
	from := filepath.Join(dir, "savepoint")
	entries := func(save string) []string {
		text, err := inspected(t, fsx.OS{}, save, "--export")
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for l := range strings.Lines(text) {
			head, tail, _ := strings.Cut(l, `,"group":`)
			_, tail, _ = strings.Cut(tail, ",")
			lines = append(lines, head+tail)
		}
		slices.Sort(lines)
		return lines
	}
	all := entries(from)
	for _, groups := range []int{1, 7, 64, 1000, keyGroups} {
		to := filepath.Join(dir, fmt.Sprint("with", groups))
		text, err := rekeyed(t, from, to, "--key-groups", fmt.Sprint(groups))
		if err != nil || !strings.HasPrefix(text, fmt.Sprintf(`savepoint of job "formats" in %s: %d key groups, `, to, groups)) {
			t.Fatalf("%q, %v", text, err)
		}
		if got := entries(to); !slices.Equal(got, all) {
			t.Errorf("%d groups: %d entries, want %d", groups, len(got), len(all))
		}
		from = to
		if groups == 64 {
			continue
		}
		cfg := config(min(groups, 5))
		cfg.From, cfg.KeyGroups = to, groups
		check(t, slices.Concat(shownBefore(t, dir), goOn(t, cfg)), want)
	}
}

// TestRekeyMistakes has what can be asked wrongly.
func TestRekeyMistakes(t *testing.T) {
	v1 := filepath.Join("testdata", "v1")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{filepath.Join(v1, "savepoint"), "to"}, "rekey: say how many key groups there are to be, by --key-groups"},
		{
			[]string{filepath.Join(v1, "savepoint"), "testdata", "--key-groups", "3"},
			"rekey: snapshot: savepoint in testdata with 3 key groups from that in testdata/v1/savepoint: the directory is not empty (v1): name one of its own",
		},
		{
			[]string{filepath.Join(v1, "checkpoints"), "to", "--key-groups", "3"},
			"rekey: snapshot: savepoint in to with 3 key groups from that in testdata/v1/checkpoints/formats: it is a checkpoint, whose job may still have to commit output: " +
				"take a savepoint of the job first",
		},
		{
			[]string{filepath.Join(v1, "savepoint"), "to", "--key-groups", "65537"},
			"rekey: snapshot: savepoint in to with 65537 key groups from that in testdata/v1/savepoint: there must be from 1 to 65536",
		},
	} {
		if _, err := rekeyed(t, tt.args...); err == nil || err.Error() != tt.want {
			t.Errorf("%q:\ngot  %v\nwant %s", tt.args, err, tt.want)
		}
	}
}
