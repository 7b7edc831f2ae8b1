package lint

import (
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"strings"
)

// shownDirs are the packages whose verbs are shown: those that jobs and their tests are written with.
var shownDirs = []string{".", "window", "agg", "state", "millracetest"}

// notShown are functions that no Example can run, with the reason.
var notShown = map[string]string{
	"Main":                 "it ends the process",
	"state.NewSet":         "the engine calls it",
	"millracetest.Virtual": "it needs a *testing.T, which an Example has not",
}

// owed are files whose verbs have no Examples yet. Whoever writes them takes the file out.
var owed = map[string]bool{
	"apply.go": true, "late.go": true, "lookupjoin.go": true, "process.go": true, "processor.go": true, "sideoutput.go": true,
	"state/state.go": true, "window/sessionby.go": true, "window/spans.go": true, "windowall.go": true,
}

// outputComment makes an Example one that is run.
var outputComment = regexp.MustCompile(`^//\s*(Unordered output|Output):`)

// verbExamples finds exported functions, and methods of the generic handles that jobs are built with, that no Example with checked output
// calls. The Example may stand with the package or with the root, where jobs are.
func verbExamples(t *Tree) []Finding {
	called := map[string]map[string]bool{}
	for _, dir := range shownDirs {
		called[dir] = map[string]bool{}
	}
	for _, f := range t.Files {
		if names, ok := called[f.Dir]; ok && f.Test {
			callsOfExamples(f.AST, names)
		}
	}
	var out []Finding
	for _, f := range t.Files {
		if f.Test || called[f.Dir] == nil || owed[f.Path] {
			continue
		}
		for _, d := range f.AST.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || !isVerb(fn) || called[f.Dir][fn.Name.Name] || called["."][fn.Name.Name] {
				continue
			}
			name := fn.Name.Name
			if f.Dir != "." {
				name = path.Base(f.Dir) + "." + name
			}
			if notShown[name] == "" {
				out = append(out, Finding{"example", f.Path, t.line(fn.Pos()), fmt.Sprintf("no Example with an Output comment calls %s: show it to those who will use it", name)})
			}
		}
	}
	return out
}

// isVerb reports whether a function is an exported one, or a method of an exported generic type.
func isVerb(fn *ast.FuncDecl) bool {
	if !fn.Name.IsExported() {
		return false
	}
	if fn.Recv == nil {
		return true
	}
	recv := fn.Recv.List[0].Type
	if p, ok := recv.(*ast.StarExpr); ok {
		recv = p.X
	}
	switch x := recv.(type) {
	case *ast.IndexExpr:
		recv = x.X
	case *ast.IndexListExpr:
		recv = x.X
	default:
		return false
	}
	id, ok := recv.(*ast.Ident)
	return ok && id.IsExported() && !forInterfaces[fn.Name.Name]
}

// forInterfaces are methods that others call: the engine, fmt, encoders.
var forInterfaces = map[string]bool{
	"String": true, "Check": true, "Spec": true, "Splits": true, "Open": true, "AppendState": true, "DecodeState": true,
}

// callsOfExamples notes the names that a file uses in its runnable Examples and in the functions and methods that stand beside them, such as
// those of a processor. A file with tests is none of Examples.
func callsOfExamples(file *ast.File, names map[string]bool) {
	var bodies []*ast.BlockStmt
	runs := false
	for _, d := range file.Decls {
		fn, ok := d.(*ast.FuncDecl)
		switch {
		case !ok || fn.Body == nil:
			continue
		case fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test"):
			return
		case fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Example"):
			if !hasOutput(file, fn) {
				continue
			}
			runs = true
		}
		bodies = append(bodies, fn.Body)
	}
	if !runs {
		return
	}
	for _, b := range bodies {
		ast.Inspect(b, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				names[id.Name] = true
			}
			return true
		})
	}
}

// hasOutput reports whether the function has a comment with the output that it must have.
func hasOutput(file *ast.File, fn *ast.FuncDecl) bool {
	for _, g := range file.Comments {
		if g.Pos() < fn.Body.Pos() || g.End() > fn.Body.End() {
			continue
		}
		for _, c := range g.List {
			if outputComment.MatchString(c.Text) {
				return true
			}
		}
	}
	return false
}
