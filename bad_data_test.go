package millrace_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/millracetest"
	"github.com/millrace-stream/millrace/window"
)

// tick is a record of a nanosecond.
type tick struct {
	Key string
	At  int64 // ns
}

func (t tick) key() string     { return t.Key }
func (t tick) time() time.Time { return time.Unix(0, t.At) }

// TestF33EqualTimestampsAtEdges puts several records on the edges of windows, a nanosecond before and after them, and at exactly a gap of
// sessions, in random order, and compares with loops over all records.
func TestF33EqualTimestampsAtEdges(t *testing.T) {
	const size, slide, gap = 60, 20, 30
	rng := rand.New(rand.NewPCG(33, 1))
	var in []tick
	for range 400 {
		edge := rng.Int64N(12)*10 - 30 // edges of all three kinds, and times before 1970
		in = append(in, tick{fmt.Sprint("k", rng.IntN(3)), edge + rng.Int64N(3) - 1})
	}
	for i := range 5 { // at exactly a gap, and one more than that
		for _, at := range []int64{1000, 1000 + gap, 1000 + 2*gap, 1000 + 3*gap + 1} {
			in = append(in, tick{fmt.Sprint("k", i%2), at})
		}
	}
	rng.Shuffle(len(in), func(i, j int) { in[i], in[j] = in[j], in[i] })
	edges := map[int64]int{}
	for _, r := range in {
		edges[r.At]++
	}
	if len(edges) >= len(in)/4 {
		t.Fatalf("%d times for %d records: too few are equal", len(edges), len(in))
	}

	want := map[string]int{}
	perKey := map[string][]int64{}
	for _, r := range in {
		perKey[r.Key] = append(perKey[r.Key], r.At)
		for start := int64(-300); start < 2000; start++ {
			if start%size == 0 && start <= r.At && r.At < start+size {
				want[fmt.Sprint("tumbling ", r.Key, start, start+size)]++
			}
			if start%slide == 0 && start <= r.At && r.At < start+size {
				want[fmt.Sprint("sliding ", r.Key, start, start+size)]++
			}
		}
	}
	for key, times := range perKey {
		slices.Sort(times)
		first, n := times[0], 0
		for i, at := range times {
			n++
			if i+1 == len(times) || times[i+1] > at+gap {
				want[fmt.Sprint("session ", key, first, at+gap)] = n
				if i+1 < len(times) {
					first, n = times[i+1], 0
				}
			}
		}
	}

	got := map[string]int{}
	for _, w := range []struct {
		name string
		spec window.Assigner
	}{{"tumbling", window.Tumbling(size)}, {"sliding", window.Sliding(size, slide)}, {"session", window.Session(gap)}} {
		job, out := millrace.NewJob("edges"), counts()
		job.From("in", memory.Of(in...), millrace.EventTime(tick.time).OutOfOrderness(time.Hour)).KeyBy(tick.key).
			Window(w.spec).Aggregate("n", agg.Count[tick]()).To("out", out)
		if err := millrace.Run(context.Background(), job, millrace.Config{Parallelism: 2, Log: quiet()}); err != nil {
			t.Fatal(err)
		}
		for _, p := range out.Records() {
			got[fmt.Sprint(w.name, " ", p.Key, p.Start.UnixNano(), p.End.UnixNano())] += int(p.Value)
		}
	}
	for k, n := range want {
		if got[k] != n {
			t.Errorf("%s: got %d records, want %d", k, got[k], n)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d windows, want %d", len(got), len(want))
	}
	// The edges as they stand on the page: a record at the end of a window is of the next, one at exactly a gap is of the same session.
	for _, w := range []struct {
		spec window.Assigner
		want string
	}{
		{window.Tumbling(60), "[0,60)=3 [60,120)=3"},
		{window.Sliding(60, 30), "[-30,30)=2 [0,60)=3 [30,90)=3 [60,120)=3 [90,150)=1"},
		{window.Session(60), "[0,179)=6"},
		{window.Session(59), "[0,178)=6"},
		{window.Session(58), "[0,58)=2 [59,118)=3 [119,177)=1"},
	} {
		job, out := millrace.NewJob("edges"), counts()
		job.From("in", memory.Of(tick{"a", 0}, tick{"a", 0}, tick{"a", 59}, tick{"a", 60}, tick{"a", 60}, tick{"a", 119}), millrace.EventTime(tick.time)).
			KeyBy(tick.key).Window(w.spec).Aggregate("n", agg.Count[tick]()).To("out", out)
		if err := millrace.Run(context.Background(), job, quietly); err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, p := range out.Records() {
			all = append(all, fmt.Sprintf("[%d,%d)=%d", p.Start.UnixNano(), p.End.UnixNano(), p.Value))
		}
		if got := strings.Join(all, " "); got != w.want {
			t.Errorf("%v: got %s, want %s", w.spec, got, w.want)
		}
	}
}

// TestF34DuplicateDeliveryOfAnyPrefix delivers the first records of a source again, for every number of them, some with other content. Each id
// comes once, as it came first; the others are counted, and so are those whose content differs.
func TestF34DuplicateDeliveryOfAnyPrefix(t *testing.T) {
	const n = 40
	var in []ride
	for i := range n {
		in = append(in, ride{Base: fmt.Sprint("id", i), At: int64(i), N: int64(i)})
	}
	build := func(records []ride, out, again *memory.Sink[ride]) *millrace.Job {
		job := millrace.NewJob("again")
		once := job.From("in", memory.Of(records...), millrace.EventTime(ride.time)).Dedup("once", ride.base, time.Hour).Content(sumOf)
		once.To("out", out)
		once.Duplicates().To("again", again)
		return job
	}
	deliver := func(prefix int) (records []ride, conflicts int64) {
		records = append(records, in[:prefix]...)
		for i, r := range in {
			if i < prefix && i%3 == 1 {
				r.N += 1000 // the same id with other content
				conflicts++
			}
			records = append(records, r)
		}
		return records, conflicts
	}
	for prefix := range n + 1 {
		records, conflicts := deliver(prefix)
		out, again := memory.NewSink[ride](), memory.NewSink[ride]()
		var last millrace.Status
		cfg := millrace.Config{Parallelism: 1, Log: quiet(), Observe: func(s millrace.Status) { last = s }}
		if err := millrace.Run(context.Background(), build(records, out, again), cfg); err != nil {
			t.Fatal(err)
		}
		if got := out.Records(); !slices.Equal(got, in) {
			t.Fatalf("%d records delivered again: got %v, want %v", prefix, got, in)
		}
		if got := again.Records(); !slices.Equal(got, records[prefix:2*prefix]) {
			t.Fatalf("%d records delivered again: left out %v, want %v", prefix, got, records[prefix:2*prefix])
		}
		if last.Duplicates != int64(prefix) || last.Conflicts != conflicts {
			t.Fatalf("%d records delivered again: %d duplicates and %d conflicts are counted, want %d and %d", prefix, last.Duplicates, last.Conflicts, prefix, conflicts)
		}
	}
	records, _ := deliver(n)
	millracetest.Crash(t, func(w *millracetest.Trial) *millrace.Job {
		return build(records, w.Collect[ride]("out"), w.Collect[ride]("again"))
	}, millracetest.Kills(6), millracetest.Every(7))
}

// fullSize makes tests use the sizes of the list of faults; make extremes sets it.
var fullSize = flag.Bool("full", false, "use the full sizes of the list of faults")

// TestF36KeysAreNeverMixedUp has keys that are empty, that begin like others, that hold NUL or bytes that are no UTF-8, and as pairs the same
// letters divided in another way.
func TestF36KeysAreNeverMixedUp(t *testing.T) {
	keys := []string{"", " ", "\x00", "\x00\x00", "a", "A", "a\x00", "a\x00b", "aa", "ab", "aaa", "a ", "\xff", "\xff\xff", "\ufffd", "null", "nil", "0"}
	for n := 1; n <= 300; n++ {
		keys = append(keys, strings.Repeat("p", n)) // each a prefix of the next
	}
	type pair struct{ A, B string }
	var in []pair
	want, wantPairs := map[string]int64{}, map[pair]int64{}
	for i, k := range keys {
		for j := range 1 + i%3 {
			p := pair{k, strings.Repeat("p", j)}
			in = append(in, p)
			want[p.A]++
			wantPairs[p]++
		}
	}
	type both = struct {
		Key  pair
		Text string
		N    int64
	}
	for _, parallelism := range []int{1, 3} {
		job := millrace.NewJob("keys")
		bySource := job.From("in", memory.Of(in...))
		texts, pairs := memory.NewSink[both](), memory.NewSink[both]()
		bySource.KeyBy(func(p pair) string { return p.A }).Process("text", func(p *millrace.Proc[string, int64, both], r pair) error {
			*p.State()++
			p.Emit(both{Text: p.Key(), N: *p.State()})
			return nil
		}).To("texts", texts)
		bySource.KeyBy(func(p pair) pair { return p }).Process("pair", func(p *millrace.Proc[pair, int64, both], r pair) error {
			*p.State()++
			p.Emit(both{Key: p.Key(), N: *p.State()})
			return nil
		}).To("pairs", pairs)
		cfg := small(t.TempDir())
		cfg.Parallelism = parallelism
		if err := millrace.Run(context.Background(), job, cfg); err != nil {
			t.Fatal(err)
		}
		got, gotPairs := map[string]int64{}, map[pair]int64{}
		for _, r := range texts.Records() {
			got[r.Text] = max(got[r.Text], r.N)
		}
		for _, r := range pairs.Records() {
			gotPairs[r.Key] = max(gotPairs[r.Key], r.N)
		}
		for k, n := range want {
			if got[k] != n {
				t.Errorf("key %q: %d records, want %d", k, got[k], n)
			}
		}
		for k, n := range wantPairs {
			if gotPairs[k] != n {
				t.Errorf("key %q: %d records, want %d", k, gotPairs[k], n)
			}
		}
		if len(got) != len(want) || len(gotPairs) != len(wantPairs) {
			t.Errorf("%d and %d keys, want %d and %d", len(got), len(gotPairs), len(want), len(wantPairs))
		}
	}
}

// TestF36NullKeysAndValues: a key that may be null is refused before anything runs, null values are read as nil.
func TestF36NullKeysAndValues(t *testing.T) {
	type nullable struct {
		K *string `json:"k"`
		V *int64  `json:"v"`
	}
	got := mistakes(func(j *millrace.Job) {
		keep := func(p *millrace.Proc[*string, int64, nullable], r nullable) error { return nil }
		j.From("in", memory.Of[nullable]()).KeyBy(func(r nullable) *string { return r.K }).Process("p", keep).To("out", memory.NewSink[nullable]())
	})
	if !strings.HasPrefix(got, `JOB:LINE: operator "p": KeyBy: codec: `) || !strings.Contains(got, "*string") {
		t.Errorf("a pointer as key: got %s", got)
	}
	in := t.TempDir()
	put(t, in, "in.jsonl", `{"k":"a","v":1}`+"\n"+`{"k":"","v":null}`+"\n"+`{"k":null}`+"\n"+`{"v":0}`+"\n")
	job, out := millrace.NewJob("nulls"), memory.NewSink[string]()
	job.From("in", file.JSONL[nullable](filepath.Join(in, "*"))).Map(func(r nullable) string {
		text := "none"
		if r.K != nil {
			text = fmt.Sprintf("%q", *r.K)
		}
		if r.V == nil {
			return text + " deleted"
		}
		return fmt.Sprint(text, " ", *r.V)
	}).To("out", out)
	if err := millrace.Run(context.Background(), job, quietly); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(out.Records(), ", "), `"a" 1, "" deleted, none deleted, none 0`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestF36VeryManyKeys counts by a key that is another for each record, then again by the same keys after a restore.
func TestF36VeryManyKeys(t *testing.T) {
	n := int64(200_000)
	switch {
	case *fullSize:
		n = 10_000_000
	case testing.Short():
		n = 20_000
	}
	in := make([]int64, n)
	for i := range in {
		in[i] = int64(i) * 0x1_0001 // keys that are not next to each other
	}
	type sum struct{ Keys, Records int64 }
	out := memory.NewSink[sum]()
	state := t.TempDir()
	build := func() *millrace.Job {
		job := millrace.NewJob("keys")
		// The same keys come a second time.
		job.From("in", memory.Of(append(slices.Clip(in), in...)...)).KeyBy(func(k int64) int64 { return k }).
			Process("n", func(p *millrace.Proc[int64, int64, sum], _ int64) error {
				if *p.State()++; *p.State() == 1 {
					p.Emit(sum{1, 0})
				} else {
					p.Emit(sum{0, *p.State()})
				}
				return nil
			}).To("out", out)
		return job
	}
	cfg := millrace.Config{Parallelism: 2, Log: quiet(), Checkpoint: millrace.CheckpointConfig{Dir: state, EveryRecords: n/10 + 1, Interval: time.Hour}}
	k := &killer{after: 30, hits: map[string]int{}} // somewhere among the epochs
	if err := millrace.Run(withKiller(k), build(), cfg); err == nil || k.killed == "" {
		t.Fatalf("the run was not killed: %v", err)
	}
	if k.hits["commit.after"] == 0 {
		t.Fatalf("no epoch was committed before the kill at %s: nothing is restored", k.killed)
	}
	cfg.Parallelism = 3
	if err := millrace.Run(context.Background(), build(), cfg); err != nil {
		t.Fatal(err)
	}
	var total sum
	for _, s := range out.Records() {
		total.Keys += s.Keys
		total.Records += s.Records
	}
	if total != (sum{n, 2 * n}) {
		t.Errorf("got %+v, want %d keys with two records each", total, n)
	}
}
