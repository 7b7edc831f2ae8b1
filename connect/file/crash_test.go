package file_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
)

var errDown = errors.New("the machine is down")

// powerFS is a file system on a machine that goes down at the n-th change: before it, or after it. When it goes down,
// what was not synced may be lost: content of files, and names made, changed or removed.
type powerFS struct {
	fsx.OS
	changes, downAt int
	after, down     bool

	undo   map[string][]func() error // By directory, in order.
	synced map[string]int64          // Size that is safe, of files that have more.
}

func newPowerFS(downAt int, after bool) *powerFS {
	return &powerFS{downAt: downAt, after: after, undo: map[string][]func() error{}, synced: map[string]int64{}}
}

// change does what do does, unless the machine is down or goes down before.
func (p *powerFS) change(do func() error) error {
	if p.down {
		return errDown
	}
	p.changes++
	if p.changes != p.downAt {
		return do()
	}
	p.down = true
	if p.after {
		if err := do(); err != nil {
			return err
		}
	}
	return errDown
}

// fault is the fault point of the machine: each counts as a change.
func (p *powerFS) fault(string) error { return p.change(func() error { return nil }) }

func (p *powerFS) noteUndo(path string, undo func() error) {
	dir := filepath.Dir(path)
	p.undo[dir] = append(p.undo[dir], undo)
}

func (p *powerFS) Create(path string) (f fsx.File, err error) {
	err = p.change(func() error {
		if f, err = p.OS.Create(path); err == nil {
			p.synced[path] = 0
			p.noteUndo(path, func() error { return os.Remove(path) })
		}
		return err
	})
	if err != nil && f != nil {
		err = errors.Join(err, f.Close())
	}
	return &powerFile{f, p}, err
}

func (p *powerFS) Rename(from, to string) error {
	return p.change(func() error {
		if size, ok := p.synced[from]; ok {
			delete(p.synced, from)
			p.synced[to] = size
		}
		p.noteUndo(to, func() error { return os.Rename(to, from) })
		return p.OS.Rename(from, to)
	})
}

func (p *powerFS) Remove(path string) error {
	return p.change(func() error {
		if content, err := os.ReadFile(path); err == nil {
			p.noteUndo(path, func() error { return os.WriteFile(path, content, 0o600) })
		}
		return p.OS.Remove(path)
	})
}

func (p *powerFS) SyncDir(path string) error {
	return p.change(func() error {
		delete(p.undo, path)
		return nil
	})
}

// restart brings the machine up again, with or without what was not synced.
func (p *powerFS) restart(lose bool) error {
	p.down = false
	if !lose {
		return nil
	}
	for path, size := range p.synced {
		if err := os.Truncate(path, size); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	for _, list := range p.undo {
		for _, undo := range slices.Backward(list) {
			if err := undo(); err != nil {
				return err
			}
		}
	}
	clear(p.undo)
	clear(p.synced)
	return nil
}

type powerFile struct {
	fsx.File
	fs *powerFS
}

func (f *powerFile) Write(b []byte) (n int, err error) {
	err = f.fs.change(func() error {
		n, err = f.File.Write(b)
		return err
	})
	return n, err
}

func (f *powerFile) Sync() error {
	return f.fs.change(func() error {
		delete(f.fs.synced, f.Name())
		return nil
	})
}

// count is the record of the crash test.
type count struct {
	N    int    `json:"n" csv:"n"`
	Text string `json:"text" csv:"text"`
}

// miniJob is the least engine that the sink needs: it writes numbers in epochs and keeps a manifest.
type miniJob struct {
	t        *testing.T
	sink     file.Files[count]
	dir      string
	fs       *powerFS
	term     uint64
	epoch    uint64 // The manifest: last decided epoch, its committables, and the number of records up to it.
	prepared [][]byte
	sent     int
}

const (
	jobEpochs   = 4
	jobSubtasks = 2
)

// recordsIn says how many records an epoch has; one has none, and one has many.
func recordsIn(epoch uint64) int { return []int{0, 3, 0, 40, 1}[epoch] }

// attempt runs the job from its manifest to the end, or until the machine goes down.
func (j *miniJob) attempt() error {
	j.term++
	ctx := env.With(context.Background(), &env.Env{FS: j.fs, Fault: j.fs.fault})
	info := connect.SinkInfo{Job: "j-1", Operator: "out/put", Parallelism: jobSubtasks, Term: j.term, Epoch: j.epoch}
	committer, err := j.sink.OpenCommitter(ctx, info)
	if err != nil {
		return err
	}
	if notes, err := committer.Recover(ctx, j.epoch, j.prepared); err != nil || len(notes) > 0 {
		return errors.Join(err, noNotes(notes))
	}
	var writers []connect.Writer[count]
	for i := range jobSubtasks {
		info.Subtask = i
		w, err := j.sink.OpenWriter(ctx, info)
		if err != nil {
			return err
		}
		writers = append(writers, w)
	}
	for j.epoch < jobEpochs {
		if err := j.runEpoch(ctx, writers); err != nil {
			return err
		}
		if err := committer.Commit(ctx, j.epoch, j.prepared); err != nil {
			return err
		}
	}
	return nil
}

func noNotes(notes []string) error {
	if len(notes) == 0 {
		return nil
	}
	return fmt.Errorf("unexpected notes: %q", notes)
}

// runEpoch writes and prepares the next epoch and decides it.
func (j *miniJob) runEpoch(ctx context.Context, writers []connect.Writer[count]) error {
	sent := j.sent
	for range recordsIn(j.epoch + 1) {
		rec := count{sent, strings.Repeat("text ", 9)}
		if err := writers[sent%len(writers)].Write(ctx, []count{rec}); err != nil {
			return err
		}
		sent++
	}
	var prepared [][]byte
	for _, w := range writers {
		finish, err := w.Prepare(ctx, j.epoch+1)
		if err != nil {
			return err
		}
		if finish == nil {
			continue
		}
		c, err := finish(ctx)
		if err != nil {
			return err
		}
		prepared = append(prepared, c)
	}
	j.epoch, j.prepared, j.sent = j.epoch+1, prepared, sent // The decision.
	return nil
}

// visible reads what a reader sees and fails unless it is numbers below limit, each once.
func (j *miniJob) visible(limit int) int {
	j.t.Helper()
	if entries, err := os.ReadDir(j.dir); err != nil || !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name()[0] != '.' }) {
		return 0
	}
	got, _, err := readAll(file.JSONL[count](j.dir), 100)
	if err != nil {
		j.t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, c := range got {
		if c.N < 0 || c.N >= limit || seen[c.N] || c.Text != strings.Repeat("text ", 9) {
			j.t.Fatalf("visible: %+v, which is not decided (%d are), or is there twice, or is damaged", c, limit)
		}
		seen[c.N] = true
	}
	return len(got)
}

// TestExactlyOnceThroughEveryCrash takes the machine down at every change and every fault point, with and without loss of what
// was not synced.
func TestExactlyOnceThroughEveryCrash(t *testing.T) {
	base := t.TempDir()
	runs := 0
	for name, options := range map[string]func(file.Files[count]) file.Files[count]{
		"plain":        func(f file.Files[count]) file.Files[count] { return f },
		"rolling gzip": func(f file.Files[count]) file.Files[count] { return f.Gzip().RollBytes(700) },
		"zstd":         func(f file.Files[count]) file.Files[count] { return f.Zstd() },
	} {
		for _, mode := range map[string][]int{"plain": {0, 1, 2, 3}, "rolling gzip": {3}, "zstd": {2}}[name] {
			after, lose := mode&1 == 1, mode&2 == 2
			for downAt := 1; ; downAt++ {
				runs++
				dir := filepath.Join(base, fmt.Sprint(runs), "deep", "out")
				j := &miniJob{t: t, dir: dir, sink: options(file.JSONL[count](dir)), fs: newPowerFS(downAt, after)}
				err := j.attempt()
				if err == nil {
					break // It never went down.
				}
				if !errors.Is(err, errDown) {
					t.Fatalf("%s, down at %d: %v", name, downAt, err)
				}
				if err := j.fs.restart(lose); err != nil {
					t.Fatal(err)
				}
				j.visible(j.sent)
				if err := j.attempt(); err != nil {
					t.Fatalf("%s, mode %d, second attempt after going down at %d: %v", name, mode, downAt, err)
				}
				if n := j.visible(j.sent); n != 44 || j.sent != 44 {
					t.Fatalf("%s, mode %d, down at %d: %d records are visible, %d sent", name, mode, downAt, n, j.sent)
				}
				if left, err := filepath.Glob(filepath.Join(dir, ".*inprogress")); err != nil || len(left) > 0 {
					t.Fatalf("%s, down at %d: left over %q, %v", name, downAt, left, err)
				}
			}
		}
	}
	t.Logf("%d crashes", runs-6)
	if runs < 200 {
		t.Errorf("only %d runs: the machine did not go down at every change", runs)
	}
}
