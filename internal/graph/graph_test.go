package graph

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestScenarios runs the files in testdata/scenarios. A graph is written one node on a line, its number of line being its place in the job:
//
//	id kind [state] [x4] [key=type] [error=text] [< producer[/side][@port][+keyed] ...]
//
// Producers are given by id or, when it is a number, by index; _ is an empty id or kind.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		var g *Graph
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			parallelism, groups := 1, 128
			job := "rides"
			d.MaybeScanArgs(t, "parallelism", &parallelism)
			d.MaybeScanArgs(t, "groups", &groups)
			d.MaybeScanArgs(t, "job", &job)
			if d.Input != "" {
				g = parse(t, strings.Replace(job, "_", "", 1), d.Input)
			}
			switch d.Cmd {
			case "validate":
				if err := g.Validate(); err != nil {
					return err.Error()
				}
				return "ok\n" + g.String()
			case "plan":
				chains, err := Plan(g, parallelism)
				if err != nil {
					return err.Error()
				}
				return Describe(g, chains)
			case "dot":
				chains, err := Plan(g, parallelism)
				if err != nil {
					return err.Error()
				}
				return g.Dot(nil) + g.Dot(chains)
			case "signature":
				return g.Signature(groups)
			}
			t.Fatalf("%s: unknown command %q", d.Pos, d.Cmd)
			return ""
		})
	})
}

func parse(t *testing.T, job, text string) *Graph {
	t.Helper()
	g := &Graph{Job: job}
	index := make(map[string]int)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		index[strings.Fields(line)[0]] = i
	}
	for i, line := range lines {
		head, tail, _ := strings.Cut(line, "<")
		f := strings.Fields(head)
		n := &Node{ID: strings.Replace(f[0], "_", "", 1), Kind: Kind(strings.Replace(f[1], "_", "", 1)), File: "main.go", Line: i + 1, Types: map[string]string{}}
		for _, a := range f[2:] {
			key, value, pair := strings.Cut(a, "=")
			switch {
			case a == "state":
				n.Stateful = true
			case key == "error":
				n.Errs = append(n.Errs, errors.New(value))
			case key == "side":
				n.Sides = append(n.Sides, value)
			case key == "name":
				n.Name = value
			case pair:
				n.Types[key] = value
			default:
				p, err := strconv.Atoi(strings.TrimPrefix(a, "x"))
				if err != nil {
					t.Fatalf("line %q: %v", line, err)
				}
				n.Parallelism = p
			}
		}
		for p := range strings.FieldsSeq(tail) {
			var in Input
			p, in.Keyed = strings.CutSuffix(p, "+keyed")
			p, port, _ := strings.Cut(p, "@")
			in.Port, _ = strconv.Atoi(port)
			p, in.Side, _ = strings.Cut(p, "/")
			if from, ok := index[p]; ok {
				in.Node = from
			} else {
				from, err := strconv.Atoi(p)
				if err != nil {
					t.Fatalf("line %q: no producer %q", line, p)
				}
				in.Node = from
			}
			n.Inputs = append(n.Inputs, in)
		}
		g.Add(n)
	}
	return g
}

func TestValidationErrorCanBeTakenApart(t *testing.T) {
	cause := errors.New("the key type has no stable hash")
	g := &Graph{Job: "rides"}
	g.Add(&Node{ID: "in", Kind: KindSource, File: "a.go", Line: 3})
	g.Add(&Node{ID: "out", Kind: KindSink, File: "a.go", Line: 4, Inputs: []Input{{Node: 0}}, Errs: []error{fmt.Errorf("keyed: %w", cause)}})
	err := g.Validate()
	if !errors.Is(err, cause) {
		t.Fatalf("%v does not wrap its cause", err)
	}
	var v *ValidationError
	if !errors.As(err, &v) || len(v.Mistakes) != 1 || v.Mistakes[0].ID != "out" || v.Mistakes[0].Line != 4 {
		t.Fatalf("mistakes = %+v, want one of operator out at line 4", v)
	}
}

func TestNilNodeIsAMistake(t *testing.T) {
	g := &Graph{Job: "rides", Nodes: []*Node{nil}}
	if err := g.Validate(); err == nil || !strings.Contains(err.Error(), "node 0 is nil") {
		t.Errorf("Validate = %v, want a mistake about node 0", err)
	}
	if _, err := Plan(g, 1); err == nil {
		t.Error("Plan of a nil node: no error")
	}
}

func TestPlanRejectsWhatValidateWould(t *testing.T) {
	loop := &Graph{Job: "j", Nodes: []*Node{{ID: "a", Inputs: []Input{{Node: 1}}}, {ID: "b", Inputs: []Input{{Node: 0}}}}}
	lost := &Graph{Job: "j", Nodes: []*Node{{ID: "a", Inputs: []Input{{Node: 7}}}}}
	for _, g := range []*Graph{loop, lost} {
		if c, err := Plan(g, 1); err == nil {
			t.Errorf("Plan(%v) = %v, want an error", g, c)
		}
	}
	if _, err := Plan(&Graph{}, 0); err == nil {
		t.Error("Plan with parallelism 0: no error")
	}
}

func TestIDs(t *testing.T) {
	for id, ok := range map[string]bool{
		"a": true, "Rides_2.per-base": true, "-": true, strings.Repeat("x", MaxID): true,
		"": false, strings.Repeat("x", MaxID+1): false, "a/b": false, "a b": false, "ä": false, "..": false, ".": false, ".a": false,
		"a\x00": false, "a\\b": false, "a:b": false, "\xff": false,
	} {
		if err := checkID(id); (err == nil) != ok {
			t.Errorf("checkID(%q) = %v, want ok = %v", id, err, ok)
		}
	}
}
