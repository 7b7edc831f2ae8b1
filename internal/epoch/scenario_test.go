package epoch

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// TestScenarios runs the files in testdata/scenarios. A command begins a run with its arguments as Config; each line is an event:
//
//	tick NOW | request NOW | stop NOW | restored EPOCH | drained TASK | ack TASK EPOCH | fail TASK EPOCH |
//	published EPOCH [error] | committed EPOCH [error]
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			cfg := Config{Tasks: 2, Sources: []int{0}}
			var sources, interval, timeout int
			d.MaybeScanArgs(t, "tasks", &cfg.Tasks)
			d.MaybeScanArgs(t, "sources", &sources)
			d.MaybeScanArgs(t, "interval", &interval)
			d.MaybeScanArgs(t, "timeout", &timeout)
			d.MaybeScanArgs(t, "tolerate", &cfg.Tolerate)
			cfg.Interval, cfg.Timeout = time.Duration(interval), time.Duration(timeout)
			for s := 1; s < sources; s++ {
				cfg.Sources = append(cfg.Sources, s)
			}
			c, err := NewCoordinator(cfg)
			if err != nil {
				return err.Error()
			}
			var b strings.Builder
			for line := range strings.SplitSeq(d.Input, "\n") {
				var effects []string
				for _, e := range c.Step(parseEvent(t, line)) {
					effects = append(effects, describe(e))
				}
				fmt.Fprintf(&b, "%-18s %-10v %s\n", line, c.Phase(), strings.Join(effects, ", "))
			}
			return b.String()
		})
	})
}

func describe(e Effect) string {
	name := strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", e), "epoch."))
	switch e := e.(type) {
	case Abort:
		return fmt.Sprintf("abort %d (%v)", e.Epoch, e.Reason)
	case Fail:
		return fmt.Sprintf("fail, retry %v (%v)", e.Retry, e.Err)
	case Done:
		return fmt.Sprintf("done (%v)", e.Outcome)
	}
	return name + " " + strings.Trim(fmt.Sprintf("%+v", e), "{}")
}

func parseEvent(t *testing.T, line string) Event {
	t.Helper()
	f := strings.Fields(line)
	n := make([]int64, 3)
	for i := 1; i < len(f); i++ {
		if f[i] == "error" {
			continue
		}
		var err error
		if n[i-1], err = strconv.ParseInt(f[i], 10, 64); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
	}
	var err error
	if f[len(f)-1] == "error" {
		err = errors.New("disk full")
	}
	switch f[0] {
	case "tick":
		return Tick{n[0]}
	case "request":
		return Request{n[0]}
	case "stop":
		return StopRequested{n[0]}
	case "restored":
		return Restored{uint64(n[0])}
	case "drained":
		return SourceDrained{int(n[0])}
	case "ack":
		return TaskAck{int(n[0]), uint64(n[1])}
	case "fail":
		return TaskFailed{int(n[0]), uint64(n[1]), errors.New("disk full")}
	case "published":
		return Published{uint64(n[0]), err}
	case "committed":
		return Committed{uint64(n[0]), err}
	}
	t.Fatalf("unknown event %q", line)
	return nil
}
