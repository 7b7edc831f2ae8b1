package errorpolicy_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/connect/memory"
)

// TestI17AuditFindsWhatSinksDoNotHave: after a run, sinks have committed what the ledger says, whatever their format; when a part is gone, or is
// there twice, the audit says so.
func TestI17AuditFindsWhatSinksDoNotHave(t *testing.T) {
	dir := t.TempDir()
	kept := memory.NewSink[rec]()
	build := func() *millrace.Job {
		records := make([]rec, 1000)
		for i := range records {
			records[i] = rec{Key: "a \"quoted\"\nkey", At: int64(i), N: int64(i)}
		}
		job := millrace.NewJob("audited")
		in := job.From("in", memory.Of(records...))
		in.To("csv", file.CSV[rec](filepath.Join(dir, "csv")))
		in.Filter(func(r rec) bool { return r.N%2 == 0 }).To("json", file.JSONL[rec](filepath.Join(dir, "json")).Zstd())
		in.FilterMap(func(r rec) (string, bool) { return "", r.N%5 == 0 }).To("lines", file.Lines(filepath.Join(dir, "lines")))
		in.To("memory", kept)
		return job
	}
	cfg := millrace.Config{
		Log: slog.New(slog.DiscardHandler), Parallelism: 1,
		Checkpoint: millrace.CheckpointConfig{Dir: filepath.Join(dir, "state"), EveryRecords: 300, Interval: time.Hour},
	}
	ctx := context.Background()
	if _, _, err := millrace.Audit(ctx, build(), cfg); err == nil || !strings.Contains(err.Error(), `there is no checkpoint of job "audited" in `) {
		t.Errorf("before the first run: %v", err)
	}
	if err := millrace.Run(ctx, build(), cfg); err != nil {
		t.Fatal(err)
	}
	check := func(what string, want ...millrace.SinkAudit) {
		t.Helper()
		for range 2 { // it changes nothing
			epoch, got, err := millrace.Audit(ctx, build(), cfg)
			if err != nil || epoch < 4 || !slices.Equal(got, want) {
				t.Errorf("%s: epoch %d, %+v, %v, want %+v", what, epoch, got, err, want)
			}
		}
	}
	csv, json := millrace.SinkAudit{Sink: "csv", Ledger: 1000, Committed: 1000}, millrace.SinkAudit{Sink: "json", Ledger: 500, Committed: 500}
	lines, mem := millrace.SinkAudit{Sink: "lines", Ledger: 200, Committed: 200}, millrace.SinkAudit{Sink: "memory", Ledger: 1000, Committed: 1000}
	check("after the run", csv, json, lines, mem)
	parts, err := filepath.Glob(filepath.Join(dir, "csv", "part-*"))
	if err != nil || len(parts) < 2 {
		t.Fatal(parts, err)
	}
	content, err := os.ReadFile(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(parts[0]); err != nil {
		t.Fatal(err)
	}
	csv.Committed = 700
	if csv.Balanced() || !json.Balanced() {
		t.Error("a part of 300 records is gone, and that is balanced")
	}
	check("a part is gone", csv, json, lines, mem)
	for _, name := range []string{parts[0], strings.Replace(parts[0], "part-0", "part-9", 1)} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	csv.Committed = 1300
	check("a part is there twice", csv, json, lines, mem)
	wrong := cfg
	wrong.Checkpoint.Dir = ""
	if _, _, err := millrace.Audit(ctx, build(), wrong); err == nil || !strings.Contains(err.Error(), "Checkpoint.Dir is empty") {
		t.Errorf("without a directory: %v", err)
	}
}
