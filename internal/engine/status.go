package engine

import (
	"time"

	"github.com/millrace-stream/millrace/internal/element"
	"github.com/millrace-stream/millrace/internal/epoch"
	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/operator"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

// status adds up the counters of all tasks.
func (a *attempt) status() Status {
	s := Status{
		BytesTotal: a.bytesTotal, Epoch: a.lastEpoch(), EpochTime: a.epochTime, Epochs: a.decidedBefore + a.epochs,
		Warnings: a.warnings, Failed: a.failed + a.failedEpochs, Restarts: a.restarts(), Elapsed: a.env.Sched.Now().Sub(a.started),
	}
	byID := map[string]int{}
	var clocks []int64 // the smallest, by operator
	sources := 0
	for _, t := range a.tasks {
		clock := t.watermark()
		s.BarrierPause = max(s.BarrierPause, time.Duration(t.pause.Load()))
		for place, o := range t.ops {
			i, ok := byID[o.node.ID]
			if !ok {
				i = len(s.Operators)
				byID[o.node.ID] = i
				s.Operators = append(s.Operators, OperatorStatus{ID: o.node.ID, Kind: string(o.node.Kind)})
				clocks = append(clocks, clock)
			}
			if o.node == t.busyIn.Load() {
				s.Operators[i].Busy = max(s.Operators[i].Busy, time.Duration(t.busy.Load()))
			}
			clocks[i] = min(clocks[i], clock)
			if place == 0 {
				s.Operators[i].Queued += t.queued()
			}
			s.add(o.counters, &s.Operators[i])
			if o.node.Kind == graph.KindSource {
				s.addSource(o.counters, sources == 0)
				sources++
			}
		}
	}
	for i, w := range clocks {
		s.Operators[i].stand(w)
	}
	s.InRun = a.inRun + s.In - a.inBefore
	s.addState(a.tier)
	s.Held, s.Imbalance = a.dog.held, a.imbalance
	if a.manifest != nil {
		for i := range s.Operators {
			s.Operators[i].Held = counters(a.manifest, s.Operators[i].ID)["held"]
		}
	}
	return s
}

// add adds the counters of one subtask.
func (s *Status) add(c *operator.Counters, to *OperatorStatus) {
	to.In += c.In.Load()
	to.Out += c.Out.Load()
	to.PreAggregated += c.PreAggregated.Load()
	to.Late += c.Late.Load()
	to.Ahead += c.Ahead.Load()
	to.Filtered += c.Filtered.Load()
	to.Duplicates += c.Duplicates.Load()
	to.Conflicts += c.Conflicts.Load()
	to.Dropped += c.Dropped.Load()
	to.Used += c.Used.Load()
	to.Replayed += c.Replayed.Load()
	to.Skipped += c.Skipped.Load()
	to.DeadLettered += c.DeadLettered.Load()
	to.Retries += c.Retries.Load()
	to.Fallbacks += c.Fallbacks.Load()
	to.InFlight += c.InFlight.Load()
	to.Misses += c.Misses.Load()
	to.OutOfRange += c.OutOfRange.Load()
	s.Late += c.Late.Load()
	s.Ahead += c.Ahead.Load()
	s.LateWindows += c.LateWindows.Load()
	s.Filtered += c.Filtered.Load()
	s.Duplicates += c.Duplicates.Load()
	s.Conflicts += c.Conflicts.Load()
	s.Dropped += c.Dropped.Load()
	s.Skipped += c.Skipped.Load()
	s.DeadLettered += c.DeadLettered.Load()
	s.Misses += c.Misses.Load()
	s.OutOfRange += c.OutOfRange.Load()
	s.TimersDiscarded += c.TimersDiscarded.Load()
	s.OpenWindows += c.OpenWindows.Load()
	if to.Kind == string(graph.KindSink) {
		s.Out += c.Out.Load()
	}
}

// addSource adds what only sources count.
func (s *Status) addSource(c *operator.Counters, first bool) {
	s.In += c.In.Load()
	s.BytesRead += c.BytesRead.Load()
	if n := c.Newest.Load(); n > s.Newest || s.Newest == 0 {
		s.Newest = n
	}
	if w := c.Watermark.Load(); first || w < s.Watermark {
		s.Watermark = w
	}
}

// stand says where the operator stands.
func (o *OperatorStatus) stand(watermark int64) {
	switch watermark {
	case element.EndTime:
		o.Ended = true
	case element.NoTime:
	default:
		o.Watermark = operator.Time(watermark)
	}
}

// watermark returns what the operators of the task have been given, for reports.
func (t *taskRun) watermark() int64 {
	if t.source != nil {
		return t.ops[0].counters.Watermark.Load()
	}
	return t.clock.Load()
}

// queued returns how many records wait for the task.
func (t *taskRun) queued() (n int64) {
	for _, in := range t.inputs {
		records, _ := in.edge.Len()
		n += int64(records)
	}
	return n
}

func (a *attempt) summary() Summary {
	s := Summary{Status: a.status(), Finished: a.outcome == epoch.Finished}
	if len(a.tasks) == 0 && a.manifest != nil {
		// A job that had finished before, or that failed before its tasks were made: its totals are in the checkpoint.
		if a.manifest.Finished {
			s.Watermark = element.EndTime
		}
		for i := range a.manifest.Operators {
			o := &a.manifest.Operators[i]
			c := o.Counters
			s.Operators = append(s.Operators, OperatorStatus{
				ID: o.ID, Kind: o.Kind, In: c["in"], Out: c["out"], Late: c["late"], Ahead: c["ahead"], Filtered: c["filtered"],
				Duplicates: c["duplicates"], Conflicts: c["conflicts"], Misses: c["misses"], Dropped: c["dropped"],
				Used: c["used"], Replayed: c["replayed"], Held: c["held"], Skipped: c["skipped"], DeadLettered: c["dead_lettered"],
				OutOfRange: c["out_of_range"], Retries: c["retries"], Fallbacks: c["fallbacks"], PreAggregated: c["pre_aggregated"],
				Ended: a.manifest.Finished,
			})
			s.Late += c["late"]
			s.Ahead += c["ahead"]
			s.LateWindows += c["late_windows"]
			s.Filtered += c["filtered"]
			s.Duplicates += c["duplicates"]
			s.Conflicts += c["conflicts"]
			s.Dropped += c["dropped"]
			s.Skipped += c["skipped"]
			s.DeadLettered += c["dead_lettered"]
			s.Misses += c["misses"]
			s.OutOfRange += c["out_of_range"]
			switch o.Kind {
			case "source":
				s.In += c["in"]
				a.addProgress(&s.Status, o)
			case "sink":
				s.Out += c["out"]
			}
		}
		s.Restarts = a.manifest.Restarts
	}
	return s
}

// addProgress adds what the checkpoint says about the splits of a source.
func (a *attempt) addProgress(s *Status, o *snapshot.OperatorState) {
	bytes, newest, ok, err := operator.OldProgress(o.Subtasks)
	if err != nil {
		a.cfg.Log.Warn("the summary lacks the progress of a source", "source", o.ID, "error", err)
		return
	}
	s.BytesRead += bytes
	s.BytesTotal += bytes
	if ok && (newest > s.Newest || s.Newest == 0) {
		s.Newest = newest
	}
}
