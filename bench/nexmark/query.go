// Package nexmark has the 24 queries of Nexmark as jobs, made with the public API alone: a benchmark, and an example of every kind of
// operator. What the queries are is told by the project's specification of Nexmark; each function here returns the rows of one.
//
// Beside each job stands a hand-written loop that gives the same rows (package hand), the limit of what the machine can do: make nexmark compares
// the two. The events come from package gen.
package nexmark

import (
	"math"
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/bench/nexmark/gen"
	"github.com/millrace-stream/millrace/bench/nexmark/hand"
	"github.com/millrace-stream/millrace/bench/nexmark/row"
	"github.com/millrace-stream/millrace/connect"
	"github.com/millrace-stream/millrace/internal/clock"
)

// Query is a query without the type of its rows.
type Query struct {
	// Name is that of the suite, such as q0; Title says what it does.
	Name, Title string
	// Header is the first line of its results as CSV.
	Header string
	// Updates says that rows replace earlier ones with the same order: only the last of them counts.
	Updates bool
	// ByClock says that rows depend on the clock of the machine: only the sums over all windows are the same in every run.
	ByClock bool

	lines     func(source connect.Source[gen.Event], timing millrace.SourceOption[gen.Event], sink connect.Sink[row.Line]) *millrace.Job
	tally     func(source connect.Source[gen.Event], timing millrace.SourceOption[gen.Event], sink *Counter) *millrace.Job
	handLines func(in hand.Input) []row.Line
	handTally func(in hand.Input) row.Tally
}

// Lines returns a job that gives its rows as lines of CSV. Disorder bounds that of a source which does not know watermarks.
func (q *Query) Lines(source connect.Source[gen.Event], disorder time.Duration, sink connect.Sink[row.Line]) *millrace.Job {
	return q.lines(source, q.timing(disorder), sink)
}

// Tally returns a job that adds up its rows in sink. The source must know watermarks.
func (q *Query) Tally(source connect.Source[gen.Event], sink *Counter) *millrace.Job {
	return q.tally(source, q.timing(0), sink)
}

// HandLines returns the rows of the hand-written loop as lines of CSV.
func (q *Query) HandLines(in hand.Input) []row.Line { return q.handLines(in) }

// HandTally adds up the rows of the hand-written loop.
func (q *Query) HandTally(in hand.Input) row.Tally { return q.handTally(in) }

func (q *Query) timing(disorder time.Duration) millrace.SourceOption[gen.Event] {
	if q.ByClock {
		return millrace.ProcessingTime[gen.Event]()
	}
	return millrace.EventNanosRef((*gen.Event).Nanos).OutOfOrderness(disorder)
}

// describe makes a Query of its parts.
func describe[R row.Row](
	name, title, header string, job func(Events) millrace.Stream[R], byHand func(hand.Input, *hand.Out[R]), sum func([]R) uint64,
) Query {
	return describeJob(name, title, header, func(_ *millrace.Job, events Events) millrace.Stream[R] { return job(events) }, byHand, sum)
}

func describeJob[R row.Row](
	name, title, header string, build func(*millrace.Job, Events) millrace.Stream[R], byHand func(hand.Input, *hand.Out[R]), sum func([]R) uint64,
) Query {
	start := func(source connect.Source[gen.Event], timing millrace.SourceOption[gen.Event]) (*millrace.Job, millrace.Stream[R]) {
		job := millrace.NewJob(name)
		return job, build(job, job.From("events", source, timing))
	}
	return Query{
		Name: name, Title: title, Header: header,
		lines: func(source connect.Source[gen.Event], timing millrace.SourceOption[gen.Event], sink connect.Sink[row.Line]) *millrace.Job {
			job, rows := start(source, timing)
			rows.To("rows", asLines[R]{sink})
			return job
		},
		tally: func(source connect.Source[gen.Event], timing millrace.SourceOption[gen.Event], sink *Counter) *millrace.Job {
			job, rows := start(source, timing)
			rows.To("rows", counting[R]{sink, sum})
			return job
		},
		handLines: func(in hand.Input) (lines []row.Line) {
			byHand(in, hand.NewOut(func(rows []R) {
				for _, r := range rows {
					lines = append(lines, row.LineOf(r))
				}
			}))
			return lines
		},
		handTally: func(in hand.Input) (t row.Tally) {
			byHand(in, hand.NewOut(func(rows []R) { t.Add(row.Tally{Rows: int64(len(rows)), Sum: sum(rows)}) }))
			return t
		},
	}
}

// All returns the queries in their order.
func All() []Query {
	values := make([]string, TableSize)
	for i, v := range Table() {
		values[i] = v.Value
	}
	q13 := func(job *millrace.Job, events Events) millrace.Stream[row.Q13] { return Q13(events, table(job)) }
	q13ByHand := func(in hand.Input, out *hand.Out[row.Q13]) { hand.Q13(in, out, values) }
	q12ByHand := func(in hand.Input, out *hand.Out[row.Q12]) {
		hand.Q12(in, out, func() int64 { return clock.System{}.Now().UnixMilli() })
	}
	updates := func(q Query) Query { q.Updates = true; return q }
	byClock := func(q Query) Query { q.ByClock = true; return q }
	return []Query{
		describe("q0", "pass through", row.Q0Header, Q0, hand.Q0, row.SumQ0),
		describe("q1", "currency conversion", row.Q1Header, Q1, hand.Q1, row.SumQ1),
		describe("q2", "selection", row.Q2Header, Q2, hand.Q2, row.SumQ2),
		describe("q3", "local item suggestion", row.Q3Header, Q3, hand.Q3, row.SumQ3),
		updates(describe("q4", "average price for a category", row.Q4Header, Q4, hand.Q4, row.SumQ4)),
		describe("q5", "hot items", row.Q5Header, Q5, hand.Q5, row.SumQ5),
		describe("q6", "average selling price by seller", row.Q6Header, Q6, hand.Q6, row.SumQ6),
		describe("q7", "highest bid", row.Q7Header, Q7, hand.Q7, row.SumQ7),
		describe("q8", "monitor new users", row.Q8Header, Q8, hand.Q8, row.SumQ8),
		describe("q9", "winning bids", row.Q9Header, Q9, hand.Q9, row.SumQ9),
		describe("q10", "log by minute", row.Q10Header, Q10, hand.Q10, row.SumQ10),
		describe("q11", "user sessions", row.Q11Header, Q11, hand.Q11, row.SumQ11),
		byClock(describe("q12", "processing-time windows", row.Q12Header, Q12, q12ByHand, row.SumQ12)),
		describeJob("q13", "bounded side input join", row.Q13Header, q13, q13ByHand, row.SumQ13),
		describe("q14", "calculation", row.Q14Header, Q14, hand.Q14, row.SumQ14),
		describe("q15", "bidding statistics", row.Q15Header, Q15, hand.Q15, row.SumQ15),
		describe("q16", "channel statistics", row.Q16Header, Q16, hand.Q16, row.SumQ16),
		describe("q17", "auction statistics", row.Q17Header, Q17, hand.Q17, row.SumQ17),
		updates(describe("q18", "find last bid", row.Q18Header, Q18, hand.Q18, row.SumQ18)),
		updates(describe("q19", "auction top 10", row.Q19Header, Q19, hand.Q19, row.SumQ19)),
		describe("q20", "expand bid with auction", row.Q20Header, Q20, hand.Q20, row.SumQ20),
		describe("q21", "add channel id", row.Q21Header, Q21, hand.Q21, row.SumQ21),
		describe("q22", "URL directories", row.Q22Header, Q22, hand.Q22, row.SumQ22),
		describe("q23", "expand bid with person and auction", row.Q23Header, Q23, hand.Q23, row.SumQ23),
	}
}

// Final returns the lines that count of those that a run has given.
func (q *Query) Final(lines []row.Line) []row.Line {
	switch {
	case q.Updates:
		return row.Last(lines)
	case q.ByClock:
		return totals(lines)
	}
	return lines
}

// Replay returns the input of a hand-written loop: the events of a tape in batches as a job has them, in memory that is used again.
func Replay(tape *gen.Tape) hand.Input {
	const batch = 1024
	buf := make([]gen.Event, batch)
	at := int64(0)
	return func() ([]gen.Event, int64) {
		n := min(batch, tape.Len()-at)
		if n == 0 {
			return nil, math.MaxInt64
		}
		tape.Fill(buf[:n], at, 1)
		at += n
		return buf[:n], (tape.Watermark(at)+1)/1e6 - 1
	}
}
