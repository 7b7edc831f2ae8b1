package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// plant is a bug that the simulator must find: a change of a line of the engine. The line is changed in a copy of the file, which only the
// binary that is built for this check is made of. So there is no trace of these bugs in the code of the engine.
type plant struct {
	name string
	// breaks are the invariants that the bug breaks, by their numbers in docs/reliability.md.
	breaks    string
	file      string
	old, bent string
}

// plants are all bugs. Each has its effect only when the variable planted of its package has its name.
var plants = []plant{
	{
		"position", "I1, I4: a restored source begins at the beginning of a split", "internal/operator/sourcestate.go",
		"	sp.pos, sp.records, sp.bytes = st.Position, st.Records, st.Bytes\n",
		"	sp.pos, sp.records, sp.bytes = st.Position, st.Records, st.Bytes\n	if planted == \"position\" {\n		sp.pos = nil\n	}\n",
	},
	{
		"carried", "I1, I8: the output of an epoch that was given up is forgotten", "internal/engine/attempt.go",
		"		if p.committable != nil {\n			a.carry",
		"		if p.committable != nil && planted != \"carried\" {\n			a.carry",
	},
	{
		"withdraw", "I3: after going back behind a damaged checkpoint, output of later epochs stays", "connect/file/committer.go",
		"ok && of > epoch && !again {",
		"ok && of > epoch && !again && planted != \"withdraw\" {",
	},
	{
		"unsynced-content", "I6: a data file of a checkpoint is not synced", "internal/snapshot/writer.go",
		"	if err := w.file.Sync(); err != nil {",
		"	if planted == \"unsynced-content\" {\n	} else if err := w.file.Sync(); err != nil {",
	},
	{
		"prepared-names", "I8: the names of prepared output are not synced", "connect/file/writer.go",
		"		if err := e.FS.SyncDir(dir); err != nil {",
		"		if planted == \"prepared-names\" {\n		} else if err := e.FS.SyncDir(dir); err != nil {",
	},
	{
		"fresh", "I7: a job whose checkpoints are all damaged begins anew", "internal/snapshot/newest.go",
		"	if len(l.manifests) > 0 || s.published > 0 {",
		"	if planted != \"fresh\" && (len(l.manifests) > 0 || s.published > 0) {",
	},
	{
		"undecided", "I8: a failed publication counts as a decision", "internal/engine/decide.go",
		"	newest, _, lookup := a.store.Newest()\n",
		"	if planted == \"undecided\" {\n		return nil\n	}\n	newest, _, lookup := a.store.Newest()\n",
	},
	{
		"uncommitted", "I8: a restored epoch is not committed", "internal/engine/attempt.go",
		"				committables = st.Committables\n",
		"				if planted != \"uncommitted\" {\n					committables = st.Committables\n				}\n",
	},
	{
		"two-owners", "I9: the lock of the directory is not waited for", "internal/snapshot/store.go",
		"	if s.lock, err = fs.Lock(filepath.Join(s.dir, lockName)); err != nil {",
		"	if s.lock, err = fs.Lock(filepath.Join(s.dir, lockName)); err != nil && planted == \"two-owners\" {\n		s.lock = io.NopCloser(nil)\n	} else if err != nil {",
	},
	{
		"overtaking", "I10: a batch overtakes the one before it on an edge", "internal/exchange/edge.go",
		"	el = e.mu.ring[e.mu.head]\n",
		"	if n := (e.mu.head + 1) % len(e.mu.ring); planted == \"overtaking\" && e.mu.count > 1 && e.mu.ring[e.mu.head].Batch != nil && e.mu.ring[n].Batch != nil {\n" +
			"		e.mu.ring[e.mu.head], e.mu.ring[n] = e.mu.ring[n], e.mu.ring[e.mu.head]\n	}\n	el = e.mu.ring[e.mu.head]\n",
	},
	{
		"clock", "I11: windows forget what their clock was", "internal/operator/window.go",
		"	w.clock = clock\n",
		"	if planted != \"clock\" {\n		w.clock = clock\n	}\n",
	},
	{
		"early", "I12: a window fires before its end", "internal/operator/window.go",
		"		if !ok || win.Last() > t {",
		"		if !ok || win.Last() > t && (planted != \"early\" || win.Last() > t+1) {",
	},
	{
		"timers", "I13: restored timers do not fire", "internal/keyed/timers.go",
		"	t.stale = true\n	return t.space.Restore()",
		"	t.stale = planted != \"timers\"\n	return t.space.Restore()",
	},
	{
		"groups", "I14: a subtask leaves out its first key group when it is restored", "internal/keyed/restore.go",
		"group >= cfg.Lo && group < cfg.Hi, nil",
		"group >= cfg.Lo && group < cfg.Hi && (planted != \"groups\" || group > cfg.Lo), nil",
	},
	{
		"ids", "I15: a dedup forgets what it has seen", "internal/operator/dedup.go",
		"	if err := c.Load(dedupState, d.space.Restore()); err != nil {",
		"	if planted == \"ids\" {\n	} else if err := c.Load(dedupState, d.space.Restore()); err != nil {",
	},
	{
		"unaligned", "I16: inputs are read on behind a barrier", "internal/epoch/alignment.go",
		"return a.inputs[i].brought && a.current <= a.waits }",
		"return a.inputs[i].brought && a.current <= a.waits && planted != \"unaligned\" }",
	},
	{
		"ledger", "I17: the ledger begins anew after a restore", "internal/engine/build.go",
		"	if sub == 0 { // totals",
		"	if sub == 0 && planted != \"ledger\" { // totals",
	},
	{
		"asleep", "I19: a producer that waits for room is not woken", "internal/exchange/edge.go",
		"	wake := e.mu.starved &&",
		"	wake := planted != \"asleep\" && e.mu.starved &&",
	},
	{
		"hoard", "I24: old checkpoints are kept", "internal/snapshot/publish.go",
		"		if kept >= keep {",
		"		if kept >= keep && planted != \"hoard\" {",
	},
}

// plantEnv names the planted bug for a binary that has them.
const plantEnv = "MILLRACE_PLANT"

// overlay writes the changed files to a folder, and a description of them for go build.
func overlay(root, dir string) (string, error) {
	texts := map[string]string{}
	for _, p := range plants {
		path := filepath.Join(root, p.file)
		if _, ok := texts[path]; !ok {
			b, err := os.ReadFile(path) //nolint:gosec // the path is made of those above
			if err != nil {
				return "", err
			}
			texts[path] = string(b)
			folder := filepath.Dir(path)
			texts[filepath.Join(folder, "planted_overlay.go")] = fmt.Sprintf("package %s\n\nimport \"os\"\n\nvar planted = os.Getenv(%q)\n", filepath.Base(folder), plantEnv)
		}
		if n := strings.Count(texts[path], p.old); n != 1 {
			return "", fmt.Errorf("plant %s: %s has the text %d times that it changes, want once: %q", p.name, p.file, n, p.old)
		}
		texts[path] = strings.Replace(texts[path], p.old, p.bent, 1)
	}
	replace := map[string]string{}
	for path, text := range texts {
		copied := filepath.Join(dir, fmt.Sprintf("%d-%s", len(replace), filepath.Base(path)))
		if err := os.WriteFile(copied, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[path] = copied
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, "overlay.json")
	return out, os.WriteFile(out, b, 0o600)
}

// moduleRoot returns the folder of go.mod.
func moduleRoot(ctx context.Context) (string, error) {
	b, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(b))), nil
}

var foundAt = regexp.MustCompile(`(?s)(\d+) of (\d+) seeds failed; repeat the first with: .* -seed (\d+) `)

// checkPlants builds the simulator with all bugs in it, and lets it look for each.
func checkPlants(ctx context.Context, o options) (err error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "millrace-plants-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	description, err := overlay(root, dir)
	if err != nil {
		return err
	}
	binary := filepath.Join(dir, "sim")
	build := exec.CommandContext(ctx, "go", "build", "-gcflags=-dwarf=false", "-overlay", description, "-o", binary, "./internal/cmd/sim") //nolint:gosec // our own paths
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build with planted bugs: %w\n%s", err, out)
	}
	try := func(name string, seeds uint64) (string, error) {
		cmd := exec.CommandContext(ctx, binary, "-seed", fmt.Sprint(o.seed), "-seeds", fmt.Sprint(seeds), "-failures", "1", "-workers", fmt.Sprint(o.workers)) //nolint:gosec // it has just been built
		cmd.Env = append(os.Environ(), plantEnv+"="+name)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := try("none", min(o.seeds, 50)); err != nil {
		return fmt.Errorf("the copy without a planted bug fails: %w\n%s", err, out)
	}
	var missed []string
	for _, p := range plants {
		out, err := try(p.name, o.seeds)
		m := foundAt.FindStringSubmatch(out)
		switch {
		case err == nil:
			missed = append(missed, p.name)
			fmt.Printf("%-17s NOT FOUND in %d seeds  (%s)\n", p.name, o.seeds, p.breaks)
		case m == nil:
			return fmt.Errorf("plant %s: %w\n%s", p.name, err, out)
		default:
			fmt.Printf("%-17s found after %3s seeds  (%s)\n", p.name, m[2], p.breaks)
			if o.verbose {
				fmt.Println(wrong(out))
			}
		}
	}
	if len(missed) > 0 {
		return fmt.Errorf("%d of %d planted bugs were not found: %s", len(missed), len(plants), strings.Join(missed, ", "))
	}
	fmt.Printf("sim: all %d planted bugs were found\n", len(plants))
	return nil
}

// wrong returns the line that says what was wrong.
func wrong(out string) string {
	for line := range bytes.Lines([]byte(out)) {
		if bytes.HasPrefix(line, []byte("  wrong: ")) {
			return strings.TrimSuffix(string(line), "\n")
		}
	}
	return ""
}
