package evolution_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect/memory"
)

// asProgram, in the environment, makes the test binary the program of a job.
const asProgram = "EVOLVING_AS_PROGRAM"

func TestMain(m *testing.M) {
	switch out := memory.NewSink[string](); os.Getenv(asProgram) {
	case "second":
		millrace.Main(secondJob(40, false, out), millrace.Config{KeyGroups: 16})
	case "records":
		millrace.Main(firstRecords(40, false, out), millrace.Config{KeyGroups: 16})
	}
	os.Exit(m.Run())
}

// program runs the program of a job.
func program(t *testing.T, which string, args ...string) (out, errs string, status int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"="+which)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		status = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return o.String(), e.String(), status
}

// TestCommands runs the commands of millrace.Main on a savepoint of an earlier version of the job: plan, inspect, rekey, and run from what rekey has made.
func TestCommands(t *testing.T) {
	dir := t.TempDir()
	save, to := filepath.Join(dir, "save"), filepath.Join(dir, "rekeyed")
	stopAt(t, firstJob(30, true, memory.NewSink[string]()), config(2, ""), 30, save)

	const plan = `keep     in: source
migrate  process/state.list: Old ([]string) is removed; N was int32 and is int64
migrate  process/state.m: Old ([]string) is removed; N was int32 and is int64
migrate  process/state.one: Extra (string) is removed; Seen (bool) is added; Count was int32 and is int64; Notes[].Old ([]string) is removed; ` +
		"Notes[].N was int32 and is int64; fields of it are in another order\nkeep     out: sink\n"
	if out, errs, status := program(t, "second", "plan", save); out != plan || errs != "" || status != 0 {
		t.Errorf("plan: status %d, %s\ngot\n%s\nwant\n%s", status, errs, out, plan)
	}
	out, errs, status := program(t, "records", "plan", save)
	const refused = "error: plan: the job would not start: 1 of 8 steps are refused\n"
	if !strings.Contains(out, "refuse   process: operator \"process\" (process) is in the checkpoint and not in the job") || errs != refused || status != 1 {
		t.Errorf("plan of another job: status %d, %s\n%s", status, errs, out)
	}
	if out, errs, status = program(t, "records", "plan", save, "--drop", "process"); !strings.Contains(out, "drop     process: given up, as asked for") || status != 0 {
		t.Errorf("plan with --drop: status %d, %s\n%s", status, errs, out)
	}
	if out, errs, status = program(t, "second", "plan", save, "--key-groups", "8"); !strings.Contains(out, "refuse   evolving: the checkpoint of job") || status != 1 {
		t.Errorf("plan with other key groups: status %d, %s\n%s", status, errs, out)
	}
	if _, errs, status = program(t, "second", "plan"); errs != "error: millrace: plan: name the directory of a savepoint or of checkpoints\n" || status != 1 {
		t.Errorf("plan of nothing: status %d, %s", status, errs)
	}

	if out, errs, status = program(t, "second", "inspect", save, "--export", "--state", "state.list", "--key", "k3"); strings.Count(out, "\n") != 6 || status != 0 {
		t.Errorf("inspect: status %d, %s\n%s", status, errs, out)
	}
	if out, errs, status = program(t, "second", "rekey", save, to, "--key-groups", "16"); !strings.HasPrefix(out, `savepoint of job "evolving"`) || status != 0 {
		t.Errorf("rekey: status %d, %s\n%s", status, errs, out)
	}
	state := filepath.Join(dir, "state")
	if out, errs, status = program(t, "second", "run", "--from", to, "--checkpoint-dir", state, "--checkpoint-min-pause", "1ms", "--checkpoint-keep", "1"); status != 0 {
		t.Errorf("run: status %d, %s\n%s", status, errs, out)
	}
	if out, errs, status = program(t, "second", "inspect", state, "--export", "--state", "state.one", "--key", "k3"); !strings.Contains(out, `"Count":8`) || status != 0 {
		t.Errorf("inspect of the finished job: status %d, %s\n%s", status, errs, out)
	}
}
