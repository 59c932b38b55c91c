package cli_test

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/internal/domain"
	"parley/starter/internal/cli"
	"parley/starter/internal/faketemporal"
	"parley/starter/internal/flow"
	"parley/starter/internal/provision"
)

const (
	accountA = "AC0000000000000000000000000000000a"
	accountB = "AC0000000000000000000000000000000b"
)

var created = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// directory is a cli.Directory in memory.
type directory struct {
	owners   map[string]domain.Owner
	settings map[string]map[string]string
	accounts map[string]domain.Account
	tokens   map[string]string
	senders  []domain.Sender
}

var _ cli.Directory = (*directory)(nil)

func newDirectory() *directory {
	return &directory{
		owners:   map[string]domain.Owner{"acme": {OwnerID: "acme", Name: "Acme Ltd", CreatedAt: created}},
		settings: map[string]map[string]string{},
		accounts: map[string]domain.Account{accountA: {AccountSid: accountA, Name: "main", CreatedAt: created}},
		tokens:   map[string]string{},
		senders:  []domain.Sender{sms(accountA, "+15551230000", "acme")},
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

func (d *directory) AddAccount(_ context.Context, account domain.Account, token string) error {
	account.CreatedAt = created
	d.accounts[account.AccountSid], d.tokens[account.AccountSid] = account, token
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

// messages is a cli.Messages in memory, by any id.
type messages map[string]domain.Trace

var _ cli.Messages = messages(nil)

func (m messages) Trace(_ context.Context, id string) (domain.Trace, error) {
	trace, ok := m[id]
	if !ok {
		return trace, notFound("message")
	}
	return trace, nil
}

// starter is a command line over fakes.
type starter struct {
	directory *directory
	messages  messages
	noStore   error // what opening the database returns
	temporal  *faketemporal.Client
	report    provision.Report
	explain   func(code int) string
	env       map[string]string
	stdin     string
	terminal  bool
}

func newStarter(flows ...faketemporal.Flow) *starter {
	return &starter{
		directory: newDirectory(), messages: messages{}, temporal: faketemporal.New(flows...), env: map[string]string{},
		explain: func(int) string { return "the phone cannot be reached" },
	}
}

func (s *starter) runWith(ctx context.Context, args ...string) (stdout string, err error) {
	parts := cli.Parts{
		Directory: func(context.Context) (cli.Directory, error) { return s.directory, s.noStore },
		Messages:  func(context.Context) (cli.Messages, error) { return s.messages, s.noStore },
		Flows:     func(context.Context) (*flow.Flows, error) { return flow.New(s.temporal), nil },
		Setup:     func(context.Context) (provision.Report, error) { return s.report, nil },
		NewKeyset: func() (string, error) { return `{"key":"new"}`, nil },
		Explain:   s.explain,
		Getenv:    func(name string) string { return s.env[name] },
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
