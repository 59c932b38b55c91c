// Command dev runs the whole of Parley on one machine, for development: a private Postgres, Temporal with its UI, the
// simulator, the webhook and one worker process a role, each a process of its own that is started again when it dies.
//
//	dev [-once] [-twilio]   run until Ctrl-C; -once: end after the first exchange; -twilio: the real Twilio, no simulator
//	dev say TEXT            send the running stack a message and print its answer
//	dev reset               remove all that dev keeps
//	dev test [go test's arguments]   run go test beside a Postgres and a Temporal for it
//	dev guard ...           serve as the guard of one child (see internal/localstack); dev calls it, people do not
//
// dev ignores DATABASE_URL, TEMPORAL_* and Temporal's profile file. It starts servers of its own, or uses those that
// PARLEY_DEV_DATABASE_URL and PARLEY_DEV_TEMPORAL_ADDRESS name. Its state lies in .parley of the checkout. It drives the
// other processes through their public interfaces only.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"parley/internal/localstack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends dev at once; its guards then end the rest
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	os.Exit(report(err, os.Stderr))
}

// exitStatus is an error that has been reported already and only sets the exit code.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func report(err error, stderr io.Writer) int {
	status, silent := errors.AsType[exitStatus](err)
	switch {
	case err == nil:
		return 0
	case silent:
		return int(status)
	default:
		fmt.Fprintln(stderr, "dev:", err)
		return 1
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	if len(args) > 0 && args[0] == "guard" {
		return guard(args[1:])
	}
	ctx = untilOrphaned(ctx)
	d, err := newDev(getenv, stdout, stderr)
	if err != nil {
		return err
	}
	flags := flag.NewFlagSet("dev", flag.ContinueOnError)
	flags.SetOutput(stderr)
	once := flags.Bool("once", false, "end after the first exchange, with an error if no reply was delivered")
	twilio := flags.Bool("twilio", false, "use the real Twilio, or what PARLEY_TWILIO_BASE_URL names, instead of the simulator")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return exitStatus(2)
	}
	switch command := flags.Arg(0); command {
	case "":
		return d.run(ctx, options{once: *once, twilio: *twilio})
	case "say":
		return d.say(ctx, strings.Join(flags.Args()[1:], " "))
	case "reset":
		return d.reset(ctx)
	case "test":
		return d.test(ctx, flags.Args()[1:])
	default:
		return fmt.Errorf("no such command: %s; there are say, reset and test", command)
	}
}

func guard(args []string) error {
	if code := localstack.RunGuard(args); code != 0 {
		return exitStatus(code)
	}
	return nil
}

// untilOrphaned returns a context that also ends when this process's parent does, such as a make that was killed: nobody
// could stop the stack then.
func untilOrphaned(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	parent := os.Getppid()
	go func() {
		for os.Getppid() == parent {
			select {
			case <-ctx.Done():
				return
			case <-time.After(500 * time.Millisecond):
			}
		}
		cancel(errors.New("the parent process has ended"))
	}()
	return ctx
}

// dev is what all commands share.
type dev struct {
	checkout string // whose state this is
	bin      string // where the other processes are: beside this one
	guard    localstack.Guard
	getenv   func(string) string
	out      *console
}

func newDev(getenv func(string) string, stdout, stderr io.Writer) (*dev, error) {
	checkout, err := localstack.Checkout(".")
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return &dev{
		checkout: checkout, bin: filepath.Dir(self), guard: localstack.Guard{Dev: self},
		getenv: getenv, out: &console{stdout: stdout, stderr: stderr},
	}, nil
}

// path names a file of dev's state.
func (d *dev) path(elements ...string) string {
	return filepath.Join(append([]string{d.checkout, ".parley"}, elements...)...)
}
