package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/user"

	"go.temporal.io/sdk/client"

	"parley/internal/config"
	"parley/internal/postgres"
	"parley/internal/secrets"
	"parley/internal/temporalclient"
	"parley/internal/twilio"
	"parley/migrations"
	"parley/starter/internal/cli"
	"parley/starter/internal/flow"
	"parley/starter/internal/provision"
)

// parts are the real parts behind the commands, each opened when it is needed first. A command runs in one goroutine.
type parts struct {
	getenv   func(string) string
	stderr   io.Writer
	settings *config.Starter
	pool     *postgres.Pool
	temporal client.Client
	payloads temporalclient.Cipher // of what Temporal stores
}

func (p *parts) forCommands() cli.Parts {
	return cli.Parts{
		Directory: p.directory,
		Messages:  p.messages,
		Spool:     p.spool,
		Unrouted:  p.unrouted,
		Vault:     p.vault,
		Flows:     p.flows,
		Twilio:    p.twilio,
		Setup:     p.setup,
		Schedules: p.schedules,
		Doctor:    p.doctor,
		NewKeyset: secrets.Generate,
		Explain:   func(code int) string { return twilio.Explain(code).Meaning },
		Getenv:    p.getenv,
		Operator:  operator(),
	}
}

// operator says who runs the command: the user and the machine, as far as the system tells.
func operator() string {
	name := "unknown"
	if who, err := user.Current(); err == nil {
		name = who.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}

func (p *parts) close() {
	if p.temporal != nil {
		p.temporal.Close()
	}
	if p.pool != nil {
		p.pool.Close()
	}
}

func (p *parts) config() (*config.Starter, error) {
	if p.settings == nil {
		var settings config.Starter
		if err := config.Load(&settings, p.getenv); err != nil {
			return nil, err
		}
		p.settings = &settings
	}
	return p.settings, nil
}

func (p *parts) database(ctx context.Context) (*postgres.Pool, error) {
	settings, err := p.config()
	if err != nil {
		return nil, err
	}
	if p.pool == nil {
		if p.pool, err = postgres.Open(ctx, settings.DatabaseURL); err != nil {
			return nil, err
		}
	}
	return p.pool, nil
}

// secret returns what stores need that encrypt.
func (p *parts) secret(ctx context.Context) (*postgres.Pool, *secrets.Cipher, error) {
	pool, err := p.database(ctx)
	if err != nil {
		return nil, nil, err
	}
	cipher, err := secrets.Load(p.settings.Keyset.Source())
	return pool, cipher, err
}

func (p *parts) directory(ctx context.Context) (cli.Directory, error) {
	pool, cipher, err := p.secret(ctx)
	if err != nil {
		return nil, err
	}
	return postgres.NewDirectory(pool, cipher), nil
}

func (p *parts) spool(ctx context.Context) (cli.Spool, error) {
	pool, cipher, err := p.secret(ctx)
	if err != nil {
		return nil, err
	}
	return postgres.NewSpool(pool, cipher), nil
}

func (p *parts) unrouted(ctx context.Context) (cli.Unrouted, error) {
	pool, cipher, err := p.secret(ctx)
	if err != nil {
		return nil, err
	}
	return postgres.NewUnrouted(pool, cipher), nil
}

func (p *parts) vault(ctx context.Context) (cli.Vault, error) {
	pool, cipher, err := p.secret(ctx)
	if err != nil {
		return nil, err
	}
	return postgres.NewVault(pool, cipher), nil
}

func (p *parts) messages(ctx context.Context) (cli.Messages, error) {
	pool, err := p.database(ctx)
	if err != nil {
		return nil, err
	}
	return postgres.NewMessages(pool), nil
}

func (p *parts) connect() (client.Client, error) {
	settings, err := p.config()
	if err != nil {
		return nil, err
	}
	if p.temporal == nil {
		if p.payloads == nil {
			cipher, err := secrets.Load(settings.Payloads.Source())
			if err != nil {
				return nil, err
			}
			p.payloads = cipher
		}
		logger := slog.New(slog.NewJSONHandler(p.stderr, &slog.HandlerOptions{Level: settings.Level()}))
		if p.temporal, err = temporalclient.New(p.getenv, p.payloads, logger, nil); err != nil {
			return nil, err
		}
	}
	return p.temporal, nil
}

func (p *parts) flows(context.Context) (*flow.Flows, error) {
	temporal, err := p.connect()
	if err != nil {
		return nil, err
	}
	return flow.New(temporal, temporalclient.NewDataConverter(p.payloads)), nil
}

func (p *parts) twilio(context.Context) (cli.Twilio, error) {
	settings, err := p.config()
	if err != nil {
		return nil, err
	}
	return twilio.NewClient(settings.TwilioBaseURL), nil
}

func (p *parts) setup(ctx context.Context) (provision.Report, error) {
	parts, _, err := p.provisioned()
	if err != nil {
		return provision.Report{}, err
	}
	return provision.Run(ctx, parts)
}

func (p *parts) schedules(ctx context.Context) ([]provision.Schedule, error) {
	parts, _, err := p.provisioned()
	if err != nil {
		return nil, err
	}
	return parts.MakeSchedules(ctx)
}

// provisioned returns what setup makes and doctor looks for, and the address of the Temporal service.
func (p *parts) provisioned() (parts provision.Parts, address string, err error) {
	temporal, err := p.connect()
	if err != nil {
		return provision.Parts{}, "", err
	}
	address, namespace, err := temporalclient.Where(p.getenv)
	if err != nil {
		return provision.Parts{}, "", err
	}
	return provision.Parts{
		Migrate:    p.migrate,
		Namespace:  namespace,
		Namespaces: temporal.WorkflowService(),
		Attributes: temporal.OperatorService(),
		Schedules:  temporal.ScheduleClient(),
		Current:    temporalclient.NewCodec(p.payloads).Current,
	}, address, nil
}

// migrate works through the pool, so that it reaches the database in the one way that poolers allow.
func (p *parts) migrate(ctx context.Context) (int64, error) {
	pool, err := p.database(ctx)
	if err != nil {
		return 0, err
	}
	if err := postgres.Ping(ctx, pool); err != nil {
		return 0, err
	}
	db := postgres.DB(pool)
	defer func() { _ = db.Close() }()
	return migrations.Up(ctx, db)
}
