package fsx

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Mem is a file system in memory that knows what a power loss would leave of it: content is durable after File.Sync, a
// name after SyncDir of its directory. CrashClone makes the disk that the next start would find.
//
// It is safe for use from several goroutines. Paths are cleaned; relative ones count from the root.
type Mem struct {
	mu    sync.Mutex
	root  *node
	locks map[string]bool
}

// node is a file or a directory, whatever names lead to it.
type node struct {
	dir bool

	data    []byte // content as a reader sees it
	durable []byte // content after a power loss; never changed in place
	shared  bool   // data begins with the memory of durable

	names   map[string]*node // as a reader sees them
	kept    map[string]*node // after a power loss
	pending []nameStep       // what SyncDir would make durable, in order
}

// nameStep is one change of a directory that happens as a whole or not at all. A nil node stands for a removal.
type nameStep []binding

type binding struct {
	name string
	node *node
}

// NewMem returns an empty file system.
func NewMem() *Mem { return &Mem{root: newDir(), locks: map[string]bool{}} }

func newDir() *node {
	return &node{dir: true, names: map[string]*node{}, kept: map[string]*node{}}
}

// bind makes one change of names, seen at once and durable later.
func (n *node) bind(step ...binding) {
	for _, b := range step {
		if b.node == nil {
			delete(n.names, b.name)
		} else {
			n.names[b.name] = b.node
		}
	}
	n.pending = append(n.pending, step)
}

func split(path string) []string {
	path = strings.TrimPrefix(filepath.Clean("/"+filepath.ToSlash(path)), "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

func pathError(op, path string, err error) error {
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// find returns the node at the path.
func (m *Mem) find(op, path string) (*node, error) {
	n := m.root
	for _, name := range split(path) {
		if !n.dir {
			return nil, pathError(op, path, syscall.ENOTDIR)
		}
		next := n.names[name]
		if next == nil {
			return nil, pathError(op, path, fs.ErrNotExist)
		}
		n = next
	}
	return n, nil
}

// parent returns the directory of the path and the last name of it.
func (m *Mem) parent(op, path string) (*node, string, error) {
	parts := split(path)
	if len(parts) == 0 {
		return nil, "", pathError(op, path, syscall.EBUSY)
	}
	d, err := m.find(op, strings.Join(parts[:len(parts)-1], "/"))
	if err != nil {
		return nil, "", pathError(op, path, fs.ErrNotExist)
	}
	if !d.dir {
		return nil, "", pathError(op, path, syscall.ENOTDIR)
	}
	return d, parts[len(parts)-1], nil
}

// Open opens a file for reading.
func (m *Mem) Open(path string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find("open", path)
	if err != nil {
		return nil, err
	}
	if n.dir {
		return nil, pathError("open", path, syscall.EISDIR)
	}
	return &memFile{fs: m, node: n, path: path}, nil
}

// Create makes a new file for writing.
func (m *Mem) Create(path string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, name, err := m.parent("create", path)
	if err != nil {
		return nil, err
	}
	if d.names[name] != nil {
		return nil, pathError("create", path, fs.ErrExist)
	}
	n := &node{}
	d.bind(binding{name, n})
	return &memFile{fs: m, node: n, path: path, write: true}, nil
}

// Rename replaces what has the new name. Within a directory a power loss sees it whole or not at all; between two, the
// file may be left under both names or under none.
func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	fromDir, fromName, err := m.parent("rename", from)
	if err != nil {
		return err
	}
	toDir, toName, err := m.parent("rename", to)
	if err != nil {
		return err
	}
	n := fromDir.names[fromName]
	if n == nil {
		return pathError("rename", from, fs.ErrNotExist)
	}
	if old := toDir.names[toName]; old != nil && (old.dir || n.dir) && old != n {
		return pathError("rename", to, fs.ErrExist)
	}
	switch {
	case fromDir == toDir && fromName == toName:
	case fromDir == toDir:
		fromDir.bind(binding{fromName, nil}, binding{toName, n})
	default:
		toDir.bind(binding{toName, n})
		fromDir.bind(binding{fromName, nil})
	}
	return nil
}

// Remove deletes a file or an empty directory.
func (m *Mem) Remove(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, name, err := m.parent("remove", path)
	if err != nil {
		return err
	}
	n := d.names[name]
	if n == nil {
		return pathError("remove", path, fs.ErrNotExist)
	}
	if len(n.names) > 0 {
		return pathError("remove", path, syscall.ENOTEMPTY)
	}
	d.bind(binding{name, nil})
	return nil
}

// MkdirAll makes a directory and what is missing above it.
func (m *Mem) MkdirAll(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.root
	for _, name := range split(path) {
		n := d.names[name]
		if n == nil {
			n = newDir()
			d.bind(binding{name, n})
		}
		if !n.dir {
			return pathError("mkdir", path, syscall.ENOTDIR)
		}
		d = n
	}
	return nil
}

// ReadDir lists a directory, sorted by name.
func (m *Mem) ReadDir(path string) ([]fs.DirEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := m.find("readdir", path)
	if err != nil {
		return nil, err
	}
	if !d.dir {
		return nil, pathError("readdir", path, syscall.ENOTDIR)
	}
	list := make([]fs.DirEntry, 0, len(d.names))
	for _, name := range slices.Sorted(maps.Keys(d.names)) {
		list = append(list, fs.FileInfoToDirEntry(d.names[name].info(name)))
	}
	return list, nil
}

// Stat describes what is at the path.
func (m *Mem) Stat(path string) (fs.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find("stat", path)
	if err != nil {
		return nil, err
	}
	return n.info(filepath.Base(path)), nil
}

// SyncDir makes the names in a directory durable.
func (m *Mem) SyncDir(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := m.find("syncdir", path)
	if err != nil {
		return err
	}
	if !d.dir {
		return pathError("syncdir", path, syscall.ENOTDIR)
	}
	d.kept = maps.Clone(d.names)
	d.pending = nil
	return nil
}

// Lock takes a lock that a CrashClone does not inherit, since the process that held it is gone.
func (m *Mem) Lock(path string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, name, err := m.parent("lock", path)
	if err != nil {
		return nil, err
	}
	if d.names[name] == nil {
		d.bind(binding{name, &node{}})
	}
	key := strings.Join(split(path), "/")
	if m.locks[key] {
		return nil, fmt.Errorf("fsx: lock %s: %w", path, ErrLocked)
	}
	m.locks[key] = true
	return &memLock{fs: m, key: key}, nil
}

type memLock struct {
	fs     *Mem
	key    string
	closed bool
}

func (l *memLock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	if l.closed {
		return errors.New("fsx: lock is already released")
	}
	l.closed = true
	delete(l.fs.locks, l.key)
	return nil
}
