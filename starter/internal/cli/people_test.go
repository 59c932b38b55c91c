package cli_test

import (
	"context"
	"testing"
	"time"

	"parley/internal/domain"
)

// people are what the fake store knows of persons.
type people struct{ consents []domain.Consent }

func (p *people) SetConsent(_ context.Context, _ string, consent domain.Consent) error {
	p.consents = append(p.consents, consent)
	return nil
}

func (p *people) Consents(_ context.Context, _ string, address domain.Address) (domain.ConsentHistory, error) {
	if address.Value == "+15557650000" {
		return domain.ConsentHistory{Consents: []domain.Consent{}, Events: []domain.Consent{}}, nil
	}
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	withdrawn := domain.Consent{
		Channel: address.Channel, Sender: "+15551230000", Address: address.Value, State: domain.ConsentWithdrawn, Source: domain.ConsentByPerson, At: at,
	}
	told := withdrawn
	told.Source, told.Reason, told.At = domain.ConsentByOperator, "asked on the phone", at.Add(-time.Hour)
	return domain.ConsentHistory{Consents: []domain.Consent{withdrawn}, Events: []domain.Consent{told, withdrawn}}, nil
}

// A consent is with a sender of the owner's, or with a messaging service that one belongs to; anything else is a typing error.
func TestSettingConsent(t *testing.T) {
	t.Parallel()
	const service = "MG0000000000000000000000000000000a"
	set := func(from string, more ...string) []string {
		return append([]string{"consent", "set", "+15557654321", "given", "--owner", "acme", "--from", from, "--reason", "asked"}, more...)
	}
	s := newStarter()
	s.directory.senders[0].MessagingServiceSid = service
	s.directory.senders = append(s.directory.senders, sms(accountA, "+15559990000", "rival"))
	for _, from := range []string{"+15551230000", service} {
		s.must(t, 0, set(from)...)
		got := s.people.consents[len(s.people.consents)-1]
		if want := (domain.Consent{
			Channel: domain.ChannelSMS, Sender: from, Address: "+15557654321", State: domain.ConsentGiven, Source: domain.ConsentByOperator, Reason: "asked",
		}); got != want {
			t.Errorf("noted %+v, want %+v", got, want)
		}
	}
	for code, wrong := range map[int][][]string{
		3: {set("+15559990000"), set("+15551239999"), set("MG1"), set("MG0000000000000000000000000000000b"), {"consent", "show", "+15557654321", "--owner", "nobody"}},
		2: {
			set("whatsapp:+15551230000"),
			{"consent", "set", "+15557654321", "perhaps", "--owner", "acme", "--from", "+15551230000", "--reason", "x"},
			{"consent", "set", "12345", "given", "--owner", "acme", "--from", "+15551230000", "--reason", "x"},
			{"consent", "set", "+15557654321", "given", "--owner", "acme", "--from", "+15551230000"},
		},
	} {
		for _, args := range wrong {
			s.must(t, code, args...)
		}
	}
	if len(s.people.consents) != 2 {
		t.Errorf("noted %+v", s.people.consents)
	}
}
