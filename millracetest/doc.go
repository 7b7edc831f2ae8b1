// Package millracetest tests jobs: with input from a script, results in memory, and crashes.
//
// # What a job does with its input
//
// A Script is a source that brings records and moves the watermark where the test says, so that what is late is not a matter of luck:
//
//	in := millracetest.Script[Ride]().
//		Records(ride("12:59", 3)).
//		Watermark(clock("13:00")).
//		Records(ride("12:58", 5)) // late
//	out, late := millracetest.Collect[Pane](), millracetest.Collect[Ride]()
//	millracetest.Run(t, fares(in, out, late))
//	millracetest.Equal(t, late.Records(), []Ride{ride("12:58", 5)})
//
// Run runs a job to its end, and fails the test when the job fails or is stuck. Equal compares records in any order, since the order of results is not part
// of what a job promises. Write jobs as functions that take their sources and sinks, connect.Source and connect.Sink, so that tests can give them others.
//
// # What a crash does to a job
//
// Crash runs a job, kills it at all kinds of moments, lets it go on from what is left, and compares the results with
// those of a run that nothing happened to:
//
//	func TestFaresSurviveCrashes(t *testing.T) {
//		millracetest.Crash(t, func(trial *millracetest.Trial) *millrace.Job {
//			return fares(memory.Of(rides...), trial.Collect[Pane]("fares"), trial.Collect[Ride]("late"))
//		})
//	}
//
// It finds functions that keep something between records, since a restart forgets it; sinks that show records of an epoch that is not
// decided, or show them twice; and results that depend on parallelism. Files go to Trial.Path, on a disk in memory
// that also loses power; a sink of one's own outlives the crash by Trial.Once and is read by Trial.Output.
//
// A failure says how the job died, what differs, and the call that repeats it.
//
// Simulate does more, and the same in every run: in the world of a seed one task runs at a time, in an order that the seed chooses, time is virtual, and the
// disk fails, is full, and is damaged too.
//
// # What goes by the clock
//
// IdleAfter, batches that wait, timers of processing time: with the option Virtual the job runs in virtual time, in which a minute is over as soon as
// there is nothing else to do. A script waits with Wait, so the test says what comes before a timeout and what after:
//
//	quiet := millracetest.Script[Ride]().Records(ride("west", "12:00")).Wait(2 * time.Minute)
//	busy := millracetest.Script[Ride]().
//		Records(ride("east", "14:00")).
//		Wait(59 * time.Second).Records(ride("east", "12:10")). // in time: the other source holds the watermark
//		Wait(2 * time.Second).Records(ride("east", "12:11"))   // late: a minute is over, it is idle
//	millracetest.Run(t, fares(quiet, busy, out, late), millracetest.Virtual())
//
// # What is not here
//
// A kill ends what the engine does, at once; a function of the job that is running at that moment goes on until it returns.
package millracetest
