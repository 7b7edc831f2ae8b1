package snapshot

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/millrace-stream/millrace/internal/clock"
	"github.com/millrace-stream/millrace/internal/fsx"
)

var (
	// ErrNoCheckpoint says that a checkpoint must be there and none can be used.
	ErrNoCheckpoint = errors.New("no usable checkpoint")
	// ErrFenced says that another run has taken over.
	ErrFenced = errors.New("another run has taken over")
	// ErrOtherJob says that a checkpoint belongs to another job.
	ErrOtherJob = errors.New("checkpoint of another job")
)

func isDamaged(err error) bool { return errors.Is(err, ErrDamaged) }

// Note tells about something that was wrong and could be got over.
type Note struct {
	// Epoch is the checkpoint it is about; 0 for none.
	Epoch uint64
	// File is the path.
	File string
	// Problem says what was wrong and what was done.
	Problem string
}

// String is one line for a log.
func (n Note) String() string {
	if n.Epoch == 0 {
		return n.File + ": " + n.Problem
	}
	return fmt.Sprintf("checkpoint %d: %s: %s", n.Epoch, n.File, n.Problem)
}

// Store keeps the checkpoints of one job in a directory that it alone uses. Writers of different tasks may be made and used at the
// same time, and Read may run beside everything; Publish, Newest, Retire and Clean are called one at a time.
type Store struct {
	fs   fsx.FS
	dir  string
	job  string
	opts storeOptions
	lock io.Closer
	term uint64

	openNotes []Note

	published uint64 // newest epoch that was published, now or in an earlier run
	last      uint64 // newest epoch that counts: what Newest returned or Publish published
	looked    bool   // Newest has said what is true, since open and since the last Publish with an unknown outcome
	uncertain bool   // a Publish failed half way

	mu struct {
		sync.Mutex
		writing  map[string]bool     // data files that are being written
		finished map[string]FileInfo // data files that this store has finished and no manifest named yet
		named    map[string]FileInfo // data files of the newest manifest
		bad      map[string]error    // data files in which Read found damage
	}
}

type storeOptions struct {
	hit      func(string) error
	compress bool
	verify   int64
	clock    clock.Clock
}

// Option changes how a store works.
type Option func(*storeOptions)

// Compress makes new data files with zstd blocks.
func Compress() Option { return func(o *storeOptions) { o.compress = true } }

// VerifyUpTo sets how many bytes of data files Newest may read to verify their checksums before it takes a manifest, small files
// first; the rest is verified block by block when it is read. The default is 64 MiB; a negative number means all.
func VerifyUpTo(bytes int64) Option { return func(o *storeOptions) { o.verify = bytes } }

// Clock gives the time that the holder of the directory is seen to have started at.
func Clock(c clock.Clock) Option { return func(o *storeOptions) { o.clock = c } }

// OpenDir opens, or makes, the directory <dir>/<job> and begins a new term. It fails, naming the holder, while another process or
// store has it open. Hit is called at fault points and may be nil.
func OpenDir(fs fsx.FS, dir, job string, hit func(point string) error, opts ...Option) (*Store, error) {
	name, err := escapeJob(job)
	if err != nil {
		return nil, err
	}
	s := &Store{fs: fs, dir: filepath.Join(dir, name), job: job}
	s.opts = storeOptions{hit: hit, verify: 64 << 20, clock: clock.System{}}
	for _, o := range opts {
		o(&s.opts)
	}
	s.mu.writing, s.mu.finished = map[string]bool{}, map[string]FileInfo{}
	s.mu.named, s.mu.bad = map[string]FileInfo{}, map[string]error{}
	if err := mkdirDurable(fs, s.dir); err != nil {
		return nil, fmt.Errorf("snapshot: make %s: %w", s.dir, err)
	}
	if s.lock, err = fs.Lock(filepath.Join(s.dir, lockName)); err != nil {
		return nil, s.explainLock(err)
	}
	if err := s.takeOver(); err != nil {
		return nil, errors.Join(err, s.lock.Close())
	}
	return s, nil
}

// NewMemory returns a store of its own in memory: a job without a checkpoint directory can restart from it, within the process.
func NewMemory(job string, hit func(point string) error, opts ...Option) (*Store, error) {
	return OpenDir(fsx.NewMem(), "/checkpoints", job, hit, opts...)
}

func (s *Store) takeOver() error {
	// What the listing below shows must not be lost later: a name may be visible and not yet durable.
	if err := s.fs.SyncDir(s.dir); err != nil {
		return fmt.Errorf("snapshot: open %s: %w", s.dir, err)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	text := fmt.Sprintf("process %d on %s since %s\n", os.Getpid(), host, s.opts.clock.Now().UTC().Format("2006-01-02T15:04:05Z"))
	tmp, err := s.writeTemp(holdName, []byte(text), "")
	if err == nil {
		err = s.fs.Rename(tmp, filepath.Join(s.dir, holdName))
	}
	if err != nil {
		return fmt.Errorf("snapshot: open %s: %w", s.dir, err)
	}
	return s.takeTerm()
}

func (s *Store) explainLock(err error) error {
	if !errors.Is(err, fsx.ErrLocked) {
		return fmt.Errorf("snapshot: open %s: %w", s.dir, err)
	}
	holder := "somebody whose name cannot be read"
	if b, readErr := readAll(s.fs, filepath.Join(s.dir, holdName), 1024); readErr == nil {
		holder = strings.TrimSpace(string(b))
	}
	return fmt.Errorf("snapshot: job %q already runs with the checkpoints in %s, held by %s: stop that one, or give this one another name or directory: %w",
		s.job, s.dir, holder, err)
}

// mkdirDurable makes a directory and what is missing above it, one after the other: each is durable before there is anything in
// it. So of the directories that are there, only the last can be one that a run made and did not live to sync.
func mkdirDurable(fs fsx.FS, dir string) error {
	last := filepath.Clean(dir)
	var missing []string
	for filepath.Dir(last) != last {
		_, err := fs.Stat(last)
		if err == nil {
			break
		}
		if !isNotExist(err) {
			return err
		}
		missing = append(missing, last)
		last = filepath.Dir(last)
	}
	// A run that must not read the directory above did not get further than to make this one: it was not ours.
	if err := fs.SyncDir(filepath.Dir(last)); err != nil && !errors.Is(err, iofs.ErrPermission) {
		return err
	}
	for _, d := range slices.Backward(missing) {
		if err := fs.MkdirAll(d); err != nil {
			return err
		}
		if err := fs.SyncDir(filepath.Dir(d)); err != nil {
			return err
		}
	}
	return nil
}

// Term returns the number of this run: larger than that of any run before on this directory.
func (s *Store) Term() uint64 { return s.term }

// Published returns the newest epoch that is known to have been published, now or in an earlier run; 0 for none.
func (s *Store) Published() uint64 { return s.published }

// Dir returns the directory of the job.
func (s *Store) Dir() string { return s.dir }

// Close releases the directory.
func (s *Store) Close() error {
	if err := s.lock.Close(); err != nil {
		return fmt.Errorf("snapshot: close %s: %w", s.dir, err)
	}
	return nil
}

// CreateFile begins the data file of a task for an epoch. Its manifest must be published in this term.
func (s *Store) CreateFile(epoch uint64, task int) (*Writer, error) {
	name := fileID{epoch, task, s.term}.name()
	s.mu.Lock()
	busy := s.mu.writing[name]
	_, named := s.mu.named[name]
	if !busy && !named {
		s.mu.writing[name] = true
		delete(s.mu.finished, name)
	}
	s.mu.Unlock()
	if busy || named {
		return nil, fmt.Errorf("snapshot: file %s is being written or belongs to a checkpoint", name)
	}
	path := filepath.Join(s.dir, name)
	// An epoch that failed may be tried again under the same number.
	err := s.fs.Remove(path)
	if err != nil && !isNotExist(err) {
		s.writerDone(name, nil)
		return nil, fmt.Errorf("snapshot: remove the file of an earlier try: %w", err)
	}
	w, err := Create(s.fs, path, Options{
		Epoch: epoch, Term: s.term, Task: task, Compress: s.opts.compress, Hit: s.opts.hit,
		done: func(info *FileInfo) { s.writerDone(name, info) },
	})
	if err != nil {
		s.writerDone(name, nil)
		return nil, err
	}
	return w, nil
}

func (s *Store) writerDone(name string, info *FileInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.mu.writing, name)
	if info != nil {
		s.mu.finished[name] = *info
	}
}

// writeTemp writes a file under its temporary name, makes the content durable and returns the path. The fault point, if any, stands
// before the sync.
func (s *Store) writeTemp(name string, content []byte, point string) (string, error) {
	tmp := filepath.Join(s.dir, name+tmpExt)
	if err := s.fs.Remove(tmp); err != nil && !isNotExist(err) {
		return "", err
	}
	f, err := s.fs.Create(tmp)
	if err != nil {
		return "", err
	}
	n, err := f.Write(content)
	if err == nil && n < len(content) {
		err = io.ErrShortWrite
	}
	if err == nil && point != "" {
		err = hit(s.opts.hit, point)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("write %s: %w", tmp, err)
	}
	return tmp, nil
}

// readAll reads a whole file of at most limit bytes; a larger one is damaged.
func readAll(fs fsx.FS, path string, limit int64) (b []byte, err error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = damage(path, limit, "larger than any such file")
	}
	return b, err
}
