package lint

import (
	"fmt"
	"go/ast"
	"go/token"
	"strings"
	"unicode"
)

// publicDirs are the packages that users import.
func isPublic(dir string) bool {
	return dir == "." || within(dir, "window", "agg", "state", "codec", "connect", "millracetest")
}

func packageDocs(t *Tree) []Finding {
	type pkg struct {
		first      *File
		documented bool
	}
	pkgs := map[string]*pkg{}
	var order []string
	for _, f := range t.Files {
		if f.Test {
			continue
		}
		p := pkgs[f.Dir]
		if p == nil {
			p = &pkg{first: f}
			pkgs[f.Dir] = p
			order = append(order, f.Dir)
		}
		if f.AST.Doc != nil && len(strings.TrimSpace(f.AST.Doc.Text())) > 0 {
			p.documented = true
		}
	}
	var out []Finding
	for _, dir := range order {
		if p := pkgs[dir]; !p.documented {
			out = append(out, Finding{"package-doc", p.first.Path, t.line(p.first.AST.Package), fmt.Sprintf("package %s has no doc comment: one sentence that says what it is for", p.first.AST.Name.Name)})
		}
	}
	return out
}

// exported is an exported name that a user of the package can see.
type exported struct {
	name string
	// isType is true for type names.
	isType     bool
	documented bool
	line       int
}

// exportedNames lists the exported functions, methods of exported types, types, constants and variables of a file.
func (t *Tree) exportedNames(f *File) []exported {
	var out []exported
	add := func(id *ast.Ident, isType bool, docs ...*ast.CommentGroup) {
		if !id.IsExported() {
			return
		}
		documented := false
		for _, d := range docs {
			documented = documented || d != nil
		}
		out = append(out, exported{id.Name, isType, documented, t.line(id.Pos())})
	}
	for _, d := range f.AST.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil || ast.IsExported(receiver(d)) {
				add(d.Name, false, d.Doc)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					add(s.Name, true, s.Doc, single(d))
				case *ast.ValueSpec:
					// One comment above a group tells what the group is; that is enough for its members.
					for _, id := range s.Names {
						add(id, false, s.Doc, s.Comment, d.Doc)
					}
				}
			}
		}
	}
	return out
}

// single returns the comment of a declaration that has no parentheses.
func single(d *ast.GenDecl) *ast.CommentGroup {
	if d.Lparen == token.NoPos {
		return d.Doc
	}
	return nil
}

// receiver returns the name of the type that a method belongs to.
func receiver(d *ast.FuncDecl) string {
	e := d.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

func exportedDocs(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Files {
		if f.Test || !isPublic(f.Dir) {
			continue
		}
		for _, e := range t.exportedNames(f) {
			if !e.documented {
				out = append(out, Finding{"exported-doc", f.Path, e.line, fmt.Sprintf("exported %s has no doc comment: what it does, units, errors", e.name)})
			}
		}
	}
	return out
}

// neverWords are words that the glossary keeps out of public names, with the word to use.
var neverWords = map[string]string{
	"observable": "stream",
	"shard":      "split or key group",
	"vnode":      "key group",
	"heartbeat":  "watermark",
	"grace":      "allowed lateness",
	"worker":     "subtask or task",
	"savestate":  "savepoint",
	"observer":   "operator or sink",
}

// neverTypes are words that have another meaning here as the name of a type, though they are fine inside longer names.
var neverTypes = map[string]string{
	"Message":    "Record, or the user's own type",
	"Event":      "Record, or the user's own type",
	"Item":       "Record, or the user's own type",
	"Flow":       "Stream",
	"Pipeline":   "Job or Stream",
	"Stage":      "Operator",
	"Step":       "Operator",
	"Bucket":     "key group, or window.Span",
	"Generation": "epoch",
	"Tag":        "SideOutput",
	"Snapshot":   "Checkpoint or Savepoint",
}

func glossaryNames(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Files {
		// Connectors to transports speak the transport's own language.
		if f.Test || !isPublic(f.Dir) || within(f.Dir, "connect/kafka", "connect/nats") {
			continue
		}
		for _, e := range t.exportedNames(f) {
			if use, bad := neverTypes[e.name]; bad && e.isType {
				out = append(out, Finding{"glossary", f.Path, e.line, fmt.Sprintf("type %s: the glossary says %s", e.name, use)})
			}
			for _, w := range words(e.name) {
				if use, bad := neverWords[w]; bad {
					out = append(out, Finding{"glossary", f.Path, e.line, fmt.Sprintf("%s has the word %q: the glossary says %s", e.name, w, use)})
				}
			}
		}
	}
	return out
}

// words splits a name in mixed caps into its lower-case words.
func words(name string) []string {
	var out []string
	var word []rune
	runes := []rune(name)
	flush := func() {
		if len(word) > 0 {
			// Plurals are the same word.
			out = append(out, strings.TrimSuffix(strings.ToLower(string(word)), "s"))
			word = word[:0]
		}
	}
	for i, r := range runes {
		starts := unicode.IsUpper(r) && (i == 0 || !unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if starts || r == '_' {
			flush()
		}
		if r != '_' {
			word = append(word, r)
		}
	}
	flush()
	return out
}
