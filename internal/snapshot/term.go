package snapshot

import (
	"fmt"
	"path/filepath"
)

// termState is the content of TERM: how often the directory was opened, and the newest epoch known to be published.
//
// A file with its copy: the copy is written when the directory is opened, the file also after each publication. What the copy
// says about published epochs is therefore only a lower bound.
type termState struct {
	term, published uint64
}

const termFirst = "millrace-term 1\n"

func (t termState) encode() []byte {
	return frame(termFirst, fmt.Appendf(nil, "term %d\npublished %d\n", t.term, t.published))
}

func decodeTerm(name string, b []byte) (termState, error) {
	body, err := unframe(name, termFirst, b)
	if err != nil {
		return termState{}, err
	}
	var t termState
	if _, err := fmt.Sscanf(string(body), "term %d\npublished %d\n", &t.term, &t.published); err != nil || string(t.encode()) != string(b) {
		return termState{}, damage(name, int64(len(termFirst)), "cannot be understood")
	}
	return t, nil
}

func (s *Store) readTerm(name string) (termState, error) {
	path := filepath.Join(s.dir, name)
	b, err := readAll(s.fs, path, 4096)
	if err != nil {
		return termState{}, err
	}
	return decodeTerm(path, b)
}

// writeTerm replaces TERM or its copy and makes that durable.
func (s *Store) writeTerm(name string, t termState) error {
	if err := hit(s.opts.hit, PointTerm); err != nil {
		return err
	}
	tmp, err := s.writeTemp(name, t.encode(), "")
	if err != nil {
		return err
	}
	if err := hit(s.opts.hit, PointTermRename); err != nil {
		return err
	}
	if err := s.fs.Rename(tmp, filepath.Join(s.dir, name)); err != nil {
		return err
	}
	if err := s.fs.SyncDir(s.dir); err != nil {
		return err
	}
	return hit(s.opts.hit, PointTermed)
}

// takeTerm begins a new term, larger than any that has left a trace.
func (s *Store) takeTerm() error {
	main, err1 := s.readTerm(termName)
	twin, err2 := s.readTerm(termName + copyExt)
	for _, err := range []error{err1, err2} {
		if err != nil && !isNotExist(err) && !isDamaged(err) {
			return fmt.Errorf("snapshot: open %s: %w", s.dir, err)
		}
	}
	l, err := s.list()
	if err != nil {
		return err
	}
	s.published = max(main.published, twin.published)
	last := max(main.term, twin.term, l.maxTerm)
	fresh := isNotExist(err1) && isNotExist(err2) && len(l.manifests) == 0
	if err1 != nil && !fresh {
		// Nothing but TERM can say that the directory is new, so it is not taken for new, now or at the next start.
		s.published = max(s.published, 1)
		s.openNotes = append(s.openNotes, Note{File: filepath.Join(s.dir, termName), Problem: fmt.Sprintf("unreadable, made anew after term %d: %v", last, err1)})
	}
	s.term = last + 1
	for _, name := range []string{termName, termName + copyExt} {
		if err := s.writeTerm(name, termState{s.term, s.published}); err != nil {
			return fmt.Errorf("snapshot: take term %d in %s: %w", s.term, s.dir, err)
		}
	}
	return nil
}

// fence fails when somebody else has opened the directory since.
func (s *Store) fence() error {
	t, err := s.readTerm(termName)
	if err != nil {
		return fmt.Errorf("snapshot: read the term before publishing: %w", err)
	}
	if t.term != s.term {
		return fmt.Errorf("snapshot: %s is in term %d, this run has term %d: %w", s.dir, t.term, s.term, ErrFenced)
	}
	return nil
}
