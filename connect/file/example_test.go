package file_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect/file"
)

// inDirectory calls a function with a new directory that holds a file of this name and content.
func inDirectory(name, content string, do func(dir string)) {
	dir, err := os.MkdirTemp("", "millrace-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	do(dir)
}

// runAndShow runs a job in a directory, and prints what it has put into out there.
func runAndShow(job *millrace.Job, dir string) {
	err := millrace.Run(context.Background(), job, millrace.Config{
		Checkpoint: millrace.CheckpointConfig{Dir: filepath.Join(dir, "state")}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	parts, err := filepath.Glob(filepath.Join(dir, "out", "part-*"))
	if err != nil {
		fmt.Println(err)
		return
	}
	slices.Sort(parts)
	for _, p := range parts {
		text, err := os.ReadFile(p)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Print(string(text))
	}
}

// Measurements in CSV, with a layout for times and a unit for durations, become CSV with other columns.
func ExampleCSV() {
	type probe struct {
		Host string        `csv:"host"`
		At   time.Time     `csv:"at,2006-01-02 15:04:05"`
		Took time.Duration `csv:"took,ms"`
		Code *int          `csv:"code"`
	}
	type slow struct {
		Host string        `csv:"host"`
		At   time.Time     `csv:"at,unix"`
		Took time.Duration `csv:"took,text"`
	}
	inDirectory("probes.csv", "at,host,took,code\n2026-03-01 12:00:00,a,1500,200\n2026-03-01 12:00:01,\"b, the second\",20,\n2026-03-01 12:00:02,\"b, the second\",90000,500\n", func(dir string) {
		job := millrace.NewJob("slow-probes")
		job.From("probes", file.CSV[probe](filepath.Join(dir, "probes.csv")), millrace.EventTime(func(p probe) time.Time { return p.At })).
			Filter(func(p probe) bool { return p.Took >= time.Second }).
			Map(func(p probe) slow { return slow{p.Host, p.At, p.Took} }).
			To("out", file.CSV[slow](filepath.Join(dir, "out")))
		runAndShow(job, dir)
	})
	// Output:
	// host,at,took
	// a,1772366400,1.5s
	// "b, the second",1772366402,1m30s
}

// JSON lines are read and written with the tags of encoding/json. Fields that the struct does not name are ignored.
func ExampleJSONL() {
	type place struct {
		City string   `json:"city"`
		Tags []string `json:"tags,omitempty"`
	}
	type visit struct {
		User  string    `json:"user"`
		At    time.Time `json:"at"`
		Place place     `json:"place"`
		Score *float64  `json:"score"`
	}
	inDirectory("visits.jsonl", `{"user":"ann","at":"2026-03-01T12:00:00Z","place":{"city":"K\u00f6ln","tags":["new"],"zip":50667}}
{"score":0.5,"user":"bob","at":"2026-03-01T13:00:00+01:00","place":{"city":"Bonn","tags":[]}}
`, func(dir string) {
		job := millrace.NewJob("visits")
		job.From("visits", file.JSONL[visit](filepath.Join(dir, "*.jsonl")), millrace.EventTime(func(v visit) time.Time { return v.At })).
			To("out", file.JSONL[visit](filepath.Join(dir, "out")))
		runAndShow(job, dir)
	})
	// Output:
	// {"user":"ann","at":"2026-03-01T12:00:00Z","place":{"city":"Köln","tags":["new"]},"score":null}
	// {"user":"bob","at":"2026-03-01T13:00:00+01:00","place":{"city":"Bonn"},"score":0.5}
}

// Plain lines are strings.
func ExampleLines() {
	inDirectory("access.log", "GET /\nPOST /form\r\nGET /about\n", func(dir string) {
		job := millrace.NewJob("requests")
		job.From("log", file.Lines(filepath.Join(dir, "access.log"))).
			Filter(func(line string) bool { return strings.HasPrefix(line, "GET ") }).
			To("out", file.Lines(filepath.Join(dir, "out")))
		runAndShow(job, dir)
	})
	// Output:
	// GET /
	// GET /about
}
