// Package lint holds the rules of the code base that no linter knows: who may start goroutines and read the clock, which
// way imports run, what must be documented. It reads source text only, so a rule costs no build.
//
// The rules run as a test of this package. Each is shown to fail on the small tree in testdata/bad.
package lint

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Finding is a place where a rule is broken.
type Finding struct {
	Rule string
	// Path is relative to the root of the tree; Line counts from 1, and is 0 when the whole file is meant.
	Path string
	Line int
	// Text says what is wrong and what to do.
	Text string
}

// String returns path:line: rule: text.
func (f Finding) String() string { return fmt.Sprintf("%s:%d: %s: %s", f.Path, f.Line, f.Rule, f.Text) }

// Rule is one thing that the tree must keep to.
type Rule struct {
	// Name is short and stays: findings and tests refer to it.
	Name string
	// Check returns the places where the rule is broken.
	Check func(t *Tree) []Finding
}

// Rules returns all rules.
func Rules() []Rule {
	return []Rule{
		{"go-statement", goStatements},
		{"clock", clockUse},
		{"pure", pureImports},
		{"core", coreImports},
		{"floor", floorImports},
		{"package-doc", packageDocs},
		{"exported-doc", exportedDocs},
		{"length", lengths},
		{"format-constant", formatConstants},
		{"leftover", leftovers},
		{"glossary", glossaryNames},
		{"dependency", dependencyLines},
		{"example", verbExamples},
	}
}

// Check runs all rules and returns what they found, by path, line and rule.
func Check(t *Tree) []Finding {
	var all []Finding
	for _, r := range Rules() {
		all = append(all, r.Check(t)...)
	}
	sort.SliceStable(all, func(i, j int) bool {
		a, b := all[i], all[j]
		if a.Path != b.Path {
			return a.Path < b.Path
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Rule < b.Rule
	})
	return all
}

// File is one parsed Go file.
type File struct {
	// Path and Dir are relative to the root; Dir is "." for the root package.
	Path, Dir string
	// Test is true for files that only tests compile.
	Test bool
	// AST has comments.
	AST *ast.File
	// Lines is the number of lines.
	Lines int
}

// Tree is the source of one module, without modules inside it, hidden folders and testdata.
type Tree struct {
	// Module is the path that go.mod names.
	Module string
	Files  []*File
	// Texts holds the documents and module files: Markdown, go.mod and tools/go.mod, by path.
	Texts map[string]string
	fset  *token.FileSet
}

var moduleLine = regexp.MustCompile(`(?m)^module\s+(\S+)`)

// Load reads the tree. It fails when there is no go.mod, when a file cannot be parsed, or when there are no Go files: a check
// of nothing must not pass.
func Load(root fs.FS) (*Tree, error) {
	t := &Tree{Texts: map[string]string{}, fset: token.NewFileSet()}
	mod, err := fs.ReadFile(root, "go.mod")
	if err != nil {
		return nil, fmt.Errorf("lint: the root needs a go.mod: %w", err)
	}
	m := moduleLine.FindSubmatch(mod)
	if m == nil {
		return nil, fmt.Errorf("lint: go.mod has no module line")
	}
	t.Module = string(m[1])
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipDir(root, name)
		}
		return t.add(root, name)
	})
	if err != nil {
		return nil, fmt.Errorf("lint: read the tree: %w", err)
	}
	if tools, err := fs.ReadFile(root, "tools/go.mod"); err == nil {
		t.Texts["tools/go.mod"] = string(tools)
	}
	if len(t.Files) == 0 {
		return nil, fmt.Errorf("lint: no Go files below the root")
	}
	return t, nil
}

func skipDir(root fs.FS, name string) error {
	base := path.Base(name)
	if name == "." {
		return nil
	}
	if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "node_modules" {
		return fs.SkipDir
	}
	if _, err := fs.Stat(root, path.Join(name, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func (t *Tree) add(root fs.FS, name string) error {
	isGo := strings.HasSuffix(name, ".go")
	if !isGo && !strings.HasSuffix(name, ".md") && name != "go.mod" {
		return nil
	}
	src, err := fs.ReadFile(root, name)
	if err != nil {
		return err
	}
	if !isGo {
		t.Texts[name] = string(src)
		return nil
	}
	f, err := parser.ParseFile(t.fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	if ast.IsGenerated(f) {
		return nil
	}
	t.Files = append(t.Files, &File{
		Path: name, Dir: path.Dir(name), AST: f,
		Test:  strings.HasSuffix(name, "_test.go"),
		Lines: strings.Count(string(src), "\n"),
	})
	return nil
}

// line returns the line of a position.
func (t *Tree) line(p token.Pos) int { return t.fset.Position(p).Line }

// imports returns the import paths of the file with their lines.
func (t *Tree) imports(f *File) map[string]int {
	m := map[string]int{}
	for _, s := range f.AST.Imports {
		if p, err := strconv.Unquote(s.Path.Value); err == nil {
			m[p] = t.line(s.Pos())
		}
	}
	return m
}

// local returns the folder of an import path of this module.
func (t *Tree) local(importPath string) (dir string, ok bool) {
	if importPath == t.Module {
		return ".", true
	}
	return strings.CutPrefix(importPath, t.Module+"/")
}

// within reports whether dir is one of the folders or lies below one. "." stands for the root package alone.
func within(dir string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return dir == f || strings.HasPrefix(dir, f+"/") })
}

// thirdParty reports whether an import path needs a download: its first element has a dot.
func (t *Tree) thirdParty(importPath string) bool {
	if _, ok := t.local(importPath); ok {
		return false
	}
	first, _, _ := strings.Cut(importPath, "/")
	return strings.Contains(first, ".")
}

// sorted returns the keys of m in order, so that findings come in the same order every time.
func sorted(m map[string]int) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
