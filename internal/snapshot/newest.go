package snapshot

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// listing is what lies in the directory of a job.
type listing struct {
	manifests map[uint64][]string // names by epoch: manifest, copy
	data      map[string]fileID
	temps     []string
	maxTerm   uint64 // of data files
}

func (s *Store) list() (*listing, error) {
	entries, err := s.fs.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("snapshot: list %s: %w", s.dir, err)
	}
	l := &listing{manifests: map[uint64][]string{}, data: map[string]fileID{}}
	for _, e := range entries {
		name := e.Name()
		if epoch, ok := parseManifestName(name); ok {
			l.manifests[epoch] = append(l.manifests[epoch], name)
		} else if id, ok := parseFileName(name); ok {
			l.data[name] = id
			l.maxTerm = max(l.maxTerm, id.term)
		} else if strings.HasSuffix(name, tmpExt) {
			l.temps = append(l.temps, name)
		}
	}
	return l, nil
}

// epochs returns the numbers of the manifests, newest first.
func (l *listing) epochs() []uint64 {
	return slices.SortedFunc(maps.Keys(l.manifests), func(a, b uint64) int { return cmp.Compare(b, a) })
}

// twin is one of the two files of a manifest.
type twin struct {
	name string
	m    *Manifest
	raw  []byte
}

// load reads the two files of a manifest, the one of the newest term first, and notes what is wrong with them. An error is one
// that another look might not have.
func (s *Store) load(epoch uint64, names []string) ([]twin, []Note, error) {
	var good []twin
	var notes []Note
	for _, name := range names {
		path := filepath.Join(s.dir, name)
		b, err := readAll(s.fs, path, maxManifest)
		if err != nil && !isDamaged(err) {
			return nil, nil, fmt.Errorf("snapshot: read manifest: %w", err)
		}
		var m *Manifest
		if err == nil {
			m, err = DecodeManifest(path, b)
		}
		if err == nil && m.Epoch != epoch {
			err = damage(path, 0, "content is of epoch %d", m.Epoch)
		}
		switch {
		case err == nil && m.Job != s.job:
			return nil, nil, fmt.Errorf("snapshot: %s belongs to job %q, this is job %q: give this one another directory: %w", path, m.Job, s.job, ErrOtherJob)
		case err == nil:
			good = append(good, twin{name, m, b})
		case isDamaged(err):
			notes = append(notes, Note{epoch, path, err.Error()})
		default: // of another version: to go back behind it would forget what it holds
			return nil, nil, err
		}
	}
	slices.SortStableFunc(good, func(a, b twin) int { return cmp.Compare(b.m.Term, a.m.Term) })
	return good, notes, nil
}

// Newest returns the newest checkpoint of which every file is there and whole, or nil when the directory is new. What was passed
// over on the way, and what was repaired, is in the notes. It never takes a directory for new that has had a checkpoint: then the
// error is ErrNoCheckpoint.
func (s *Store) Newest() (*Manifest, []Note, error) {
	// A manifest that is acted on must stay, also after a power loss; the last Publish may have failed half way.
	if err := s.fs.SyncDir(s.dir); err != nil {
		return nil, nil, fmt.Errorf("snapshot: sync %s: %w", s.dir, err)
	}
	l, err := s.list()
	if err != nil {
		return nil, nil, err
	}
	notes := slices.Clone(s.openNotes)
	for _, epoch := range l.epochs() {
		good, problems, err := s.load(epoch, l.manifests[epoch])
		if err != nil {
			return nil, notes, err
		}
		notes = append(notes, problems...)
		usable, problems, err := s.usable(good)
		if err != nil {
			return nil, notes, err
		}
		if notes = append(notes, problems...); len(usable) > 0 {
			return s.adopt(usable[0], good, notes)
		}
	}
	if len(l.manifests) > 0 || s.published > 0 {
		return nil, notes, s.noCheckpoint(len(l.manifests), notes)
	}
	s.looked = true
	return nil, notes, nil
}

// usable returns those manifests of one epoch whose files are all there. Two that differ are what a crash leaves when an epoch is
// published again after its first checkpoint turned out damaged: then the files, or else the terms, say which one is true.
func (s *Store) usable(good []twin) ([]twin, []Note, error) {
	if len(good) == 2 && bytes.Equal(good[0].raw, good[1].raw) {
		good = good[:1]
	}
	var out []twin
	var notes []Note
	for _, t := range good {
		note, err := s.checkFiles(t.m)
		if err != nil {
			return nil, nil, err
		}
		if note != nil {
			notes = append(notes, *note)
		} else {
			out = append(out, t)
		}
	}
	if len(out) == 2 && out[0].m.Term == out[1].m.Term {
		return nil, nil, fmt.Errorf("snapshot: %s and %s in %s are both whole and of term %d but differ: remove the one that is wrong: %w",
			out[0].name, out[1].name, s.dir, out[0].m.Term, ErrDamaged)
	}
	return out, notes, nil
}

func (s *Store) noCheckpoint(manifests int, notes []Note) error {
	var b strings.Builder
	for _, n := range notes {
		b.WriteString("\n\t" + n.String())
	}
	return fmt.Errorf("snapshot: %s: %w: epoch %d or a later one was published, manifests of %d epochs are there, none can be used: "+
		"put the files back from a backup, or move the directory away to start from the beginning%s",
		s.dir, ErrNoCheckpoint, s.published, manifests, b.String())
}

// adopt makes a manifest the one that the next is built on, and repairs its twin.
func (s *Store) adopt(t twin, good []twin, notes []Note) (*Manifest, []Note, error) {
	if s.published > t.m.Epoch {
		notes = append(notes, Note{
			t.m.Epoch, filepath.Join(s.dir, t.name),
			fmt.Sprintf("used although epoch %d was published: output of the epochs between may come again", s.published),
		})
	}
	whole := len(good) == 2 && bytes.Equal(good[0].raw, good[1].raw)
	if !whole {
		notes = append(notes, Note{t.m.Epoch, filepath.Join(s.dir, manifestName(t.m.Epoch)), "one of its two files was missing or damaged: both written anew"})
	}
	if !whole || s.uncertain { // after a failed sync nobody knows how much of the old files is durable
		if err := s.writeManifest(t.m.Epoch, t.raw); err != nil {
			return nil, notes, fmt.Errorf("snapshot: repair manifest %d: %w", t.m.Epoch, err)
		}
	}
	if s.published < t.m.Epoch {
		if err := s.writeTerm(termName, termState{s.term, t.m.Epoch}); err != nil {
			return nil, notes, fmt.Errorf("snapshot: note in TERM that epoch %d is published: %w", t.m.Epoch, err)
		}
		s.published = t.m.Epoch
	}
	s.looked, s.uncertain, s.last = true, false, t.m.Epoch
	s.setNamed(t.m)
	return t.m, notes, nil
}

// checkFiles says in a note which file of the manifest is missing or damaged. An error means that it cannot be known.
func (s *Store) checkFiles(m *Manifest) (*Note, error) {
	bySize := slices.SortedStableFunc(slices.Values(m.Files), func(a, b FileInfo) int { return cmp.Compare(a.Size, b.Size) })
	budget := s.opts.verify
	for _, f := range bySize {
		err := s.knownBad(f.Name)
		if err == nil {
			if budget < 0 || f.Size <= budget {
				if err = Verify(s.fs, s.dir, f); budget >= 0 {
					budget -= f.Size
				}
			} else {
				budget = 0
				var r *fileReader
				if r, err = openNamed(s.fs, s.dir, f); err == nil {
					err = r.close()
				}
			}
		}
		if isDamaged(err) {
			return &Note{m.Epoch, filepath.Join(s.dir, f.Name), err.Error()}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("snapshot: check the files of checkpoint %d: %w", m.Epoch, err)
		}
	}
	return nil, nil
}

func (s *Store) knownBad(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.bad[name]
}

// setNamed remembers the files of the newest manifest.
func (s *Store) setNamed(m *Manifest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.mu.named)
	for _, f := range m.Files {
		s.mu.named[f.Name] = f
		delete(s.mu.finished, f.Name)
	}
}
