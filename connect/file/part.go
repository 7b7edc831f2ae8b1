package file

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
)

// FaultPoints are the places at which a test may stop or fail the sink, in the order in which they are passed.
var FaultPoints = []string{
	"file.create",         // Before a hidden part file is made.
	"file.sync",           // Before it is synced.
	"file.prepared",       // After all parts of an epoch and the directory are synced.
	"file.commit.rename",  // Before a part gets its name.
	"file.commit.renamed", // After it.
	"file.commit.dirsync", // Before the directory is synced.
	"file.commit.done",    // After it.
	"file.withdraw",       // Before a part of a later epoch is hidden.
}

// part is a part file being written: a buffer first, then a hidden file. It belongs to the writer until the epoch is
// prepared, and to the function that Prepare returned from then on.
type part struct {
	dir, tmp string
	env      *env.Env
	compress compression

	buf     []byte
	file    fsx.File // Nil until the buffer is full, or the part complete.
	packer  packer   // Nil for a plain file.
	sum     checksum
	content int64 // Bytes taken from buf, before compression.
	records int
	done    bool
}

// checksum counts and sums what is written through it.
type checksum struct {
	to   io.Writer
	size int64
	crc  uint32
}

func (c *checksum) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.size += int64(n)
	c.crc = crc32.Update(c.crc, castagnoli, p[:n])
	return n, err
}

// packer is a compressor that can be used again.
type packer interface {
	io.WriteCloser
	Reset(w io.Writer)
}

// Compressors need much memory and are free between parts.
var gzipPackers, zstdPackers sync.Pool

func (c compression) packer(w io.Writer) (packer, error) {
	switch c {
	case gzipped:
		if z, ok := gzipPackers.Get().(*gzip.Writer); ok {
			z.Reset(w)
			return z, nil
		}
		return gzip.NewWriter(w), nil
	case zstandard:
		if z, ok := zstdPackers.Get().(*zstd.Encoder); ok {
			z.Reset(w)
			return z, nil
		}
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	}
	return nil, nil
}

// flush moves the buffer into the file.
func (p *part) flush() error {
	if p.file == nil {
		if err := p.create(); err != nil {
			return fmt.Errorf("file: create part: %w", err)
		}
	}
	var to io.Writer = &p.sum
	if p.packer != nil {
		to = p.packer
	}
	if _, err := to.Write(p.buf); err != nil {
		return fmt.Errorf("file: write %s: %w", filepath.Join(p.dir, p.tmp), err)
	}
	p.content += int64(len(p.buf))
	p.buf = p.buf[:0]
	return nil
}

func (p *part) create() (err error) {
	if err := p.env.Hit("file.create"); err != nil {
		return err
	}
	if p.file, err = p.env.FS.Create(filepath.Join(p.dir, p.tmp)); err != nil {
		return err
	}
	p.sum.to = p.file
	p.packer, err = p.compress.packer(&p.sum)
	return err
}

// complete writes what is left and makes the content durable; the name is not yet.
func (p *part) complete() error {
	if p.done {
		return nil
	}
	if err := p.flush(); err != nil {
		return err
	}
	p.buf = nil
	if p.packer != nil {
		if err := p.packer.Close(); err != nil {
			return fmt.Errorf("file: finish %s: %w", filepath.Join(p.dir, p.tmp), err)
		}
		p.release()
	}
	if err := p.env.Hit("file.sync"); err != nil {
		return fmt.Errorf("file: sync %s: %w", filepath.Join(p.dir, p.tmp), err)
	}
	if err := p.file.Sync(); err != nil {
		return fmt.Errorf("file: sync %s: %w", filepath.Join(p.dir, p.tmp), err)
	}
	file := p.file
	p.file, p.done = nil, true
	if err := file.Close(); err != nil {
		return fmt.Errorf("file: close %s: %w", filepath.Join(p.dir, p.tmp), err)
	}
	return nil
}

// release gives the compressor back.
func (p *part) release() {
	switch z := p.packer.(type) {
	case *gzip.Writer:
		z.Reset(io.Discard)
		gzipPackers.Put(z)
	case *zstd.Encoder:
		z.Reset(nil)
		zstdPackers.Put(z)
	}
	p.packer = nil
}

// forget closes and removes the file.
func (p *part) forget() error {
	if p.file == nil && !p.done {
		return nil
	}
	var err error
	if p.file != nil {
		err = p.file.Close()
	}
	if err := errors.Join(err, p.env.FS.Remove(filepath.Join(p.dir, p.tmp))); err != nil {
		return fmt.Errorf("file: remove unfinished part: %w", err)
	}
	return nil
}
