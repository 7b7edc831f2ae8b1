package lint

import (
	"fmt"
	"go/ast"
	"strconv"
	"strings"
)

// The one package that starts goroutines and the one that reads the clock.
const (
	taskDir  = "internal/task"
	clockDir = "internal/clock"
)

// starters are functions of the standard library and near it that start a goroutine without the word go.
var starters = map[string][]string{
	"sync":                       {"WaitGroup"},
	"time":                       {"AfterFunc"},
	"context":                    {"AfterFunc"},
	"golang.org/x/sync/errgroup": {"Group", "WithContext"},
}

func goStatements(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Files {
		// Examples are what a user writes, benchmarks and tests what a machine does to the engine from outside.
		if f.Test || within(f.Dir, taskDir, "examples", "bench") {
			continue
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				out = append(out, Finding{"go-statement", f.Path, t.line(g.Pos()), "only internal/task has go statements: start it through a task.Scheduler or task.Group"})
			}
			return true
		})
		for path, names := range starters {
			for _, u := range t.uses(f, path, names) {
				out = append(out, Finding{"go-statement", f.Path, u.line, fmt.Sprintf("%s.%s starts goroutines nobody owns: use task.Scheduler or task.Group", path, u.name)})
			}
		}
	}
	return out
}

// clockFuncs read the machine's clock or wait for it.
var clockFuncs = []string{"Now", "Since", "Until", "Sleep", "After", "Tick"}

func clockUse(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Files {
		names := clockFuncs
		instead := "take a clock.Clock, or the time as an argument"
		switch {
		case f.Test:
			// Tests of real processes have deadlines, but sleeping only hides what they should wait for.
			names, instead = []string{"Sleep"}, "wait for a condition, or use virtual time"
		case within(f.Dir, clockDir, "examples", "bench", "internal/cmd"):
			continue
		}
		for _, u := range t.uses(f, "time", names) {
			out = append(out, Finding{"clock", f.Path, u.line, fmt.Sprintf("time.%s: %s", u.name, instead)})
		}
	}
	return out
}

type use struct {
	name string
	line int
}

// uses returns where the file uses one of the names of an imported package, under whatever name it is imported.
func (t *Tree) uses(f *File, importPath string, names []string) []use {
	local := ""
	for _, s := range f.AST.Imports {
		if p, err := strconv.Unquote(s.Path.Value); err != nil || p != importPath {
			continue
		}
		local = importPath[strings.LastIndex(importPath, "/")+1:]
		if s.Name != nil {
			local = s.Name.Name
		}
	}
	if local == "" {
		return nil
	}
	var out []use
	ast.Inspect(f.AST, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := s.X.(*ast.Ident); ok && x.Name == local {
			for _, name := range names {
				if s.Sel.Name == name {
					out = append(out, use{name, t.line(s.Pos())})
				}
			}
		}
		return true
	})
	return out
}

// Limits of length. The aim is far below; these are the hard stops.
const (
	maxFileLines = 800
	maxFuncLines = 100
)

func lengths(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Files {
		if f.Test {
			continue
		}
		if f.Lines > maxFileLines {
			out = append(out, Finding{"length", f.Path, 0, fmt.Sprintf("%d lines, more than %d: split the file", f.Lines, maxFileLines)})
		}
		for _, d := range f.AST.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := t.line(fn.End()) - t.line(fn.Pos()) + 1; n > maxFuncLines {
				out = append(out, Finding{"length", f.Path, t.line(fn.Pos()), fmt.Sprintf("%s has %d lines, more than %d: split it", fn.Name.Name, n, maxFuncLines)})
			}
		}
	}
	return out
}

// fixMe is put together so that this file does not find itself.
const fixMe = "FIX" + "ME"

func leftovers(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Files {
		for _, group := range f.AST.Comments {
			for _, c := range group.List {
				if strings.Contains(c.Text, fixMe) {
					out = append(out, Finding{"leftover", f.Path, t.line(c.Pos()), "a " + fixMe + " is left: mend it now"})
				}
			}
		}
	}
	return out
}
