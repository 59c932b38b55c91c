package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/metric"

	"parley/internal/config"
	"parley/internal/domain"
	"parley/internal/postgres"
	"parley/internal/secrets"
	"parley/internal/telemetry"
	"parley/internal/temporalclient"
	"parley/webhook/accounts"
	"parley/webhook/edge"
	"parley/webhook/inbox"
)

// process is the webhook, wired.
type process struct {
	handler http.Handler // for Twilio
	room    int          // connections of the public listener
	cut     func()       // counts those that lost their place in it
	inbox   *inbox.Inbox
	metrics http.Handler
	ready   func(context.Context) error
	logger  *slog.Logger
	closers []func()
}

// newProcess wires the webhook. Neither Postgres nor Temporal has to be there yet: it starts, and answers 503 until they are.
func newProcess(ctx context.Context, settings config.Webhook, getenv func(string) string, logger *slog.Logger) (_ *process, err error) {
	p := &process{logger: logger, room: connectionsPerRequest * settings.MaxInFlight}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	cipher, err := secrets.Load(settings.Keyset.Source())
	if err != nil {
		return nil, err
	}
	payloads, err := secrets.Load(settings.Payloads.Source())
	if err != nil {
		return nil, err
	}
	metrics, err := telemetry.New(logger)
	if err != nil {
		return nil, err
	}
	p.metrics = metrics.Handler()
	p.closers = append(p.closers, func() { _ = metrics.Shutdown(context.WithoutCancel(ctx)) }) // nothing is pushed, so nothing is lost
	pool, err := postgres.Open(ctx, settings.DatabaseURL)
	if err != nil {
		return nil, err
	}
	p.closers = append(p.closers, pool.Close)
	temporal, err := temporalclient.New(getenv, payloads, logger, metrics.Temporal())
	if err != nil {
		return nil, err
	}
	p.closers = append(p.closers, temporal.Close)
	// Temporal is left out on purpose: without it messages are spooled, and status callbacks need only the database.
	database := readiness{ping: func(probe context.Context) error { return postgres.Ping(probe, pool) }, now: time.Now}
	p.ready = func(probe context.Context) error {
		if ctx.Err() != nil {
			return errStopping
		}
		return database.check(probe)
	}
	slow, err := metrics.Meter("parley/webhook").Int64Counter("parley.webhook.slow_connections",
		metric.WithDescription("Connections that were cut because they kept us waiting longest when all places were taken."))
	if err != nil {
		return nil, domain.Errorf(domain.KindInternal, "metrics: %w", err)
	}
	slow.Add(ctx, 0)
	p.cut = func() { slow.Add(ctx, 1) }
	twilioErrors, err := telemetry.NewTwilioErrors(ctx, metrics.Meter("parley/webhook"), logger)
	if err != nil {
		return nil, err
	}
	known, err := accounts.New(ctx, postgres.NewDirectory(pool, cipher), metrics.Meter("parley/webhook"), time.Now)
	if err != nil {
		return nil, err
	}
	flows := edge.NewTemporal(temporal)
	p.inbox, err = inbox.New(ctx, inbox.Parts{
		Flows: flows, Spool: postgres.NewSpool(pool, cipher), Unrouted: postgres.NewUnrouted(pool, cipher),
		Logger: logger, Meter: metrics.Meter("parley/webhook"),
	})
	if err != nil {
		return nil, err
	}
	p.handler, err = edge.New(ctx, edge.Parts{ //nolint:contextcheck // a handler's context is its request's
		PublicURL: settings.PublicURL,
		InFlight:  settings.MaxInFlight,
		Verifiers: []edge.Verifier{edge.TwilioVerifier{}, edge.CallerKeys(settings.CallerKeyList())},
		Accounts:  known,
		Inbox:     p.inbox,
		Statuses:  postgres.NewMessages(pool),
		Flows:     flows,
		Logger:    logger,
		Meter:     metrics.Meter("parley/webhook"),
		Errors:    twilioErrors,
		Now:       time.Now,
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

var errStopping = errors.New("stopping")

// close closes what was opened, in reverse.
func (p *process) close() {
	for i := len(p.closers) - 1; i >= 0; i-- {
		p.closers[i]()
	}
}
