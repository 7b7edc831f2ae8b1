package shape

import "strings"

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
