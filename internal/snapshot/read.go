package snapshot

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/millrace-stream/millrace/internal/fsx"
)

func sorted(names []string) []string {
	slices.Sort(names)
	return names
}

// Read hands what a checkpoint says about groups [lo, hi) of one state to the visitor: group by group, within a group file by file,
// the oldest first. A state that the checkpoint does not know gives no calls. Damage that is found on the way is remembered, so that
// Newest passes over the checkpoints that need the file; what the visitor has taken by then must be thrown away.
func (s *Store) Read(m *Manifest, operator, state string, lo, hi int, v Visitor) error {
	return readChains(s.fs, s.dir, m, operator, state, lo, hi, v, s.markBad)
}

// readChains is Read for any directory. Bad is told of damaged files.
func readChains(fs fsx.FS, dir string, m *Manifest, operator, state string, lo, hi int, v Visitor, bad func(name string, err error)) error {
	if lo < 0 || hi < lo || hi > m.Groups {
		return fmt.Errorf("snapshot: read %s/%s: groups [%d, %d) of %d", operator, state, lo, hi, m.Groups)
	}
	for _, c := range m.Chains {
		if c.Operator != operator || c.State != state {
			continue
		}
		rd := &chainReader{fs: fs, dir: dir, bad: bad, m: m, operator: operator, state: state, v: v, open: map[int]*cursor{}}
		var err error
		for _, run := range c.Runs {
			if lo < run.Hi && run.Lo < hi && err == nil {
				err = rd.run(run, max(lo, run.Lo), min(hi, run.Hi))
			}
		}
		if err := errors.Join(err, rd.closeExcept(nil)); err != nil {
			return fmt.Errorf("snapshot: read %s/%s of checkpoint %d: %w", operator, state, m.Epoch, err)
		}
	}
	return nil
}

// chainReader keeps the files of the current run open, each with what it still has to say.
type chainReader struct {
	fs              fsx.FS
	dir             string
	bad             func(name string, err error)
	m               *Manifest
	operator, state string
	v               Visitor
	open            map[int]*cursor // by number in the manifest
}

type cursor struct {
	r    *fileReader
	list []indexed
}

func (c *chainReader) run(run Run, lo, hi int) error {
	if err := c.closeExcept(run.Files); err != nil {
		return err
	}
	for g := lo; g < hi; g++ {
		for _, f := range run.Files {
			if err := c.group(f, g); err != nil {
				if isDamaged(err) {
					c.bad(c.m.Files[f].Name, err)
				}
				return err
			}
		}
	}
	return nil
}

// group hands over what one file has about one group.
func (c *chainReader) group(f, g int) error {
	cur := c.open[f]
	if cur == nil {
		r, err := openNamed(c.fs, c.dir, c.m.Files[f])
		if err != nil {
			return err
		}
		cur = &cursor{r: r}
		c.open[f] = cur
		if cur.list, err = r.sections(c.operator, c.state, g, c.m.Groups); err != nil {
			return err
		}
	}
	for len(cur.list) > 0 && cur.list[0].group < g {
		cur.list = cur.list[1:]
	}
	if len(cur.list) == 0 || cur.list[0].group != g {
		return damage(cur.r.name, cur.r.index, "nothing about group %d, although checkpoint %d says so", g, c.m.Epoch)
	}
	for len(cur.list) > 0 && cur.list[0].group == g {
		if err := cur.r.visit(cur.list[0], c.v); err != nil {
			return err
		}
		cur.list = cur.list[1:]
	}
	return nil
}

// closeExcept closes the files that are not in keep: a long history does not take a descriptor for every file. It does so in their order, so
// that the same restore asks the same of the disk.
func (c *chainReader) closeExcept(keep []int) error {
	var err error
	for _, f := range slices.Sorted(maps.Keys(c.open)) {
		if !slices.Contains(keep, f) {
			err = errors.Join(err, c.open[f].r.close())
			delete(c.open, f)
		}
	}
	return err
}

func (s *Store) markBad(name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.bad[name] = fmt.Errorf("found when %s was read: %w", filepath.Join(s.dir, name), err)
}
