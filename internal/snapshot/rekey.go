package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/millrace-stream/millrace/codec"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/shape"
)

// Rekey writes a savepoint with the content of another one and another number of key groups. It needs to know how keys are encoded, and nothing else
// of the job. The directory must be new or empty.
func (v *View) Rekey(to fsx.FS, dir string, groups int, now time.Time) error {
	if err := v.rekey(to, filepath.Clean(dir), groups, now); err != nil {
		return fmt.Errorf("snapshot: savepoint in %s with %d key groups from that in %s: %w", dir, groups, v.Dir, err)
	}
	return nil
}

func (v *View) rekey(to fsx.FS, dir string, groups int, now time.Time) (err error) {
	switch {
	case !v.Savepoint:
		return errors.New("it is a checkpoint, whose job may still have to commit output: take a savepoint of the job first")
	case groups < 1 || groups > MaxGroups:
		return fmt.Errorf("there must be from 1 to %d", MaxGroups)
	}
	if err := newDir(to, dir); err != nil {
		return err
	}
	m := *v.Manifest
	m.Groups, m.Files, m.Chains = groups, nil, nil
	m.Fingerprint = "" // that of a job has the number of its key groups in it
	m.Created = now.UTC().Format(time.RFC3339Nano)
	var files []FileInfo
	if len(v.Manifest.Chains) > 0 {
		name := fileID{m.Epoch, 0, m.Term}.name()
		w, err := Create(to, filepath.Join(dir, name), Options{Epoch: m.Epoch, Term: m.Term})
		if err != nil {
			return err
		}
		for _, c := range v.Manifest.Chains {
			if err := v.rekeyState(w, c, groups); err != nil {
				return errors.Join(fmt.Errorf("state %s/%s: %w", c.Operator, c.State, err), w.Abort())
			}
		}
		info, err := w.Finish()
		if err != nil {
			return err
		}
		files = append(files, info)
	}
	if err := Extend(nil, &m, files); err != nil {
		return err
	}
	return completeSavepoint(to, dir, &m)
}

// rekeyState writes a state. Groups are ranges of the hash in both numbers, so what goes into one new group comes from old ones that are
// neighbours, and only those are in memory.
func (v *View) rekeyState(w SectionWriter, c Chain, groups int) error {
	o := v.Manifest.Operator(c.Operator)
	if o == nil {
		return errors.New("there is nothing about its operator")
	}
	text := o.Schema(c.State).By
	if text == "" {
		text = o.Schema(c.State).Key
	}
	by, err := shape.Parse(text)
	if err != nil {
		return fmt.Errorf("it is not known how its keys are encoded: run the job with today's release until it writes a savepoint: %w", err)
	}
	next := newGroups{w: w, operator: c.Operator, state: c.State, groups: map[int]Merged{}}
	for _, run := range c.Runs {
		for g := run.Lo; g < run.Hi; g++ {
			if err := next.writeBefore(int(int64(g) * int64(groups) / int64(v.Manifest.Groups))); err != nil {
				return err
			}
			old := Merged{}
			if err := v.Read(c.Operator, c.State, g, g+1, old); err != nil {
				return err
			}
			for span, entries := range old {
				for key, value := range entries {
					hash, _, err := shape.Hash(by, []byte(key))
					if err != nil {
						return err
					}
					if was := codec.Group(hash, v.Manifest.Groups); was != g {
						return fmt.Errorf("key %x is in group %d and belongs to %d: %w", key, g, was, ErrDamaged)
					}
					next.put(codec.Group(hash, groups), span, key, value)
				}
			}
		}
	}
	return next.writeBefore(groups)
}

// newGroups collects entries by their new group.
type newGroups struct {
	w               SectionWriter
	operator, state string
	groups          map[int]Merged
}

func (n *newGroups) put(group int, span int64, key string, value []byte) {
	m := n.groups[group]
	if m == nil {
		m = Merged{}
		n.groups[group] = m
	}
	m.entries(span)[key] = value
}

// writeBefore writes all groups below one.
func (n *newGroups) writeBefore(group int) error {
	for _, g := range slices.Sorted(maps.Keys(n.groups)) {
		if g >= group {
			break
		}
		s := Section{Operator: n.operator, State: n.state, Group: g, Kind: Reset}
		if err := n.w.Begin(s); err != nil {
			return err
		}
		err := n.groups[g].Each(func(span int64, begins bool, key, value []byte) error {
			if begins {
				s.Span, s.Kind = span, Full
				if err := n.w.Begin(s); err != nil {
					return err
				}
			}
			return n.w.Put(key, value)
		})
		if err != nil {
			return err
		}
		delete(n.groups, g)
	}
	return nil
}

// Merged takes what a chain of files says about one group of a state, and holds what is true at its end: values by span and key. It is a Visitor.
type Merged map[int64]map[string][]byte

func (m Merged) entries(span int64) map[string][]byte {
	s := m[span]
	if s == nil {
		s = map[string][]byte{}
		m[span] = s
	}
	return s
}

// Reset implements Visitor.
func (m Merged) Reset(int) error {
	clear(m)
	return nil
}

// Drop implements Visitor.
func (m Merged) Drop(_ int, span int64) error {
	delete(m, span)
	return nil
}

// Put implements Visitor.
func (m Merged) Put(_ int, span int64, key, value []byte) error {
	m.entries(span)[string(key)] = bytes.Clone(value)
	return nil
}

// Delete implements Visitor.
func (m Merged) Delete(_ int, span int64, key []byte) error {
	delete(m[span], string(key))
	return nil
}

// Each calls f for all entries, in the order of span and encoded key; begins says that an entry is the first of its span.
func (m Merged) Each(f func(span int64, begins bool, key, value []byte) error) error {
	for _, span := range slices.Sorted(maps.Keys(m)) {
		begins := true
		for _, key := range slices.Sorted(maps.Keys(m[span])) {
			if err := f(span, begins, []byte(key), m[span][key]); err != nil {
				return err
			}
			begins = false
		}
	}
	return nil
}
