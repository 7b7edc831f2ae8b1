package cold

import "github.com/cockroachdb/pebble/v2"

// Batch is a number of changes that are made together. One goroutine uses it.
type Batch struct {
	s *Store
	b *pebble.Batch
}

// Batch returns an empty batch. It must be closed.
func (s *Store) Batch() *Batch { return &Batch{s: s, b: s.db.NewBatch()} }

// Set sets the value of a key.
func (b *Batch) Set(key, value []byte) error { return b.b.Set(key, value, nil) }

// Full reports whether the batch is large enough to be committed.
func (b *Batch) Full() bool { return b.b.Len() >= b.s.memtable/4 }

// Commit makes the changes and empties the batch. When the disk is behind, it waits.
func (b *Batch) Commit() error {
	if b.b.Empty() {
		return nil
	}
	size := b.b.Len() + int(b.b.Count())*perEntry
	if err := b.s.Err(); err != nil {
		return err
	}
	if err := b.b.Commit(pebble.NoSync); err != nil {
		return b.s.failed("write", err)
	}
	b.b.Reset()
	return b.s.pace(size)
}

// Close ends the use of the batch. What was not committed is forgotten.
func (b *Batch) Close() error { return b.b.Close() }

// slowLevels is the number of files that a lookup may have to ask in the first level before writers wait for compactions.
const slowLevels = 20

// pace counts bytes that were written to memory. When there is enough for a file it has them written to disk, and waits until the one before
// has been: so at most two such parts are in memory. Pebble would wait too, but for ever when the disk fails.
func (s *Store) pace(size int) error {
	s.mu.Lock()
	s.mu.unflushed += size
	if s.mu.unflushed < s.memtable {
		err := s.mu.err
		s.mu.Unlock()
		return err
	}
	s.mu.unflushed = 0
	before := s.mu.flushing
	s.mu.Unlock()
	if before != nil {
		select {
		case <-before:
		case <-s.broken:
			return s.Err()
		}
	}
	flushing, err := s.db.AsyncFlush()
	if err != nil {
		return s.failed("write", err)
	}
	s.mu.Lock()
	s.mu.flushing = flushing
	s.mu.Unlock()
	return s.digest()
}

// digest waits while compactions are far behind.
func (s *Store) digest() error {
	for {
		s.mu.Lock()
		compacted := s.mu.compacted
		s.mu.Unlock()
		m := s.db.Metrics()
		if m.Levels[0].Sublevels < slowLevels || m.Compact.NumInProgress == 0 && m.Flush.NumInProgress == 0 {
			return s.Err()
		}
		select {
		case <-compacted:
		case <-s.broken:
			return s.Err()
		}
	}
}

// Stats are what a Store takes.
type Stats struct {
	// Disk is the number of bytes on disk, Memory that in memory: cache and what waits to be written.
	Disk, Memory int64
}

// Stats returns what the Store takes now.
func (s *Store) Stats() Stats {
	m := s.db.Metrics()
	return Stats{Disk: int64(m.DiskSpaceUsage()), Memory: m.BlockCache.Size + int64(m.MemTable.Size)}
}
