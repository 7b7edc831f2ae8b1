package millrace

import (
	"encoding/base64"
	"fmt"
	"strconv"

	"github.com/millrace-stream/millrace/codec"
)

// ResultID returns a function that names the results of a windowed operator: by the operator, the key, the window and the revision. The same
// result has the same name in every run, at any parallelism and after any crash, so a system outside that is given results more than once, by a
// sink that writes through, can recognise those that it has. The name is text of letters, digits and a few marks, and of any length that the key needs.
//
// In a job that is AtLeastOnce a result that comes again may have another value, when records have counted twice. Windows of a number of records are
// told apart by the event times of their records, which must rise for that. The function is for one goroutine at a time, or many.
//
// It fails when K cannot be a key.
func ResultID[K comparable, R any](operator string) (func(Pane[K, R]) string, error) {
	key, err := codec.KeyFor[K]()
	if err != nil {
		return nil, fmt.Errorf("millrace: ResultID of %q: %w", operator, err)
	}
	return func(p Pane[K, R]) string {
		if key.Canon != nil {
			key.Canon(&p.Key)
		}
		b := strconv.AppendQuoteToASCII(nil, operator)
		b = append(b[1:len(b)-1], '/')
		b = base64.RawURLEncoding.AppendEncode(b, key.Append(nil, &p.Key))
		b = strconv.AppendInt(append(b, '/'), p.Start.UnixNano(), 10)
		b = strconv.AppendInt(append(b, '/'), p.End.UnixNano(), 10)
		b = strconv.AppendInt(append(b, '/'), int64(p.Revision), 10)
		return string(b)
	}, nil
}
