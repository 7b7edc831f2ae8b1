package window_test

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace-stream/millrace/window"
)

// TestTriggersSayTheCallThatMakesThem: the text is what checkpoints compare, so it must tell triggers apart.
func TestTriggersSayTheCallThatMakesThem(t *testing.T) {
	own := window.Custom[int, int]{Name: "own", OnRecord: func(window.TriggerContext, *int, *int) window.Decision { return window.Fire }}
	for want, trigger := range map[string]window.Trigger{
		"AtEnd()":                      window.AtEnd(),
		"AtEnd().Early(Every(1m0s))":   window.AtEnd().Early(window.Every(time.Minute)),
		"AtEnd().Late(PerWatermark())": window.AtEnd().Late(window.PerWatermark()),
		"AtEnd().Early(AnyOf(PerRecord())).Late(EveryCount(2))": window.AtEnd().Late(window.EveryCount(2)).Early(window.AnyOf(window.PerRecord())),
		`AllOf(EveryEventTime(1s), Sequence(Custom("own"), PerRecord()))`: window.AllOf(
			window.EveryEventTime(time.Second), window.Sequence(own, window.EveryCount(1))),
	} {
		if got := trigger.TriggerSpec().String(); got != want {
			t.Errorf("%s says %s", want, got)
		}
		if err := trigger.Check(); err != nil {
			t.Errorf("%s: %v", want, err)
		}
	}
	if s := own.TriggerSpec(); s.Custom.State == "" || !s.Uses(window.TriggerCustom) || s.Uses(window.TriggerCount) || s.Custom.Merges {
		t.Errorf("the spec of a custom trigger: %+v", s)
	}
}

// TestTriggersMadeOfNothingAreRefused: zero values of the types, and specs that no function makes.
func TestTriggersMadeOfNothingAreRefused(t *testing.T) {
	for want, trigger := range map[string]window.Trigger{
		"is nil":          window.RepeatedTrigger{},
		"has no name":     window.Custom[int, int]{},
		"OnRecord is nil": window.Custom[int, int]{Name: "x"},
	} {
		if err := trigger.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if err := (window.AtEndTrigger{}).Check(); err == nil {
		t.Error("a trigger that AtEnd has not made is accepted")
	}
}

// TestKindsOfPanesHaveWords that are read back.
func TestKindsOfPanesHaveWords(t *testing.T) {
	for want, k := range map[string]window.Firing{"early": window.Early, "on-time": window.OnTime, "late": window.Late} {
		text, err := k.MarshalText()
		var back window.Firing
		if err != nil || string(text) != want || back.UnmarshalText(text) != nil || back != k {
			t.Errorf("%v: %q, %v, %v", k, text, err, back)
		}
	}
	var k window.Firing
	if err := k.UnmarshalText([]byte("soon")); err == nil {
		t.Error("an unknown kind is accepted")
	}
}

// TestDecisionsAndKindsHaveNames.
func TestDecisionsAndKindsHaveNames(t *testing.T) {
	for want, d := range map[string]window.Decision{
		"Continue": window.Continue, "Fire": window.Fire, "Purge": window.Purge, "FireAndPurge": window.Fire | window.Purge, "Decision(4)": 4,
	} {
		if d.String() != want {
			t.Errorf("%s says %v", want, d)
		}
	}
	for want, k := range map[string]window.Kind{"count": window.KindCount, "global": window.KindGlobal} {
		if k.String() != want {
			t.Errorf("%s says %v", want, k)
		}
	}
}
