package cli_test

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"parley/internal/domain"
)

// people are what the fake store knows of persons.
type people struct {
	consents []domain.Consent
	asked    []listed
	changes  []changed
}

type listed struct {
	owner        string
	unregistered bool
	limit        int
}

type changed struct {
	owner      string
	address    domain.Address
	name       string // - where none was said
	registered string
}

func ana() domain.Contact {
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	return domain.Contact{
		ContactID: "01970000-0000-7000-8000-000000000001", Addresses: []string{"whatsapp:+15557654321", "whatsapp:US.1234"}, Name: "Ana Souza",
		ProfileName: "annie\x1b[2J\u009b2J\u202e", RegisteredAt: &at, CreatedAt: at.Add(-time.Hour), Messages: 12, LastAt: &at,
	}
}

func newcomer() domain.Contact {
	return domain.Contact{ContactID: "01970000-0000-7000-8000-000000000002", Addresses: []string{"+15557650000"}, CreatedAt: ana().CreatedAt}
}

func (p *people) Contacts(_ context.Context, owner string, unregistered bool, limit int) ([]domain.Contact, error) {
	p.asked = append(p.asked, listed{owner, unregistered, limit})
	return []domain.Contact{newcomer(), ana()}, nil
}

func (p *people) Contact(_ context.Context, _ string, address domain.Address) (domain.Contact, error) {
	for _, contact := range []domain.Contact{ana(), newcomer()} {
		for _, said := range p.changes {
			if said.address == address && said.registered == "true" {
				contact.RegisteredAt = ana().RegisteredAt
			}
		}
		if slices.Contains(contact.Addresses, address.String()) {
			return contact, nil
		}
	}
	return domain.Contact{}, notFound("contact")
}

func (p *people) SetContact(_ context.Context, owner string, address domain.Address, change domain.ContactChange) error {
	said := changed{owner: owner, address: address, name: "-", registered: "-"}
	if change.Name != nil {
		said.name = *change.Name
	}
	if change.Registered != nil {
		said.registered = strconv.FormatBool(*change.Registered)
	}
	p.changes = append(p.changes, said)
	return nil
}

// What a person calls themselves is not obeyed by a terminal, and is all there for a script.
func TestAProfilesNameIsOnlyText(t *testing.T) {
	t.Parallel()
	s := newStarter()
	show := []string{"contact", "show", ana().Addresses[0], "--owner", "acme"}
	for _, args := range [][]string{show, append(show, "--json")} {
		if out, _ := s.must(t, 0, args...); strings.ContainsAny(out, "\x1b\u009b\u202e") {
			t.Errorf("%v printed %q", args, out)
		}
	}
	out, _ := s.must(t, 0, append(show, "--json")...)
	var shown struct{ Contact domain.Contact }
	if err := json.Unmarshal([]byte(out), &shown); err != nil || shown.Contact.ProfileName != ana().ProfileName {
		t.Errorf("a script reads %q, %v", shown.Contact.ProfileName, err)
	}
}

func TestContacts(t *testing.T) {
	t.Parallel()
	s := newStarter()
	s.must(t, 0, "contact", "list", "--owner", "acme")
	s.must(t, 0, "contact", "list", "--owner", "acme", "--unregistered", "--limit", "7")
	if want := []listed{{"acme", false, 100}, {"acme", true, 7}}; !slices.Equal(s.people.asked, want) {
		t.Errorf("asked for %+v, want %+v", s.people.asked, want)
	}
	phone := domain.Address{Channel: domain.ChannelSMS, Value: "+15557650000"}
	for _, args := range [][]string{{"--name", ""}, {"--registered"}, {"--name", "Bo", "--registered=false"}} {
		s.must(t, 0, append([]string{"contact", "set", "+15557650000", "--owner", "acme"}, args...)...)
	}
	if want := []changed{{"acme", phone, "", "-"}, {"acme", phone, "-", "true"}, {"acme", phone, "Bo", "false"}}; !slices.Equal(s.people.changes, want) {
		t.Errorf("changed %+v, want %+v", s.people.changes, want)
	}
	for code, wrong := range map[int][][]string{
		2: {
			{"contact", "list"}, {"contact", "list", "--owner", "acme", "--limit", "0"}, {"contact", "set", "+15557650000", "--owner", "acme"},
			{"contact", "set", "12345", "--owner", "acme", "--registered"}, {"contact", "show", "fax:1", "--owner", "acme"},
		},
		3: {
			{"contact", "list", "--owner", "nobody"}, {"contact", "show", "+15557650000", "--owner", "nobody"},
			{"contact", "show", "+15550009999", "--owner", "acme"}, {"contact", "set", "+15557650000", "--owner", "nobody", "--registered"},
		},
	} {
		for _, args := range wrong {
			s.must(t, code, args...)
		}
	}
	if len(s.people.changes) != 3 {
		t.Errorf("changed %+v", s.people.changes)
	}
}

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
	other := told // another address of theirs
	other.Address, other.State = "US.1234", domain.ConsentGiven
	if address.Channel == domain.ChannelWhatsApp {
		return domain.ConsentHistory{Consents: []domain.Consent{withdrawn, other}, Events: []domain.Consent{other, withdrawn}}, nil
	}
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
	const ours = "MG0000000000000000000000000000000c" // a sender itself
	s.directory.senders = append(s.directory.senders, sms(accountA, "+15559990000", "rival"),
		domain.Sender{AccountSid: accountA, Channel: domain.ChannelService, Address: ours, OwnerID: "acme"})
	for _, from := range []string{"+15551230000", service, ours} {
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
	if len(s.people.consents) != 3 {
		t.Errorf("noted %+v", s.people.consents)
	}
}
