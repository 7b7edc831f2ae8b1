// Package cold is the disk behind keyed state that is larger than memory: a Pebble store of byte strings, in the order of their
// keys.
//
// What is in it is scratch. It is made anew at each start and nothing is read from an earlier run: checkpoints alone are the truth. So
// there is no log, nothing is synced, and a failure of the disk costs the run and nothing else.
package cold

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrInUse is the error of Open for a directory that another process, or another job, uses.
var ErrInUse = errors.New("cold: the directory is in use by another job")

// Options describe a Store.
type Options struct {
	// Dir is the directory; all of it belongs to the Store, and what lies in it is removed. Empty keeps everything in memory, for tests.
	Dir string
	// Memory is about how many bytes the Store itself may take: for writing and as a cache.
	Memory int64
	// Fault, if set, is called with the kind of operation and the file before each operation on a file of data; what it returns is the
	// outcome. Tests use it.
	Fault func(op, file string) error
}

// The least that a Store works with.
const (
	minCache    = 1 << 20
	minMemtable = 256 << 10
	maxMemtable = 64 << 20
)

// Store is the disk. It may be used by any number of goroutines.
type Store struct {
	dir   string
	files *files
	lock  io.Closer
	cache *pebble.Cache
	db    *pebble.DB
	// memtable is the number of bytes that are written to memory before they are written to disk.
	memtable int

	broken chan struct{} // closed at the first failure

	mu struct {
		sync.Mutex
		err       error
		unflushed int
		flushing  <-chan struct{}
		compacted chan struct{} // closed when a compaction ends
		open      map[io.Closer]struct{}
		spaces    uint32
		closed    bool
	}
}

// Open makes an empty Store.
func Open(o Options) (*Store, error) {
	s := &Store{dir: o.Dir, broken: make(chan struct{})}
	s.mu.compacted = make(chan struct{})
	s.mu.open = map[io.Closer]struct{}{}
	disk := vfs.FS(vfs.NewMem())
	if o.Dir != "" {
		disk = vfs.Default
		if err := s.takeDir(); err != nil {
			return nil, err
		}
	} else {
		s.dir = "/cold"
		if err := disk.MkdirAll(s.dir, 0o755); err != nil {
			return nil, s.failed("make directory", err)
		}
	}
	s.files = &files{FS: vfs.NewMem(), disk: disk, fault: o.Fault}
	s.memtable = int(min(max(o.Memory/4, minMemtable), maxMemtable))
	s.cache = pebble.NewCache(max(o.Memory-2*int64(s.memtable), minCache))
	db, err := pebble.Open(s.dir, s.options())
	if err != nil {
		s.cache.Unref()
		return nil, errors.Join(s.failed("open", err), s.unlock())
	}
	s.db = db
	return s, nil
}

// takeDir locks the directory and empties it.
func (s *Store) takeDir() error {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return s.failed("make directory", err)
	}
	lock, err := vfs.Default.Lock(filepath.Join(s.dir, "LOCK"))
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrInUse, s.dir, err)
	}
	s.lock = lock
	if err := s.empty(); err != nil {
		return errors.Join(s.failed("remove what an earlier run has left", err), s.unlock())
	}
	return nil
}

// empty removes the data files.
func (s *Store) empty() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if isData(e.Name()) {
			errs = append(errs, os.Remove(filepath.Join(s.dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

func (s *Store) unlock() error {
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
}

func (s *Store) options() *pebble.Options {
	o := &pebble.Options{
		FS: s.files, Cache: s.cache, DisableWAL: true, Logger: quiet{s},
		FormatMajorVersion: pebble.FormatNewest,
		MemTableSize:       uint64(2 * s.memtable),
		// Commit waits by itself, where it hears of failures. These limits would let it wait for ever.
		MemTableStopWritesThreshold: 1000,
		L0StopWritesThreshold:       10000,
		L0CompactionThreshold:       4,
		LBaseMaxBytes:               max(int64(4*s.memtable), 16<<20),
		MaxManifestFileSize:         4 << 20,
		// Tables are looked at one by one; what is counted of them is of no use here.
		DisableTableStats: true,
		CompactionConcurrencyRange: func() (int, int) {
			return 1, 2
		},
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) { s.fail(s.failed("write", err)) },
			CompactionEnd:   func(pebble.CompactionInfo) { s.compacted() },
			FlushEnd:        func(pebble.FlushInfo) { s.compacted() },
		},
	}
	// Entries are small, and blocks keep what their keys have in common once: compressing them costs more time than it saves.
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone })
	for i := range o.Levels {
		if i < len(o.Levels)-1 { // the last level has nearly all entries: its filters would take most of the cache
			o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		}
	}
	return o
}

// failed says what went wrong on the disk.
func (s *Store) failed(what string, err error) error {
	hint := ""
	if errors.Is(err, errNoSpace) {
		hint = " (the disk is full: give state another directory, or more memory)"
	}
	return fmt.Errorf("state on disk in %s: %s: %w%s", s.dir, what, err, hint)
}

// fail notes the first failure.
func (s *Store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.err == nil && !s.mu.closed {
		s.mu.err = err
		close(s.broken)
	}
}

// Err returns the first failure, or nil.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.err
}

// compacted wakes those who wait for compactions.
func (s *Store) compacted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.mu.compacted)
	s.mu.compacted = make(chan struct{})
}

// Number returns a number that no other call returns, for the beginning of keys.
func (s *Store) Number() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.spaces++
	return s.mu.spaces
}

// Get appends the value of a key to dst. Found is false when there is none.
func (s *Store) Get(dst, key []byte) (value []byte, found bool, err error) {
	return get(s, s.db, dst, key)
}

func get(s *Store, from pebble.Reader, dst, key []byte) ([]byte, bool, error) {
	v, closer, err := from.Get(key)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return dst, false, nil
	case err != nil:
		return dst, false, s.failed("read", err)
	}
	dst = append(dst, v...)
	return dst, true, closer.Close()
}

// Delete removes a key.
func (s *Store) Delete(key []byte) error {
	if err := s.db.Delete(key, pebble.NoSync); err != nil {
		return s.failed("write", err)
	}
	return s.pace(len(key) + perEntry)
}

// DeleteRange removes the keys in [from, to).
func (s *Store) DeleteRange(from, to []byte) error {
	if err := s.db.DeleteRange(from, to, pebble.NoSync); err != nil {
		return s.failed("write", err)
	}
	return s.pace(len(from) + len(to) + perEntry)
}

// perEntry is about what an entry takes in memory beside key and value.
const perEntry = 64

// Close removes everything. Views and iterators that are still open are closed with it: nobody may use them.
func (s *Store) Close() error {
	s.mu.Lock()
	s.mu.closed = true
	open := s.mu.open
	s.mu.open = map[io.Closer]struct{}{}
	s.mu.Unlock()
	var errs []error
	for c := range open {
		errs = append(errs, c.Close())
	}
	if err := s.db.Close(); err != nil && s.Err() == nil {
		errs = append(errs, s.failed("close", err))
	}
	s.cache.Unref()
	if s.lock != nil {
		errs = append(errs, s.empty(), s.unlock())
	}
	return errors.Join(errs...)
}

// track remembers what has to be closed with the Store.
func (s *Store) track(c io.Closer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.open[c] = struct{}{}
}

// untrack reports whether c is still to be closed.
func (s *Store) untrack(c io.Closer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.mu.open[c]
	delete(s.mu.open, c)
	return ok
}

// View is the Store as it was at one moment. It may be used beside changes of the Store.
type View struct {
	s    *Store
	snap *pebble.Snapshot
}

// View returns the Store as it is now. It must be closed.
func (s *Store) View() *View {
	v := &View{s: s, snap: s.db.NewSnapshot()}
	s.track(v.snap)
	return v
}

// Get is Store.Get.
func (v *View) Get(dst, key []byte) (value []byte, found bool, err error) {
	return get(v.s, v.snap, dst, key)
}

// Close ends the use of the view. The second call does nothing.
func (v *View) Close() error {
	if !v.s.untrack(v.snap) {
		return nil
	}
	return v.snap.Close()
}

// Iter walks through the keys in [from, to) in rising order. It stands before the first one.
type Iter struct {
	s       *Store
	it      *pebble.Iterator
	started bool
}

// Iter returns the keys in [from, to) as they are now. It must be closed.
func (s *Store) Iter(from, to []byte) (*Iter, error) { return iter(s, s.db, from, to) }

// Iter is Store.Iter.
func (v *View) Iter(from, to []byte) (*Iter, error) { return iter(v.s, v.snap, from, to) }

func iter(s *Store, r pebble.Reader, from, to []byte) (*Iter, error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: bytes.Clone(from), UpperBound: bytes.Clone(to)})
	if err != nil {
		return nil, s.failed("read", err)
	}
	return &Iter{s: s, it: it}, nil
}

// Next goes to the next key and reports whether there is one.
func (i *Iter) Next() bool {
	if !i.started {
		i.started = true
		return i.it.First()
	}
	return i.it.Next()
}

// steps is how many entries Seek walks over before it jumps: keys that are asked for are often close together.
const steps = 8

// Seek goes to a key, behind those asked for before, and reports whether it is there.
func (i *Iter) Seek(key []byte) bool {
	if !i.started {
		i.started = true
		return i.it.SeekGE(key) && bytes.Equal(i.it.Key(), key)
	}
	for range steps {
		if !i.it.Valid() {
			return false
		}
		switch bytes.Compare(i.it.Key(), key) {
		case 0:
			return true
		case 1:
			return false
		}
		i.it.Next()
	}
	return i.it.SeekGE(key) && bytes.Equal(i.it.Key(), key)
}

// Err returns what went wrong so far.
func (i *Iter) Err() error {
	if err := i.it.Error(); err != nil {
		return i.s.failed("read", err)
	}
	return nil
}

// Key and Value are valid until Next or Seek.
func (i *Iter) Key() []byte { return i.it.Key() }

// Value returns the value of the key at hand.
func (i *Iter) Value() []byte { return i.it.Value() }

// Close ends the walk and returns what went wrong in it.
func (i *Iter) Close() error {
	if err := i.it.Close(); err != nil {
		return i.s.failed("read", err)
	}
	return nil
}

// isData reports whether a file holds entries: only such files are on the disk.
func isData(name string) bool { return strings.HasSuffix(name, ".sst") }
