package shape

import (
	"errors"
	"fmt"
	"strings"
)

// State describes the encodings of a state; By is that of the part of the key that chooses the key group, empty for all of it.
type State struct{ Key, By, Value string }

// Opaque stands for the description of what only the program that wrote it can read.
const Opaque = "opaque"

// keyedByJob are the states whose keys are those of the job, whatever their values.
var keyedByJob = []string{"window", "revision", "session", "triggered", "held", "seen", "left", "right", "table"}

// Version1 works out how the states of an operator are encoded from the types that it was made of, for checkpoints that do not say. Values of
// operators that keep more than the job's own types are opaque.
func Version1(kind string, types map[string]string) map[string]State {
	key, window := types["key"], types["window"]
	out := map[string]State{}
	if key != "" && kind != "process" {
		for _, section := range keyedByJob {
			out[section] = State{Key: key, Value: Opaque}
		}
	}
	for role, text := range types {
		text, stamped := strings.CutSuffix(text, ", expires by event time")
		if !stamped {
			text, stamped = strings.CutSuffix(text, ", expires by processing time")
		}
		switch {
		case role == "state" && window != "" && kind == "aggregate" && types["trigger"] == "" && plainWindow(window):
			out["window"] = State{Key: key, Value: text}
		case role == "state" && window == "", strings.HasPrefix(role, "state."):
			s := oneState(key, text)
			if stamped {
				s.Value = "struct{at int64;value " + s.Value + "}"
			}
			out[role] = s
		}
	}
	if kind == "process" {
		for _, section := range []string{"timer", "processing-timer"} {
			out[section] = State{Key: "struct{key " + key + ";name rest}", By: key, Value: "int64be"}
		}
	}
	return out
}

// plainWindow says that windows of this text keep their accumulators as they are.
func plainWindow(text string) bool {
	for _, own := range []string{"Session", "Count", "Global"} {
		if strings.HasPrefix(text, own) {
			return false
		}
	}
	return true
}

// oneState reads what a process function has declared.
func oneState(key, text string) State {
	entries := func(entry, value string) State {
		return State{Key: "struct{key " + key + ";entry " + entry + "}", By: key, Value: value}
	}
	switch word, rest, _ := strings.Cut(text, " "); word {
	case "map":
		entry, value, _ := strings.Cut(rest, " to ")
		return entries(entry, value)
	case "list":
		return entries("uint64", rest)
	case "reducing":
		_, value, _ := strings.Cut(rest, " in ")
		return State{Key: key, Value: value}
	case "broadcast":
		entry, value, _ := strings.Cut(rest, " to ")
		return State{Key: entry, Value: value}
	}
	return State{Key: key, Value: text}
}

// Values returns the shapes of the values that two descriptions of a state stand for. It fails when they are not states of the same form: a list and a
// map, or one that expires and one that does not.
func Values(was, is string) (from, to *Shape, err error) {
	old, oldForm := form(was)
	now, newForm := form(is)
	if oldForm != newForm {
		return nil, nil, fmt.Errorf("it was %s and is %s", oldForm, newForm)
	}
	from, err1 := Parse(old)
	to, err2 := Parse(now)
	return from, to, errors.Join(err1, err2)
}

// form takes the value out of the description of a state; what is left says how it is kept.
func form(text string) (value, form string) {
	expires := ""
	for _, by := range []string{", expires by event time", ", expires by processing time"} {
		if rest, ok := strings.CutSuffix(text, by); ok {
			text, expires = rest, by
		}
	}
	s := oneState("", text)
	form = "one value"
	switch word, _, _ := strings.Cut(text, " "); word {
	case "map", "broadcast":
		form = "a " + strings.TrimSuffix(text, s.Value) + "values"
	case "list":
		form = "a list"
	case "reducing":
		form = "a reduction"
	}
	return s.Value, form + expires
}
