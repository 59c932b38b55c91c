package localstack

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// guardOrder is what a guard is told on its command line.
type guardOrder struct {
	signal syscall.Signal
	grace  time.Duration // from the signal to SIGKILL
	user   *User         // nil: the guard's own
	remove string        // a folder to remove when the child has ended; empty: none
	path   string
	args   []string
}

// flags returns the order as the arguments that parseGuard reads.
func (o guardOrder) flags() []string {
	args := []string{"-signal", strconv.Itoa(int(o.signal)), "-grace", o.grace.String()}
	if o.user != nil {
		args = append(args, "-user", fmt.Sprintf("%d:%d", o.user.UID, o.user.GID))
	}
	if o.remove != "" {
		args = append(args, "-remove", o.remove)
	}
	return append(append(args, "--", o.path), o.args...)
}

func parseGuard(args []string) (guardOrder, error) {
	var o guardOrder
	flags := flag.NewFlagSet("guard", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	number := flags.Int("signal", int(syscall.SIGTERM), "")
	user := flags.String("user", "", "")
	flags.DurationVar(&o.grace, "grace", 5*time.Second, "")
	flags.StringVar(&o.remove, "remove", "", "")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.signal = syscall.Signal(*number)
	if *user != "" {
		o.user = &User{}
		if _, err := fmt.Sscanf(*user, "%d:%d", &o.user.UID, &o.user.GID); err != nil {
			return o, fmt.Errorf("-user %s: want uid:gid", *user)
		}
	}
	if flags.NArg() == 0 {
		return o, errors.New("no command")
	}
	o.path, o.args = flags.Arg(0), flags.Args()[1:]
	return o, nil
}

// reportFile is the descriptor on which a guard tells its starter the child's pid, or why there is none.
const reportFile = 3

// lockFile is the descriptor of the lock that a guard keeps with its starter, where there is one.
const lockFile = 4

// RunGuard is the guard's whole life: it starts the command that args name, stops it when stdin ends, and returns its exit
// code (128 + the signal that ended it). Only Guard.Start makes its arguments; a person never calls it.
func RunGuard(args []string) int {
	report := os.NewFile(reportFile, "report")
	syscall.CloseOnExec(reportFile) // the child must hold neither
	syscall.CloseOnExec(lockFile)
	order, err := parseGuard(args)
	if err != nil {
		fmt.Fprintln(report, "guard:", err)
		return 2
	}

	// What Ctrl-C and a closed terminal mean is the starter's decision. Caught and dropped, not ignored: an ignored signal
	// would be inherited by the child. SIGPIPE: the starter may be gone together with the pipe that is this process's stderr.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGTSTP, syscall.SIGPIPE)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)

	if order.remove != "" {
		defer os.RemoveAll(order.remove)
	}
	child := order.command()
	if err := child.Start(); err != nil {
		fmt.Fprintln(report, err)
		return 127
	}
	fmt.Fprintln(report, child.Process.Pid)
	_ = report.Close()

	ended := make(chan struct{})
	go func() { _ = child.Wait(); close(ended) }()
	released := make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); close(released) }()
	select {
	case <-ended:
	case <-released:
		stopGroup(child.Process.Pid, order.signal, order.grace, ended)
	case <-stop:
		stopGroup(child.Process.Pid, order.signal, order.grace, ended)
	}
	<-ended
	return exitCode(child.ProcessState)
}

func (o guardOrder) command() *exec.Cmd {
	child := exec.Command(o.path, o.args...)
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if o.user != nil {
		child.SysProcAttr.Credential = &syscall.Credential{Uid: o.user.UID, Gid: o.user.GID}
	}
	return child
}

// stopGroup asks the process to end and, when the bound has passed, kills what is left of its group.
func stopGroup(pid int, sig syscall.Signal, grace time.Duration, ended <-chan struct{}) {
	_ = syscall.Kill(pid, sig)
	select {
	case <-ended:
	case <-time.After(grace):
	}
	_ = syscall.Kill(-pid, syscall.SIGKILL)
}

// exitCode is the code that a shell would give: the process's own, or 128 + the signal that ended it.
func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}

// describe says in words how a process ended.
func describe(state *os.ProcessState) string {
	code := exitCode(state)
	if code > 128 {
		return fmt.Sprintf("signal %d, %s", code-128, syscall.Signal(code-128))
	}
	return "exit code " + strconv.Itoa(code)
}
