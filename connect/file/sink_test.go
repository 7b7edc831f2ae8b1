package file_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
)

var (
	_ connect.Source[ride] = file.Files[ride]{}
	_ connect.Sink[ride]   = file.Files[ride]{}
	_ connect.Discoverer   = file.Files[ride]{}
	_ connect.Checker      = file.Files[ride]{}
)

// prepareOne writes the records as one epoch and returns its committable.
func prepareOne[T any](t testing.TB, f file.Files[T], epoch uint64, records ...T) []byte {
	t.Helper()
	ctx := context.Background()
	w, err := f.OpenWriter(ctx, connect.SinkInfo{Job: "j", Operator: "o", Term: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(ctx, records); err != nil {
		t.Fatal(err)
	}
	finish, err := w.Prepare(ctx, epoch)
	if err != nil || finish == nil {
		t.Fatalf("prepare: %v", err)
	}
	c, err := finish(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return c
}

func committerOf[T any](t testing.TB, f file.Files[T], operator string) connect.Committer {
	t.Helper()
	c, err := f.OpenCommitter(context.Background(), connect.SinkInfo{Job: "j", Operator: operator, Term: 2})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCommitFindsTrouble(t *testing.T) {
	ctx := context.Background()
	hidden := func(dir string) string {
		found, err := filepath.Glob(filepath.Join(dir, ".mr-*inprogress"))
		if err != nil || len(found) != 1 {
			t.Fatalf("hidden files: %q, %v", found, err)
		}
		return found[0]
	}
	for name, c := range map[string]struct {
		spoil func(hidden, part string) error
		want  []string
	}{
		"lost":          {func(h, _ string) error { return os.Remove(h) }, []string{"is lost", "2 records", "put the file back"}},
		"cut":           {func(h, _ string) error { return os.Truncate(h, 5) }, []string{"has 5 bytes, but 24 were written"}},
		"flipped":       {func(h, _ string) error { return os.WriteFile(h, []byte(strings.Repeat("x", 24)), 0o600) }, []string{"another checksum"}},
		"name is taken": {func(_, p string) error { return os.WriteFile(p, []byte("mine"), 0o600) }, []string{"not overwritten", "has 4 bytes"}},
		"name is taken by the same size": {
			func(_, p string) error { return os.WriteFile(p, []byte(strings.Repeat("x", 24)), 0o600) },
			[]string{"not overwritten", "checksum"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "out")
			f := file.JSONL[map[string]int](dir)
			prepared := prepareOne(t, f, 7, map[string]int{"n": 12345}, map[string]int{"n": 12345})
			part := filepath.Join(dir, "part-0000000007-000-000.jsonl")
			if err := c.spoil(hidden(dir), part); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(part)
			_, err := committerOf(t, f, "o").Recover(ctx, 7, [][]byte{prepared})
			mention(t, err, append(c.want, "part-0000000007-000-000.jsonl")...)
			if now, _ := os.ReadFile(part); string(now) != string(before) {
				t.Errorf("the part changed from %q to %q", before, now)
			}
		})
	}
	_, err := committerOf(t, file.JSONL[int](filepath.Join(t.TempDir(), "o")), "o").Recover(ctx, 1, [][]byte{[]byte(`{"v":9}`)})
	mention(t, err, "version 9")
	_, err = committerOf(t, file.JSONL[int](filepath.Join(t.TempDir(), "o")), "o").Recover(ctx, 1, [][]byte{[]byte(`{`)})
	mention(t, err, "damaged")
	_, err = committerOf(t, file.JSONL[int](filepath.Join(t.TempDir(), "o")), "o").Recover(ctx, 1,
		[][]byte{[]byte(`{"v":1,"parts":[{"from":"../a","to":"b"}]}`)})
	mention(t, err, "outside the directory")
}

func TestRecoverAndOtherOutput(t *testing.T) {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "out")
	f := file.Lines(dir)
	c := committerOf(t, f, "o")
	for epoch := uint64(1); epoch <= 3; epoch++ {
		b := prepareOne(t, f, epoch, fmt.Sprint("line ", epoch))
		for range 2 { // Repeating it does no harm.
			if err := c.Commit(ctx, epoch, [][]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, err := c.Recover(ctx, 0, nil)
	mention(t, err, "part-0000000001-000-000.txt", "without a checkpoint", "move the output away")
	if err := os.WriteFile(filepath.Join(dir, ".mr-j.other-0-1-0.inprogress"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	notes, err := c.Recover(ctx, 1, nil)
	if err != nil || len(notes) != 2 || !strings.Contains(notes[0], "epoch 2") || !strings.Contains(notes[1], "epoch 3") {
		t.Errorf("notes %q, %v", notes, err)
	}
	if got, _, err := readAll(f, 10); err != nil || !slices.Equal(got, []string{"line 1"}) {
		t.Errorf("after going back to epoch 1: %q, %v", got, err)
	}
	if found, _ := filepath.Glob(filepath.Join(dir, ".withdrawn-*")); len(found) != 2 {
		t.Errorf("withdrawn: %q", found)
	}
	if _, err := os.Stat(filepath.Join(dir, ".mr-j.other-0-1-0.inprogress")); err != nil {
		t.Errorf("the unfinished part of another sink is gone: %v", err)
	}
	_, err = committerOf(t, f, "second").Recover(ctx, 1, nil)
	mention(t, err, `belongs to job "j", sink "o"`, `sink "second"`)
}

func TestSinkOptions(t *testing.T) {
	ctx := context.Background()
	info := connect.SinkInfo{}
	_, err := file.Lines("out/*").Follow(time.Second).OpenWriter(ctx, info)
	mention(t, err, "wildcards", "Follow is for sources")
	_, err = file.Lines(put(t, "x", "")).OpenWriter(ctx, info)
	mention(t, err, "is not a directory")
	_, err = file.CSV[ride]("out").NoHeader("id").OpenCommitter(ctx, info)
	mention(t, err, "NoHeader names 1 columns", "has 5")
	_, err = file.Lines(t.TempDir()).Gzip().Splits(ctx)
	mention(t, err, "Gzip", "for sinks")
	w, err := file.Lines(filepath.Join(t.TempDir(), "new")).OpenWriter(ctx, info)
	if err != nil {
		t.Fatal(err)
	}
	if finish, err := w.Prepare(ctx, 1); finish != nil || err != nil {
		t.Errorf("an epoch without records: %v, or something to commit", err)
	}
	mention(t, w.Write(ctx, []string{"ok", "a\nb"}), `"a\nb"`, "line end")
}

func TestCloseForgetsUnpreparedRecords(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	w, err := file.Lines(dir).RollBytes(10).OpenWriter(ctx, connect.SinkInfo{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(ctx, []string{"more than ten bytes", "again more than ten", "little"}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

func TestFaultPointsAreAllPassed(t *testing.T) {
	passed := map[string]bool{}
	ctx := env.With(context.Background(), &env.Env{FS: fsx.OS{}, Fault: func(p string) error { passed[p] = true; return nil }})
	f := file.Lines(filepath.Join(t.TempDir(), "out"))
	w, err := f.OpenWriter(ctx, connect.SinkInfo{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(ctx, []string{"x"}); err != nil {
		t.Fatal(err)
	}
	finish, err := w.Prepare(ctx, 2)
	if err != nil {
		t.Fatal(err)
	}
	b, err := finish(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c, err := f.OpenCommitter(ctx, connect.SinkInfo{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Commit(ctx, 2, [][]byte{b}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Recover(ctx, 1, nil); err != nil {
		t.Fatal(err)
	}
	for _, p := range file.FaultPoints {
		if !passed[p] {
			t.Errorf("fault point %s was not passed", p)
		}
		delete(passed, p)
	}
	if len(passed) > 0 {
		t.Errorf("passed, but not in the list: %v", passed)
	}
}

// TestCSVRoundTrip writes records of every kind of field and reads them back.
func TestCSVRoundTrip(t *testing.T) {
	type base struct {
		Zone  string
		Count uint16
	}
	type rec struct {
		base
		Text  string `csv:"the \"text\""`
		F     float64
		G     float32
		I     int8
		P     *string
		T     time.Time `csv:"t,optional"`
		MS    time.Time `csv:",unixms"`
		Inner base      `csv:"in"`
		Wait  time.Duration
		Text2 time.Duration  `csv:",text"`
		Whole *time.Duration `csv:",s"`
		Bytes []byte
		Addr  netip.Addr
	}
	dir := t.TempDir()
	runs := 0
	ctx := context.Background()
	rapid.Check(t, func(rt *rapid.T) {
		var records []rec
		text := rapid.StringMatching(`[a-z",;\n\r é]{0,8}`)
		for range rapid.IntRange(1, 20).Draw(rt, "n") {
			records = append(records, rec{
				base: base{text.Draw(rt, "zone"), uint16(len(records))}, Text: text.Draw(rt, "text"),
				F: rapid.Float64().Draw(rt, "f"), G: rapid.Float32().Draw(rt, "g"), I: rapid.Int8().Draw(rt, "i"),
				P:  rapid.Ptr(rapid.StringMatching(`[a-z"]{1,3}`), true).Draw(rt, "p"),
				MS: time.UnixMilli(rapid.Int64Range(-1<<40, 1<<40).Draw(rt, "ms")).UTC(), Inner: base{Zone: text.Draw(rt, "inner")},
				Wait: time.Duration(rapid.Int64().Draw(rt, "wait")), Text2: time.Duration(rapid.Int64Range(-1<<62, 1<<62).Draw(rt, "text2")),
				Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(len(records))}),
			})
			if seconds := rapid.Int64Range(-1<<32, 1<<32).Draw(rt, "seconds"); seconds != 0 {
				whole := time.Duration(seconds) * time.Second
				records[len(records)-1].Whole = &whole
			}
			if b := text.Draw(rt, "bytes"); b != "" {
				records[len(records)-1].Bytes = []byte(b)
			}
			if rapid.Bool().Draw(rt, "with time") {
				records[len(records)-1].T = time.Unix(rapid.Int64Range(-1<<35, 1<<37).Draw(rt, "t"), 5).UTC()
			}
		}
		runs++
		f := file.CSV[rec](filepath.Join(dir, fmt.Sprint(runs))).Comma(rapid.SampledFrom([]rune{',', ';'}).Draw(rt, "comma"))
		b := prepareOne(t, f, 1, records...)
		c := committerOf(t, f, "o")
		if err := c.Commit(ctx, 1, [][]byte{b}); err != nil {
			rt.Fatal(err)
		}
		got, _, err := readAll(f, 7)
		if err != nil {
			rt.Fatal(err)
		}
		if !reflect.DeepEqual(got, records) {
			rt.Fatalf("wrote %+v\nread  %+v", records, got)
		}
	})
}

func BenchmarkWriteRides(b *testing.B) {
	records := make([]ride, 512)
	for i := range records {
		records[i] = ride{ID: int64(i), Base: "JFK airport", Fare: 12.25, Picked: time.Unix(1700000000+int64(i), 0).UTC()}
	}
	for name, f := range map[string]file.Files[ride]{"csv": file.CSV[ride](b.TempDir()), "jsonl": file.JSONL[ride](b.TempDir())} {
		b.Run(name, func(b *testing.B) {
			w, err := f.OpenWriter(context.Background(), connect.SinkInfo{})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := w.Write(context.Background(), records); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(records)), "ns/record")
			if err := w.Close(); err != nil && !errors.Is(err, io.EOF) {
				b.Fatal(err)
			}
		})
	}
}
