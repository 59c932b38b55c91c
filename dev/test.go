package main

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strconv"
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
	work, err := os.MkdirTemp("", "parley-test-")
	if err != nil {
		return err
	}
	tests, err := d.guard.Start(localstack.Command{
		Path: "go", Args: append([]string{"test", "-parallel", atOnce}, args...), Dir: d.checkout,
		Env: append(os.Environ(), localstack.TestDatabaseVariable+"="+database, localstack.TemporalVariable+"="+temporal, "GOTMPDIR="+work),
		// Go would wait for the tests, which are not to end by themselves.
		Grace: time.Second, Remove: work,
		Output: func(line string) { d.out.write(d.out.stdout, line) }, Errors: func(line string) { d.out.write(d.out.stderr, line) },
	})
	if err != nil {
		return errors.Join(err, os.RemoveAll(work))
	}
	defer context.AfterFunc(ctx, tests.Stop)()
	if code := tests.ExitCode(); code != 0 {
		return exitStatus(code) // go test has said what failed
	}
	return nil
}
