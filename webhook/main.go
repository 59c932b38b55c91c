// Command webhook is Twilio's way into Parley: it verifies what Twilio posts, makes it durable, and acknowledges it. The
// handlers are in webhook/edge; its settings are config.Webhook and TEMPORAL_*.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"parley/internal/config"
	"parley/internal/domain"
	"parley/internal/healthcheck"
	"parley/internal/telemetry"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "webhook:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends. It returns KindConfiguration for wrong settings or arguments.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("webhook", flag.ContinueOnError)
	flags.SetOutput(stdout)
	check := flags.Bool("healthcheck", false, "ask the webhook that runs here how it is, and exit with 0 if it is well")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil || flags.NArg() > 0 {
		return domain.Errorf(domain.KindConfiguration, "it takes no arguments but -healthcheck: its settings are environment variables")
	}
	if *check {
		return checkHealth(ctx, getenv)
	}
	var settings config.Webhook
	if err := config.Load(&settings, getenv); err != nil {
		return err
	}
	logger := telemetry.NewLogger(stderr, settings.Level(), "webhook")
	p, err := newProcess(ctx, settings, getenv, logger)
	if err != nil {
		return err
	}
	defer p.close()
	return p.serve(ctx, settings.Listen, settings.AdminListen)
}

func checkHealth(ctx context.Context, getenv func(string) string) error {
	var settings struct{ config.Admin }
	if err := config.Load(&settings, getenv); err != nil {
		return err
	}
	return healthcheck.Run(ctx, settings.AdminListen)
}
