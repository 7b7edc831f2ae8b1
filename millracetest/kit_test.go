package millracetest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/millracetest"
	"github.com/millrace-stream/millrace/window"
)

// sale is the record of the tests.
type sale struct {
	Shop string    `csv:"shop" json:"shop"`
	At   time.Time `csv:"at,unix" json:"at"`
	N    int64     `csv:"n" json:"n"`
}

func (s sale) shop() string    { return s.Shop }
func (s sale) time() time.Time { return s.At }
func (s sale) n() int64        { return s.N }

type pane = millrace.Pane[string, int64]

// sec is a time, in seconds since 1970.
func sec(n int) time.Time { return time.Unix(int64(n), 0).UTC() }

// sales makes n sales of a few shops, up to jitter seconds out of order.
func sales(n, jitter int) (out []sale) {
	for i := range n {
		out = append(out, sale{Shop: fmt.Sprintf("shop-%d", i*7%5), At: sec(i + i*31%jitter), N: int64(i % 10)})
	}
	return out
}

// sums is the job of the tests: sums by shop and minute, and what is late.
func sums(in connect.Source[sale], out connect.Sink[pane], late connect.Sink[sale]) *millrace.Job {
	job := millrace.NewJob("sums")
	w := job.From("sales", in, millrace.EventTime(sale.time).OutOfOrderness(10*time.Second)).
		KeyBy(sale.shop).
		Window(window.Tumbling(time.Minute))
	w.Aggregate("sum", agg.Sum(sale.n)).To("sums", out)
	w.Late().To("late", late)
	return job
}

// fake is a test that notes its failure.
type fake struct {
	failure string
	logs    []string
}

func (f *fake) Helper() {}

func (f *fake) Logf(format string, args ...any) {
	f.logs = append(f.logs, fmt.Sprintf(format, args...))
}

func (f *fake) Fatalf(format string, args ...any) {
	if f.failure == "" {
		f.failure = fmt.Sprintf(format, args...)
	}
}

// fails runs f with a test that must fail, and with all the words in what it says.
func fails(t *testing.T, f func(millracetest.TB), words ...string) {
	t.Helper()
	tb := &fake{}
	f(tb)
	if tb.failure == "" {
		t.Fatalf("it does not fail; it logs %q", tb.logs)
	}
	for _, w := range words {
		if !strings.Contains(tb.failure, w) {
			t.Errorf("the failure does not say %q:\n%s", w, tb.failure)
		}
	}
}
