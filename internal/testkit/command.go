package testkit

import (
	"strings"
	"sync"
	"testing"
	"time"

	"parley/internal/localstack"
)

// runWithin bounds a command that ends by itself.
const runWithin = 2 * time.Minute

// Result is how a command ended.
type Result struct {
	Stdout   string
	Stderr   string
	ExitCode int
}

// Run runs a built command (starter, dev) in a folder, with a clean environment plus env, until it ends by itself.
func Run(t testing.TB, dir, name string, env []string, args ...string) Result {
	t.Helper()
	Binary(t, "dev") // the guard
	return run(t, localstack.Command{Path: Binary(t, name), Args: args, Env: Environment(t, env...), Dir: dir})
}

func run(t testing.TB, command localstack.Command) Result {
	t.Helper()
	var out, errs text
	command.Output, command.Errors = out.add, errs.add
	process, err := get(t).Guard.Start(command)
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	select {
	case <-process.Ended():
	case <-time.After(runWithin):
		process.Stop()
		t.Fatalf("%s still runs after %s:\n%s%s", command.Path, runWithin, out.String(), errs.String())
	}
	return Result{out.String(), errs.String(), process.ExitCode()}
}

// text collects lines that another goroutine brings.
type text struct {
	mu   sync.Mutex
	text strings.Builder
}

func (x *text) add(line string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.text.WriteString(line + "\n")
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.text.String()
}
