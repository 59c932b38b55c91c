package localstack

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Guard starts processes, each under a guard of its own.
type Guard struct {
	Dev  string    // the built bin/dev, which serves as guard
	Lock *FileLock // nil, or a lock that is held until this process and all its guards have ended
}

// Command says what to run under a guard.
type Command struct {
	Path       string
	Args       []string
	Env        []string // the whole environment; see Environment
	Dir        string
	User       *User             // nil: the user of this process
	StopSignal syscall.Signal    // 0: SIGTERM
	Grace      time.Duration     // from the stop signal to SIGKILL; 0: 5 s
	Remove     string            // a folder that the guard removes when the child has ended
	Output     func(line string) // takes what the child prints, line by line; nil: nobody
	Errors     func(line string) // takes its stderr; nil: Output takes that too
}

// Process is a child that runs under a guard.
type Process struct {
	guard  *exec.Cmd
	hold   *os.File // the pipe's end whose closing stops the child
	pid    int      // of the child itself
	ended  chan struct{}
	closed sync.Once
}

// defaultGrace keeps the end of everything within "a few seconds": dev's children have nothing to lose, Temporal and
// Postgres hold their work.
const defaultGrace = 5 * time.Second

// lastLinesWithin bounds the reading of what a child printed before it ended.
const lastLinesWithin = 10 * time.Second

// Start runs the command under a guard. It returns when the child is running, or why it could not be.
func (g Guard) Start(c Command) (*Process, error) {
	if c.StopSignal == 0 {
		c.StopSignal = syscall.SIGTERM
	}
	if c.Grace == 0 {
		c.Grace = defaultGrace
	}
	order := guardOrder{c.StopSignal, c.Grace, c.User, c.Remove, c.Path, c.Args}
	pipes, err := newPipes()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}
	cmd := exec.Command(g.Dev, append([]string{"guard"}, order.flags()...)...)
	cmd.Env, cmd.Dir = c.Env, c.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // who kills the whole group of the starter leaves the guard, to clean up
	cmd.Stdin, cmd.Stdout, cmd.Stderr = pipes.hold.read, pipes.output.write, pipes.output.write
	if c.Errors != nil {
		cmd.Stderr = pipes.errors.write
	}
	cmd.ExtraFiles = []*os.File{pipes.report.write} // becomes reportFile
	if g.Lock != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, g.Lock.file) // becomes lockFile
	}
	err = cmd.Start()
	pipes.closeChildEnds()
	if err != nil {
		pipes.closeOurEnds()
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}

	p := &Process{guard: cmd, hold: pipes.hold.write, ended: make(chan struct{})}
	var reading sync.WaitGroup
	reading.Go(func() { readLines(pipes.output.read, c.Output) })
	reading.Go(func() { readLines(pipes.errors.read, c.Errors) })
	report, _ := io.ReadAll(pipes.report.read)
	_ = pipes.report.read.Close()
	text := strings.TrimSpace(string(report))
	if p.pid, err = strconv.Atoi(text); err != nil {
		p.release()
		_ = cmd.Wait()
		return nil, fmt.Errorf("start %s: %s", c.Path, text)
	}
	go p.wait(&reading, pipes.output.read, pipes.errors.read)
	return p, nil
}

// wait sees the guard end, and with it the child; a guard that was killed leaves the child to be ended here.
func (p *Process) wait(reading *sync.WaitGroup, outputs ...*os.File) {
	_ = p.guard.Wait()
	if status, ok := p.guard.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	}
	for _, output := range outputs { // a grandchild of the child may hold the pipe open, which must not hold up anybody
		_ = output.SetReadDeadline(time.Now().Add(lastLinesWithin))
	}
	reading.Wait()
	p.release()
	close(p.ended)
}

// Pid is the child's process id, not the guard's.
func (p *Process) Pid() int { return p.pid }

// GuardPid is the guard's process id.
func (p *Process) GuardPid() int { return p.guard.Process.Pid }

// Ended is closed when the child has ended, for whatever reason.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Cause waits for the child's end and says in words how it ended.
func (p *Process) Cause() string {
	<-p.ended
	return describe(p.guard.ProcessState)
}

// ExitCode waits for the child's end and returns its exit code, 128 + the signal where one ended it.
func (p *Process) ExitCode() int {
	<-p.ended
	return exitCode(p.guard.ProcessState)
}

// Signal sends the child a signal. It returns an error when the child has ended.
func (p *Process) Signal(sig syscall.Signal) error {
	select {
	case <-p.ended:
		return errors.New("the process has ended: " + p.Cause())
	default:
		return syscall.Kill(p.pid, sig)
	}
}

// Stop asks the child to end, kills it when it does not within its bound, and returns when it has ended.
func (p *Process) Stop() {
	p.release()
	<-p.ended
}

func (p *Process) release() { p.closed.Do(func() { _ = p.hold.Close() }) }

// Run runs a command that ends by itself, under a guard, and returns what it printed. When ctx ends the command is
// stopped. A command that fails is an error that holds the last lines of its output.
func (g Guard) Run(ctx context.Context, c Command) (string, error) {
	var output strings.Builder
	c.Output = func(line string) { output.WriteString(line + "\n") }
	process, err := g.Start(c)
	if err != nil {
		return "", err
	}
	defer context.AfterFunc(ctx, process.release)()
	code := process.ExitCode()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if code != 0 {
		return output.String(), fmt.Errorf("%s: %s: %s", filepath.Base(c.Path), process.Cause(), lastLines(output.String(), 10))
	}
	return output.String(), nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// maxLine bounds a line of a child's output; the rest of a longer one is dropped.
const maxLine = 64 << 10

// readLines hands the output on, line by line, until every holder of the pipe has closed it, or its deadline is over.
func readLines(file *os.File, line func(string)) {
	defer closeAll(file)
	reader := bufio.NewReaderSize(file, maxLine)
	for {
		text, long, err := reader.ReadLine()
		for rest := long; rest && err == nil; {
			_, rest, err = reader.ReadLine()
		}
		if err != nil {
			return
		}
		if line != nil {
			line(string(bytes.TrimRight(text, "\r")))
		}
	}
}

// pipe is both ends of an os.Pipe; Go opens them close-on-exec, so no other child inherits them.
type pipe struct{ read, write *os.File }

// pipes are what lies between a starter and a guard.
type pipes struct{ hold, output, errors, report pipe }

func newPipes() (*pipes, error) {
	var p pipes
	for _, each := range []*pipe{&p.hold, &p.output, &p.errors, &p.report} {
		read, write, err := os.Pipe()
		if err != nil {
			p.closeChildEnds()
			p.closeOurEnds()
			return nil, err
		}
		*each = pipe{read, write}
	}
	return &p, nil
}

func (p *pipes) closeChildEnds() {
	closeAll(p.hold.read, p.output.write, p.errors.write, p.report.write)
}
func (p *pipes) closeOurEnds() { closeAll(p.hold.write, p.output.read, p.errors.read, p.report.read) }

func closeAll(files ...*os.File) {
	for _, file := range files {
		if file != nil {
			_ = file.Close()
		}
	}
}
