package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"parley/starter/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(cli.ExitCode(err))
}

// run runs one command line and says on stderr why it failed.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) error {
	real := &parts{getenv: getenv, stderr: stderr}
	defer real.close()
	err := cli.Execute(ctx, real.forCommands(), cli.Streams{In: stdin, Out: stdout, Terminal: isTerminal(stdout)}, args)
	if err != nil {
		fmt.Fprintf(stderr, "starter: %s\n", cli.ErrorText(err))
	}
	return err
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
