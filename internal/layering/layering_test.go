package layering_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"parley/internal/layering"
)

// TestModule runs the rules over every package of the module.
func TestModule(t *testing.T) {
	t.Parallel()
	packages := list(t)
	if len(packages) < 5 {
		t.Fatalf("go list names %d packages: it did not see the module", len(packages))
	}
	for _, problem := range layering.Check(layering.Rules(), packages) {
		t.Error(problem)
	}
}

// list returns the packages of the module. With -e a package that does not compile is listed too: that is the
// compiler's to report.
func list(t *testing.T) []layering.Package {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", "parley/...")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var packages []layering.Package
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p layering.Package
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		packages = append(packages, p)
	}
}

// TestRulesBite checks made-up imports against the real table.
func TestRulesBite(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, from, imports string
		allowed             bool
	}{
		{"the domain is pure", "parley/internal/domain", "net/http", false},
		{"the domain does not touch the system", "parley/internal/domain", "os/exec", false},
		{"the domain knows no technology", "parley/internal/domain", "go.temporal.io/sdk/temporal", false},
		{"the domain uses the standard library", "parley/internal/domain", "strings", true},
		{"the wire is the domain and Temporal", "parley/contract", "go.temporal.io/sdk/workflow", true},
		{"the wire can be read alone", "parley/contract", "parley/internal/config", false},
		{"decisions know the wire", "parley/workflows", "parley/contract", true},
		{"decisions do not know the steps", "parley/workflows", "parley/activities/billing", false},
		{"decisions call nobody", "parley/workflows", "net/http", false},
		{"decisions read no environment", "parley/workflows", "os", false},
		{"decisions do not dial", "parley/workflows", "go.temporal.io/sdk/client", false},
		{"a step heartbeats", "parley/activities/reply", "go.temporal.io/sdk/activity", true},
		{"a step does not decide", "parley/activities/reply", "go.temporal.io/sdk/workflow", false},
		{"a step knows no other step", "parley/activities/reply", "parley/activities/billing", false},
		{"a step has what lies below it", "parley/activities/reply", "parley/activities/reply/prompt", true},
		{"a step knows no adapter", "parley/activities/messaging", "parley/internal/twilio", false},
		{"a step has no SQL", "parley/activities/persistence", "github.com/jackc/pgx/v5", false},
		{"SQL lives in one package", "parley/internal/postgres", "github.com/jackc/pgx/v5/pgxpool", true},
		{"and nowhere else", "parley/webhook", "github.com/jackc/pgx/v5/pgxpool", false},
		{"but where the pool is handed on", "parley/worker", "github.com/jackc/pgx/v5/pgxpool", true},
		{"adapters do not know each other", "parley/internal/twilio", "parley/internal/postgres", false},
		{"adapters do not know the wire", "parley/internal/postgres", "parley/contract", false},
		{"adapters do not know Temporal", "parley/internal/llm", "go.temporal.io/sdk/temporal", false},
		{"the edge speaks HTTP through Gin", "parley/webhook", "github.com/gin-gonic/gin", true},
		{"nobody else does", "parley/starter", "github.com/gin-gonic/gin", false},
		{"the edge starts flows by their definitions", "parley/webhook/internal/edge", "parley/contract", true},
		{"the edge does not run them", "parley/webhook/internal/edge", "parley/workflows", false},
		{"a process has packages of its own", "parley/webhook", "parley/webhook/edge", true},
		{"the CLI migrates", "parley/starter", "parley/migrations", true},
		{"the CLI does not run steps", "parley/starter", "parley/activities/account", false},
		{"the simulator signs as Twilio does", "parley/simulator", "parley/internal/twilio", true},
		{"the simulator plays the other side", "parley/simulator", "parley/contract", false},
		{"the simulator has no database", "parley/simulator", "github.com/jackc/pgx/v5", false},
		{"the worker wires everything", "parley/worker", "parley/activities/account", true},
		{"but no other process", "parley/worker", "parley/webhook/edge", false},
		{"and nothing that is for tests", "parley/worker", "parley/internal/testkit", false},
		{"dev runs the built binaries", "parley/dev", "parley/workflows", false},
		{"dev is not a test", "parley/dev", "parley/internal/testkit", false},
		{"end to end is from outside", "parley/e2e", "parley/activities/billing", false},
		{"tests share what starts the stack", "parley/e2e", "parley/internal/testkit", true},
		{"a library nobody decided on", "parley/internal/twilio", "github.com/sirupsen/logrus", false},
		{"a name within another is not that package", "parley/workflows", "parley/contracts", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			problems := layering.Check(layering.Rules(), []layering.Package{{ImportPath: c.from, Imports: []string{"fmt", c.imports}}})
			if c.allowed != (len(problems) == 0) {
				t.Errorf("%s imports %s: allowed is to be %v, got %q", c.from, c.imports, c.allowed, problems)
			}
		})
	}
}

// TestTestOnlyPackages checks that no part of the product may import what is made for tests.
func TestTestOnlyPackages(t *testing.T) {
	t.Parallel()
	users := []string{"dev", "e2e", "bench", "internal/testkit", "internal/localstack"}
	for _, rule := range layering.Rules() {
		path := strings.TrimSuffix(strings.TrimPrefix(rule.Packages, "./"), "/...")
		if slices.Contains(users, path) {
			continue
		}
		path = "parley/" + strings.ReplaceAll(path, "*", "some")
		for _, testOnly := range []string{"parley/internal/testkit", "parley/internal/localstack"} {
			if problems := layering.Check(layering.Rules(), []layering.Package{{ImportPath: path, Imports: []string{testOnly}}}); len(problems) != 1 {
				t.Errorf("%s may import %s, which is for tests: %q", path, testOnly, problems)
			}
		}
	}
}

func TestUnknownPackage(t *testing.T) {
	t.Parallel()
	problems := layering.Check(layering.Rules(), []layering.Package{{ImportPath: "parley/internal/novelty"}})
	if len(problems) != 1 || !strings.Contains(problems[0], "internal/novelty") || !strings.Contains(problems[0], "docs/architecture.md") {
		t.Errorf("a package without a row is to be named with what to do about it, got %q", problems)
	}
}

// TestTestsAreBound checks the rules that hold for tests too, and that the others leave tests alone.
func TestTestsAreBound(t *testing.T) {
	t.Parallel()
	behind := []string{"parley/workflows"}
	if problems := layering.Check(layering.Rules(), []layering.Package{{ImportPath: "parley/e2e", XTestImports: behind}}); len(problems) != 1 {
		t.Errorf("a test of e2e reaches behind the processes: got %q", problems)
	}
	if problems := layering.Check(layering.Rules(), []layering.Package{{ImportPath: "parley/worker", XTestImports: append(behind, "parley/internal/testkit")}}); len(problems) != 0 {
		t.Errorf("a test of the worker uses the testkit: got %q", problems)
	}
}
