package main

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/millrace-stream/millrace/internal/cmd/witness"
)

// input is the data of the job and what must come out.
type input struct {
	name    string
	path    string
	records int
	every   int64
	want    map[string][]string // rows by output
}

func (in *input) String() string { return fmt.Sprintf("%s (%s)", in.name, in.path) }

// sample is where the example keeps its data.
var sample = filepath.Join("examples", "flights")

// openInput takes the whole month, where it is at hand, and else the sample of the example.
func openInput(o options) (*input, error) {
	in := &input{name: "508,239 flights of a month", path: filepath.Join(o.data, "flights_2001_01.csv.gz"), records: 508_239}
	files := [4]string{
		filepath.Join(o.data, "expected", "f1_tumbling_1h_origin.csv"), filepath.Join(o.data, "expected", "f2_sliding_60m_15m_hubs.csv"),
		filepath.Join(o.data, "expected", "f3_session_60m_origin.csv"), filepath.Join(o.data, "expected", "f7_late_drop_1h_bound30m.csv"),
	}
	_, err := os.Stat(in.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		in.name, in.path, in.records = "50,000 flights of three days", filepath.Join(sample, "data", "flights.csv.gz"), 50_000
		if _, err := os.Stat(in.path); err != nil {
			return nil, fmt.Errorf("there is no data: run this at the root of the repository, or name a folder with -data: %w", err)
		}
		expected := filepath.Join("internal", "cmd", "chaos", "expected")
		files = [4]string{
			filepath.Join(sample, "expected", "hourly.csv"), filepath.Join(sample, "expected", "hubs.csv"),
			filepath.Join(expected, "sessions.csv"), filepath.Join(expected, "late.csv"),
		}
	}
	if in.every = o.every; in.every <= 0 {
		in.every = int64(in.records/35 + 1)
	}
	return in, errors.Join(in.read(files), in.readFlights())
}

// readFlights finds, in the input itself, the flights that are accepted and those that are refused.
func (in *input) readFlights() error {
	f, err := os.Open(in.path)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", in.path, err)
	}
	rows := csv.NewReader(text)
	if _, err := rows.Read(); err != nil { // the names of the columns
		return fmt.Errorf("%s: %w", in.path, err)
	}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", in.path, err)
		}
		delay, err := strconv.Atoi(row[2])
		distance, err2 := strconv.Atoi(row[3])
		if err := errors.Join(err, err2); err != nil {
			return fmt.Errorf("%s: flight %s: %w", in.path, row[0], err)
		}
		switch {
		case distance >= farther:
			in.want["refused"] = append(in.want["refused"], row[0]+","+strconv.FormatBool(distance >= farthest))
		case delay >= longDelay:
			in.want["accepted"] = append(in.want["accepted"], row[0])
		}
	}
}

// read takes over the references of tumbling, sliding and session windows, and that of the late rule, which becomes two.
func (in *input) read(files [4]string) error {
	var tables [4][][]string
	for i, path := range files {
		var err error
		if tables[i], err = witness.Reference(path); err != nil {
			return err
		}
	}
	in.want = map[string][]string{
		"tumbling": witness.Columns(tables[0], 0, 1, 2, 3, 4, 5, 6),
		"sliding":  witness.Columns(tables[1], 0, 1, 2, 3, 4, 5),
		"sessions": witness.Columns(tables[2], 0, 1, 2, 3, 4, 5),
	}
	for _, row := range tables[3] {
		if row[2] != "0" { // an hour with nothing but late flights has no result
			in.want["kept"] = append(in.want["kept"], strings.Join([]string{row[0], row[1], row[2], row[4]}, ","))
		}
		var late int
		if _, err := fmt.Sscan(row[3], &late); err != nil {
			return fmt.Errorf("%s: the number of late flights: %w", files[3], err)
		}
		for range late {
			in.want["late"] = append(in.want["late"], row[0])
		}
	}
	return nil
}

// compare holds the committed rows of a job against the reference.
func (in *input) compare(w *witness.Witness, dir func(output string) string) (rows int, diff witness.Difference) {
	for _, name := range outputNames {
		got := w.Lines(dir(name))
		if name == "late" {
			var twice int
			got, twice = lateHours(got)
			diff.Twice += twice
		}
		d := witness.Compare(in.want[name], got)
		rows += d.Rows
		diff.Missing += d.Missing
		diff.Twice += d.Twice
		diff.Extra += d.Extra
		for _, n := range d.Notes {
			diff.Notes = append(diff.Notes, name+": "+n)
		}
	}
	return rows, diff
}

// lateHours returns the hour of each late flight, since the reference knows only how many there are in each, and how many
// flights are there more than once.
func lateHours(rows []string) (hours []string, twice int) {
	seen := map[string]bool{}
	for _, r := range rows {
		id, hour, _ := strings.Cut(r, ",")
		if seen[id] {
			twice++
		}
		seen[id] = true
		hours = append(hours, hour)
	}
	return hours, twice
}
