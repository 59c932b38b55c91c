package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"parley/internal/domain"
)

// whatsapp is a person of whom a message shows an address and perhaps an id.
func whatsapp(t *testing.T, address, id string) domain.Person {
	t.Helper()
	person, err := domain.NewPerson(address, id, "")
	must(t, err)
	return person
}

func (s *store) resolve(t *testing.T, owner string, person domain.Person) (contactID string) {
	t.Helper()
	contactID, _, err := s.messages.ResolveContact(t.Context(), owner, person)
	must(t, err)
	return contactID
}

func (s *store) contact(t *testing.T, address string) domain.Contact {
	t.Helper()
	parsed, err := domain.ParseAddress(address)
	must(t, err)
	contact, err := s.messages.Contact(t.Context(), acme, parsed)
	must(t, err)
	return contact
}

func TestResolveContact(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	sms := domain.Person{Address: domain.Address{Channel: domain.ChannelSMS, Value: person}}
	named := sms
	named.ProfileName = "Ana"
	first := s.resolve(t, acme, sms)
	equal(t, "contact with a name", s.resolve(t, acme, named), first)
	equal(t, "contact without a name again", s.resolve(t, acme, sms), first)
	equal(t, "name", s.contact(t, person).DisplayName(), "Ana")
	for _, other := range []string{s.resolve(t, acme, whatsapp(t, "whatsapp:"+person, "")), s.resolve(t, rival, sms)} {
		if other == first {
			t.Error("a contact is one owner's, on one channel")
		}
	}
	_, _, err := s.messages.ResolveContact(t.Context(), "nobody", sms)
	wantKind(t, err, domain.KindNotFound)
}

func (s *store) insistOnContact(ctx context.Context, person domain.Person) error {
	_, err := insist(ctx, func(ctx context.Context) (string, error) {
		contactID, _, err := s.messages.ResolveContact(ctx, acme, person)
		return contactID, err
	})
	return err
}

// RecordInbound and ResolveContact run beside each other in every flow, for a person whom nobody has seen before.
func TestContactRecordedAndResolvedAtOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	const people = 25
	number := func(i int) string { return fmt.Sprintf("+1555777%04d", i/4) }
	for _, err := range together(people*4, func(i int) error {
		if i%2 == 0 {
			return s.insistOnContact(t.Context(), domain.Person{Address: domain.Address{Channel: domain.ChannelSMS, Value: number(i)}})
		}
		in := received("Hello")
		in.Received.From = number(i)
		if i%4 == 3 { // the same person writes to another number of ours
			in.Received.To = "+15550001112"
		}
		_, err := insistOn(t.Context(), s.messages.RecordInbound, in)
		return err
	}) {
		must(t, err)
	}
	equal(t, "contacts", value[int](t, s, `SELECT count(*) FROM contacts`), people)
	equal(t, "pairs", value[int](t, s, `SELECT count(*) FROM pairs`), people*2)
	equal(t, "messages without the right contact", value[int](t, s, `
		SELECT count(*) FROM messages m JOIN contacts c USING (contact_id) WHERE m.from_address <> c.address`), 0)
}

const (
	number = "whatsapp:+15550002222"
	id     = "whatsapp:US.1234"
	ours   = "whatsapp:+15550001111"
)

// write records a WhatsApp message that shows an address and perhaps another.
func (s *store) write(t *testing.T, owner, from, other, body string) domain.Recorded {
	t.Helper()
	in := received(body)
	in.OwnerID, in.Received.From, in.Received.To = owner, from, ours
	if other != "" {
		in.Received.Other = map[string][]string{"ExternalUserId": {other}}
	}
	recorded, err := s.messages.RecordInbound(t.Context(), in)
	must(t, err)
	return recorded
}

// astray counts what does not name the only contact of an owner.
func (s *store) astray(t *testing.T, owner, contactID string) int {
	t.Helper()
	return value[int](t, s, `
		SELECT (SELECT count(*) FROM messages WHERE owner_id = $1 AND contact_id <> $2) +
			(SELECT count(*) FROM conversations WHERE owner_id = $1 AND contact_id <> $2) +
			(SELECT count(*) FROM contacts WHERE owner_id = $1 AND person_id <> $2)`, owner, contactID)
}

// A person is one contact, whichever of their addresses was known first, and whoever tells of both.
func TestAddressesThatAreSeenTogetherAreOnePerson(t *testing.T) {
	t.Parallel()
	for name, before := range map[string][]string{
		"both are new": nil, "the number is known": {number}, "the id is known": {id}, "both are known": {id, number}, "and the other way round": {number, id},
	} {
		for teller, tell := range map[string]func(*testing.T, *store){
			"by a message from the number": func(t *testing.T, s *store) { t.Helper(); s.write(t, acme, number, id, "It is me") },
			"by identity.Resolve":          func(t *testing.T, s *store) { t.Helper(); s.resolve(t, acme, whatsapp(t, number, id)) },
		} {
			t.Run(name+" "+teller, func(t *testing.T) {
				t.Parallel()
				s := newStore(t)
				s.write(t, rival, number, "", "It is somebody else's customer")
				s.write(t, rival, id, "", "And another one")
				for _, address := range before {
					s.write(t, acme, address, "", "Hello")
				}
				tell(t, s)
				tell(t, s)
				kept := s.contact(t, number)
				equal(t, "the contact of the id", s.contact(t, id).ContactID, kept.ContactID)
				equal(t, "what is filed under another contact", s.astray(t, acme, kept.ContactID), 0)
				if len(before) > 0 {
					equal(t, "the older one stays", kept.Addresses[0], before[0])
				}
				slices.Sort(kept.Addresses)
				if !slices.Equal(kept.Addresses, []string{number, id}) {
					t.Errorf("addresses %v", kept.Addresses)
				}
				s.write(t, acme, id, "", "From the id alone")
				equal(t, "afterwards", s.astray(t, acme, kept.ContactID), 0)
				equal(t, "another owner's contacts", value[int](t, s, `SELECT count(*) FROM contacts WHERE owner_id = $1 AND merged_into IS NULL`, rival), 2)
			})
		}
	}
}

// What an operator said of either holds for the one; what is said later of the one is not undone by what was said of the other.
func TestOnePersonKeepsWhatAnOperatorSaid(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	first, second := whatsapp(t, number, "").Address, whatsapp(t, id, "").Address
	s.resolve(t, acme, domain.Person{Address: first})
	name, none, yes := "Ana", "", true
	must(t, s.messages.SetContact(t.Context(), acme, second, domain.ContactChange{Name: &name, Registered: &yes}))
	_, registered, err := s.messages.ResolveContact(t.Context(), acme, domain.Person{Address: first, Other: &second})
	must(t, err)
	equal(t, "registered", registered, true)
	equal(t, "name", s.contact(t, number).Name, name)
	no := false
	must(t, s.messages.SetContact(t.Context(), acme, second, domain.ContactChange{Name: &none, Registered: &no}))
	third := whatsapp(t, "whatsapp:+15550003333", id) // a new number of the same person
	_, registered, err = s.messages.ResolveContact(t.Context(), acme, third)
	must(t, err)
	equal(t, "registered in the end", registered, false)
	contact := s.contact(t, number)
	equal(t, "name in the end", contact.Name, "")
	equal(t, "addresses", len(contact.Addresses), 3)
}

// A number that comes with another id may have got another holder: nothing of the one is shown to the other.
func TestTwoIDsAreTwoPeople(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.write(t, acme, number, id, "Hello")
	kept := s.contact(t, number)
	s.write(t, acme, number, "whatsapp:US.9999", "Hello again")
	equal(t, "the number", s.contact(t, number).ContactID, kept.ContactID)
	if s.contact(t, "whatsapp:US.9999").ContactID == kept.ContactID {
		t.Error("the second id was taken for the first")
	}
	for _, none := range []string{"whatsapp:+15550003333", "US.1234", "sms:US.1234", "garbage", number} { // nothing that an id is
		s.write(t, acme, number, none, "Hello")
	}
	equal(t, "addresses", len(s.contact(t, number).Addresses), 2)
}

func TestOnePersonSeenManyTimesAtOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for _, address := range []string{number, id} {
		s.write(t, acme, address, "", "Hello")
	}
	for _, err := range together(60, func(i int) error {
		in := received("Hello")
		in.Received.To = ours
		switch i % 4 {
		case 0:
			return s.insistOnContact(t.Context(), whatsapp(t, number, id))
		case 1:
			in.Received.From = id
		default:
			in.Received.From, in.Received.Other = number, map[string][]string{"ExternalUserId": {id}}
		}
		_, err := insistOn(t.Context(), s.messages.RecordInbound, in)
		return err
	}) {
		must(t, err)
	}
	equal(t, "what is filed under another contact", s.astray(t, acme, s.contact(t, number).ContactID), 0)
}

// Who says STOP from one address is not written to at the other by that sender, whether it was known before that both are theirs or not;
// START from either lifts it.
func TestConsentIsThePersons(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ask := func(to string) domain.ClaimState {
		in := outbound("News")
		in.From, in.To = ours, to
		recorded, err := s.messages.RecordOutbound(t.Context(), in)
		must(t, err)
		return flow{s, recorded.MessageID, in.WorkflowID, ""}.ask(t, patient)
	}
	s.write(t, acme, number, "", "STOP")
	equal(t, "at the id, which nobody knows to be theirs", ask(id), domain.ClaimGranted)
	s.write(t, acme, number, id, "It is me")
	equal(t, "at the id", ask(id), domain.ClaimDenied)
	equal(t, "a message from the id", s.write(t, acme, id, "", "Hello?").Denied, true)
	equal(t, "YES from the id", s.write(t, acme, id, "", "yes").ConsentWord, domain.WordStart)
	equal(t, "at the number, after that", ask(number), domain.ClaimGranted)
	history, err := s.messages.Consents(t.Context(), acme, whatsapp(t, id, "").Address)
	must(t, err)
	if len(history.Consents) != 2 || history.Consents[0].State != domain.ConsentGiven || len(history.Events) != 2 {
		t.Errorf("history %+v", history)
	}
}

func TestAnOperatorSetsContacts(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	address := domain.Address{Channel: domain.ChannelSMS, Value: person}
	set := func(owner string, change domain.ContactChange) {
		t.Helper()
		must(t, s.messages.SetContact(t.Context(), owner, address, change))
	}
	ana, none, yes, no := "Ana "+badUTF8, "", true, false
	set(acme, domain.ContactChange{Name: &ana}) // who never wrote
	contact := s.contact(t, person)
	equal(t, "name", contact.Name, "Ana "+mendedUTF8)
	if contact.RegisteredAt != nil || contact.Messages != 0 || contact.LastAt != nil {
		t.Errorf("added as %+v", contact)
	}
	in := received("Hello")
	in.Received.ProfileName = "Annie"
	_, err := s.messages.RecordInbound(t.Context(), in)
	must(t, err)
	contact = s.contact(t, person)
	if contact.DisplayName() != "Ana "+mendedUTF8 || contact.ProfileName != "Annie" || contact.Messages != 1 || contact.LastAt == nil {
		t.Errorf("after a message %+v", contact)
	}
	set(acme, domain.ContactChange{Name: &none, Registered: &yes})
	first := s.contact(t, person)
	equal(t, "name, which nobody set", first.DisplayName(), "Annie")
	set(acme, domain.ContactChange{Registered: &yes})
	again := s.contact(t, person)
	if first.RegisteredAt == nil || again.RegisteredAt == nil || !again.RegisteredAt.Equal(*first.RegisteredAt) {
		t.Errorf("registered at %v, then at %v", first.RegisteredAt, again.RegisteredAt)
	}
	set(acme, domain.ContactChange{Registered: &no})
	if s.contact(t, person).RegisteredAt != nil {
		t.Error("still registered")
	}
	wantKind(t, s.messages.SetContact(t.Context(), "nobody", address, domain.ContactChange{Registered: &yes}), domain.KindNotFound)

	_, err = s.messages.Contact(t.Context(), rival, address)
	wantKind(t, err, domain.KindNotFound)
	set(rival, domain.ContactChange{Registered: &yes})
	for owner, want := range map[string]int{acme: 1, rival: 0, "nobody": 0} {
		list, err := s.messages.Contacts(t.Context(), owner, true, 10)
		must(t, err)
		equal(t, "unregistered people of "+owner, len(list), want)
	}
	other := s.another()
	other.inbound(t, "Hello", "")
	for limit, want := range map[int]int{1: 1, 10: 2} {
		list, err := s.messages.Contacts(t.Context(), acme, false, limit)
		must(t, err)
		equal(t, "listed", len(list), want)
		equal(t, "the newest", list[0].Addresses[0], other.person)
	}
}

// A number that has another holder now comes with another id: nothing that was said with the one before is shown to the model, and the one
// before is shown nothing of the next. What either said themselves is.
func TestTheNextHolderOfANumber(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	const next = "whatsapp:US.9999"
	s.write(t, acme, id, id, "The first one, by id")
	s.write(t, acme, number, id, "The first one, by number")
	s.write(t, acme, number, next, "The next one")
	prompt := func(from, other string) (bodies []string) {
		t.Helper()
		prompt, err := s.messages.Prompt(t.Context(), acme, s.write(t, acme, from, other, "And now?").MessageID)
		must(t, err)
		for _, turn := range prompt.Turns {
			bodies = append(bodies, turn.Body)
		}
		return bodies
	}
	for _, c := range []struct{ from, other, shown, hidden string }{
		{number, next, "The next one", "The first one"},
		{id, id, "The first one, by id", "The next one"},
	} {
		all := strings.Join(prompt(c.from, c.other), "\n")
		if !strings.Contains(all, c.shown) || strings.Contains(all, c.hidden) {
			t.Errorf("%s is shown %q", c.from, all)
		}
	}
}
