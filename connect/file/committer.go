package file

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/env"
	"github.com/millrace-stream/millrace/internal/fsx"
)

// ownerFile names the sink that a directory belongs to: two sinks in one directory would take each other's names.
const ownerFile = ".mr-owner"

// OpenCommitter returns the committer of the sink. Its Recover makes the directory when it is missing, and refuses one
// that belongs to another sink, or that holds parts although the job starts without a checkpoint. Parts of epochs after the
// restored one are given hidden names that begin with .withdrawn- and are noted.
func (f Files[T]) OpenCommitter(ctx context.Context, info connect.SinkInfo) (connect.Committer, error) {
	if err := f.CheckSink(); err != nil {
		return nil, err
	}
	e := env.From(ctx)
	return &committer{env: e, dir: filepath.Clean(f.path), info: info, count: func(path string) (int64, error) { return f.countIn(e.FS, path) }}, nil
}

type committer struct {
	env  *env.Env
	dir  string
	info connect.SinkInfo
	// count counts the records in a part.
	count func(path string) (int64, error)
}

// Recover brings the directory to the state of the restored epoch. Repeating it does no harm.
func (c *committer) Recover(_ context.Context, epoch uint64, committables [][]byte) ([]string, error) {
	if err := makeDir(c.env.FS, c.dir); err != nil {
		return nil, err
	}
	if err := c.claim(); err != nil {
		return nil, err
	}
	again := c.info.Delivery == connect.AtLeastOnce // output that comes again is no mistake
	if epoch == 0 && len(committables) == 0 && !again {
		if err := c.refuseOutput(); err != nil {
			return nil, err
		}
	}
	if err := c.commit(committables, true); err != nil {
		return nil, err
	}
	entries, err := c.env.FS.ReadDir(c.dir)
	if err != nil {
		return nil, fmt.Errorf("file: list %s: %w", c.dir, err)
	}
	var notes []string
	changed := false
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, hiddenPrefix(c.info)) && strings.HasSuffix(name, ".inprogress") {
			changed = true
			if err := c.env.FS.Remove(filepath.Join(c.dir, name)); err != nil {
				return notes, fmt.Errorf("file: remove unfinished part: %w", err)
			}
			continue
		}
		if of, ok := partEpoch(name); ok && of > epoch && !again {
			changed = true
			note, err := c.withdraw(name, of, epoch)
			if err != nil {
				return notes, err
			}
			notes = append(notes, note)
		}
	}
	if changed {
		if err := c.env.FS.SyncDir(c.dir); err != nil {
			return notes, fmt.Errorf("file: sync directory %s: %w", c.dir, err)
		}
	}
	return notes, nil
}

// partEpoch returns the epoch of a part file.
func partEpoch(name string) (uint64, bool) {
	m := partPattern.FindStringSubmatch(name)
	if m == nil {
		return 0, false
	}
	epoch, err := strconv.ParseUint(m[1], 10, 64)
	return epoch, err == nil
}

func (c *committer) refuseOutput() error {
	entries, err := c.env.FS.ReadDir(c.dir)
	if err != nil {
		return fmt.Errorf("file: list %s: %w", c.dir, err)
	}
	for _, e := range entries {
		if _, ok := partEpoch(e.Name()); ok {
			return fmt.Errorf("file: %s holds output (%s), but the job starts without a checkpoint and would write it again: "+
				"restore the checkpoint directory, or move the output away, or write to another directory", c.dir, e.Name())
		}
	}
	return nil
}

// withdraw hides a part that the job will write again.
func (c *committer) withdraw(name string, of, epoch uint64) (string, error) {
	if err := c.env.Hit("file.withdraw"); err != nil {
		return "", fmt.Errorf("file: withdraw %s: %w", name, err)
	}
	for i := 0; ; i++ {
		to := fmt.Sprintf(".withdrawn-%d-%d-%s", c.info.Term, i, name)
		_, err := c.env.FS.Stat(filepath.Join(c.dir, to))
		if err == nil {
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("file: withdraw %s: %w", name, err)
		}
		if err := c.env.FS.Rename(filepath.Join(c.dir, name), filepath.Join(c.dir, to)); err != nil {
			return "", fmt.Errorf("file: withdraw %s: %w", name, err)
		}
		return fmt.Sprintf("file: %s: the output %s of epoch %d is withdrawn to %s, because the job goes on from epoch %d: "+
			"readers may have seen it", c.dir, name, of, to, epoch), nil
	}
}

// Commit gives the parts their names.
func (c *committer) Commit(_ context.Context, _ uint64, committables [][]byte) error {
	return c.commit(committables, false)
}

// Close does nothing.
func (c *committer) Close() error { return nil }

// commit gives the parts their names. verify compares checksums too: after a crash the disk may not hold what was written.
func (c *committer) commit(committables [][]byte, verify bool) error {
	if len(committables) == 0 {
		return nil
	}
	for _, b := range committables {
		var parts committable
		if err := json.Unmarshal(b, &parts); err != nil {
			return fmt.Errorf("file: %s: the committable is damaged: %w", c.dir, err)
		}
		if parts.Version != 1 {
			return fmt.Errorf("file: %s: the committable is of version %d, which this release cannot read", c.dir, parts.Version)
		}
		for _, p := range parts.Parts {
			if err := c.commitPart(p, parts.Epoch, verify); err != nil {
				return err
			}
		}
	}
	if err := c.env.Hit("file.commit.dirsync"); err != nil {
		return fmt.Errorf("file: sync directory %s: %w", c.dir, err)
	}
	if err := c.env.FS.SyncDir(c.dir); err != nil {
		return fmt.Errorf("file: sync directory %s: %w", c.dir, err)
	}
	if err := c.env.Hit("file.commit.done"); err != nil {
		return fmt.Errorf("file: commit in %s: %w", c.dir, err)
	}
	return nil
}

func (c *committer) commitPart(p preparedPart, epoch uint64, verify bool) error {
	if filepath.Base(p.From) != p.From || filepath.Base(p.To) != p.To {
		return fmt.Errorf("file: %s: the committable names files outside the directory: %q, %q", c.dir, p.From, p.To)
	}
	from, to := filepath.Join(c.dir, p.From), filepath.Join(c.dir, p.To)
	hiddenThere, err := c.exists(from)
	if err != nil {
		return err
	}
	there, err := c.exists(to)
	if err != nil {
		return err
	}
	switch {
	case there:
		if err := c.check(to, p, verify || hiddenThere); err != nil {
			return fmt.Errorf("%w; it is not the part that epoch %d wrote, and is not overwritten: move it away", err, epoch)
		}
		if hiddenThere {
			if err := c.env.FS.Remove(from); err != nil {
				return fmt.Errorf("file: remove a second copy of %s: %w", to, err)
			}
		}
		return nil
	case !hiddenThere:
		return fmt.Errorf("file: %s is lost: epoch %d of the job has %d records in it, but neither it nor its hidden form %s exists: "+
			"put the file back, or restore an earlier checkpoint to write it again", to, epoch, p.Records, from)
	}
	if err := c.check(from, p, verify); err != nil {
		return fmt.Errorf("%w; it was to become %s: restore an earlier checkpoint to write it again", err, to)
	}
	if err := c.env.Hit("file.commit.rename"); err != nil {
		return fmt.Errorf("file: commit %s: %w", to, err)
	}
	if err := c.env.FS.Rename(from, to); err != nil {
		return fmt.Errorf("file: commit %s: %w", to, err)
	}
	if err := c.env.Hit("file.commit.renamed"); err != nil {
		return fmt.Errorf("file: commit %s: %w", to, err)
	}
	return nil
}

func (c *committer) exists(path string) (bool, error) {
	_, err := c.env.FS.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("file: %w", err)
	}
	return true, nil
}

// check compares size, and checksum if asked, with what was written.
func (c *committer) check(path string, p preparedPart, sum bool) error {
	info, err := c.env.FS.Stat(path)
	if err != nil {
		return fmt.Errorf("file: %w", err)
	}
	if info.Size() != p.Size {
		return fmt.Errorf("file: %s has %d bytes, but %d were written", path, info.Size(), p.Size)
	}
	if !sum {
		return nil
	}
	f, err := c.env.FS.Open(path)
	if err != nil {
		return fmt.Errorf("file: %w", err)
	}
	h := crc32.New(castagnoli)
	_, err = io.Copy(h, f)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("file: read %s: %w", path, err)
	}
	if h.Sum32() != p.CRC {
		return fmt.Errorf("file: %s has another checksum than what was written", path)
	}
	return nil
}

// claim marks the directory as that of this sink.
func (c *committer) claim() error {
	path := filepath.Join(c.dir, ownerFile)
	mine := fmt.Sprintf("job %q\nsink %q\n", c.info.Job, c.info.Operator)
	f, err := c.env.FS.Open(path)
	if err == nil {
		content, err := io.ReadAll(io.LimitReader(f, 1<<16))
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("file: read %s: %w", path, err)
		}
		if string(content) != mine {
			return fmt.Errorf("file: the directory %s belongs to %s: give this sink (job %q, sink %q) another one, or remove %s if the "+
				"sink was renamed", c.dir, strings.ReplaceAll(strings.TrimSpace(string(content)), "\n", ", "), c.info.Job, c.info.Operator, path)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("file: open %s: %w", path, err)
	}
	return c.writeOwner(path, mine)
}

// writeOwner writes under another name first, so that a crash leaves no half of it.
func (c *committer) writeOwner(path, content string) error {
	tmp := path + ".new"
	if err := c.env.FS.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("file: %w", err)
	}
	f, err := c.env.FS.Create(tmp)
	if err != nil {
		return fmt.Errorf("file: create %s: %w", tmp, err)
	}
	_, err = io.WriteString(f, content)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("file: write %s: %w", tmp, err)
	}
	if err := c.env.FS.Rename(tmp, path); err != nil {
		return fmt.Errorf("file: %w", err)
	}
	if err := c.env.FS.SyncDir(c.dir); err != nil {
		return fmt.Errorf("file: sync directory %s: %w", c.dir, err)
	}
	return nil
}

// makeDir makes a directory, and what is missing above it, durable.
func makeDir(fsys fsx.FS, dir string) error {
	var missing []string
	for at := dir; ; at = filepath.Dir(at) {
		info, err := fsys.Stat(at)
		if err == nil && info.IsDir() {
			break
		}
		if err == nil {
			return fmt.Errorf("file: %s is not a directory: a sink needs a directory for its part files", at)
		}
		if !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			return fmt.Errorf("file: %w", err)
		}
		missing = append(missing, at)
	}
	if len(missing) == 0 {
		return nil
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return fmt.Errorf("file: %w", err)
	}
	for _, at := range missing {
		if err := fsys.SyncDir(filepath.Dir(at)); err != nil {
			return fmt.Errorf("file: sync directory %s: %w", filepath.Dir(at), err)
		}
	}
	return nil
}
