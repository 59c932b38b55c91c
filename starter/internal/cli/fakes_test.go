package cli_test

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/converter"

	"parley/internal/domain"
	"parley/internal/twilio"
	"parley/starter/internal/cli"
	"parley/starter/internal/doctor"
	"parley/starter/internal/faketemporal"
	"parley/starter/internal/flow"
	"parley/starter/internal/provision"
)

const (
	accountA = "AC0000000000000000000000000000000a"
	accountB = "AC0000000000000000000000000000000b"
	apiKey   = "SK0000000000000000000000000000000a"

	newestToken = "0198c9f0-0000-7000-8000-00000000000b"
)

var (
	created = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	dropped = created.Add(24 * time.Hour)
)

// directory is a cli.Directory in memory.
type directory struct {
	books
	owners   map[string]domain.Owner
	settings map[string]map[string]string
	accounts map[string]domain.Account
	tokens   map[string]string
	senders  []domain.Sender
	rotated  []rotation
}

// rotation is what a directory was told by AddToken.
type rotation struct {
	accountSid string
	token      domain.NewToken
	keep       time.Duration
}

var _ cli.Directory = (*directory)(nil)

func newDirectory() *directory {
	return &directory{
		books:    newBooks(),
		owners:   map[string]domain.Owner{"acme": {OwnerID: "acme", Name: "Acme Ltd", CreatedAt: created}},
		settings: map[string]map[string]string{},
		accounts: map[string]domain.Account{accountA: {AccountSid: accountA, Name: "main", CreatedAt: created, Tokens: []domain.Token{
			{TokenID: "0198c9f0-0000-7000-8000-00000000000c", APIKey: apiKey, AddedBy: "ops@desk", AddedAt: created},
			{TokenID: newestToken, AddedBy: "ops@desk", AddedAt: created},
			{TokenID: "0198c9f0-0000-7000-8000-00000000000a", AddedBy: "ops@desk", AddedAt: created, ValidUntil: &dropped},
		}}},
		tokens:  map[string]string{},
		senders: []domain.Sender{sms(accountA, "+15551230000", "acme")},
	}
}

func sms(account, address, owner string) domain.Sender {
	return domain.Sender{AccountSid: account, Channel: domain.ChannelSMS, Address: address, OwnerID: owner, CreatedAt: created}
}

func notFound(what string) error { return domain.Errorf(domain.KindNotFound, "%s: not found", what) }

func (d *directory) AddOwner(_ context.Context, owner domain.Owner) error {
	owner.CreatedAt = created
	d.owners[owner.OwnerID] = owner
	return nil
}

func (d *directory) Owners(context.Context) ([]domain.Owner, error) {
	return slices.Collect(maps.Values(d.owners)), nil
}

func (d *directory) Owner(_ context.Context, id string) (domain.Owner, error) {
	owner, ok := d.owners[id]
	if !ok {
		return owner, notFound("owner")
	}
	return owner, nil
}

func (d *directory) SetSettings(_ context.Context, id string, values map[string]string) error {
	if d.settings[id] == nil {
		d.settings[id] = map[string]string{}
	}
	maps.Copy(d.settings[id], values)
	return nil
}

func (d *directory) UnsetSetting(_ context.Context, id, name string) error {
	delete(d.settings[id], name)
	return nil
}

func (d *directory) Settings(_ context.Context, id string) (domain.Settings, error) {
	return domain.ParseSettings(d.settings[id])
}

func (d *directory) AddAccount(_ context.Context, account domain.Account, token domain.NewToken) error {
	account.CreatedAt = created
	d.accounts[account.AccountSid], d.tokens[account.AccountSid] = account, token.Secret
	return nil
}

func (d *directory) AddToken(_ context.Context, sid string, token domain.NewToken, keep time.Duration) (string, error) {
	if _, ok := d.accounts[sid]; !ok {
		return "", notFound("account")
	}
	d.rotated = append(d.rotated, rotation{sid, token, keep})
	return newestToken, nil
}

func (d *directory) DropToken(_ context.Context, sid, id string) error {
	switch {
	case sid != accountA:
		return notFound("token")
	case id != newestToken:
		return domain.Errorf(domain.KindConflict, "it is the last auth token")
	}
	return nil
}

func (d *directory) Accounts(context.Context) ([]domain.Account, error) {
	return slices.Collect(maps.Values(d.accounts)), nil
}

func (d *directory) RemoveAccount(_ context.Context, sid string) error {
	if _, ok := d.accounts[sid]; !ok {
		return notFound("account")
	}
	delete(d.accounts, sid)
	return nil
}

func (d *directory) Credentials(_ context.Context, sid string) (domain.Credentials, error) {
	if _, ok := d.accounts[sid]; !ok {
		return domain.Credentials{}, notFound("account")
	}
	return domain.Credentials{AccountSid: sid, AuthTokens: []string{d.tokens[sid]}}, nil
}

func (d *directory) AddSender(_ context.Context, sender domain.Sender) error {
	if _, ok := d.owners[sender.OwnerID]; !ok {
		return notFound("sender")
	}
	for _, s := range d.senders {
		if s.AccountSid == sender.AccountSid && s.Channel == sender.Channel && s.Address == sender.Address && s.OwnerID != sender.OwnerID {
			return domain.Errorf(domain.KindConflict, "this sender belongs to owner %s", s.OwnerID)
		}
	}
	d.senders = append(d.senders, sender)
	return nil
}

func (d *directory) Senders(_ context.Context, owner string) ([]domain.Sender, error) {
	return d.which(func(s domain.Sender) bool { return owner == "" || s.OwnerID == owner }), nil
}

func (d *directory) SendersOf(_ context.Context, address domain.Address) ([]domain.Sender, error) {
	return d.which(func(s domain.Sender) bool { return s.Channel == address.Channel && s.Address == address.Value }), nil
}

func (d *directory) which(keep func(domain.Sender) bool) []domain.Sender {
	var list []domain.Sender
	for _, s := range d.senders {
		if keep(s) {
			list = append(list, s)
		}
	}
	return list
}

func (d *directory) RemoveSender(_ context.Context, account string, address domain.Address) error {
	before := len(d.senders)
	d.senders = slices.DeleteFunc(d.senders, func(s domain.Sender) bool { return s.AccountSid == account && s.Address == address.Value })
	if len(d.senders) == before {
		return notFound("sender")
	}
	return nil
}

// spool is a cli.Spool in memory.
type spool []domain.SpoolEntry

var _ cli.Spool = (*spool)(nil)

func (s *spool) List(_ context.Context, most int) ([]domain.SpoolEntry, error) {
	return (*s)[:min(len(*s), most)], nil
}

func (s *spool) Remove(_ context.Context, key domain.SpoolKey) error {
	left := slices.DeleteFunc(slices.Clone(*s), func(entry domain.SpoolEntry) bool { return entry.SpoolKey == key })
	if len(left) == len(*s) {
		return notFound("spool")
	}
	*s = left
	return nil
}

// unrouted is a cli.Unrouted in memory.
type unrouted []domain.Unrouted

var _ cli.Unrouted = (*unrouted)(nil)

func (u *unrouted) List(_ context.Context, most int) ([]domain.Unrouted, error) {
	return (*u)[:min(len(*u), most)], nil
}

func (u *unrouted) Get(_ context.Context, accountSid, messageSid string) (domain.Unrouted, error) {
	for _, message := range *u {
		if message.AccountSid == accountSid && message.MessageSid == messageSid {
			return message, nil
		}
	}
	return domain.Unrouted{}, notFound("unrouted")
}

func (u *unrouted) Remove(ctx context.Context, accountSid, messageSid string) error {
	_, err := u.Get(ctx, accountSid, messageSid)
	*u = slices.DeleteFunc(*u, func(m domain.Unrouted) bool { return m.AccountSid == accountSid && m.MessageSid == messageSid })
	return err
}

// vault is a cli.Vault in memory.
type vault struct {
	done   domain.Reencrypted
	values [][]byte
}

var _ cli.Vault = vault{}

func (v vault) Reencrypt(context.Context) (domain.Reencrypted, error) { return v.done, nil }

func (v vault) Count(_ context.Context, of func([]byte) bool) (n int, err error) {
	for _, value := range v.values {
		if of(value) {
			n++
		}
	}
	return n, nil
}

// messages is a cli.Messages in memory, by any id.
type messages map[string]domain.Trace

// stored is all that a cli.Messages knows.
type stored struct {
	messages
	*people
}

var _ cli.Messages = stored{}

func (m messages) Trace(_ context.Context, id string) (domain.Trace, error) {
	if trace, ok := m[id]; ok {
		return trace, nil
	}
	for _, trace := range m {
		if id != "" && trace.Message.MessageID == id {
			return trace, nil
		}
	}
	return domain.Trace{}, notFound("message")
}

// ApplyStatus moves the rows as far as the command line sees them.
func (m messages) ApplyStatus(_ context.Context, event domain.StatusEvent) (change domain.StatusChange, err error) {
	for id, trace := range m {
		for i, attempt := range trace.Attempts {
			if trace.Message.MessageID != event.MessageID || attempt.Part != event.Part || attempt.Attempt != event.Attempt {
				continue
			}
			change = domain.StatusChange{AttemptKey: event.AttemptKey, WorkflowID: trace.Message.WorkflowID, Status: attempt.Status}
			if change.Moved = event.Status.Rank() > attempt.Status.Rank(); change.Moved {
				change.Status, change.ErrorCode = event.Status, event.ErrorCode
				trace.Attempts[i].Status, trace.Attempts[i].ErrorCode = event.Status, event.ErrorCode
			}
			trace.Events = append(trace.Events, domain.TracedEvent{
				Part: event.Part, Attempt: event.Attempt, Source: event.Source, Status: event.Status, ErrorCode: event.ErrorCode, ReceivedAt: created.Add(time.Hour),
			})
			m[id] = trace
		}
	}
	return change, nil
}

// atTwilio is a cli.Twilio in memory, by sid. A message belongs to accountA; the API takes every token but one.
type atTwilio map[string]twilio.Message

var _ cli.Twilio = atTwilio(nil)

func (a atTwilio) Fetch(_ context.Context, credentials domain.Credentials, sid string) (twilio.Message, error) {
	message, ok := a[sid]
	switch {
	case slices.Contains(credentials.AuthTokens, "wrong"):
		return message, domain.Errorf(domain.KindConfiguration, "fetching a message: Twilio did not accept the account's auth token")
	case !strings.HasPrefix(sid, "SM"):
		return message, domain.Errorf(domain.KindInvalid, "not a message's sid")
	case !ok || credentials.AccountSid != accountA:
		return message, notFound("message")
	}
	return message, nil
}

// starter is a command line over fakes.
type starter struct {
	directory *directory
	messages  messages
	people    *people
	spool     spool
	unrouted  unrouted
	vault     vault
	noStore   error // what opening the database returns
	temporal  *faketemporal.Client
	twilio    atTwilio
	report    provision.Report
	health    doctor.Report
	explain   func(code int) string
	env       map[string]string
	stdin     string
	terminal  bool
}

func newStarter(flows ...faketemporal.Flow) *starter {
	return &starter{
		directory: newDirectory(), messages: messages{}, people: &people{}, temporal: faketemporal.New(flows...), twilio: atTwilio{}, env: map[string]string{},
		explain: explain,
	}
}

func explain(code int) string {
	if code == 21610 || code == 63014 {
		return "the recipient has opted out"
	}
	return "the phone cannot be reached"
}

func (s *starter) runWith(ctx context.Context, args ...string) (stdout string, err error) {
	parts := cli.Parts{
		Directory: func(context.Context) (cli.Directory, error) { return s.directory, s.noStore },
		Messages:  func(context.Context) (cli.Messages, error) { return stored{s.messages, s.people}, s.noStore },
		Spool:     func(context.Context) (cli.Spool, error) { return &s.spool, s.noStore },
		Unrouted:  func(context.Context) (cli.Unrouted, error) { return &s.unrouted, s.noStore },
		Vault:     func(context.Context) (cli.Vault, error) { return s.vault, s.noStore },
		Flows: func(context.Context) (*flow.Flows, error) {
			return flow.New(s.temporal, converter.GetDefaultDataConverter()), nil
		},
		Twilio:    func(context.Context) (cli.Twilio, error) { return s.twilio, nil },
		Setup:     func(context.Context) (provision.Report, error) { return s.report, nil },
		Schedules: func(context.Context) ([]provision.Schedule, error) { return s.report.Schedules, nil },
		Doctor:    func(context.Context) doctor.Report { return s.health },
		NewKeyset: func() (string, error) { return `{"key":"new"}`, nil },
		Explain:   s.explain,
		Getenv:    func(name string) string { return s.env[name] },
		Operator:  "ops@desk",
	}
	var out bytes.Buffer
	err = cli.Execute(ctx, parts, cli.Streams{In: strings.NewReader(s.stdin), Out: &out, Terminal: s.terminal}, args)
	return out.String(), err
}

// must runs a command line that ends with a code.
func (s *starter) must(t *testing.T, code int, args ...string) (stdout string, err error) {
	t.Helper()
	stdout, err = s.runWith(t.Context(), args...)
	if got := cli.ExitCode(err); got != code {
		t.Fatalf("starter %s: exit code %d, want %d: %v\n%s", strings.Join(args, " "), got, code, err, stdout)
	}
	return stdout, err
}
