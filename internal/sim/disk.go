package sim

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/millrace-stream/millrace/internal/fsx"
)

// ErrInjected marks the failures that the simulation has made: a job may end with one. ErrKilled is what everything fails with in a process that is dead.
var (
	ErrInjected = errors.New("injected by the simulation")
	ErrKilled   = errors.New("killed by the simulation")
)

// processDisk is the disk as one process sees it: what it has locked is free when it is dead.
type processDisk struct {
	fsx.FS
	locks *[]io.Closer
}

// Lock remembers the lock.
func (d processDisk) Lock(path string) (io.Closer, error) {
	l, err := d.FS.Lock(path)
	if err == nil {
		*d.locks = append(*d.locks, l)
	}
	return l, err
}

// changes reports whether an operation changes the disk.
func changes(k fsx.OpKind) bool {
	switch k {
	case fsx.OpCreate, fsx.OpRename, fsx.OpRemove, fsx.OpMkdir, fsx.OpSyncDir, fsx.OpWrite, fsx.OpSync, fsx.OpTruncate:
		return true
	}
	return false
}

// failable are the operations that can be made to fail, by the names under which that is counted.
var failable = []fsx.OpKind{
	fsx.OpOpen, fsx.OpCreate, fsx.OpRename, fsx.OpRemove, fsx.OpMkdir, fsx.OpReadDir, fsx.OpStat, fsx.OpSyncDir, fsx.OpRead, fsx.OpWrite, fsx.OpSync,
}

// operate is asked before each operation on the disk.
func (l *life) operate(op fsx.Op) error {
	s := l.sched
	if s.dead {
		return ErrKilled
	}
	bytes := op.Bytes
	if filepath.Base(op.Path) == "HOLDER.tmp" {
		bytes = 0 // it names the process, which is not the same in every run
	}
	l.world.history.note("%s %s %d", op.Kind, op.Path, bytes)
	s.Yield() // others come first now and then
	p := &l.plan
	if p.slow > 0 && l.world.faults.IntN(1000) < p.slow {
		l.world.count("disk: slow operation")
		s.Sleep(time.Duration(1 + l.world.faults.Int64N(int64(p.slowest))))
	}
	if !changes(op.Kind) {
		return l.broken(op)
	}
	l.changes++
	if p.killChange == l.changes {
		return l.killAt(op)
	}
	if l.changes >= p.fullFrom && l.changes < p.fullTo && fills(op.Kind) && strings.HasPrefix(op.Path, p.fullDir) {
		l.injected++
		l.world.count("disk: full (ENOSPC)")
		return part(l.world.faults.IntN(op.Bytes+1), op, fmt.Errorf("%w: %w", ErrInjected, syscall.ENOSPC))
	}
	return l.broken(op)
}

// fills reports whether an operation needs room.
func fills(k fsx.OpKind) bool { return k == fsx.OpCreate || k == fsx.OpWrite || k == fsx.OpMkdir }

// part lets some of a write through.
func part(n int, op fsx.Op, err error) error {
	if op.Kind == fsx.OpWrite {
		return &fsx.Partial{Bytes: n, Err: err}
	}
	return err
}

// broken fails an operation whose turn it is.
func (l *life) broken(op fsx.Op) error {
	l.calls[op.Kind]++
	for _, b := range l.plan.broken {
		if b.kind == op.Kind && b.nth == l.calls[op.Kind] {
			l.injected++
			l.world.count("disk: " + string(op.Kind) + " fails (EIO)")
			err := fmt.Errorf("%w: %w", ErrInjected, syscall.EIO)
			if b.after && op.Kind != fsx.OpWrite {
				return l.doneAndFailed(op, err)
			}
			return part(l.world.faults.IntN(op.Bytes+1), op, err)
		}
	}
	return nil
}

// doneAndFailed does what was asked for and fails nevertheless, as when the answer is lost.
func (l *life) doneAndFailed(op fsx.Op, err error) error {
	done := false
	switch op.Kind {
	case fsx.OpRemove:
		done = l.world.mem.Remove(op.Path) == nil
	case fsx.OpSyncDir:
		done = l.world.mem.SyncDir(op.Path) == nil
	case fsx.OpMkdir:
		done = l.world.mem.MkdirAll(op.Path) == nil
	}
	if done {
		l.world.count("disk: done, and reported as failed")
	}
	return err
}

// killAt lets the process die in the middle of an operation: of a write, a part may be done.
func (l *life) killAt(op fsx.Op) error {
	if op.Kind != fsx.OpWrite {
		l.die("kill: at a change of the disk")
	}
	l.dying = true
	return part(l.world.faults.IntN(op.Bytes+1), op, ErrKilled)
}

// losePower leaves of the disk what a power loss would.
func (w *World) losePower() {
	before := w.mem
	w.mem = before.CrashClone(w.faults)
	w.count("power loss")
	lost := 0
	for _, path := range files(before, "/") {
		old, err1 := content(before, path)
		now, err2 := content(w.mem, path)
		switch {
		case err1 != nil:
		case errors.Is(err2, fs.ErrNotExist):
			w.count("power loss: a name was lost")
			lost++
		case err2 == nil && len(now) == 0 && len(old) > 0:
			w.count("power loss: unsynced content was lost")
			lost++
		case err2 == nil && string(now) != string(old):
			w.count("power loss: unsynced content was torn")
			lost++
		}
	}
	for _, path := range files(w.mem, "/") {
		if _, err := before.Stat(path); errors.Is(err, fs.ErrNotExist) {
			w.count("power loss: an old name came back")
			lost++
		}
	}
	w.history.note("power lost, %d files differ", lost)
}

// worst returns the disk as it would be if power were lost now and nothing of what was not synced were left.
func (w *World) worst() *fsx.Mem { return w.mem.CrashClone(zeros{}) }

// zeros are the bits with which a crash leaves nothing that was not synced.
type zeros struct{}

func (zeros) Uint64() uint64 { return 0 }

// ones are those with which it leaves everything.
type ones struct{}

func (ones) Uint64() uint64 { return 1 }

// files returns the paths of all files below a directory, sorted.
func files(m *fsx.Mem, dir string) (out []string) {
	entries, err := m.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if path := filepath.Join(dir, e.Name()); e.IsDir() {
			out = append(out, files(m, path)...)
		} else {
			out = append(out, path)
		}
	}
	return out
}

// content returns what is in a file.
func content(m *fsx.Mem, path string) ([]byte, error) {
	f, err := m.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(f)
	return b, errors.Join(err, f.Close())
}

// overwrite puts a file of other content in the place of one, durably.
func overwrite(m *fsx.Mem, path string, b []byte) error {
	if err := m.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if b != nil {
		f, err := m.Create(path)
		if err != nil {
			return err
		}
		_, err = f.Write(b)
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return m.SyncDir(filepath.Dir(path))
}

// damage is what was done to a file.
type damage struct {
	path string
	was  []byte
}

// ruin damages a file on the disk: a bit is flipped, or the file is cut, emptied or gone.
func (w *World) ruin(path string) (damage, error) {
	was, err := content(w.mem, path)
	if err != nil {
		return damage{}, err
	}
	now := append([]byte{}, was...)
	var what string
	switch kind := w.faults.IntN(6); {
	case kind < 2 && len(was) > 0:
		what = "damage: a bit is flipped"
		now[w.faults.IntN(len(now))] ^= 1 << w.faults.IntN(8)
	case kind == 2 && len(was) > 1:
		what = "damage: a file is cut"
		now = now[:1+w.faults.IntN(len(now)-1)]
	case kind == 3 && len(was) > 0:
		what = "damage: a file is empty"
		now = now[:0]
	case kind == 4:
		what = "damage: a file has more at its end"
		now = append(now, make([]byte, 1+w.faults.IntN(600))...)
	default:
		what = "damage: a file is gone"
		now = nil
	}
	w.count(what)
	w.history.note("%s: %s", what, path)
	return damage{path, was}, overwrite(w.mem, path, now)
}

// isCheckpoint reports whether a file belongs to a checkpoint.
func isCheckpoint(path string) bool {
	name := filepath.Base(path)
	return strings.HasPrefix(path, StateDir) && (strings.HasPrefix(name, "manifest-") || strings.HasSuffix(name, ".mrs"))
}

// Visible returns the content of the files in a directory that are not hidden, by name; nothing when there is no directory.
func Visible(m *fsx.Mem, dir string) (out []string, err error) {
	entries, err := m.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || strings.HasPrefix(e.Name(), "_") {
			continue
		}
		b, err := content(m, filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		out = append(out, string(b))
	}
	return out, err
}
