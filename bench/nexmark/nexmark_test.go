package nexmark_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/bench/nexmark"
	"github.com/millrace-stream/millrace/bench/nexmark/gen"
	"github.com/millrace-stream/millrace/bench/nexmark/row"
	"github.com/millrace-stream/millrace/connect/memory"
	"github.com/millrace-stream/millrace/millracetest"
)

// expected is what PostgreSQL computed from the same events, 100,000 at 1,000 per second with seed 1: the number of rows of each query, and the sha256 of
// the file of CSV. SQLite gave the same for q0, q2-q4, q7-q12, q15, q17-q20 and q23. They do not depend on the order of events within their groups. The queries themselves are in
// the specification.
var expected = map[string]struct {
	rows   int
	digest string
}{
	"q0":  {92000, "9f1fd8ae0e501d52f64e8e9846a667c9766a390aa4fe5921f38f7d3fbc559120"},
	"q1":  {92000, "8b2c0d9f7331b80e51ad85314ed445fd27764beb50a7c2e459479deafb280108"},
	"q2":  {379, "c01b1963299a773f1e524d43cbf105df58126ca7646815db228458d7191a174d"},
	"q3":  {645, "be4afb4e0e6f1f35312372180cf0f79a23c6d81c233f1e3aaabf5cbf4ae62332"},
	"q4":  {5, "c8de30ac1d0549a645857be900d21e1e9f34f3441617a6e2886bb6f15c56a8bf"},
	"q5":  {55, "985e07f614992f9f5876009e814e53d095503293b3b0e55650a5c9ccdc74ebad"},
	"q6":  {5555, "624241b95b0412d54b6ac9f34683e8d0e70b3c479980c99f69075bf06f2045ef"},
	"q7":  {10, "a763e064ba8663dcdc1febed12d23f744374aa873bef055f983ef08d264ce63f"},
	"q8":  {280, "cfd0ed8db1f3c431a132a2f0cf99010f14a8199446219f1f14fb053ce058dd28"},
	"q9":  {5555, "99336761b99c6754735cf0dc267c083f70b69ba5714eae198794c219a1e48ca0"},
	"q10": {2, "760daf4c75587b28683e0affff74dae2b89fb1fad666e44f0482ff46a171e14a"},
	"q11": {2925, "30c050f83c267d4af305ed78d1212ff9b74e20b7f36affb469cdd6985c87542d"},
	"q12": {1925, "199c985c7e19f254137355f424b7eb7bb40c17a215be68b1a1bc526d5491dab8"},
	"q13": {92000, "8cd8b4c4b200278cbbc426a0fd05c496df8229404c29a8bc81638b825c1fe150"},
	"q14": {26259, "d1cb5818978082df3ae6faf1b8c3198cb65a092d26dc8670727b42662feef7e6"},
	"q15": {1, "8ab358af165e8b9a0975c013914db72a6f7bec510c25bbb7ef97361b2590364a"},
	"q16": {9917, "afe5419aff0c69ffc972544347a68d2f06d3fc901f0395c4457819b62b3ca659"},
	"q17": {6000, "3be1bf3fd36cedf4d360fc8662cdbaa5676af169327d3edd09a4541bc95211cd"},
	"q18": {28191, "946802f9416fe32cf63b750b289017521b72725a286ba08d5f47462b2ee0823f"},
	"q19": {43844, "9d82b019241cadffbe9c0fdfc9e2b08d288dcc0d0e229e62d52489858964e5c9"},
	"q20": {18949, "651a51d6270d846f0b79ac42a6d0e95b31e78ad0f7c22e6b1a0c0427106d2265"},
	"q21": {87769, "2d3ef77495717a469df6ec9db98bcb4722b0276a8fa4d9ffc007e81ce3c28e31"},
	"q22": {92000, "aab9e416f69e17b293f063a28b84bfaf3ab03c07e6c5dbc5589a7fa41ee2bb5f"},
	"q23": {149891, "89d3cd280e61183b0f159bf6fb6d53990196d34fece6c0b386acb120f539892c"},
}

// tapes are the events in order, and out of order in groups of a second; made once for all tests.
var tapes = sync.OnceValue(func() map[int64]*gen.Tape {
	tapes := map[int64]*gen.Tape{}
	for _, group := range []int64{1, 1000} {
		tapes[group] = generator(group).Record()
	}
	return tapes
})

func generator(group int64) *gen.Generator {
	g, err := gen.New(gen.Config{Events: 100_000, Rate: 1000, Group: group})
	if err != nil {
		panic(err)
	}
	return g
}

// check returns how lines differ from what is expected.
func check(q *nexmark.Query, lines []row.Line) error {
	rows, digest := row.Digest(q.Header, q.Final(lines))
	if want := expected[q.Name]; rows != want.rows || digest != want.digest {
		return fmt.Errorf("%s: %d rows with the digest %s, want %d with %s", q.Name, rows, digest, want.rows, want.digest)
	}
	return nil
}

func TestHandWrittenLoops(t *testing.T) {
	for group, tape := range tapes() {
		for _, q := range nexmark.All() {
			if err := check(&q, q.HandLines(nexmark.Replay(tape))); err != nil {
				t.Errorf("groups of %d: %v", group, err)
			}
		}
	}
}

// TestJobs runs each query over events in order and out of order, in one split and several, with one subtask and two, and compares with what is
// expected.
func TestJobs(t *testing.T) {
	if len(nexmark.All()) != len(expected) {
		t.Fatalf("there are %d queries, and %d are expected", len(nexmark.All()), len(expected))
	}
	for _, q := range nexmark.All() {
		t.Run(q.Name, func(t *testing.T) {
			for _, c := range []struct {
				group       int64
				parallelism int
				options     gen.Options
			}{
				{1, 1, gen.Options{}},
				{1000, 2, gen.Options{Splits: 3}},
			} {
				sink := memory.NewSink[row.Line]()
				status := millracetest.Run(t, q.Lines(tapes()[c.group].Source(c.options), 0, sink), millracetest.Parallelism(c.parallelism))
				if err := check(&q, sink.Records()); err != nil {
					t.Errorf("groups of %d, %d subtasks, %+v: %v", c.group, c.parallelism, c.options, err)
				}
				if status.Late > 0 {
					t.Errorf("groups of %d: %d records are late", c.group, status.Late)
				}
			}
		})
	}
}

// TestKilledJobs kills each query and lets it go on, at a parallelism of 1 and 2, until it comes to its end.
func TestKilledJobs(t *testing.T) {
	kills := 2
	if testing.Short() {
		kills = 1
	}
	tape := tapes()[1000]
	for _, q := range nexmark.All() {
		t.Run(q.Name, func(t *testing.T) {
			report := millracetest.Crash(t, func(trial *millracetest.Trial) *millrace.Job {
				sink := trial.Once("rows", memory.NewSink[row.Line])
				trial.Output("digest", func() []string {
					if err := check(&q, sink.Records()); err != nil {
						return []string{err.Error()}
					}
					return []string{"as expected"}
				})
				return q.Lines(tape.Source(gen.Options{Splits: 2}), 0, sink)
			}, millracetest.Parallelism(1, 2), millracetest.Kills(kills), millracetest.Check(func(trial *millracetest.Trial) error {
				return check(&q, trial.Once("rows", memory.NewSink[row.Line]).Records())
			}))
			if report.Kills < kills || report.InEpoch == 0 {
				t.Errorf("%+v", report)
			}
		})
	}
}

// TestMadeByTheWay runs a query over events that are made while they are read, with watermarks that the job makes: and kills it.
func TestMadeByTheWay(t *testing.T) {
	for _, q := range nexmark.All() {
		if q.Name != "q9" {
			continue
		}
		millracetest.Crash(t, func(trial *millracetest.Trial) *millrace.Job {
			source := generator(1000).Source(gen.Options{Splits: 2, NoWatermarks: true})
			return q.Lines(source, time.Second, trial.Collect[row.Line]("rows"))
		}, millracetest.Parallelism(1, 2), millracetest.Kills(2), millracetest.Check(func(trial *millracetest.Trial) error {
			return check(&q, trial.Collect[row.Line]("rows").Records())
		}))
	}
}

// TestTallies: a job and the hand-written loop add up to the same, which is how they are compared when they are measured.
func TestTallies(t *testing.T) {
	tape := tapes()[1]
	for _, q := range nexmark.All() {
		counter := &nexmark.Counter{}
		millracetest.Run(t, q.Tally(tape.Source(gen.Options{}), counter), millracetest.Every(20_000))
		if got, want := counter.Tally(), q.HandTally(nexmark.Replay(tape)); !q.ByClock && got != want || got.Sum != want.Sum || want.Rows == 0 {
			t.Errorf("%s: the job gives %+v, the loop %+v", q.Name, got, want)
		}
	}
}
