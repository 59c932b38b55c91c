// Package docs_test keeps the documentation true where it names what is in the code.
package docs_test

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestSecurityNamesTestsThatExist checks the table of threats: each that is called covered names tests of this repository, and each that is
// not has a reason.
func TestSecurityNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("security.md")
	if err != nil {
		t.Fatal(err)
	}
	covered, rest, found := strings.Cut(string(text), "\n## Not covered\n")
	if !found {
		t.Fatal("security.md has no section of what is not covered")
	}
	tests, named := testsOfTheRepository(t), regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`")
	threats := map[string]bool{}
	for _, row := range rows(covered, 3) {
		names := named.FindAllStringSubmatch(row[2], -1)
		if row[1] == "" || len(names) == 0 {
			t.Errorf("%q is covered by nothing", row[0])
		}
		for _, name := range names {
			if !tests[name[1]] {
				t.Errorf("%q is covered by %s, which does not exist", row[0], name[1])
			}
		}
		threats[row[0]] = true
	}
	for _, row := range rows(rest, 2) {
		if row[1] == "" || threats[row[0]] {
			t.Errorf("%q is not covered, without a reason, or covered too", row[0])
		}
	}
	if len(threats) < 20 {
		t.Errorf("%d threats were read", len(threats))
	}
}

// rows returns the cells of a table's rows, its head left out.
func rows(text string, columns int) (list [][]string) {
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if len(cells) == columns && cells[0] != "threat" && cells[0] != "---" && strings.HasPrefix(line, "|") {
			list = append(list, cells)
		}
	}
	return list
}

func testsOfTheRepository(t *testing.T) map[string]bool {
	t.Helper()
	tests, function := map[string]bool{}, regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	repository := os.DirFS("..")
	if err := fs.WalkDir(repository, ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := fs.ReadFile(repository, path)
		for _, match := range function.FindAllSubmatch(text, -1) {
			tests[string(match[1])] = true
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return tests
}
