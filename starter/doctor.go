package main

import (
	"cmp"
	"context"
	"net"
	"strings"
	"time"

	"parley/internal/config"
	"parley/internal/postgres"
	"parley/internal/secrets"
	"parley/internal/temporalclient"
	"parley/internal/twilio"
	"parley/migrations"
	"parley/starter/internal/doctor"
	"parley/starter/internal/flow"
)

// The variables that a part needs, as the problems of the configuration name them.
const (
	ofDatabase  = "DATABASE_URL"
	ofKeyset    = "PARLEY_KEYSET"
	ofPayloads  = "PARLEY_PAYLOAD_KEYSET"
	ofTwilio    = "PARLEY_TWILIO_BASE_URL"
	ofPublicURL = "PARLEY_PUBLIC_URL"
	ofTemporal  = "TEMPORAL_"
	ofConfig    = "PARLEY_CONFIG" // a file with any of the others but Temporal's
)

// doctor looks at everything, as far as it is configured: a variable that cannot be used keeps only those checks from being
// made that need it.
func (p *parts) doctor(ctx context.Context) doctor.Report {
	var settings config.Doctor
	x := examination{parts: p, web: doctor.NewWeb(), problems: config.Read(&settings, p.getenv)}
	p.settings = &config.Starter{Log: settings.Log, Database: settings.Database, Keyset: settings.Keyset, Payloads: settings.Payloads, Twilio: settings.Twilio}
	x.examineDatabase(ctx)
	x.examineTemporal()
	x.examineReach(settings)
	checks := append([]doctor.Check{doctor.Configuration(x.problems)}, x.checks...)
	return doctor.Run(ctx, append(checks, doctor.Clocks(x.clocks...))...)
}

// examination gathers what is to be looked at. Nothing connects before the checks are made.
type examination struct {
	*parts
	web      doctor.Web
	secrets  *secrets.Cipher // of what the database stores; nil where its keyset cannot be loaded
	problems []error         // of the configuration, each with the name of its variable in front
	checks   []doctor.Check
	clocks   []doctor.Clock
}

// add adds checks that need a variable. It is called once all problems of that variable are known.
func (x *examination) add(variable string, checks ...doctor.Check) {
	for _, check := range checks {
		if unusable, ok := x.usable(variable); !ok {
			check.Skip = unusable + " cannot be used"
		}
		x.checks = append(x.checks, check)
	}
}

// usable reports whether a variable can be used, and else what the problem names.
func (x *examination) usable(variable string) (named string, ok bool) {
	for _, problem := range x.problems {
		named, _, _ = strings.Cut(problem.Error(), ":")
		if strings.HasPrefix(named, variable) || (named == ofConfig && variable != ofTemporal) {
			return named, false
		}
	}
	return "", true
}

func (x *examination) examineDatabase(ctx context.Context) {
	var pool *postgres.Pool
	if _, ok := x.usable(ofDatabase); ok {
		var err error
		if pool, err = x.database(ctx); err != nil {
			x.problems = append(x.problems, err)
		}
	}
	cipher, noKeyset := secrets.Load(x.settings.Keyset.Source())
	x.secrets = cipher
	directory := postgres.NewDirectory(pool, cipher)
	x.add(ofDatabase,
		doctor.Database(func(ctx context.Context) (postgres.Server, error) {
			return postgres.Describe(ctx, pool, migrations.Tables())
		}),
		doctor.Migrations(func(ctx context.Context) (int64, error) {
			db := postgres.DB(pool)
			defer func() { _ = db.Close() }()
			return migrations.Version(ctx, db)
		}, migrations.Latest()))
	x.add(ofKeyset, doctor.Keyset(func() error { return noKeyset }))
	x.add(ofTwilio, doctor.Accounts(directory, twilio.NewClient(x.settings.TwilioBaseURL)))
	x.add(ofDatabase, doctor.Senders(directory), doctor.Spool(postgres.NewSpool(pool, cipher).State), doctor.Unrouted(postgres.NewUnrouted(pool, cipher).State))
	if _, ok := x.usable(ofDatabase); ok {
		x.clock("the database", func(ctx context.Context) (time.Time, error) { return postgres.Now(ctx, pool) })
	}
}

func (x *examination) examineTemporal() {
	var (
		system doctor.System
		queues doctor.Queues
		flows  *flow.Flows
	)
	cipher, noKeyset := secrets.Load(x.settings.Payloads.Source())
	if x.payloads = cipher; noKeyset != nil {
		x.payloads = unreadable{noKeyset}
	}
	made, address, err := x.provisioned()
	if err != nil {
		x.problems = append(x.problems, err)
	} else {
		system, queues, flows = x.temporal.WorkflowService(), x.temporal, flow.New(x.temporal, temporalclient.NewDataConverter(x.payloads))
	}
	x.add(ofTemporal, doctor.Temporal(address, system), doctor.Namespace(made), doctor.SearchAttributes(made), doctor.Schedules(made), doctor.Workers(queues),
		doctor.Parked(flows.CountParked))
	x.add(ofPayloads, doctor.PayloadKeyset(func() error { return noKeyset }, x.sameKeyset))
	x.add(ofTemporal, doctor.Payloads(flows.Payloads, temporalclient.NewCodec(x.payloads)))
}

// sameKeyset reports whether the payloads' keyset has the key that secrets in the database are encrypted with.
func (x *examination) sameKeyset() bool {
	if x.secrets == nil {
		return false // said by the check of that one
	}
	ciphertext, err := x.secrets.Encrypt(nil, "doctor")
	return err == nil && x.payloads.Has(ciphertext)
}

// unreadable stands in for a keyset that is not there: everything about Temporal but its payloads is looked at all the same.
type unreadable struct{ reason error }

func (u unreadable) Encrypt([]byte, string) ([]byte, error) { return nil, u.reason }
func (u unreadable) Decrypt([]byte, string) ([]byte, error) { return nil, u.reason }
func (u unreadable) Has([]byte) bool                        { return false }
func (u unreadable) Primary([]byte) bool                    { return false }

// examineReach looks at what lies between Twilio and us.
func (x *examination) examineReach(settings config.Doctor) {
	x.add(ofPublicURL, doctor.PublicURL(settings.PublicURL, settings.Simulated(), net.DefaultResolver, x.web))
	if _, ok := x.usable(ofPublicURL); ok {
		x.clock("the webhook", doctor.Date(x.web, settings.PublicURL))
	}
	if _, ok := x.usable(ofTwilio); ok {
		x.clock("Twilio", doctor.Date(x.web, cmp.Or(settings.TwilioBaseURL, twilio.DefaultBaseURL)))
	}
}

func (x *examination) clock(name string, read func(context.Context) (time.Time, error)) {
	x.clocks = append(x.clocks, doctor.Clock{Name: name, Read: read})
}
