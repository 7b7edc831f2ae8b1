package millracetest_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/millracetest"
)

// TestSplitsBeside: each script waits by itself, and each split has its own place in the checkpoint.
func TestSplitsBeside(t *testing.T) {
	type rec struct {
		Name string
		At   int64
	}
	at := func(r rec) time.Time { return time.Unix(r.At, 0) }
	in := millracetest.Splits(
		millracetest.Script[rec]().Records(rec{"slow", 1}).Wait(time.Minute).Records(rec{"slow", 2}),
		millracetest.Script[rec]().Records(rec{"fast", 5}, rec{"fast", 6}),
	)
	out := millracetest.Collect[string]()
	job := millrace.NewJob("beside")
	job.From("in", in, millrace.EventTime(at)).Map(func(r rec) string { return fmt.Sprint(r.Name, r.At) }).To("out", out)
	s := millracetest.Run(t, job, millracetest.Virtual(), millracetest.Every(1))
	if got, want := out.Records(), []string{"slow1", "fast5", "fast6", "slow2"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if s.Elapsed < time.Minute || s.Elapsed > time.Minute+time.Second {
		t.Errorf("it took %v of virtual time, want a minute", s.Elapsed)
	}
	millracetest.Crash(t, func(w *millracetest.Trial) *millrace.Job {
		job := millrace.NewJob("beside")
		var scripts []millracetest.Scripted[rec]
		for i := range 3 {
			s := millracetest.Script[rec]()
			for n := range 20 {
				s = s.Records(rec{fmt.Sprint("split", i), int64(n)})
			}
			scripts = append(scripts, s)
		}
		job.From("in", millracetest.Splits(scripts...), millrace.EventTime(at)).To("out", w.Collect[rec]("out"))
		return job
	}, millracetest.Kills(5))
}

func TestMistakesOfSplits(t *testing.T) {
	late := millracetest.Script[int]().Watermark(time.Unix(2, 0)).Watermark(time.Unix(1, 0))
	for _, c := range []struct {
		name string
		in   millracetest.ScriptedSplits[int]
		want string
	}{
		{"none", millracetest.Splits[int](), "millracetest: Splits of no script: a source needs one split at least"},
		{
			"of one script", millracetest.Splits(millracetest.Script[int](), late),
			"millracetest: script 1: step 1 of the script: the watermark goes back from 1970-01-01 00:00:02 +0000 UTC to 1970-01-01 00:00:01 +0000 UTC",
		},
	} {
		if _, err := c.in.Splits(context.Background()); err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
	_, err := millracetest.Splits(late).Open(context.Background(), connect.Split{ID: "other"}, nil)
	if want := `millracetest: there is no split "other", only 1 scripts`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
