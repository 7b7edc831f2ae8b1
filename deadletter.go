package millrace

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millrace-stream/millrace/internal/console"
	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
)

// ReadDeadLetters reads dead letters that a sink has written with file.JSONL, uncompressed: files, or directories with the parts of a sink.
func ReadDeadLetters(paths ...string) ([]DeadLetter, error) {
	var letters []DeadLetter
	var errs []error
	for _, path := range paths {
		files := []string{path}
		entries, err := os.ReadDir(path)
		if err == nil {
			files = nil
			for _, e := range entries {
				if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
					files = append(files, filepath.Join(path, e.Name()))
				}
			}
		}
		for _, f := range files {
			got, err := readLetters(f)
			letters, errs = append(letters, got...), append(errs, err)
		}
	}
	return letters, errors.Join(errs...)
}

func readLetters(path string) (letters []DeadLetter, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	lines := bufio.NewReader(file)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var l DeadLetter
			if err := json.Unmarshal(line, &l); err != nil || l.Job == "" || l.Operator == "" || l.Encoding == "" {
				return letters, fmt.Errorf("%s:%d: this is no dead letter as file.JSONL writes it: %w", path, n, errors.Join(err, errNoLetter))
			}
			letters = append(letters, l)
		}
		if errors.Is(err, io.EOF) {
			return letters, nil
		}
		if err != nil {
			return letters, fmt.Errorf("dead letters: %w", err)
		}
	}
}

var errNoLetter = errors.New("it must have job, operator and encoding")

// replayID names a set of dead letters.
func replayID(letters []DeadLetter) string {
	if len(letters) == 0 {
		return ""
	}
	h := sha256.New()
	for i := range letters {
		fmt.Fprintf(h, "%q\n", fmt.Sprintf("%+v", letters[i]))
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:12])
}

// checkReplay returns what is wrong with dead letters that are to be handled again.
func (j *Job) checkReplay(letters []DeadLetter) error {
	var errs []error
	for i := range letters {
		l := &letters[i]
		at := slices.IndexFunc(j.g.Nodes, func(n *graph.Node) bool { return n.ID == l.Operator })
		var wrong string
		switch {
		case l.Job != j.Name():
			wrong = fmt.Sprintf("is of job %q", l.Job)
		case at < 0:
			wrong = fmt.Sprintf("is of operator %q, which the job does not have", l.Operator)
		case j.g.Nodes[at].Op.(*operator.Spec).Errors == nil:
			wrong = fmt.Sprintf("is of operator %q, which has no error policy any more: if it failed again, the job would", l.Operator)
		case l.Encoding != operator.EncodedRaw && l.Encoding != operator.EncodedJSON || l.Encoding == operator.EncodedRaw && j.g.Nodes[at].Kind != graph.KindSource:
			wrong = fmt.Sprintf("holds its record as %q, which cannot be read back", l.Encoding)
		default:
			continue
		}
		errs = append(errs, fmt.Errorf("millrace: replay by job %q: dead letter %d %s", j.Name(), i+1, wrong))
		if len(errs) == 5 {
			break
		}
	}
	return errors.Join(errs...)
}

// printLetters writes a line for each dead letter.
func printLetters(w io.Writer, letters []DeadLetter) error {
	rows := make([]console.LetterRow, len(letters))
	for i := range letters {
		l := &letters[i]
		rows[i] = console.LetterRow{Operator: l.Operator, Place: l.Place, EventTime: l.EventTime, Attempts: l.Attempts, Error: l.Error, Record: string(l.Raw)}
	}
	return console.WriteLetters(w, rows)
}
