package engine

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millrace-stream/millrace/internal/graph"
	"github.com/millrace-stream/millrace/internal/shape"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

// PlanAction is what a start would do with something in a checkpoint.
type PlanAction string

// The actions of a plan.
const (
	PlanKeep    PlanAction = "keep"
	PlanMigrate PlanAction = "migrate"
	PlanDrop    PlanAction = "drop"
	PlanNew     PlanAction = "new"
	PlanRefuse  PlanAction = "refuse"
)

// PlanStep says what a start would do with an operator, or with one of its states.
type PlanStep struct {
	// Operator is the id; empty for what concerns the whole job.
	Operator string
	// State is the role of the type that it is about, such as "state" or "state.total"; empty for the operator as a whole.
	State string
	// Action is what is done.
	Action PlanAction
	// Text says why, or what changes, and what can be done about it.
	Text string
	// Loses says that the step forgets something that the checkpoint holds.
	Loses bool
}

// planner compares a job with a checkpoint.
type planner struct {
	m     *snapshot.Manifest
	drop  []string
	steps []PlanStep
}

// PlanRestore says what a start of the job would do with a checkpoint. Drop names what may be lost: see Config.
func PlanRestore(g *graph.Graph, groups int, m *snapshot.Manifest, drop []string) []PlanStep {
	p := &planner{m: m, drop: drop}
	if m.Groups != groups {
		p.add(PlanStep{Action: PlanRefuse, Text: fmt.Sprintf("the checkpoint of job %q has %d key groups, the configuration says %d: their number is fixed at the first start; set KeyGroups to %d",
			m.Job, m.Groups, groups, m.Groups)})
	}
	now := map[string]*graph.Node{}
	for _, n := range g.Nodes {
		now[n.ID] = n
	}
	for i := range m.Operators {
		old := &m.Operators[i]
		p.operator(old, now[old.ID])
	}
	for _, n := range g.Nodes {
		if m.Operator(n.ID) == nil && (n.Stateful || n.Kind == graph.KindSource) {
			p.add(PlanStep{Operator: n.ID, Action: PlanNew, Text: fmt.Sprintf("%s begins with nothing: it is not in the checkpoint", n.Kind)})
		}
	}
	return p.steps
}

func (p *planner) add(s PlanStep) { p.steps = append(p.steps, s) }

func (p *planner) mayDrop(name string) bool { return slices.Contains(p.drop, name) }

// operator compares one operator of the checkpoint with that of the job, nil if there is none.
func (p *planner) operator(old *snapshot.OperatorState, n *graph.Node) {
	switch {
	case (n == nil || string(n.Kind) != old.Kind) && stateless(old):
		return
	case n == nil && len(old.Committables) > 0:
		p.add(PlanStep{Operator: old.ID, Action: PlanRefuse, Text: fmt.Sprintf("operator %q (%s) is in the checkpoint and not in the job, and output that it has prepared is not committed: "+
			"bring it back; or take a savepoint with the old job, which commits it, and begin there", old.ID, old.Kind)})
	case n == nil:
		p.orDrop(old.ID, "", fmt.Sprintf("operator %q (%s) is in the checkpoint and not in the job: its state would be lost; bring it back", old.ID, old.Kind))
	case string(n.Kind) != old.Kind:
		p.orDrop(old.ID, "", fmt.Sprintf("operator %q was a %s in the checkpoint and is a %s now (%s): give the new one another id", old.ID, old.Kind, n.Kind, n.Where()))
	default:
		p.types(old, n)
	}
}

// orDrop refuses what would be lost, or drops it if that is allowed.
func (p *planner) orDrop(operator, state, text string) {
	name := operator
	if state != "" {
		name += "/" + state
	}
	if p.mayDrop(name) || p.mayDrop(operator) {
		if !p.mayDrop(name) {
			state = ""
		}
		p.add(PlanStep{Operator: operator, State: state, Action: PlanDrop, Loses: true, Text: "given up, as asked for: " + text})
		return
	}
	p.add(PlanStep{Operator: operator, State: state, Action: PlanRefuse, Text: fmt.Sprintf("%s, or give it up: Drop %q", text, name)})
}

// types compares the types that the state of an operator depends on.
func (p *planner) types(old *snapshot.OperatorState, n *graph.Node) {
	before := len(p.steps)
	for _, role := range slices.Sorted(maps.Keys(old.Types)) {
		if is, was := n.Types[role], old.Types[role]; is != was {
			p.role(old, n, role, was, is)
		}
	}
	if n.Stateful {
		for _, role := range slices.Sorted(maps.Keys(n.Types)) {
			if _, ok := old.Types[role]; !ok {
				p.add(PlanStep{Operator: n.ID, State: role, Action: PlanNew, Text: fmt.Sprintf("%s begins with nothing: it is not in the checkpoint", n.Types[role])})
			}
		}
	}
	if len(p.steps) == before {
		p.add(PlanStep{Operator: n.ID, Action: PlanKeep, Text: string(n.Kind)})
	}
}

// role compares one type.
func (p *planner) role(old *snapshot.OperatorState, n *graph.Node, role, was, is string) {
	head := fmt.Sprintf("operator %q (%s): %s was %q in the checkpoint and is %q now", n.ID, n.Where(), role, was, is)
	declared := ownState(n, role)
	state := ""
	if declared {
		state = role
	}
	changes, err := p.migration(old, n, role, was, is)
	if err != nil {
		p.orDrop(n.ID, state, fmt.Sprintf("%s%s: bring the old one back", head, reason(err)))
		return
	}
	if names := p.renamed(n.ID, role, changes); len(names) > 0 {
		p.add(PlanStep{Operator: n.ID, State: role, Action: PlanRefuse, Text: fmt.Sprintf("%s: fields are gone and others new; if one has another name now, keep that under which it is stored, "+
			"by a tag `state:%q`; if not, give them up: Drop %q", head, lastField(names[0]), n.ID+"/"+role+"."+names[0])})
		return
	}
	s := PlanStep{Operator: n.ID, State: role, Action: PlanMigrate}
	var texts []string
	for _, c := range changes {
		texts = append(texts, c.Text)
		s.Loses = s.Loses || c.Action == shape.Removed
	}
	if len(changes) == 0 {
		s.Action, texts = PlanKeep, []string{fmt.Sprintf("%q is stored as %q was", is, was)}
	}
	s.Text = strings.Join(texts, "; ")
	p.add(s)
}

func lastField(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// reason shows an error in the middle of a message.
func reason(err error) string {
	if errors.Is(err, errNotState) {
		return ""
	}
	return " (" + strings.ReplaceAll(err.Error(), "\n", "; ") + ")"
}

// ownState says that a role is a state of a process function, which stands for itself.
func ownState(n *graph.Node, role string) bool {
	return n.Kind == "process" && (role == "state" || strings.HasPrefix(role, "state."))
}

// errNotState says that a type decides how state is read, and is not the state.
var errNotState = errors.New("not a type of state")

// sections are the places of a state, by role, for operators other than process functions.
var sections = map[string][]string{
	"state": {"window", "session", "triggered"}, "record": {"held"}, "left": {"left"}, "right": {"right"}, "table": {"table"},
}

// migration returns what has to be done to read the state of one type as another.
func (p *planner) migration(old *snapshot.OperatorState, n *graph.Node, role, was, is string) ([]shape.Change, error) {
	places := sections[role]
	if ownState(n, role) {
		places = []string{role}
	}
	if len(places) == 0 || is == "" || n.Kind == "async" {
		return nil, errNotState
	}
	from, to, err := shape.Values(was, is)
	if err != nil {
		return nil, err
	}
	for _, c := range p.m.Chains {
		if c.Operator == old.ID && slices.Contains(places, c.State) && old.Schema(c.State).Value == shape.Opaque {
			return nil, errors.New("the checkpoint is of an earlier release and does not say how the state is stored: run the job as it was until its next checkpoint")
		}
	}
	return shape.Compare(from, to)
}

// renamed returns the fields of a state that may live on under another name, without those that may be lost.
func (p *planner) renamed(operator, role string, changes []shape.Change) (names []string) {
	for _, path := range shape.Renamed(changes) {
		if !p.mayDrop(operator+"/"+role+"."+path) && !p.mayDrop(operator+"/"+role) && !p.mayDrop(operator) {
			names = append(names, path)
		}
	}
	slices.Sort(names)
	return names
}

// Refused returns the texts of all steps that stand in the way of a start.
func Refused(steps []PlanStep) error {
	var errs []error
	for _, s := range steps {
		if s.Action == PlanRefuse {
			errs = append(errs, errors.New(s.Text))
		}
	}
	return errors.Join(errs...)
}

// without returns a checkpoint as it is restored: without what is dropped.
func without(m *snapshot.Manifest, steps []PlanStep) *snapshot.Manifest {
	operators, states := map[string]bool{}, map[[2]string]bool{}
	for _, s := range steps {
		switch {
		case s.Action != PlanDrop:
		case s.State == "":
			operators[s.Operator] = true
		default:
			states[[2]string{s.Operator, s.State}] = true
		}
	}
	if len(operators)+len(states) == 0 {
		return m
	}
	next := *m
	next.Operators = slices.DeleteFunc(slices.Clone(m.Operators), func(o snapshot.OperatorState) bool { return operators[o.ID] })
	next.Chains = slices.DeleteFunc(slices.Clone(m.Chains), func(c snapshot.Chain) bool {
		return operators[c.Operator] || states[[2]string{c.Operator, c.State}]
	})
	return &next
}
