package reference

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Suite runs queries on prepared inputs.
type Suite struct {
	// Shift moves the points at which queries are killed along their list; it may be any number.
	Shift uint

	data string // the inputs and, in expected/, the results
	work string
	// runs counts runs, to give each a directory of its own.
	runs int
}

// NewSuite prepares the inputs in data for runs that keep their files below work, which must exist.
func NewSuite(data, work string) (*Suite, error) {
	s := &Suite{data: data, work: work}
	if err := s.splitSeries(); err != nil {
		return nil, fmt.Errorf("reference: prepare %s: %w", nabInput.file, err)
	}
	return s, nil
}

// path returns what a query reads: a file, or a pattern for the series.
func (s *Suite) path(q Query) string {
	if q.input == &nabInput {
		return filepath.Join(s.seriesDir(), "*.csv")
	}
	return filepath.Join(s.data, q.input.file)
}

func (s *Suite) seriesDir() string { return filepath.Join(s.work, "series") }

// splitSeries makes a file of each partition: the order of records across them has no meaning.
func (s *Suite) splitSeries() error {
	if err := os.MkdirAll(s.seriesDir(), 0o750); err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(s.data, nabInput.file))
	if err != nil {
		return err
	}
	files := map[string]*strings.Builder{}
	err = errors.Join(split(f, files), f.Close())
	if err != nil {
		return err
	}
	if len(files) != 23 {
		return fmt.Errorf("it has %d partitions, not 23", len(files))
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(s.seriesDir(), "series-"+name+".csv"), []byte(text.String()), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// split puts the lines of a gzip file into texts by their first column, each with the header before them.
func split(r io.Reader, texts map[string]*strings.Builder) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(z)
	if !lines.Scan() {
		return errors.Join(errors.New("no header"), lines.Err())
	}
	header := lines.Text()
	for lines.Scan() {
		name, _, _ := strings.Cut(lines.Text(), ",")
		b := texts[name]
		if b == nil {
			b = &strings.Builder{}
			b.WriteString(header + "\n")
			texts[name] = b
		}
		b.WriteString(lines.Text() + "\n")
	}
	return errors.Join(lines.Err(), z.Close())
}
