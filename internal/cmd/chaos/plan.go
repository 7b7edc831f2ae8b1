package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/internal/snapshot"
)

// enginePoints are those that the engine itself passes.
var enginePoints = []string{"commit.before", "commit.between", "commit.after", "recover.before", "recover.after"}

// killPoints returns the points at which a job without damage to its files passes.
func killPoints() []string {
	all := slices.Concat(snapshot.Points, file.FaultPoints, enginePoints)
	return slices.DeleteFunc(all, func(p string) bool { return p == "file.withdraw" })
}

// plan says how a process is run and how it dies.
type plan struct {
	parallelism int
	// point is where it kills itself: at the nth pass, after so many epochs of its own. When it is empty, the process is
	// killed from outside: after so many passes of any point, and then some.
	point  string
	epochs int
	nth    int
	delay  time.Duration
}

func (p plan) String() string {
	if p.point == "" {
		return fmt.Sprintf("x%d, any moment: after %d points and %v", p.parallelism, p.nth, p.delay)
	}
	return fmt.Sprintf("x%d, %s: after %d epochs, pass %d", p.parallelism, p.point, p.epochs, p.nth)
}

// fault is the plan in the form that the process takes.
func (p plan) fault() string {
	if p.point == "" {
		return ""
	}
	return fmt.Sprintf("%s %d %d", p.point, p.epochs, p.nth)
}

// planner makes plans from a seed.
type planner struct {
	state uint64
	left  []string // points that have not had their turn
}

func newPlanner(seed uint64) *planner { return &planner{state: seed} }

// below returns a number from 0 to n-1, by the generator called splitmix64: the same in every release of Go.
func (p *planner) below(n int) int {
	p.state += 0x9e3779b97f4a7c15
	z := p.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) % uint64(n))
}

// next returns a plan: two of three die at a point, each point in its turn.
func (p *planner) next() plan {
	n := plan{parallelism: []int{1, 2, 4}[p.below(3)]}
	if p.below(3) == 0 {
		n.nth, n.delay = 1+p.below(250), time.Duration(p.below(40))*time.Millisecond
		return n
	}
	if len(p.left) == 0 {
		p.left = killPoints()
	}
	at := p.below(len(p.left))
	n.point = p.left[at]
	p.left = slices.Delete(p.left, at, at+1)
	n.nth = 1 + p.below(4)
	if !strings.HasPrefix(n.point, "recover.") { // these are passed at the start only
		n.epochs = p.below(4)
	}
	return n
}
