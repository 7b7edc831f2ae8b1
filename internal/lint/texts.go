package lint

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"sort"
	"strings"
)

// formatDir holds one page for each stored or sent format.
const formatDir = "docs/format/"

// formatConstant finds, in a page, the constants that the code must have: `snapshot.FormatVersion` or, with the value that
// the page describes, `snapshot.FormatVersion = 1`.
var formatConstant = regexp.MustCompile("`(?:([a-z][a-z0-9]*)\\.)?([A-Za-z]*(?:[vV]ersion|[mM]agic)[A-Za-z0-9]*)(?: = ([^`]+))?`")

func formatConstants(t *Tree) []Finding {
	values := t.constants()
	var out []Finding
	for _, page := range t.pages(formatDir) {
		for i, line := range strings.Split(t.Texts[page], "\n") {
			for _, m := range formatConstant.FindAllStringSubmatch(line, -1) {
				name, want := m[2], m[3]
				if m[1] == "" && m[3] == "" && strings.ToLower(name) == name {
					// A plain word in code quotes is the name of a field in a picture.
					continue
				}
				if m[1] != "" {
					name = m[1] + "." + name
				}
				got, ok := values[name]
				switch {
				case !ok:
					out = append(out, Finding{"format-constant", page, i + 1, fmt.Sprintf("no constant %s in the code: the page or the code is wrong", name)})
				case want != "" && got != want:
					out = append(out, Finding{"format-constant", page, i + 1, fmt.Sprintf("%s is %s in the code and %s on the page: describe the new version", name, got, want)})
				}
			}
		}
	}
	return out
}

// constants returns the text of the value of each constant, by "name" and "package.name".
func (t *Tree) constants() map[string]string {
	values := map[string]string{}
	for _, f := range t.Files {
		if f.Test {
			continue
		}
		for _, d := range f.AST.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				for i, id := range v.Names {
					text := "something computed"
					if i < len(v.Values) {
						if lit, ok := v.Values[i].(*ast.BasicLit); ok {
							text = lit.Value
						}
					}
					values[id.Name] = text
					values[f.AST.Name.Name+"."+id.Name] = text
				}
			}
		}
	}
	return values
}

// pages returns the paths of the documents below a folder.
func (t *Tree) pages(folder string) []string {
	var out []string
	for p := range t.Texts {
		if strings.HasPrefix(p, folder) && strings.HasSuffix(p, ".md") {
			out = append(out, p)
		}
	}
	sort.Strings(out)
	return out
}

// dependencyPage says of each module why it is there.
const dependencyPage = "docs/dependencies.md"

var (
	requireLine = regexp.MustCompile(`^(?:require )?\s*([a-z0-9.-]+\.[a-z]+/\S+) v\S+`)
	toolLine    = regexp.MustCompile(`^tool\s+(\S+)`)
)

// dependencyLines checks that every module we ask for directly, and every tool, has its line in docs/dependencies.md.
func dependencyLines(t *Tree) []Finding {
	var out []Finding
	page := t.Texts[dependencyPage]
	missing := func(file string, line int, name string) {
		if !strings.Contains(page, name) {
			out = append(out, Finding{"dependency", file, line, fmt.Sprintf("%s has no line in %s: say what it is for and what was rejected", name, dependencyPage)})
		}
	}
	for i, line := range strings.Split(t.Texts["go.mod"], "\n") {
		if m := requireLine.FindStringSubmatch(line); m != nil && !strings.Contains(line, "// indirect") {
			missing("go.mod", i+1, m[1])
		}
	}
	for i, line := range strings.Split(t.Texts["tools/go.mod"], "\n") {
		if m := toolLine.FindStringSubmatch(line); m != nil {
			name, _, _ := strings.Cut(m[1], "/cmd/")
			missing("tools/go.mod", i+1, name)
		}
	}
	return out
}
