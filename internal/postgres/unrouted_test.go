package postgres_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"parley/internal/domain"
	"parley/internal/postgres"
)

// serves registers a sender of an account of these tests, an address or a messaging service.
func (s *store) serves(t *testing.T, accountSid, sender, owner string) {
	t.Helper()
	address, err := domain.ParseSender(sender)
	must(t, err)
	must(t, s.directory.AddSender(t.Context(), domain.Sender{AccountSid: accountSid, Channel: address.Channel, Address: address.Value, OwnerID: owner}))
}

// Each rule is asked only where those before it leave it open, and none of them looks at another account.
func TestWhoseAnInboundMessageIs(t *testing.T) {
	t.Parallel()
	const (
		otherService = "MG00000000000000000000000000000002"
		whatsapp     = "whatsapp:" + ourNumber
	)
	type sender struct{ account, sender, owner string }
	for name, c := range map[string]struct {
		senders  []sender // beside rival's, in rival's account: otherNumber and otherService
		removed  string
		to       string
		through  string
		wantedBy string // nobody where empty
	}{
		"its sender's":                      {senders: []sender{{account, ourNumber, acme}}, to: ourNumber, wantedBy: acme},
		"its sender's, not its service's":   {senders: []sender{{account, ourNumber, acme}, {account, service, rival}}, to: ourNumber, through: service, wantedBy: acme},
		"its service's":                     {senders: []sender{{account, ourNumber, acme}, {account, service, rival}}, to: otherNumber, through: service, wantedBy: rival},
		"its service's, on another channel": {senders: []sender{{account, ourNumber, acme}, {account, service, rival}}, to: whatsapp, through: service, wantedBy: rival},
		"two owners share a service": {
			senders: []sender{{account, ourNumber, rival}, {account, service, acme}}, to: ourNumber, through: service, wantedBy: rival,
		},
		"the only owner's":                    {senders: []sender{{account, ourNumber, acme}, {account, whatsapp, acme}}, to: otherNumber, wantedBy: acme},
		"the only owner's, of a service":      {senders: []sender{{account, service, acme}}, to: otherNumber, wantedBy: acme},
		"the only owner's, another service":   {senders: []sender{{account, service, acme}}, to: otherNumber, through: otherService, wantedBy: acme},
		"of two owners never by account":      {senders: []sender{{account, ourNumber, acme}, {account, whatsapp, rival}}, to: otherNumber},
		"nor where one of them has a service": {senders: []sender{{account, ourNumber, acme}, {account, service, rival}}, to: otherNumber},
		"a service of another account": {
			senders: []sender{{account, ourNumber, acme}, {account, whatsapp, rival}}, to: otherNumber, through: otherService,
		},
		"an address of another account": {senders: []sender{{account, ourNumber, acme}, {account, whatsapp, rival}}, to: otherNumber},
		"no senders at all":             {to: otherNumber, through: otherService},
		"a sender that was removed": {
			senders: []sender{{account, ourNumber, acme}, {account, whatsapp, rival}}, removed: ourNumber, to: ourNumber, wantedBy: rival,
		},
		"a sender that was removed beside two owners": {
			senders: []sender{{account, ourNumber, acme}, {account, whatsapp, rival}, {account, service, acme}}, removed: ourNumber, to: ourNumber,
		},
		"a service that was removed": {
			senders: []sender{{account, ourNumber, acme}, {account, whatsapp, rival}, {account, service, acme}}, removed: service, to: otherNumber, through: service,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			must(t, s.directory.RemoveSender(t.Context(), account, domain.Address{Channel: domain.ChannelSMS, Value: ourNumber}))
			for _, sender := range append(c.senders, sender{rivals, otherNumber, rival}, sender{rivals, otherService, rival}) {
				s.serves(t, sender.account, sender.sender, sender.owner)
			}
			if c.removed != "" {
				address, err := domain.ParseSender(c.removed)
				must(t, err)
				must(t, s.directory.RemoveSender(t.Context(), account, address))
			}
			must(t, s.directory.SetSettings(t.Context(), rival, map[string]string{"language": "pt-BR"}))
			to, err := domain.ParseAddress(c.to)
			must(t, err)
			owner, settings, err := s.directory.ResolveInbound(t.Context(), account, to, c.through)
			if c.wantedBy == "" {
				wantKind(t, err, domain.KindNotFound)
				equal(t, "owner", owner, "")
				return
			}
			must(t, err)
			equal(t, "owner", owner, c.wantedBy)
			equal(t, "language", settings.Language, map[string]domain.Language{acme: domain.English, rival: domain.BrazilianPortuguese}[owner])
		})
	}
}

// A message of ours goes out from a sender of its owner's alone, whoever else may own what comes to the address.
func TestASenderIsExact(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.serves(t, account, service, acme)
	_, _, err := s.directory.ResolveSender(t.Context(), account, domain.Address{Channel: domain.ChannelSMS, Value: otherNumber})
	wantKind(t, err, domain.KindNotFound)
	wantKind(t, s.directory.AddSender(t.Context(), domain.Sender{
		AccountSid: account, Channel: domain.ChannelService, Address: service, OwnerID: rival,
	}), domain.KindConflict)
}

// What is said to a messaging service holds for its numbers that are nobody's sender, also for the system text that answers.
func TestConsentOfANumberThatIsItsServicesAlone(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.serves(t, account, service, acme)
	s.say(t, through(service, otherNumber, "STOP"))
	help := outbound("")
	help.From, help.Kind, help.MessagingServiceSid = "+15550001113", domain.KindHelp, service
	recorded, err := s.messages.RecordOutbound(t.Context(), help)
	must(t, err)
	equal(t, "a text from another number of the service", flow{s, recorded.MessageID, help.WorkflowID, ""}.ask(t, patient), domain.ClaimDenied)
}

// Who answers consent words is said of the sender; where it is not, of the service.
func TestWhoAnswersConsentWordsOfAService(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		service, sender domain.OptOutReplies
		want            domain.MessageKind
	}{
		"as is usual for the number": {want: ""},
		"as is said of the service":  {service: domain.RepliesByUs, want: domain.KindStopConfirmation},
		"as is said of the sender":   {service: domain.RepliesByUs, sender: domain.RepliesByTwilio, want: ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			for address, replies := range map[string]domain.OptOutReplies{service: c.service, otherNumber: c.sender} {
				parsed, err := domain.ParseSender(address)
				must(t, err)
				if address == otherNumber && replies == "" {
					continue // nobody's sender
				}
				must(t, s.directory.AddSender(t.Context(), domain.Sender{
					AccountSid: account, Channel: parsed.Channel, Address: parsed.Value, OwnerID: acme, OptOutReplies: replies,
				}))
			}
			equal(t, "the confirmation", s.say(t, through(service, otherNumber, "STOP")).Confirm, c.want)
		})
	}
}

func newUnrouted(t *testing.T) (*store, *postgres.Unrouted) {
	t.Helper()
	s := newStore(t)
	return s, postgres.NewUnrouted(s.pool, newCipher(t))
}

// copied makes a copy of the only row, older and of another message.
func copied(t *testing.T, s *store, messageSid string) {
	t.Helper()
	_, err := s.pool.Exec(t.Context(), `INSERT INTO unrouted (account_sid, message_sid, received, received_at, reason)
		SELECT account_sid, $1, received, received_at - interval '1 h', '' FROM unrouted`, messageSid)
	must(t, err)
}

func TestAnUnroutedMessageIsKeptOnceAndUnreadable(t *testing.T) {
	t.Parallel()
	s, unrouted := newUnrouted(t)
	message := arrived(secretBody)
	for _, reason := range []string{"first", "second" + badUTF8} {
		must(t, unrouted.Keep(t.Context(), message, reason))
	}
	for _, row := range rows[string](t, s, `SELECT unrouted::text || encode(received, 'escape') FROM unrouted`) {
		for _, secret := range []string{secretBody, person, ourNumber, "FromCity"} {
			if bytes.Contains([]byte(row), []byte(secret)) {
				t.Errorf("the row has %q in clear", secret)
			}
		}
	}
	kept, err := unrouted.List(t.Context(), 10)
	must(t, err)
	if len(kept) != 1 || kept[0].Err != nil || !reflect.DeepEqual(kept[0].Received, message) || kept[0].Reason != "second"+mendedUTF8 ||
		!kept[0].ReceivedAt.Equal(message.ReceivedAt) || kept[0].KeptAt.IsZero() {
		t.Errorf("kept %+v, want once %+v", kept, message)
	}
	// A row that is copied to another message does not decrypt: it is shown with its problem, and holds up no other.
	copied(t, s, "SMcopy")
	kept, err = unrouted.List(t.Context(), 10)
	must(t, err)
	if len(kept) != 2 || kept[0].Err == nil || kept[0].Received.Body != "" || kept[1].Err != nil {
		t.Errorf("kept %+v, want the copy unreadable", kept)
	}
	kept, err = unrouted.List(t.Context(), 1)
	must(t, err)
	equal(t, "the oldest", len(kept) == 1 && kept[0].MessageSid == "SMcopy", true)
}

// A message waits until it is stored, whichever of the two comes first.
func TestAnUnroutedMessageWaitsUntilItIsStored(t *testing.T) {
	t.Parallel()
	s, unrouted := newUnrouted(t)
	in, other := received("Hello"), arrived("somebody else's")
	waits := func(want ...string) {
		t.Helper()
		kept, err := unrouted.List(t.Context(), 10)
		must(t, err)
		var got []string
		for _, message := range kept {
			got = append(got, message.MessageSid)
		}
		equal(t, "what waits", strings.Join(got, " "), strings.Join(want, " "))
		state, err := unrouted.State(t.Context())
		must(t, err)
		equal(t, "how many wait", state.Waiting, len(want))
	}
	other.ReceivedAt = time.Now().Add(-time.Hour)
	must(t, unrouted.Keep(t.Context(), other, "nobody's"))
	must(t, unrouted.Keep(t.Context(), in.Received, "nobody's"))
	waits(other.MessageSid, in.Received.MessageSid)
	state, err := unrouted.State(t.Context())
	must(t, err)
	if state.Oldest < time.Hour || state.Oldest > 2*time.Hour {
		t.Errorf("the oldest has waited %s", state.Oldest)
	}
	_, err = unrouted.Get(t.Context(), account, in.Received.MessageSid)
	must(t, err)
	_, err = unrouted.Get(t.Context(), rivals, in.Received.MessageSid)
	wantKind(t, err, domain.KindNotFound)

	for range 2 {
		_, err = s.messages.RecordInbound(t.Context(), in)
		must(t, err)
	}
	equal(t, "rows", value[int](t, s, `SELECT count(*) FROM unrouted`), 1)
	must(t, unrouted.Keep(t.Context(), in.Received, "late"))
	equal(t, "rows, after a step that ran late", value[int](t, s, `SELECT count(*) FROM unrouted`), 1)
	copied(t, s, in.Received.MessageSid) // as where it was kept in the very moment that it was stored
	waits(other.MessageSid)
	_, err = unrouted.Get(t.Context(), account, in.Received.MessageSid)
	wantKind(t, err, domain.KindNotFound)

	must(t, unrouted.Remove(t.Context(), account, other.MessageSid))
	wantKind(t, unrouted.Remove(t.Context(), account, other.MessageSid), domain.KindNotFound)
	waits()
}
