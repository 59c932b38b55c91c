package main

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"parley/internal/localstack"
)

// test runs go test beside a Postgres and a Temporal of its own, which all packages share; those that the environment
// names are used instead. Several may run at once: they share nothing but bin/ and the build cache.
func (d *dev) test(ctx context.Context, args []string) error {
	servers := &localstack.TestServers{Guard: d.guard, Bin: d.bin, Getenv: d.getenv, Say: d.out.Say}
	defer servers.Stop()
	var database, temporal string
	group, both := errgroup.WithContext(ctx)
	group.Go(func() (err error) { database, err = servers.Postgres(both); return err })
	group.Go(func() (err error) { temporal, err = servers.Temporal(both); return err })
	if err := group.Wait(); err != nil {
		return err
	}
	d.out.Say("the tests use Postgres at %s and Temporal at %s", localstack.Redact(database), temporal)

	// Tests wait for processes more than they compute, so twice as many run at once as go test would have it. Of two such flags the last holds.
	atOnce := strconv.Itoa(2 * runtime.GOMAXPROCS(0))
	tests := exec.CommandContext(ctx, "go", append([]string{"test", "-parallel", atOnce}, args...)...)
	tests.Dir, tests.Stdout, tests.Stderr = d.checkout, d.out.stdout, d.out.stderr
	tests.Env = append(os.Environ(), localstack.TestDatabaseVariable+"="+database, localstack.TemporalVariable+"="+temporal)
	tests.Cancel = func() error { return tests.Process.Signal(syscall.SIGINT) }
	tests.WaitDelay = 10 * time.Second
	if err := tests.Run(); tests.ProcessState != nil && tests.ProcessState.ExitCode() > 0 {
		return exitStatus(tests.ProcessState.ExitCode()) // go test has said what failed
	} else if err != nil {
		return err
	}
	return nil
}
