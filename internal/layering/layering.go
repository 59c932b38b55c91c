// Package layering holds Parley's import rules: which package may know which. Only its own test calls it, which runs
// them over the whole module; nothing imports it.
//
// What a package may import beside the standard library is listed, so a new dependency is a decision. That workflows
// never read a clock, start a goroutine or range over a map is not an import: workflowcheck, in make lint, sees to it.
package layering

import (
	"fmt"
	"slices"
	"strings"
)

// Rule says what the packages that match a pattern may import. A pattern is an import path; "/..." at its end stands for
// the package and all below it, "*" for one element of the path. Paths within the module are written without "parley/".
type Rule struct {
	Packages string
	May      []string // beside the standard library and the packages below the importing one
	Never    []string // wins over May, and is the only list that holds packages of the standard library
	Tests    bool     // the rule binds its tests too: a package that is a client of the built processes
}

// Package is one package of the module with what it imports, as go list names them.
type Package struct {
	ImportPath   string
	Imports      []string
	TestImports  []string // of its internal tests
	XTestImports []string // of its external tests
}

// module is the import path of the module.
const module = "parley"

// Check returns every import that the rules do not allow, and every package that they do not know, as sentences.
// Where several rules match a package the first one holds.
func Check(rules []Rule, packages []Package) []string {
	var problems []string
	for _, p := range packages {
		path := inModule(p.ImportPath)
		at := slices.IndexFunc(rules, func(r Rule) bool { return match(r.Packages, path) })
		if at < 0 {
			problems = append(problems, fmt.Sprintf(
				"%s has no import rule: add it to the table in internal/layering/rules.go and to docs/architecture.md", path))
			continue
		}
		imports := slices.Clone(p.Imports)
		if rules[at].Tests {
			imports = slices.Concat(imports, p.TestImports, p.XTestImports)
		}
		slices.Sort(imports)
		for _, imported := range slices.Compact(imports) {
			if !rules[at].allows(path, inModule(imported)) {
				problems = append(problems, fmt.Sprintf(
					"%s must not import %s: see the row %q in internal/layering/rules.go", path, inModule(imported), rules[at].Packages))
			}
		}
	}
	return problems
}

// allows reports whether the package at path may import another.
func (r Rule) allows(path, imported string) bool {
	if imported == path || strings.HasPrefix(imported, path+"/") { // its own external tests, and what lies below it
		return true
	}
	if matchAny(r.Never, imported) {
		return false
	}
	return standard(imported) || matchAny(r.May, imported)
}

// inModule writes a path of the module without its name, any other unchanged. The name itself marks packages of the
// module that would otherwise look like those of the standard library: "./config", not "config".
func inModule(path string) string {
	if rest, ok := strings.CutPrefix(path, module+"/"); ok {
		return "./" + rest
	}
	return path
}

// standard reports whether a path is one of the standard library: its first element has no dot.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func matchAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return match(pattern, path) })
}

// match compares element by element.
func match(pattern, path string) bool {
	pattern, below := strings.CutSuffix(pattern, "/...")
	want, have := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(have) < len(want) || (len(have) > len(want) && !below) {
		return false
	}
	for i := range want {
		if want[i] != "*" && want[i] != have[i] {
			return false
		}
	}
	return true
}
