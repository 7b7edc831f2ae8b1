package snapshot

import (
	"errors"
	"fmt"
	"path/filepath"
)

// Publish makes a checkpoint true. The files that it names must be finished. When it returns nil, the checkpoint is durable and
// Newest will find it after any crash. After an error the outcome may be unknown: it must be looked up with Newest before the next
// Publish, which fails until then.
//
// The order of the steps, and what a crash after each leaves behind:
//
//  1. sync the directory: the names of data files are durable; no manifest names them, the last checkpoint stands
//  2. write and sync manifest and copy under temporary names: the same, and leftovers that Clean removes
//  3. rename the copy, then the manifest: the new checkpoint may or may not be found; both are right, since nobody was told yet
//  4. sync the directory: the checkpoint is true
//  5. write the epoch to TERM: a lost checkpoint would now be missed even when no trace of it were left
func (s *Store) Publish(m *Manifest) error {
	raw, err := s.admit(m)
	if err != nil {
		return err
	}
	if err := s.fence(); err != nil {
		return err
	}
	if err := s.publish(m, raw); err != nil {
		s.looked = false
		return fmt.Errorf("snapshot: publish checkpoint %d: %w", m.Epoch, err)
	}
	s.last = m.Epoch
	s.setNamed(m)
	return nil
}

// admit refuses manifests that must not be published.
func (s *Store) admit(m *Manifest) ([]byte, error) {
	switch {
	case !s.looked:
		return nil, fmt.Errorf("snapshot: publish checkpoint %d: the newest one is not known, since none was looked up or an earlier publication failed: call Newest first", m.Epoch)
	case m.Job != s.job:
		return nil, fmt.Errorf("snapshot: publish: the manifest is of job %q, the store of %q: %w", m.Job, s.job, ErrOtherJob)
	case m.Term != s.term:
		return nil, fmt.Errorf("snapshot: publish: the manifest is of term %d, the store has %d", m.Term, s.term)
	case m.Epoch <= s.last:
		return nil, fmt.Errorf("snapshot: publish: epoch %d does not come after %d", m.Epoch, s.last)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range m.Files {
		info, ok := s.mu.finished[f.Name]
		if !ok {
			info, ok = s.mu.named[f.Name]
		}
		if !ok || info.Size != f.Size || info.CRC32C != f.CRC32C {
			return nil, fmt.Errorf("snapshot: publish: file %s with %d bytes was neither finished here nor in the checkpoint before", f.Name, f.Size)
		}
	}
	return m.Encode()
}

func (s *Store) publish(m *Manifest, raw []byte) error {
	if err := hit(s.opts.hit, PointNames); err != nil {
		return err
	}
	if err := s.fs.SyncDir(s.dir); err != nil {
		return err
	}
	if err := s.writeManifest(m.Epoch, raw); err != nil {
		return err
	}
	s.published = max(s.published, m.Epoch)
	if err := hit(s.opts.hit, PointPublished); err != nil {
		return err
	}
	return s.writeTerm(termName, termState{s.term, s.published})
}

// writeManifest writes a manifest and its copy, replacing what has these names.
func (s *Store) writeManifest(epoch uint64, raw []byte) error {
	name := manifestName(epoch)
	if err := hit(s.opts.hit, PointWrite); err != nil {
		return err
	}
	var tmp [2]string
	var err error
	for i, n := range []string{name + copyExt, name} {
		if tmp[i], err = s.writeTemp(n, raw, PointManSync); err != nil {
			return err
		}
	}
	for i, n := range []string{name + copyExt, name} {
		if err := hit(s.opts.hit, [...]string{PointCopyRename, PointRename}[i]); err != nil {
			return err
		}
		s.uncertain = true
		if err := s.fs.Rename(tmp[i], filepath.Join(s.dir, n)); err != nil {
			return err
		}
	}
	if err := hit(s.opts.hit, PointDirSync); err != nil {
		return err
	}
	if err := s.fs.SyncDir(s.dir); err != nil {
		return err
	}
	s.uncertain = false
	return nil
}

// Retire removes what is older than the newest keep checkpoints: manifests first, then data files that none of the kept ones
// names. What belongs to an epoch that is not published yet stays. It returns the names of what it removed.
func (s *Store) Retire(keep int) ([]string, error) {
	if keep < 1 {
		return nil, fmt.Errorf("snapshot: retire: %d checkpoints to keep, at least 1 must stay", keep)
	}
	if !s.looked {
		return nil, errors.New("snapshot: retire: the newest checkpoint is not known: call Newest first")
	}
	l, err := s.list()
	if err != nil {
		return nil, err
	}
	named := map[string]bool{}
	var old []string
	kept := 0
	for _, epoch := range l.epochs() {
		if epoch > s.last { // damaged, or Newest would have taken it: what is wrong with it can still be looked at
			continue
		}
		if kept >= keep {
			old = append(old, l.manifests[epoch]...)
			continue
		}
		good, _, err := s.load(epoch, l.manifests[epoch])
		if err != nil {
			return nil, err
		}
		if len(good) > 0 {
			kept++
		}
		for _, t := range good {
			for _, f := range t.m.Files {
				named[f.Name] = true
			}
		}
	}
	if kept == 0 {
		return nil, nil
	}
	return s.removeAll(old, l, named)
}

func (s *Store) removeAll(old []string, l *listing, named map[string]bool) ([]string, error) {
	// A manifest must not outlive its files: what is left after a crash would look like damage.
	removed, err := s.remove(nil, old)
	if err == nil && len(removed) > 0 {
		err = s.fs.SyncDir(s.dir)
	}
	if err != nil {
		return removed, fmt.Errorf("snapshot: retire: %w", err)
	}
	var files []string
	s.mu.Lock()
	for name, id := range l.data {
		if !named[name] && id.epoch <= s.last && !s.mu.writing[name] {
			files = append(files, name)
			delete(s.mu.finished, name)
			delete(s.mu.bad, name)
		}
	}
	s.mu.Unlock()
	if removed, err = s.remove(removed, sorted(files)); err != nil {
		return removed, fmt.Errorf("snapshot: retire: %w", err)
	}
	return removed, nil
}

func (s *Store) remove(done, names []string) ([]string, error) {
	for _, name := range names {
		if err := hit(s.opts.hit, PointRemove); err != nil {
			return done, err
		}
		if err := s.fs.Remove(filepath.Join(s.dir, name)); err != nil && !isNotExist(err) {
			return done, err
		}
		done = append(done, name)
	}
	return done, nil
}

// Clean removes what crashes have left: temporary files, and data files of earlier terms that no manifest names. While any
// manifest is damaged it removes no data file, since a person might still repair it. It returns the names of what it removed.
func (s *Store) Clean() ([]string, error) {
	l, err := s.list()
	if err != nil {
		return nil, err
	}
	names := l.temps
	named := map[string]bool{}
	whole := true
	for _, epoch := range l.epochs() {
		good, _, err := s.load(epoch, l.manifests[epoch])
		if err != nil {
			return nil, err
		}
		whole = whole && len(good) == len(l.manifests[epoch])
		for _, t := range good {
			for _, f := range t.m.Files {
				named[f.Name] = true
			}
		}
	}
	if whole {
		var files []string
		for name, id := range l.data {
			if id.term < s.term && !named[name] {
				files = append(files, name)
			}
		}
		names = append(names, sorted(files)...)
	}
	removed, err := s.remove(nil, names)
	if err != nil {
		return removed, fmt.Errorf("snapshot: clean %s: %w", s.dir, err)
	}
	return removed, nil
}
