package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// Names inside the directory of a job. Numbers have leading zeros, so that a listing is in order.
const (
	lockName = "LOCK"
	holdName = "HOLDER"
	termName = "TERM"
	// copyExt marks the second of two files with the same content, so that one damaged file loses nothing.
	copyExt = ".copy"
	// tmpExt marks what was not finished.
	tmpExt = ".tmp"

	manifestPrefix = "manifest-"
	dataExt        = ".mrs"
)

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// fileID is what the name of a data file says.
type fileID struct {
	epoch uint64
	task  int
	term  uint64
}

func (id fileID) name() string {
	return fmt.Sprintf("e%020d-t%04d-term%d%s", id.epoch, id.task, id.term, dataExt)
}

// parseFileName accepts exactly the names that fileID.name makes.
func parseFileName(name string) (fileID, bool) {
	rest, ok1 := strings.CutPrefix(name, "e")
	rest, ok2 := strings.CutSuffix(rest, dataExt)
	epoch, rest, ok3 := strings.Cut(rest, "-t")
	task, term, ok4 := strings.Cut(rest, "-term")
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return fileID{}, false
	}
	e, err1 := strconv.ParseUint(epoch, 10, 64)
	t, err2 := strconv.ParseUint(task, 10, 31)
	n, err3 := strconv.ParseUint(term, 10, 64)
	id := fileID{e, int(t), n}
	return id, err1 == nil && err2 == nil && err3 == nil && id.name() == name
}

func manifestName(epoch uint64) string { return fmt.Sprintf("%s%020d", manifestPrefix, epoch) }

// parseManifestName takes the name of a manifest or of its copy.
func parseManifestName(name string) (uint64, bool) {
	number, ok := strings.CutPrefix(strings.TrimSuffix(name, copyExt), manifestPrefix)
	if !ok || len(number) != 20 {
		return 0, false
	}
	epoch, err := strconv.ParseUint(number, 10, 64)
	return epoch, err == nil
}

// escapeJob makes a name of one path element from the name of a job; different jobs get different names.
func escapeJob(job string) (string, error) {
	if job == "" {
		return "", errors.New("snapshot: the job has no name: give it one, its checkpoints are kept under it")
	}
	var b strings.Builder
	for i := range len(job) {
		c := job[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	if b.Len() > 200 {
		return "", fmt.Errorf("snapshot: the name of job %q takes %d bytes as a directory, the limit is 200: give it a shorter one", clip([]byte(job)), b.Len())
	}
	return b.String(), nil
}
