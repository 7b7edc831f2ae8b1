package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"slices"

	"github.com/millrace-stream/millrace/internal/fsx"
)

// savepointName is the manifest of a savepoint, in its directory. There is a copy, as of every manifest.
const savepointName = "savepoint"

// SavepointRef names a savepoint in the checkpoints that have come of it.
type SavepointRef struct {
	// Dir is where it was, when the job was started from it.
	Dir string `json:"dir"`
	// Job, Epoch, Term and Created are those of the checkpoint that it is.
	Job     string `json:"job"`
	Epoch   uint64 `json:"epoch"`
	Term    uint64 `json:"term"`
	Created string `json:"created"`
}

// Same reports whether both name the same savepoint, wherever it lies.
func (r *SavepointRef) Same(other *SavepointRef) bool {
	return r != nil && other != nil && r.Job == other.Job && r.Epoch == other.Epoch && r.Term == other.Term && r.Created == other.Created
}

// CleanDir returns the directory as a SavepointRef has it.
func CleanDir(dir string) string { return filepath.Clean(dir) }

// Ref names the savepoint that a manifest from ReadSavepoint is.
func (m *Manifest) Ref(dir string) *SavepointRef {
	return &SavepointRef{Dir: filepath.Clean(dir), Job: m.Job, Epoch: m.Epoch, Term: m.Term, Created: m.Created}
}

// WriteSavepoint copies a checkpoint with all its files into a directory of its own, which must be new or empty. The manifest comes last: a
// directory without one is none. Output that sinks have prepared is not part of it: it belongs to the job whose checkpoint this is.
func (s *Store) WriteSavepoint(to fsx.FS, dir string, m *Manifest) error {
	if err := s.writeSavepoint(to, dir, m); err != nil {
		return fmt.Errorf("snapshot: savepoint of checkpoint %d in %s: %w", m.Epoch, dir, err)
	}
	return nil
}

func (s *Store) writeSavepoint(to fsx.FS, dir string, m *Manifest) error {
	dir = filepath.Clean(dir)
	if entries, err := to.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("the directory is not empty (%s): name one of its own", entries[0].Name())
	} else if err != nil && !isNotExist(err) {
		return err
	}
	if err := mkdirDurable(to, dir); err != nil {
		return err
	}
	for _, f := range m.Files {
		if err := s.copyFile(s.fs, s.dir, to, dir, f); err != nil {
			return err
		}
	}
	save := *m
	save.Operators = slices.Clone(m.Operators)
	for i := range save.Operators {
		save.Operators[i].Committables = nil
	}
	save.Imported, save.From = false, nil
	raw, err := save.Encode()
	if err != nil {
		return err
	}
	if err := to.SyncDir(dir); err != nil { // the names of the files, before anything says that they are all
		return err
	}
	for _, name := range []string{savepointName + copyExt, savepointName} {
		tmp := filepath.Join(dir, name+tmpExt)
		if err := writeWhole(to, tmp, bytes.NewReader(raw), nil); err != nil {
			return err
		}
		if err := to.Rename(tmp, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return to.SyncDir(dir)
}

// copyFile copies a data file and makes sure that it is the one that the manifest names. Its name becomes durable with the directory.
func (s *Store) copyFile(from fsx.FS, fromDir string, to fsx.FS, dir string, f FileInfo) (err error) {
	if err := hit(s.opts.hit, PointCreate); err != nil {
		return err
	}
	path := filepath.Join(fromDir, f.Name)
	src, err := from.Open(path)
	if err != nil {
		return missing(err)
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	var c counted
	if err := writeWhole(to, filepath.Join(dir, f.Name), src, &c); err != nil {
		return err
	}
	if c.size != f.Size || c.crc != f.CRC32C {
		return damage(path, 0, "%d bytes with checksum %08x, the manifest says %d and %08x", c.size, c.crc, f.Size, f.CRC32C)
	}
	return nil
}

// counted is what has gone through a copy.
type counted struct {
	size int64
	crc  uint32
}

// writeWhole makes a file with the content of r and makes the content durable.
func writeWhole(to fsx.FS, path string, r io.Reader, c *counted) error {
	w, err := to.Create(path)
	if err != nil {
		return err
	}
	buf := make([]byte, 1<<16)
	for err == nil {
		n, rerr := r.Read(buf)
		if n > 0 {
			_, err = w.Write(buf[:n])
			if c != nil {
				c.size, c.crc = c.size+int64(n), crc32.Update(c.crc, castagnoli, buf[:n])
			}
		}
		if errors.Is(rerr, io.EOF) {
			break
		}
		if rerr != nil {
			err = errors.Join(err, rerr)
		}
	}
	if err == nil {
		err = w.Sync()
	}
	if err := errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// ReadSavepoint returns the manifest of a savepoint. All its files are there and whole.
func ReadSavepoint(from fsx.FS, dir string) (*Manifest, error) {
	m, err := readSavepoint(from, filepath.Clean(dir))
	if isDamaged(err) {
		err = fmt.Errorf("%w: put its files back from a backup, or begin at another savepoint", err)
	}
	if err != nil {
		return nil, fmt.Errorf("snapshot: savepoint in %s: %w", dir, err)
	}
	return m, nil
}

func readSavepoint(from fsx.FS, dir string) (*Manifest, error) {
	m, err := savepointManifest(from, dir)
	if err != nil {
		return nil, err
	}
	for _, f := range m.Files {
		if err := Verify(from, dir, f); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// savepointManifest reads the manifest of a savepoint, and nothing else.
func savepointManifest(from fsx.FS, dir string) (*Manifest, error) {
	var m *Manifest
	var errs []error
	for _, name := range []string{savepointName, savepointName + copyExt} {
		path := filepath.Join(dir, name)
		b, err := readAll(from, path, maxManifest)
		if err == nil {
			m, err = DecodeManifest(path, b)
		}
		if err == nil {
			break
		}
		errs = append(errs, err)
	}
	if m == nil {
		if isNotExist(errs[0]) {
			return nil, fmt.Errorf("there is none, or it was not completed: %w", errs[0])
		}
		return nil, errors.Join(errs...)
	}
	return m, nil
}

// Import makes a savepoint the newest checkpoint of the job, behind all others that it has had. Newest must have been called.
func (s *Store) Import(from fsx.FS, dir string, m *Manifest) (*Manifest, error) {
	next := *m
	next.Job, next.Term, next.Imported, next.From = s.job, s.term, true, m.Ref(dir)
	if after := max(s.last, s.published); after > 0 {
		next.Epoch = max(m.Epoch, after+1)
	}
	if err := s.importFiles(from, filepath.Clean(dir), &next); err != nil {
		return nil, fmt.Errorf("snapshot: start from the savepoint in %s: %w", dir, err)
	}
	if err := s.Publish(&next); err != nil {
		return nil, err
	}
	return &next, nil
}

func (s *Store) importFiles(from fsx.FS, dir string, m *Manifest) error {
	l, err := s.list()
	if err != nil {
		return err
	}
	for _, f := range m.Files {
		if _, ok := l.data[f.Name]; ok {
			err := Verify(s.fs, s.dir, f)
			switch {
			case err == nil: // of the same job, or of an import that was not completed
			case len(l.manifests) > 0:
				return fmt.Errorf("the directory %s has another file of the name %s: start the job in another directory", s.dir, f.Name)
			default:
				if err := s.fs.Remove(filepath.Join(s.dir, f.Name)); err != nil {
					return err
				}
				delete(l.data, f.Name)
			}
		}
		if _, ok := l.data[f.Name]; !ok {
			if err := s.copyFile(from, dir, s.fs, s.dir, f); err != nil {
				return err
			}
		}
		s.writerDone(f.Name, &f)
	}
	return nil
}
