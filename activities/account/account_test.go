package account_test

import (
	"context"
	"strings"
	"testing"

	"parley/activities/account"
	"parley/contract"
	"parley/internal/domain"
)

// fakeDirectory knows whose an address is, and nobody but its owners.
type fakeDirectory struct {
	err    error
	owners []string
	asked  []string
}

var _ account.Directory = (*fakeDirectory)(nil)

func (d *fakeDirectory) ResolveSender(_ context.Context, accountSid string, address domain.Address) (string, domain.Settings, error) {
	d.asked = append(d.asked, "sender "+accountSid+" "+string(address.Channel)+" "+address.Value)
	return "acme", domain.DefaultSettings(domain.English), d.err
}

func (d *fakeDirectory) ResolveInbound(_ context.Context, accountSid string, address domain.Address, service string) (string, domain.Settings, error) {
	d.asked = append(d.asked, "inbound "+accountSid+" "+string(address.Channel)+" "+address.Value+" "+service)
	return "acme", domain.DefaultSettings(domain.English), d.err
}

func (d *fakeDirectory) Settings(_ context.Context, ownerID string) (domain.Settings, error) {
	for _, owner := range d.owners {
		if owner == ownerID {
			return domain.DefaultSettings(domain.BrazilianPortuguese), nil
		}
	}
	return domain.Settings{}, domain.Errorf(domain.KindNotFound, "no row")
}

func TestResolve(t *testing.T) {
	t.Parallel()
	nobody, down := domain.Errorf(domain.KindNotFound, "no row"), domain.Errorf(domain.KindUnavailable, "down")
	for name, test := range map[string]struct {
		in       contract.ResolveAccountInput
		err      error
		fallback string
		owner    string // found
		kind     domain.Kind
		words    string
		asked    string
	}{
		"found":             {in: contract.ResolveAccountInput{Address: "whatsapp:+15550100001"}, owner: "acme", asked: "sender AC1 whatsapp +15550100001"},
		"nobody's":          {in: contract.ResolveAccountInput{Address: "+15550100001"}, err: nobody, kind: domain.KindNotFound, words: "of account AC1", asked: "sender AC1 sms +15550100001"},
		"no database":       {in: contract.ResolveAccountInput{Address: "+15550100001"}, err: down, kind: domain.KindUnavailable, words: "down", asked: "sender AC1 sms +15550100001"},
		"not an address":    {in: contract.ResolveAccountInput{Address: "carrier pigeon:1"}, kind: domain.KindInvalid},
		"a service is none": {in: contract.ResolveAccountInput{Address: "service:MG00000000000000000000000000000001", Inbound: true}, kind: domain.KindInvalid},
		"inbound": {
			in: contract.ResolveAccountInput{Address: "+15550100001", Inbound: true, MessagingServiceSid: "MG1"}, owner: "acme", asked: "inbound AC1 sms +15550100001 MG1",
		},
		"inbound, nobody's": {
			in: contract.ResolveAccountInput{Address: "+15550100001", Inbound: true, MessagingServiceSid: "MG1"}, err: nobody,
			kind: domain.KindNotFound, words: "unroutable: no owner has this address or MG1 as a sender of account AC1", asked: "inbound AC1 sms +15550100001 MG1",
		},
		"inbound, in development": {
			in: contract.ResolveAccountInput{Address: "+15550100001", Inbound: true}, err: nobody, fallback: "dev", owner: "dev", asked: "inbound AC1 sms +15550100001 ",
		},
		"inbound and known, in development": {
			in: contract.ResolveAccountInput{Address: "+15550100001", Inbound: true}, fallback: "dev", owner: "acme", asked: "inbound AC1 sms +15550100001 ",
		},
		"inbound without a database, in development": {
			in: contract.ResolveAccountInput{Address: "+15550100001", Inbound: true}, err: down, fallback: "dev", kind: domain.KindUnavailable, words: "down",
			asked: "inbound AC1 sms +15550100001 ",
		},
		"to be sent from, in development": {
			in: contract.ResolveAccountInput{Address: "+15550100001"}, err: nobody, fallback: "dev", kind: domain.KindNotFound, words: "no owner", asked: "sender AC1 sms +15550100001",
		},
		"a development owner who does not exist": {
			in: contract.ResolveAccountInput{Address: "+15550100001", Inbound: true}, err: nobody, fallback: "typo", kind: domain.KindConfiguration, words: "typo",
			asked: "inbound AC1 sms +15550100001 ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			directory := &fakeDirectory{err: test.err, owners: []string{"dev"}}
			test.in.AccountSid = "AC1"
			got, err := account.New(directory, &fakeUnrouted{}, test.fallback).Resolve(t.Context(), test.in)
			if test.kind == "" {
				want := contract.ResolveAccountResult{OwnerID: test.owner, Timing: domain.DefaultSettings(domain.English).Timing}
				if err != nil || got != want {
					t.Errorf("got %+v, %v, want %+v", got, err, want)
				}
			} else if domain.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.words) || strings.Contains(err.Error(), "+1555") {
				t.Errorf("got %v, want %s with %q and no address", err, test.kind, test.words)
			}
			if asked := strings.Join(directory.asked, ", "); asked != test.asked {
				t.Errorf("asked for %q, want %q", asked, test.asked)
			}
		})
	}
}

type fakeUnrouted struct{ kept []string }

var _ account.Unrouted = (*fakeUnrouted)(nil)

func (u *fakeUnrouted) Keep(_ context.Context, received domain.Received, reason string) error {
	u.kept = append(u.kept, received.MessageSid+": "+reason)
	return domain.Errorf(domain.KindUnavailable, "down")
}

func TestKeepUnrouted(t *testing.T) {
	t.Parallel()
	unrouted := &fakeUnrouted{}
	_, err := account.New(&fakeDirectory{}, unrouted, "").KeepUnrouted(t.Context(), contract.KeepUnroutedInput{
		Received: domain.Received{MessageSid: "SM1"}, Reason: "nobody's",
	})
	if domain.KindOf(err) != domain.KindUnavailable || strings.Join(unrouted.kept, " ") != "SM1: nobody's" {
		t.Errorf("kept %v, %v", unrouted.kept, err)
	}
}
