package lint

import (
	"fmt"
	"strings"
)

// pureDirs take an input and return effects: no I/O, no clock, no goroutine.
var pureDirs = []string{"internal/progress", "internal/epoch", "internal/graph", "internal/element", "internal/pane", "window", "agg", "codec"}

// impure lists what a pure package must not import, with what to do.
var impure = []struct{ path, instead string }{
	{"os", "return an effect and let the caller act"},
	{"net", "return an effect and let the caller act"},
	{"syscall", "return an effect and let the caller act"},
	{"io/fs", "return an effect and let the caller act"},
	{"math/rand", "take what is random as an argument"},
	{"sync/atomic", "one goroutine uses it: plain fields will do"},
	{"internal/clock", "take the time as an argument"},
	{"internal/fsx", "return an effect and let the caller act"},
	{"internal/env", "take what is needed as an argument"},
	{"internal/task", "return an effect and let the caller start it"},
}

// lockFree is the part of the pure packages that is used by one goroutine at a time. The others may pool or cache.
var lockFree = []string{"internal/progress", "internal/epoch", "internal/graph", "internal/pane", "window"}

func pureImports(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Files {
		if f.Test || !within(f.Dir, pureDirs...) {
			continue
		}
		imports := t.imports(f)
		for _, p := range sorted(imports) {
			q := p
			if dir, ok := t.local(p); ok {
				q = dir
			}
			why := ""
			for _, no := range impure {
				if q == no.path || strings.HasPrefix(q, no.path+"/") {
					why = no.instead
				}
			}
			if q == "sync" && within(f.Dir, lockFree...) {
				why = "one goroutine uses it: plain fields will do"
			}
			if why != "" {
				out = append(out, Finding{"pure", f.Path, imports[p], fmt.Sprintf("a pure package imports %q: %s", q, why)})
			}
		}
	}
	return out
}

// outsideCore are the parts of the module that are not the engine: what they import costs no user of it anything.
var outsideCore = []string{"internal/cmd", "internal/lint", "internal/model", "internal/reference", "internal/scenario", "internal/sim", "internal/errorpolicy"}

// coreModules are the third-party modules that the engine may import, and in which folders; "" is everywhere. Whoever adds one says
// why in docs/dependencies.md.
var coreModules = map[string]string{
	"github.com/RoaringBitmap/roaring/v2": "agg",
	"github.com/axiomhq/hyperloglog":      "agg",
	"github.com/caio/go-tdigest/v4":       "agg",
	"github.com/cheggaaa/pb/v3":           "internal/console",
	"github.com/cockroachdb/pebble/v2":    "internal/keyed",
	"github.com/klauspost/compress":       "",
	"github.com/prometheus/client_golang": "internal/web",
	"github.com/twmb/franz-go":            "internal/cluster",
	"github.com/zeebo/xxh3":               "",
	"github.com/spf13/cobra":              ". internal/commands",
	"golang.org/x/sync":                   "",
	"golang.org/x/sys":                    "",
	"golang.org/x/term":                   "",
	"golang.org/x/time":                   "",
}

// isCore reports whether the folder belongs to the engine: the root package, the public packages it is described with, the SPI
// of connectors and internal/*.
func isCore(dir string) bool {
	if within(dir, outsideCore...) {
		return false
	}
	return dir == "." || dir == "connect" || within(dir, "internal", "window", "agg", "state", "codec")
}

func coreImports(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Files {
		if f.Test || !isCore(f.Dir) {
			continue
		}
		imports := t.imports(f)
		for _, p := range sorted(imports) {
			if dir, ok := t.local(p); ok && strings.HasPrefix(dir, "connect/") {
				out = append(out, Finding{"core", f.Path, imports[p], fmt.Sprintf("the core imports the connector %q: a job imports connectors, the core only package connect", dir)})
			}
			if t.thirdParty(p) && !allowedInCore(f.Dir, p) {
				out = append(out, Finding{"core", f.Path, imports[p], fmt.Sprintf("the core imports %q: do without, or allow it in internal/lint (coreModules) with a line in docs/dependencies.md", p)})
			}
		}
	}
	return out
}

func allowedInCore(dir, importPath string) bool {
	for module, where := range coreModules {
		if within(importPath, module) && (where == "" || within(dir, strings.Fields(where)...)) {
			return true
		}
	}
	return false
}

// floors orders the packages from the ground up: a package imports its own floor and those below. A folder belongs to the
// longest entry that it is within. internal/task stands low because all that waits does so on its events.
var floors = []struct {
	floor int
	dirs  []string
}{
	{0, []string{"internal/element", "internal/graph", "internal/pane", "internal/shape", "window", "agg", "codec", "internal/clock", "internal/fsx"}},
	{1, []string{"internal/task", "internal/env"}},
	{2, []string{"internal/exchange", "internal/snapshot", "internal/progress", "internal/epoch", "connect"}},
	{3, []string{"internal/keyed", "state"}},
	{4, []string{"internal/operator", "internal/engine", "internal/console", "internal/inspect", "internal/commands"}},
	{5, []string{".", "internal/cluster", "internal/sim", "internal/web"}},
	{6, []string{
		"millracetest", "cmd", "internal/cmd", "internal/lint", "internal/model", "internal/reference", "internal/scenario", "internal/errorpolicy", "internal/sim/jobs",
		"examples", "bench", "docs",
	}},
}

// connectors stand above the SPI and the codecs and below nothing of ours: a connector that needs the engine is wrong.
const connectorFloor = 2

// floorOf returns the floor of a folder and whether it has one.
func floorOf(dir string) (int, bool) {
	if strings.HasPrefix(dir, "connect/") {
		return connectorFloor, true
	}
	best, length := 0, -1
	for _, f := range floors {
		for _, d := range f.dirs {
			match := dir == d || d != "." && strings.HasPrefix(dir, d+"/")
			if match && len(d) > length {
				best, length = f.floor, len(d)
			}
		}
	}
	return best, length >= 0
}

func floorImports(t *Tree) []Finding {
	var out []Finding
	homeless := map[string]bool{}
	for _, f := range t.Files {
		here, ok := floorOf(f.Dir)
		if !ok {
			if !homeless[f.Dir] {
				homeless[f.Dir] = true
				out = append(out, Finding{"floor", f.Path, t.line(f.AST.Package), fmt.Sprintf("folder %q has no floor: give it one in internal/lint (floors)", f.Dir)})
			}
			continue
		}
		if f.Test {
			// A test may use whatever shows best that the package works, as long as Go accepts the cycle.
			continue
		}
		imports := t.imports(f)
		for _, p := range sorted(imports) {
			dir, ok := t.local(p)
			if !ok {
				continue
			}
			if there, ok := floorOf(dir); ok && there > here {
				out = append(out, Finding{"floor", f.Path, imports[p], fmt.Sprintf("imports run downwards: floor %d imports %q of floor %d", here, dir, there)})
			}
		}
	}
	return out
}
