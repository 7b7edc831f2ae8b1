package engine

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/fsx"
	"github.com/millrace-stream/millrace/internal/keyed"
	"github.com/millrace-stream/millrace/internal/keyed/cold"
)

// StateConfig says where keyed state is kept.
type StateConfig struct {
	// Disk says that what Memory has no room for goes to the disk, in Dir. Otherwise all is kept in memory.
	Disk bool
	// Dir is the directory; the job has a folder of its name in it.
	Dir string
	// Memory is the number of bytes that state may take, what the disk needs included.
	Memory int64
}

// coldShare is the part of the memory that goes to the store on disk, for its cache and for writing.
const coldShare = 4

// stateTier is the disk of an attempt.
type stateTier struct {
	*keyed.Tier
	store *cold.Store
}

// openTier makes the disk for keyed state, if there is one. In a world without a disk of the machine it is in memory.
func (a *attempt) openTier() error {
	c := a.cfg.State
	if !c.Disk {
		return nil
	}
	o := cold.Options{Memory: c.Memory / coldShare, Fault: a.env.StateFault}
	if _, ok := a.env.FS.(fsx.OS); ok {
		o.Dir = filepath.Join(c.Dir, a.cfg.Job)
	}
	store, err := cold.Open(o)
	if err != nil {
		if errors.Is(err, cold.ErrInUse) {
			err = fmt.Errorf("%w: give this job another State.Dir", err)
		}
		return err
	}
	a.tier = &stateTier{store: store, Tier: keyed.NewTier(keyed.TierConfig{
		Store: store, Limit: c.Memory - c.Memory/coldShare, EvictAll: a.env.EvictAll,
	})}
	return nil
}

// closeTier removes it. Nothing of the attempt runs any more.
func (a *attempt) closeTier() error {
	if a.tier == nil {
		return nil
	}
	return a.tier.store.Close()
}

// diskFailure turns what a state panics with, when the disk fails, into an error; other panics give nil. Another start makes the state anew from the checkpoint,
// so it may help.
func diskFailure(p any) error {
	if f, ok := p.(keyed.DiskFailure); ok {
		return connect.Retryable(f.Err)
	}
	return nil
}

// addState adds what states take.
func (s *Status) addState(t *stateTier) {
	if t == nil {
		return
	}
	var misses int64
	s.State.Evicted, s.State.Fetched, misses, s.State.Memory, s.State.ColdEntries = t.Counters()
	s.State.DiskReads = s.State.Fetched + misses
	stats := t.store.Stats()
	s.State.Memory += stats.Memory
	s.State.Disk = stats.Disk
}
