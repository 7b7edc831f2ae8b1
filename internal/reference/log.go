package reference

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/window"
)

// request is a line of a web server's access log.
type request struct {
	IP     string
	Time   time.Time
	Path   string
	Status int64
	Bytes  int64
}

func (r request) ip() string    { return r.IP }
func (r request) path() string  { return r.Path }
func (r request) status() int64 { return r.Status }
func (r request) bytes() int64  { return r.Bytes }
func (r request) at() time.Time { return r.Time }

// requestTime returns the time of a line, a zero time when it has none: a source refuses that as out of range.
func requestTime(line string) time.Time {
	_, rest, _ := strings.Cut(line, " [")
	text, _, _ := strings.Cut(rest, "]")
	t, err := time.Parse("02/Jan/2006:15:04:05 -0700", text)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// parseRequest reads a line of the form: ip - - [time] "method path protocol" status bytes "referrer" "agent".
func parseRequest(line string) (request, error) {
	ip, rest, _ := strings.Cut(line, " ")
	_, rest, _ = strings.Cut(rest, `] "`)
	call, rest, ok := strings.Cut(rest, `" `)
	words := strings.Fields(call)
	numbers := strings.Fields(rest)
	if !ok || len(words) != 3 || len(numbers) < 2 {
		return request{}, fmt.Errorf("%.80q is not a line of a combined log", line)
	}
	r := request{IP: ip, Time: requestTime(line), Path: words[1]}
	var err error
	if r.Status, err = strconv.ParseInt(numbers[0], 10, 64); err != nil {
		return request{}, fmt.Errorf("status in %.80q: %w", line, err)
	}
	if numbers[1] == "-" {
		return r, nil
	}
	if r.Bytes, err = strconv.ParseInt(numbers[1], 10, 64); err != nil {
		return request{}, fmt.Errorf("bytes in %.80q: %w", line, err)
	}
	return r, nil
}

var logInput = input{file: "apache_access.log.gz", records: 10000, epoch: 300, lateness: 59 * time.Second}

func requests(j *millrace.Job, path string, bound time.Duration) millrace.Stream[request] {
	return j.From("log", file.Lines(path), millrace.EventTime(requestTime).OutOfOrderness(bound)).
		FlatMap(func(_ *millrace.Context, line string, emit func(request)) error {
			r, err := parseRequest(line)
			if err != nil {
				return err
			}
			emit(r)
			return nil
		}).As("parse")
}

var logQueries = []Query{
	{"a1_tumbling_10m_status", &logInput, func(j *millrace.Job, path string) outputs {
		return perKey(requests(j, path, logInput.lateness).KeyByRef((*request).status).Window(window.Tumbling(10*time.Minute)).
			Aggregate("traffic", join3(count[request](), column(agg.Sum(request.bytes)), column(agg.Max(request.bytes)))))
	}},
	{"a2_session_30m_ip", &logInput, func(j *millrace.Job, path string) outputs {
		return perKey(requests(j, path, logInput.lateness).KeyByRef((*request).ip).Window(window.Session(30*time.Minute)).
			Aggregate("visits", join3(count[request](), column(agg.Sum(request.bytes)), column(agg.CountDistinct(request.path)))))
	}},
	{"a3_top3_paths_1h", &logInput, func(j *millrace.Job, path string) outputs {
		return ranked(requests(j, path, logInput.lateness).KeyByRef((*request).path).Window(window.Tumbling(time.Hour)).
			Aggregate("per-path", agg.Count[request]()), 3, time.Hour)
	}},
	{"a4_sliding_1h_10m_distinct_ip", &logInput, func(j *millrace.Job, path string) outputs {
		return perWindow(requests(j, path, logInput.lateness).KeyByRef(everything[request]).
			Window(window.Sliding(time.Hour, 10*time.Minute)).
			Aggregate("visitors", join2(count[request](), column(agg.CountDistinct(request.ip)))))
	}},
	{"a5_late_drop_1m_bound10s", &logInput, func(j *millrace.Job, path string) outputs {
		return countLate(requests(j, path, 10*time.Second), time.Minute, (*request).at,
			join2(count[request](), column(agg.Sum(request.bytes))))
	}},
}
