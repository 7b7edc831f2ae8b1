package graph

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MaxID is the greatest length of an id in bytes: ids become parts of file names.
const MaxID = 128

// Mistake is one thing that is wrong with a job.
type Mistake struct {
	// ID is the operator, empty for mistakes of the job as a whole and for operators without an id.
	ID string
	// File and Line are the place in the job, empty for mistakes of the job as a whole.
	File string
	Line int
	// Err is what is wrong and what to do about it.
	Err error
}

// Error says where, which operator, what.
func (m Mistake) Error() string {
	var b strings.Builder
	if m.File != "" {
		fmt.Fprintf(&b, "%s:%d: ", m.File, m.Line)
	}
	if m.ID != "" {
		fmt.Fprintf(&b, "operator %q: ", m.ID)
	}
	b.WriteString(m.Err.Error())
	return b.String()
}

// Unwrap returns what is wrong.
func (m Mistake) Unwrap() error { return m.Err }

// ValidationError is all that is wrong with a job.
type ValidationError struct {
	// Job is the id of the job.
	Job string
	// Mistakes are ordered by place; those of the job as a whole come first.
	Mistakes []Mistake
}

// Error lists all mistakes, one on a line.
func (e *ValidationError) Error() string {
	var b strings.Builder
	count := "1 mistake"
	if n := len(e.Mistakes); n != 1 {
		count = fmt.Sprintf("%d mistakes", n)
	}
	fmt.Fprintf(&b, "graph: job %q has %s:", e.Job, count)
	for _, m := range e.Mistakes {
		// A mistake of several lines stays one entry of the list.
		b.WriteString("\n\t" + strings.ReplaceAll(m.Error(), "\n", "\n\t\t"))
	}
	return b.String()
}

// Unwrap returns the mistakes.
func (e *ValidationError) Unwrap() []error {
	errs := make([]error, len(e.Mistakes))
	for i, m := range e.Mistakes {
		errs[i] = m
	}
	return errs
}

// Validate names the nodes that have no ID and returns everything that is wrong with the graph as a *ValidationError, or nil.
func (g *Graph) Validate() error {
	g.Name()
	c := checker{g: g}
	c.job()
	ok := true
	for i, n := range g.Nodes {
		if n == nil {
			c.add(nil, "node %d is nil", i)
			ok = false
		}
	}
	if ok {
		c.ids()
		c.nodes()
		c.edges()
		c.cycles()
	}
	if len(c.found) == 0 {
		return nil
	}
	slices.SortStableFunc(c.found, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.ID, b.ID),
			cmp.Compare(a.Err.Error(), b.Err.Error()))
	})
	return &ValidationError{Job: g.Job, Mistakes: c.found}
}

// checker collects mistakes.
type checker struct {
	g     *Graph
	found []Mistake
}

func (c *checker) add(n *Node, format string, args ...any) {
	c.addErr(n, fmt.Errorf(format, args...))
}

func (c *checker) addErr(n *Node, err error) {
	m := Mistake{Err: err}
	if n != nil {
		m.ID, m.File, m.Line = n.ID, n.File, n.Line
	}
	c.found = append(c.found, m)
}

// job checks the job as a whole.
func (c *checker) job() {
	if err := checkID(c.g.Job); err != nil {
		c.add(nil, "the id of the job %w", err)
	}
	var source, sink bool
	for _, n := range c.g.Nodes {
		source = source || n != nil && n.Kind == KindSource
		sink = sink || n != nil && n.Kind == KindSink
	}
	if !source {
		c.add(nil, "the job has no source: add one with From")
	}
	if !sink {
		c.add(nil, "the job has no sink: add one with To")
	}
}

// ids checks that ids can be file names and that none is used twice.
func (c *checker) ids() {
	first := make(map[string]*Node, len(c.g.Nodes))
	for _, n := range c.g.Nodes {
		if err := checkID(n.ID); err != nil {
			c.add(n, "the id of this %s %w", n.verb(), err)
			continue
		}
		if f := first[n.ID]; f != nil {
			c.add(n, "the id %q at %s is already used by the %s at %s: give one of them another", n.ID, n.Where(), f.verb(), f.Where())
			continue
		}
		first[n.ID] = n
	}
}

// nodes checks each node by itself.
func (c *checker) nodes() {
	for _, n := range c.g.Nodes {
		for _, err := range n.Errs {
			if err != nil {
				c.addErr(n, err)
			}
		}
		if n.Kind == "" {
			c.add(n, "the node has no kind")
		}
		if n.Parallelism < 0 {
			c.add(n, "the parallelism is %d, it must be at least 1, or 0 for that of the job", n.Parallelism)
		}
		switch {
		case n.Kind == KindSource && len(n.Inputs) > 0:
			c.add(n, "a source reads no stream, but this one has %d input(s)", len(n.Inputs))
		case n.Kind != KindSource && len(n.Inputs) == 0:
			c.add(n, "this %s reads no stream", n.verb())
		}
	}
}

// edges checks that what is read exists and that what is written is read.
func (c *checker) edges() {
	g := c.g
	read := make([]bool, len(g.Nodes))
	type output struct {
		node int
		side string
	}
	outputs := map[output]bool{}
	for _, e := range g.Edges() {
		if e.From < 0 || e.From >= len(g.Nodes) {
			c.add(g.Nodes[e.To], "input %d reads node %d, but the job has nodes 0 to %d: streams of two jobs may not be mixed",
				e.Input, e.From, len(g.Nodes)-1)
			continue
		}
		read[e.From], outputs[output{e.From, e.Side}] = true, true
		if f := g.Nodes[e.From]; f.Kind == KindSink {
			c.add(g.Nodes[e.To], "input %d reads the sink %q at %s: a sink has no output", e.Input, f.ID, f.Where())
		}
	}
	for i, n := range g.Nodes {
		for _, side := range n.Sides {
			if !outputs[output{i, side}] {
				c.add(n, "nothing reads the output %q of this %s: its records would be lost; end it in a sink with To, or do not ask for it", side, n.verb())
			}
		}
		if !read[i] && n.Kind != KindSink && len(n.Sides) == 0 {
			c.add(n, "nothing reads the stream of this %s: end it in a sink with To, or remove it", n.verb())
		}
	}
}

// cycles reports streams that are made from themselves: one mistake for each edge that closes a circle.
func (c *checker) cycles() {
	const (
		unseen = iota
		onPath
		done
	)
	state := make([]int, len(c.g.Nodes))
	var path []int
	var visit func(i int)
	visit = func(i int) {
		state[i] = onPath
		path = append(path, i)
		for _, in := range c.g.Nodes[i].Inputs {
			if in.Node < 0 || in.Node >= len(c.g.Nodes) {
				continue
			}
			switch state[in.Node] {
			case unseen:
				visit(in.Node)
			case onPath:
				circle := path[slices.Index(path, in.Node):]
				c.add(c.g.Nodes[slices.Min(circle)], "streams run in a circle: %s; a stream may not be made from itself", c.g.circle(circle))
			}
		}
		path = path[:len(path)-1]
		state[i] = done
	}
	for i := range c.g.Nodes {
		if state[i] == unseen {
			visit(i)
		}
	}
}

// circle shows a cycle in the direction of the records, beginning with its earliest node.
func (g *Graph) circle(path []int) string {
	p := slices.Clone(path)
	slices.Reverse(p)
	at := slices.Index(p, slices.Min(p))
	p = slices.Concat(p[at:], p[:at+1])
	names := make([]string, len(p))
	for i, n := range p {
		names[i] = fmt.Sprintf("%q", g.Nodes[n].ID)
	}
	return strings.Join(names, " -> ")
}

// checkID returns what is wrong with an id, worded to follow "the id".
func checkID(id string) error {
	switch {
	case id == "":
		return errors.New("is empty: it names the operator in checkpoints and metrics and must be given")
	case len(id) > MaxID:
		return fmt.Errorf("is %d bytes long, at most %d are allowed: it begins with %.32q", len(id), MaxID, id)
	case id[0] == '.':
		return fmt.Errorf("%q begins with a dot: it would be a hidden file", id)
	}
	for _, r := range id {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && !('0' <= r && r <= '9') && r != '-' && r != '_' && r != '.' {
			return fmt.Errorf("%q has the character %q: letters a-z and A-Z, digits, '-', '_' and '.' are allowed", id, r)
		}
	}
	return nil
}
