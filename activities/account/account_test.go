package account_test

import (
	"context"
	"strings"
	"testing"

	"parley/activities/account"
	"parley/contract"
	"parley/internal/domain"
)

type fakeDirectory struct {
	err   error
	asked []domain.Address
}

var _ account.Directory = (*fakeDirectory)(nil)

func (d *fakeDirectory) ResolveSender(_ context.Context, accountSid string, address domain.Address) (string, domain.Settings, error) {
	d.asked = append(d.asked, address)
	return "owner of " + accountSid, domain.DefaultSettings(domain.English), d.err
}

func TestResolve(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		address string
		err     error
		kind    domain.Kind
		words   string
		asked   domain.Address
	}{
		"found":         {address: "whatsapp:+15550100001", asked: domain.Address{Channel: domain.ChannelWhatsApp, Value: "+15550100001"}},
		"nobody's":      {address: "+15550100001", err: domain.Errorf(domain.KindNotFound, "no row"), kind: domain.KindNotFound, words: "of account AC1", asked: domain.Address{Channel: domain.ChannelSMS, Value: "+15550100001"}},
		"no database":   {address: "+15550100001", err: domain.Errorf(domain.KindUnavailable, "down"), kind: domain.KindUnavailable, words: "down", asked: domain.Address{Channel: domain.ChannelSMS, Value: "+15550100001"}},
		"not an addess": {address: "carrier pigeon:1", kind: domain.KindInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			directory := &fakeDirectory{err: test.err}
			got, err := account.New(directory).Resolve(t.Context(), contract.ResolveAccountInput{AccountSid: "AC1", Address: test.address})
			if test.kind == "" {
				want := contract.ResolveAccountResult{OwnerID: "owner of AC1", Timing: domain.DefaultSettings(domain.English).Timing}
				if err != nil || got != want {
					t.Errorf("got %+v, %v, want %+v", got, err, want)
				}
			} else if domain.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.words) || strings.Contains(err.Error(), "+1555") {
				t.Errorf("got %v, want %s with %q and no address", err, test.kind, test.words)
			}
			if want := test.asked != (domain.Address{}); (len(directory.asked) == 1) != want || want && directory.asked[0] != test.asked {
				t.Errorf("asked for %+v, want %+v", directory.asked, test.asked)
			}
		})
	}
}
