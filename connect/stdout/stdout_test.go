package stdout_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/connect/stdout"
)

type reading struct {
	Place string
	Value float64
}

var (
	_ connect.Sink[reading] = stdout.JSON[reading]()
	_ connect.Sink[reading] = stdout.Text[reading]()
)

func TestPrint(t *testing.T) {
	var out bytes.Buffer
	for _, sink := range []stdout.Printer[reading]{stdout.JSON[reading]().To(&out), stdout.Text[reading]().To(&out)} {
		if sink.Guarantee() != connect.AtLeastOnce {
			t.Errorf("guarantee is %v", sink.Guarantee())
		}
		if c, err := sink.OpenCommitter(context.Background(), connect.SinkInfo{}); c != nil || err != nil {
			t.Errorf("committer: %v, %v", c, err)
		}
		w, err := sink.OpenWriter(context.Background(), connect.SinkInfo{})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(context.Background(), []reading{{"a<b", 1.5}, {"c", 2}}); err != nil {
			t.Fatal(err)
		}
		if finish, err := w.Prepare(context.Background(), 1); finish != nil || err != nil {
			t.Errorf("prepare returned something to do, or %v", err)
		}
	}
	want := "{\"Place\":\"a<b\",\"Value\":1.5}\n{\"Place\":\"c\",\"Value\":2}\n{a<b 1.5}\n{c 2}\n"
	if out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}

func TestRecordThatCannotBePrinted(t *testing.T) {
	var out bytes.Buffer
	w, err := stdout.JSON[reading]().To(&out).OpenWriter(context.Background(), connect.SinkInfo{})
	if err != nil {
		t.Fatal(err)
	}
	err = w.Write(context.Background(), []reading{{"a", 1}, {"b", math.NaN()}, {"c", 3}})
	if err == nil || !strings.Contains(err.Error(), "NaN") {
		t.Errorf("error is %v", err)
	}
	if want := "{\"Place\":\"a\",\"Value\":1}\n"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}

type full struct{}

var errFull = errors.New("no room")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestOutputThatFails(t *testing.T) {
	w, err := stdout.Text[int]().To(full{}).OpenWriter(context.Background(), connect.SinkInfo{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(context.Background(), []int{1}); !errors.Is(err, errFull) {
		t.Errorf("error is %v", err)
	}
}
