// Package reference runs reference queries as jobs and compares their results with those of batch SQL engines.
//
// The inputs and results are not part of the repository: they lie in ../shared/data beside it. Each query (queries.go and a file
// per input) is a job on the public API only. It is run in four ways (ways.go): quietly, with many epochs, killed twice, and at other
// parallelisms, killed again on the way. The results must be the same in all of them (compare.go).
//
// The package is not for speed: it measures time only to show where it goes.
package reference

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/millrace-stream/millrace"
)

// Row is a row of results: the columns of the reference file as text. Times are in milliseconds.
type Row []string

// Query is a reference query as a job.
type Query struct {
	// Name is that of the result file without its ending.
	Name string
	// input says what it reads.
	input *input
	// build adds the query to a job that reads the files at path.
	build func(j *millrace.Job, path string) outputs
}

// Input names the file that the query reads.
func (q Query) Input() string { return q.input.file }

// Records is the number of records in its input.
func (q Query) Records() int64 { return q.input.records }

// outputs are the streams that a query ends in.
type outputs struct {
	rows millrace.Stream[Row]
	// late, for the queries that count late records, has a row of window start and end for each of them.
	late    millrace.Stream[Row]
	hasLate bool
}

// input is a file of records.
type input struct {
	file    string
	records int64
	// epoch is after how many records an epoch is forced: few enough for many epochs, so many that durable writes do not
	// take all the time.
	epoch int64
	// lateness is the largest distance of a record to a later one before it. As the bound of a source it is just enough.
	lateness time.Duration
}

// Queries returns all queries, by name.
func Queries() []Query {
	all := slices.Concat(flightQueries, logQueries, nabQueries, quakeQueries, githubQueries, retailQueries)
	slices.SortFunc(all, func(a, b Query) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return all
}

// ErrNoData says that the inputs are not on this machine.
var ErrNoData = errors.New("reference: the data is not here")

// FindData returns the directory of inputs: shared/data beside the directory of the module that the working directory is in.
func FindData() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("reference: find data: %w", err)
	}
	for {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		if err == nil {
			break
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("%w: the working directory is not in the project", ErrNoData)
		}
		dir = up
	}
	data := filepath.Join(filepath.Dir(dir), "shared", "data")
	if _, err := os.Stat(filepath.Join(data, "expected")); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: there is no ../shared/data/expected beside the project", ErrNoData)
	} else if err != nil {
		return "", fmt.Errorf("reference: find data: %w", err)
	}
	return data, nil
}

// show writes a value as the reference files have it; floats with all their digits.
func show(v any) string {
	switch x := v.(type) {
	case string:
		return x
	case int64:
		return strconv.FormatInt(x, 10)
	case float64:
		return strconv.FormatFloat(x, 'g', -1, 64)
	}
	return fmt.Sprintf("%v", v)
}

func millis(t time.Time) string { return show(t.UnixMilli()) }
