package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/internal/domain"
)

func TestOwners(t *testing.T) {
	t.Parallel()
	s := emptyStore(t)
	for _, owner := range []domain.Owner{{OwnerID: "zeta", Name: "Zeta"}, {OwnerID: acme, Name: "Acme"}, {OwnerID: acme, Name: "Acme"}, {OwnerID: acme, Name: "Acme Ltd"}} {
		must(t, s.directory.AddOwner(t.Context(), owner))
	}
	owners, err := s.directory.Owners(t.Context())
	must(t, err)
	if len(owners) != 2 || owners[0].OwnerID != acme || owners[0].Name != "Acme Ltd" || owners[1].OwnerID != "zeta" || owners[0].CreatedAt.IsZero() {
		t.Errorf("got %+v, want acme, renamed, and zeta", owners)
	}
	owner, err := s.directory.Owner(t.Context(), acme)
	must(t, err)
	equal(t, "owner", owner.Name, "Acme Ltd")
	_, err = s.directory.Owner(t.Context(), "nobody")
	wantKind(t, err, domain.KindNotFound)
	for _, id := range []string{"", "Acme", "a b", "-a", strings.Repeat("a", 64)} {
		wantKind(t, s.directory.AddOwner(t.Context(), domain.Owner{OwnerID: id, Name: "x"}), domain.KindInvalid)
	}
	wantKind(t, s.directory.AddOwner(t.Context(), domain.Owner{OwnerID: "a", Name: ""}), domain.KindInvalid)
}

func TestSettings(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	settings, err := s.directory.Settings(t.Context(), acme)
	must(t, err)
	equal(t, "settings of an owner who set nothing", settings, domain.DefaultSettings(domain.English))

	for range 2 {
		must(t, s.directory.SetSettings(t.Context(), acme, map[string]string{"language": "pt-BR", "reply_deadline": "90s"}))
	}
	must(t, s.directory.SetSettings(t.Context(), acme, map[string]string{"instructions": "Be kind. ✓"}))
	want := domain.DefaultSettings(domain.BrazilianPortuguese)
	want.Timing.ReplyDeadline, want.Instructions = 90*time.Second, "Be kind. ✓"
	settings, err = s.directory.Settings(t.Context(), acme)
	must(t, err)
	equal(t, "settings", settings, want)
	settings, err = s.directory.Settings(t.Context(), rival)
	must(t, err)
	equal(t, "another owner's settings", settings, domain.DefaultSettings(domain.English))

	for range 2 {
		must(t, s.directory.UnsetSetting(t.Context(), acme, "reply_deadline"))
	}
	want.Timing.ReplyDeadline = domain.DefaultSettings(domain.English).Timing.ReplyDeadline
	settings, err = s.directory.Settings(t.Context(), acme)
	must(t, err)
	equal(t, "settings after one was unset", settings, want)
}

func TestSettingsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	err := s.directory.SetSettings(t.Context(), acme, map[string]string{
		"language": "tlh", "reply_deadline": "soon", "park_timeout": "1ms", "instructions": " ", "colour": "red", "model_timeout": "5s",
	})
	wantKind(t, err, domain.KindInvalid)
	for _, name := range []string{"language", "reply_deadline", "park_timeout", "instructions", "colour"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%q does not name the problem with %s", err, name)
		}
	}
	equal(t, "settings stored beside invalid ones", value[int](t, s, `SELECT count(*) FROM owner_settings`), 0)
	wantKind(t, s.directory.SetSettings(t.Context(), "nobody", map[string]string{"language": "en"}), domain.KindNotFound)
	_, err = s.directory.Settings(t.Context(), "nobody")
	wantKind(t, err, domain.KindNotFound)
	for _, text := range []string{"a\x00b", "a\xffb"} { // refused, not silently changed: the owner is there to write it again
		wantKind(t, s.directory.SetSettings(t.Context(), acme, map[string]string{"instructions": text}), domain.KindInvalid)
	}
}

func TestSenders(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	sms := domain.Address{Channel: domain.ChannelSMS, Value: ourNumber}
	whatsapp := domain.Address{Channel: domain.ChannelWhatsApp, Value: ourNumber}
	add := func(account string, address domain.Address, owner string) error {
		return s.directory.AddSender(t.Context(), domain.Sender{AccountSid: account, Channel: address.Channel, Address: address.Value, OwnerID: owner})
	}
	must(t, add(account, sms, acme)) // a second time
	must(t, add(account, whatsapp, acme))
	must(t, add(rivals, sms, rival)) // the same number in another account
	wantKind(t, add(account, sms, rival), domain.KindConflict)
	wantKind(t, add("AC"+strings.Repeat("f", 32), sms, acme), domain.KindNotFound)
	wantKind(t, add(rivals, whatsapp, "nobody"), domain.KindNotFound)

	for _, c := range []struct {
		list func() ([]domain.Sender, error)
		want []string
	}{
		{func() ([]domain.Sender, error) { return s.directory.Senders(t.Context(), acme) }, []string{"acme sms", "acme whatsapp"}},
		{func() ([]domain.Sender, error) { return s.directory.Senders(t.Context(), "") }, []string{"acme sms", "acme whatsapp", "rival sms"}},
		{func() ([]domain.Sender, error) { return s.directory.Senders(t.Context(), "nobody") }, nil},
		{func() ([]domain.Sender, error) { return s.directory.SendersOf(t.Context(), sms) }, []string{"acme sms", "rival sms"}},
	} {
		senders, err := c.list()
		must(t, err)
		var got []string
		for _, sender := range senders {
			got = append(got, fmt.Sprintf("%s %s", sender.OwnerID, sender.Channel))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("got %v, want %v", got, c.want)
		}
	}

	must(t, s.directory.SetSettings(t.Context(), acme, map[string]string{"language": "pt-BR"}))
	for accountSid, want := range map[string]struct {
		owner    string
		language domain.Language
	}{account: {acme, domain.BrazilianPortuguese}, rivals: {rival, domain.English}} {
		owner, settings, err := s.directory.ResolveSender(t.Context(), accountSid, sms)
		must(t, err)
		equal(t, "owner", owner, want.owner)
		equal(t, "language", settings.Language, want.language)
	}
	_, _, err := s.directory.ResolveSender(t.Context(), rivals, whatsapp)
	wantKind(t, err, domain.KindNotFound)

	wantKind(t, s.directory.RemoveAccount(t.Context(), account), domain.KindConflict)
	for _, address := range []domain.Address{sms, whatsapp} {
		must(t, s.directory.RemoveSender(t.Context(), account, address))
		wantKind(t, s.directory.RemoveSender(t.Context(), account, address), domain.KindNotFound)
	}
	must(t, s.directory.RemoveAccount(t.Context(), account))
}
