package testkit

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"parley/internal/localstack"
)

// Bounds of a process under test.
const (
	listenWithin = 2 * time.Minute // from its start to its listening, on a machine that is busy with other tests
	shownLines   = 200             // of its log, when a test fails
)

// Environment is the whole environment of a process under test: made from nothing, plus the given NAME=VALUE.
func Environment(t testing.TB, env ...string) []string {
	t.Helper()
	whole, err := localstack.Environment(filepath.Join(t.TempDir(), "home"), env...)
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	return whole
}

// Process is one of our processes under test. It is stopped when the test ends, and its log shown if the test failed.
type Process struct {
	t    testing.TB
	name string
	path string
	env  []string

	mu      sync.Mutex
	lines   []string
	changed chan struct{} // closed and replaced when a line comes
	from    int           // the line at which the present life began
	running *localstack.Process
}

// Start starts a built process (webhook, worker, simulator) with a clean environment plus env, and waits until it listens.
func Start(t testing.TB, name string, env ...string) *Process {
	t.Helper()
	p := &Process{t: t, name: name, path: Binary(t, name), env: Environment(t, env...), changed: make(chan struct{})}
	Binary(t, "dev") // the guard
	t.Cleanup(p.end)
	p.Restart()
	return p
}

// Restart starts the process again, with the same environment, after it was stopped or killed; one that runs is stopped.
// It returns when the process listens.
func (p *Process) Restart() {
	p.t.Helper()
	p.Stop()
	p.mu.Lock()
	p.from = len(p.lines)
	p.mu.Unlock()
	running, err := get(p.t).Guard.Start(localstack.Command{Path: p.path, Env: p.env, Dir: "/", Output: p.take})
	if err != nil {
		p.t.Fatalf("testkit: %v", err)
	}
	p.running = running
	p.Await(listenWithin, `"msg":"listening"`)
}

// Address returns the address (host:port) at which a listener listens: "public" or "admin" of the webhook, "admin" of a
// worker, "" of the simulator, which has one.
func (p *Process) Address(listener string) string {
	p.t.Helper()
	line := p.await(listenWithin, func(line string) bool {
		var record struct{ Msg, Listener string }
		return json.Unmarshal([]byte(line), &record) == nil && record.Msg == "listening" && record.Listener == listener
	}, "listening of "+listener)
	var record struct{ Address string }
	_ = json.Unmarshal([]byte(line), &record) // it has been read once
	return record.Address
}

// URL is http:// and the address of a listener.
func (p *Process) URL(listener string) string { p.t.Helper(); return "http://" + p.Address(listener) }

// AwaitReady waits until the process says on its admin listener that it is ready.
func (p *Process) AwaitReady() {
	p.t.Helper()
	url := p.URL("admin") + "/readyz"
	Eventually(p.t, listenWithin, func() error {
		response, err := http.Get(url)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s is not ready: %s", p.name, response.Status)
		}
		return nil
	})
}

// Await waits until the process, in its present life, has logged a line that holds text, and returns the line.
func (p *Process) Await(within time.Duration, text string) string {
	p.t.Helper()
	return p.await(within, func(line string) bool { return strings.Contains(line, text) }, text)
}

func (p *Process) await(within time.Duration, match func(string) bool, what string) string {
	p.t.Helper()
	deadline := time.After(within)
	for {
		p.mu.Lock()
		at := slices.IndexFunc(p.lines[p.from:], match)
		changed := p.changed
		if at >= 0 {
			defer p.mu.Unlock()
			return p.lines[p.from+at]
		}
		p.mu.Unlock()
		select {
		case <-changed:
		case <-p.running.Ended():
			p.t.Fatalf("%s ended (%s) before it logged: %s", p.name, p.running.Cause(), what)
		case <-deadline:
			p.t.Fatalf("%s did not log within %s: %s", p.name, within, what)
		}
	}
}

// Logs returns all that the process has logged, its former lives included.
func (p *Process) Logs() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines)
}

// Pid is the process's id.
func (p *Process) Pid() int { return p.running.Pid() }

// Signal sends the process a signal, such as SIGSTOP and SIGCONT.
func (p *Process) Signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.running.Signal(sig); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// Kill9 kills the process as kill -9 does, and returns when it is gone.
func (p *Process) Kill9() {
	p.t.Helper()
	p.Signal(syscall.SIGKILL)
	<-p.running.Ended()
}

// Stop asks the process to end, as an orchestrator would, and kills it when it has not after 5 s. Stopping one that has
// ended is harmless.
func (p *Process) Stop() {
	if p.running != nil {
		p.running.Stop()
	}
}

// Wait waits until the process has ended by itself, or by a signal, and returns its exit code.
func (p *Process) Wait(within time.Duration) (exitCode int) {
	p.t.Helper()
	select {
	case <-p.running.Ended():
	case <-time.After(within):
		p.t.Fatalf("%s still runs after %s", p.name, within)
	}
	return p.running.ExitCode()
}

func (p *Process) take(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, line)
	close(p.changed)
	p.changed = make(chan struct{})
}

// end is the process's part of the test's clean-up.
func (p *Process) end() {
	p.Stop()
	if !p.t.Failed() {
		return
	}
	lines := p.Logs()
	if cut := len(lines) - shownLines; cut > 0 {
		lines = append([]string{fmt.Sprintf("... %d lines before", cut)}, lines[cut:]...)
	}
	p.t.Logf("log of %s:\n%s", p.name, strings.Join(lines, "\n"))
}
