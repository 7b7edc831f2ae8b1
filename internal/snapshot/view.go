package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millrace-stream/millrace/internal/fsx"
)

// View is a checkpoint or savepoint that is only looked at: nothing is locked, written or removed, so it may be one of a running job. Such a
// job removes old checkpoints; what they need may then be missing in the middle of reading, see Gone.
type View struct {
	// Manifest is the checkpoint.
	Manifest *Manifest
	// Dir is where its files are; Savepoint says that it is a savepoint, which nobody changes.
	Dir       string
	Savepoint bool
	// Notes say what is wrong with newer checkpoints that were passed over.
	Notes []Note

	fs fsx.FS
}

// Look opens the newest whole checkpoint in a directory for reading, or the one of an epoch if that is not 0. The directory is that of a savepoint, that
// of a job, or the one above, if it holds one job or job says which.
func Look(fs fsx.FS, dir, job string, epoch uint64) (*View, error) {
	v, err := look(fs, filepath.Clean(dir), job, epoch)
	if err != nil {
		return nil, fmt.Errorf("snapshot: look into %s: %w", dir, err)
	}
	return v, nil
}

func look(fs fsx.FS, dir, job string, epoch uint64) (*View, error) {
	entries, err := fs.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var folders []string
	for _, e := range entries {
		switch _, isManifest := parseManifestName(e.Name()); {
		case isManifest && job == "":
			return lookJob(fs, dir, epoch)
		case !e.IsDir() && (e.Name() == savepointName || e.Name() == savepointName+copyExt):
			return lookSavepoint(fs, dir, epoch)
		case e.IsDir() && !strings.HasPrefix(e.Name(), "."):
			folders = append(folders, e.Name())
		}
	}
	if job != "" {
		name, err := escapeJob(job)
		if err != nil {
			return nil, err
		}
		return lookJob(fs, filepath.Join(dir, name), epoch)
	}
	switch len(folders) {
	case 0:
		return nil, errors.New("there is neither a savepoint nor a checkpoint")
	case 1:
		return lookJob(fs, filepath.Join(dir, folders[0]), epoch)
	}
	return nil, fmt.Errorf("there are several jobs (%s): name one", strings.Join(folders, ", "))
}

func lookSavepoint(fs fsx.FS, dir string, epoch uint64) (*View, error) {
	m, err := savepointManifest(fs, dir)
	if err != nil {
		return nil, err
	}
	if epoch != 0 && epoch != m.Epoch {
		return nil, fmt.Errorf("the savepoint is of epoch %d, not %d", m.Epoch, epoch)
	}
	return &View{Manifest: m, Dir: dir, Savepoint: true, fs: fs}, nil
}

// lookJob takes the newest checkpoint whose manifest can be read and whose files are there.
func lookJob(fs fsx.FS, dir string, epoch uint64) (*View, error) {
	s := &Store{fs: fs, dir: dir} // its listing only: it is never opened
	l, err := s.list()
	if err != nil {
		return nil, err
	}
	v := &View{Dir: dir, fs: fs}
	for _, n := range l.epochs() {
		if epoch != 0 && n != epoch {
			continue
		}
		m, err := v.read(l.manifests[n], n)
		if err == nil {
			v.Manifest = m
			return v, nil
		}
		if !isDamaged(err) && !isNotExist(err) {
			return nil, err
		}
		v.Notes = append(v.Notes, Note{Epoch: n, File: filepath.Join(dir, manifestName(n)), Problem: err.Error()})
	}
	var b strings.Builder
	for _, n := range v.Notes {
		b.WriteString("\n\t" + n.String())
	}
	if epoch != 0 && len(v.Notes) == 0 {
		return nil, fmt.Errorf("there is no checkpoint of epoch %d", epoch)
	}
	return nil, fmt.Errorf("%w%s", ErrNoCheckpoint, b.String())
}

// read takes the better one of the two files of a manifest.
func (v *View) read(names []string, epoch uint64) (*Manifest, error) {
	var found []*Manifest
	var errs []error
	for _, name := range names {
		path := filepath.Join(v.Dir, name)
		b, err := readAll(v.fs, path, maxManifest)
		var m *Manifest
		if err == nil {
			m, err = DecodeManifest(path, b)
		}
		if err == nil && m.Epoch != epoch {
			err = damage(path, 0, "content is of epoch %d", m.Epoch)
		}
		if err == nil {
			err = v.files(m)
		}
		if err != nil {
			errs = append(errs, err)
		} else {
			found = append(found, m)
		}
	}
	if len(found) == 0 {
		return nil, errors.Join(errs...)
	}
	return slices.MaxFunc(found, func(a, b *Manifest) int { return cmp.Compare(a.Term, b.Term) }), nil
}

// files finds out whether all files of a manifest are there. Their content is checked when it is read.
func (v *View) files(m *Manifest) error {
	for _, f := range m.Files {
		info, err := v.fs.Stat(filepath.Join(v.Dir, f.Name))
		if err != nil {
			return missing(err)
		}
		if info.Size() != f.Size {
			return damage(filepath.Join(v.Dir, f.Name), 0, "%d bytes, the manifest says %d", info.Size(), f.Size)
		}
	}
	return nil
}

// Read hands what the checkpoint says about groups [lo, hi) of a state to the visitor, as Store.Read does.
func (v *View) Read(operator, state string, lo, hi int, to Visitor) error {
	return readChains(v.fs, v.Dir, v.Manifest, operator, state, lo, hi, to, func(string, error) {})
}

// Gone reports whether an error of Read may come from the job having removed the checkpoint meanwhile: then Look finds a newer one.
func (v *View) Gone(err error) bool { return !v.Savepoint && isNotExist(err) }
