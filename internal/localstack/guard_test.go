package localstack_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"parley/internal/localstack"
)

// guard returns the guard that the dev binary of this checkout is.
func guard(t *testing.T) localstack.Guard {
	t.Helper()
	checkout, err := localstack.Checkout(".")
	if err != nil {
		t.Fatal(err)
	}
	if err := localstack.Build(t.Context(), checkout, "dev"); err != nil {
		t.Fatal(err)
	}
	return localstack.Guard{Dev: filepath.Join(checkout, "bin", "dev")}
}

// script is a shell script under a guard. It has begun when it has printed "ready".
func script(t *testing.T, g localstack.Guard, text string, change func(*localstack.Command)) *localstack.Process {
	t.Helper()
	ready := make(chan struct{})
	var once sync.Once
	command := localstack.Command{
		Path: "/bin/sh", Args: []string{"-c", text}, Env: []string{"PATH=" + os.Getenv("PATH")}, Dir: "/", Grace: 30 * time.Second,
		Output: func(line string) {
			if line == "ready" {
				once.Do(func() { close(ready) })
			}
		},
	}
	if change != nil {
		change(&command)
	}
	process, err := g.Start(command)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(process.Stop)
	select {
	case <-ready:
	case <-process.Ended():
	case <-time.After(time.Minute):
		t.Fatal("the script did not begin")
	}
	return process
}

func TestAGuardedProcessStopsAsItIsTold(t *testing.T) {
	t.Parallel()
	g := guard(t)
	tests := map[string]struct {
		script   string
		signal   syscall.Signal
		exitCode int
	}{
		"by SIGTERM":                         {`trap 'exit 3' TERM; echo ready; while :; do sleep 0.1; done`, 0, 3},
		"by the signal of its own":           {`trap 'exit 4' INT; echo ready; while :; do sleep 0.1; done`, syscall.SIGINT, 4},
		"by SIGKILL when it does not listen": {`trap '' TERM; echo ready; while :; do sleep 0.1; done`, 0, 128 + 9},
		"not at all when it has ended":       {`echo ready; exit 5`, 0, 5},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			process := script(t, g, tt.script, func(c *localstack.Command) {
				c.StopSignal = tt.signal
				if tt.exitCode == 128+9 {
					c.Grace = time.Second
				}
			})
			if tt.exitCode == 5 {
				<-process.Ended()
			}
			process.Stop()
			if got := process.ExitCode(); got != tt.exitCode {
				t.Errorf("exit code %d (%s), want %d", got, process.Cause(), tt.exitCode)
			}
			if gone(process.Pid()) != nil {
				t.Error("the process is still there")
			}
		})
	}
}

// gone returns nil when no process has the id any more.
func gone(pid int) error {
	for range 300 {
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.New("it still runs")
}

func TestAGuardThatIsKilledTakesItsProcessAlong(t *testing.T) {
	t.Parallel()
	process := script(t, guard(t), `echo ready; exec sleep 600`, nil)
	if err := syscall.Kill(process.GuardPid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-process.Ended()
	if err := gone(process.Pid()); err != nil {
		t.Error(err)
	}
}

// A starter that is killed with its whole group, or that ran under go test and was not: what it started ends.
func TestWhatAStarterStartedEndsWithIt(t *testing.T) {
	t.Parallel()
	g := guard(t)
	for name, c := range map[string]struct {
		args []string
		kill func(pid int) error
	}{
		"killed with its group":      {[]string{os.Args[0], "-test.run=^TestStarter$", "-test.v"}, func(pid int) error { return syscall.Kill(-pid, syscall.SIGKILL) }},
		"a test, and dev is killed":  {[]string{g.Dev, "test", "./internal/localstack", "-run", "^TestStarter$", "-v", "-count=1"}, func(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }},
		"a test, and dev is stopped": {[]string{g.Dev, "test", "./internal/localstack", "-run", "^TestStarter$", "-v", "-count=1"}, func(pid int) error { return syscall.Kill(pid, syscall.SIGTERM) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			starter := exec.CommandContext(t.Context(), c.args[0], c.args[1:]...)
			starter.Env, starter.SysProcAttr = append(os.Environ(), starterVariable+"=1"), &syscall.SysProcAttr{Setpgid: true}
			out, err := starter.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := starter.Start(); err != nil {
				t.Fatal(err)
			}
			var pids []int
			lines := bufio.NewScanner(out)
			for pids == nil && lines.Scan() {
				if text, ours := strings.CutPrefix(lines.Text(), startedLine); ours {
					var test, child int
					if _, err := fmt.Sscan(text, &test, &child); err != nil {
						t.Fatal(err)
					}
					pids = []int{test, child}
				}
			}
			if pids == nil {
				t.Fatal("it started nothing")
			}
			if err := c.kill(starter.Process.Pid); err != nil {
				t.Fatal(err)
			}
			_ = starter.Wait() // it was killed
			for _, pid := range pids {
				if err := gone(pid); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

const (
	starterVariable = "PARLEY_TEST_STARTER"
	startedLine     = "started "
)

// TestStarter is the starter of TestWhatAStarterStartedEndsWithIt: it prints its own process id and its child's, and waits for its end.
func TestStarter(t *testing.T) { //nolint:paralleltest // it runs alone, in a process of its own
	if os.Getenv(starterVariable) == "" {
		t.Skip("it is a part of another test")
	}
	process := script(t, guard(t), `echo ready; exec sleep 600`, nil)
	fmt.Printf("%s%d %d\n", startedLine, os.Getpid(), process.Pid())
	<-process.Ended()
}

func TestTerminalSignalsDoNotReachThroughAGuard(t *testing.T) {
	t.Parallel()
	process := script(t, guard(t), `trap 'exit 7' INT HUP QUIT; echo ready; while :; do sleep 0.1; done`, nil)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT} {
		if err := syscall.Kill(process.GuardPid(), sig); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-process.Ended():
		t.Errorf("the process ended: %s", process.Cause())
	case <-time.After(500 * time.Millisecond):
	}
	// The child itself may still be interrupted: the guard dropped the signals, it did not let them be ignored.
	if err := process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if got := process.ExitCode(); got != 7 {
		t.Errorf("exit code %d, want 7", got)
	}
}

func TestAGuardRemovesTheFolderOfItsProcess(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	process := script(t, guard(t), `echo ready; exec sleep 600`, func(c *localstack.Command) { c.Remove = dir })
	if _, err := os.Stat(dir); err != nil {
		t.Error("the folder is gone while the process runs")
	}
	process.Stop()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}

func TestAGuardHoldsTheLockOfItsStarter(t *testing.T) {
	t.Parallel()
	g, path := guard(t), filepath.Join(t.TempDir(), "lock")
	lock, err := localstack.TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	g.Lock = lock
	process := script(t, g, `echo ready; exec sleep 600`, nil)
	lock.Unlock() // as if the starter had died
	if _, err := localstack.TryLock(path); !errors.Is(err, localstack.ErrLocked) {
		t.Errorf("the lock is free while a guard lives: %v", err)
	}
	process.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	free, err := localstack.Lock(ctx, path) // a process that another test is just starting has the file too, until its program runs
	if err != nil {
		t.Fatalf("the lock is not free after the last guard: %v", err)
	}
	free.Unlock()
}

func TestAProcessThatCannotBeStartedSaysWhy(t *testing.T) {
	t.Parallel()
	_, err := guard(t).Start(localstack.Command{Path: "/no/such/program", Dir: "/"})
	if err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("got %v", err)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	g := guard(t)
	out, err := g.Run(t.Context(), localstack.Command{Path: "/bin/sh", Args: []string{"-c", "echo one; echo two >&2"}, Dir: "/"})
	if err != nil || !strings.Contains(out, "one\n") || !strings.Contains(out, "two\n") {
		t.Errorf("got %q, %v", out, err)
	}
	_, err = g.Run(t.Context(), localstack.Command{Path: "/bin/sh", Args: []string{"-c", "echo why; exit 9"}, Dir: "/"})
	if err == nil || !strings.Contains(err.Error(), "exit code 9") || !strings.Contains(err.Error(), "why") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err = g.Run(ctx, localstack.Command{Path: "/bin/sleep", Args: []string{"600"}, Dir: "/"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
