package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"parley/contract"
	"parley/internal/config"
	"parley/internal/domain"
	"parley/internal/healthcheck"
	"parley/internal/postgres"
	"parley/internal/secrets"
	"parley/internal/telemetry"
	"parley/internal/temporalclient"
)

// adminStopTimeout is what a scrape that is under way may still take.
const adminStopTimeout = 5 * time.Second

// run starts the process's roles and stops them when ctx ends or one of them fails for good.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("worker", flag.ContinueOnError)
	flags.SetOutput(stdout)
	role := flags.String("role", "", "roles to run, comma-separated: workflow, account, persistence, identity, billing, reply, messaging, upkeep, or all (default $PARLEY_ROLE)")
	check := flags.Bool("healthcheck", false, "ask the worker that runs here how it is, and exit with 0 if it is well")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil || flags.NArg() > 0 {
		return domain.Errorf(domain.KindConfiguration, "it takes no arguments but -role and -healthcheck: its settings are environment variables")
	}
	if *check {
		return checkHealth(ctx, getenv)
	}
	return work(ctx, preferring(getenv, "PARLEY_ROLE", *role), stderr)
}

// checkHealth needs no settings but the address it asks.
func checkHealth(ctx context.Context, getenv func(string) string) error {
	var settings struct{ config.Admin }
	if err := config.Load(&settings, getenv); err != nil {
		return err
	}
	return healthcheck.Run(ctx, settings.AdminListen)
}

// preferring lets a flag win over its variable.
func preferring(getenv func(string) string, variable, flag string) func(string) string {
	return func(name string) string {
		if name == variable && flag != "" {
			return flag
		}
		return getenv(name)
	}
}

// work wires the process and serves its roles.
func work(ctx context.Context, getenv func(string) string, stderr io.Writer) error {
	var settings config.Worker
	if err := config.Load(&settings, getenv); err != nil {
		return err
	}
	roles, err := settings.Roles.List()
	if err != nil {
		return err
	}
	logger := telemetry.NewLogger(stderr, settings.Level(), "worker").With("role", names(roles))
	metrics, err := telemetry.New(logger)
	if err != nil {
		return err
	}
	payloads, err := secrets.Load(settings.Payloads.Source())
	if err != nil {
		return err
	}
	temporal, err := temporalclient.New(getenv, payloads, logger, metrics.Temporal())
	if err != nil {
		return err
	}
	defer temporal.Close()
	pool, err := postgres.Open(ctx, settings.DatabaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	cipher, err := secrets.Load(settings.Keyset.Source())
	if err != nil {
		return err
	}
	twilioErrors, err := telemetry.NewTwilioErrors(ctx, metrics.Meter("parley/worker"), logger)
	if err != nil {
		return err
	}
	upkeep, err := telemetry.NewUpkeep(ctx, metrics.Meter("parley/worker"), jobs())
	if err != nil {
		return err
	}
	parts := assemble(settings, process{temporal, pool, cipher, twilioErrors, upkeep, logger})
	if settings.ModelProvider == config.ProviderScripted && slices.Contains(roles, contract.RoleReply) {
		logger.Warn("replies are scripted: set PARLEY_MODEL_PROVIDER to use a model")
	}
	if settings.DevelopmentOwner != "" && slices.Contains(roles, contract.RoleAccount) {
		logger.Warn("inbound messages that are nobody's go to one owner: PARLEY_DEVELOPMENT_OWNER is for development", "owner_id", settings.DevelopmentOwner)
	}
	stopAdmin, err := telemetry.ServeAdmin(ctx, settings.AdminListen, logger, ready(temporal, pool), metrics.Handler())
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), adminStopTimeout)
		defer cancel()
		if err := stopAdmin(ctx); err != nil {
			logger.Warn("the admin listener did not stop in time", "error", err.Error())
		}
		if err := metrics.Shutdown(ctx); err != nil {
			logger.Warn("metrics were not closed in time", "error", err.Error())
		}
	}()
	worker.SetStickyWorkflowCacheSize(settings.Cache) // the SDK's own 10,000 would be 2 GB
	return serve(ctx, temporal, roles, settings.Slots, parts, logger)
}

// ready reports whether the process can do its work now.
func ready(temporal client.Client, pool *postgres.Pool) func(context.Context) error {
	return func(ctx context.Context) error {
		if _, err := temporal.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
			return err
		}
		return postgres.Ping(ctx, pool)
	}
}

// serve runs one worker a role until ctx ends or one fails for good, then stops them all at once, each within its own bound.
func serve(ctx context.Context, temporal client.Client, roles []contract.Role, slots int, parts parts, logger *slog.Logger) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var running []worker.Worker
	for _, role := range roles {
		w := worker.New(temporal, role.Queue(), options(role, slots, fail))
		err := register(w, role, parts)
		if err == nil {
			err = w.Start()
		}
		if err != nil {
			fail(err)
			break
		}
		running = append(running, w)
		logger.Info("worker started", "task_queue", role.Queue())
	}
	<-ctx.Done()
	logger.Info("stopping")
	var stopping sync.WaitGroup
	for _, w := range running {
		stopping.Go(w.Stop)
	}
	stopping.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

func names(roles []contract.Role) string {
	var list []string
	for _, role := range roles {
		list = append(list, string(role))
	}
	return strings.Join(list, ",")
}
