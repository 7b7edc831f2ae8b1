// Package millrace is stateful stream processing for Go: event-time windows over disordered input, keyed state, and
// results that are exactly once through crashes and restarts.
//
// A job is a graph of typed streams. Building it has no side effects; Run checks it, restores the newest checkpoint and
// runs it.
//
//	job := millrace.NewJob("rides")
//	rides := job.From("rides", file.CSV[Ride]("rides/*.csv.gz"),
//		millrace.EventTime(Ride.PickedUp).OutOfOrderness(5*time.Second))
//	counts := rides.
//		KeyBy(Ride.Base).
//		Window(window.Tumbling(time.Hour)).
//		Aggregate("rides-per-base", agg.Count[Ride]())
//	counts.To("counts", file.JSONL[millrace.Pane[string, int64]]("out/counts"))
//	err := millrace.Run(ctx, job, millrace.Config{Checkpoint: millrace.CheckpointConfig{Dir: "checkpoints"}})
//
// # Time
//
// Event time is nanoseconds since 1970 in UTC, from 1678 to 2262. A watermark t says that no more records with event
// time t or earlier are expected; each split of a source makes its own from the records it has seen, and those after it
// see the smallest. A window fires when the watermark reaches its last nanosecond. A record that comes later, by more than
// the allowed lateness, goes to the late output of the window and is counted.
//
// # State and checkpoints
//
// An epoch is a consistent cut through the job: positions of sources, state of operators, output of sinks. It becomes
// true at one point, when its manifest is durable; sinks show its output after that. A run that was killed goes on from
// the last such point and gives the results that it would have given.
//
// # Functions
//
// A function given to Map, Filter, KeyBy and the like is shared by parallel subtasks: it must not keep anything. Records
// are passed by value where that reads best, and by pointer in the form whose name ends in Ref, which is faster for
// records of more than four words. A pointer is valid during the call only.
//
// # Tests
//
// Package millracetest tests jobs: with a script in place of input, where a test says what is late, and with crashes.
package millrace
