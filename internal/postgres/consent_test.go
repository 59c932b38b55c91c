package postgres_test

import (
	"strings"
	"testing"
	"time"

	"parley/internal/domain"
)

// say records a message of the person, twice as Temporal may, and returns what the second call does.
func (s *store) say(t *testing.T, edit func(*domain.NewInbound)) domain.Recorded {
	t.Helper()
	in := received("")
	in.Received.From = s.person
	edit(&in)
	first, err := s.messages.RecordInbound(t.Context(), in)
	must(t, err)
	again, err := s.messages.RecordInbound(t.Context(), in)
	must(t, err)
	equal(t, "recorded twice", again, first)
	return again
}

func body(text string) func(*domain.NewInbound) {
	return func(in *domain.NewInbound) { in.Received.Body = text }
}

// events is how the person's consent changed.
func (s *store) events(t *testing.T) []string {
	t.Helper()
	return rows[string](t, s, `SELECT sender || ' ' || state || ' by ' || source FROM consent_events WHERE address = $1 ORDER BY event_id, sender`, s.person)
}

func TestConsentWords(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	must(t, s.directory.SetSettings(t.Context(), acme, map[string]string{"stop_words": "basta"}))
	ours := domain.Sender{AccountSid: account, Channel: domain.ChannelSMS, Address: "12345", OwnerID: acme}
	must(t, s.directory.AddSender(t.Context(), ours))
	toShortCode := func(text string) func(*domain.NewInbound) {
		return func(in *domain.NewInbound) { in.Received.Body, in.Received.To = text, ours.Address }
	}
	for name, c := range map[string]struct {
		said    []func(*domain.NewInbound)
		word    domain.ConsentWord
		confirm domain.MessageKind
		events  []string
		denied  bool
	}{
		"an ordinary text": {said: []func(*domain.NewInbound){body("Please stop by tomorrow")}},
		"STOP":             {[]func(*domain.NewInbound){body("\tSToP ")}, domain.WordStop, "", []string{ourNumber + " withdrawn by message"}, true},
		"an owner's word, which Twilio does not know": {[]func(*domain.NewInbound){body("Basta")}, domain.WordStop, domain.KindStopConfirmation,
			[]string{ourNumber + " withdrawn by message"}, true},
		"a word among many spaces": {[]func(*domain.NewInbound){body(strings.Repeat(" ", 100) + "STOP")}, domain.WordStop, "",
			[]string{ourNumber + " withdrawn by message"}, true},
		"back, who was never away": {said: []func(*domain.NewInbound){body("Voltar")}},
		"back, after STOP": {[]func(*domain.NewInbound){body("STOP"), body("Voltar")}, domain.WordStart, domain.KindStartConfirmation,
			[]string{ourNumber + " withdrawn by message", ourNumber + " given by message"}, false},
		"HELP":                       {[]func(*domain.NewInbound){body("help")}, domain.WordHelp, "", nil, false},
		"YES, to a question of ours": {said: []func(*domain.NewInbound){body("Yes")}},
		"YES, after STOP": {[]func(*domain.NewInbound){body("STOP"), body("Yes")}, domain.WordStart, "",
			[]string{ourNumber + " withdrawn by message", ourNumber + " given by message"}, false},
		"Twilio's reading wins": {[]func(*domain.NewInbound){func(in *domain.NewInbound) {
			in.Received.Body, in.Received.Other = "Deixa eu em paz", map[string][]string{"OptOutType": {"STOP"}}
			in.Received.MessagingServiceSid = "MG1"
		}}, domain.WordStop, "", []string{ourNumber + " withdrawn by message", "MG1 withdrawn by message"}, true},
		"a short code, where nobody else confirms": {[]func(*domain.NewInbound){toShortCode("STOP")}, domain.WordStop, domain.KindStopConfirmation,
			[]string{"12345 withdrawn by message"}, false},
		"YES to a short code, after STOP": {[]func(*domain.NewInbound){toShortCode("STOP"), toShortCode("yes")}, domain.WordStart, domain.KindStartConfirmation,
			[]string{"12345 withdrawn by message", "12345 given by message"}, false},
		"HELP to a short code": {[]func(*domain.NewInbound){toShortCode("HELP")}, domain.WordHelp, domain.KindHelp, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := s.another()
			var last domain.Recorded
			for _, edit := range c.said {
				last = s.say(t, edit)
			}
			equal(t, "word", last.ConsentWord, c.word)
			equal(t, "confirmed", last.Confirm, c.confirm)
			state := domain.ReplyPending
			if c.word != "" {
				state = domain.ReplyNotNeeded
			}
			equal(t, "reply state", last.ReplyState, state)
			if got := s.events(t); len(got) != len(c.events) {
				t.Errorf("events %q, want %q", got, c.events)
			} else {
				for i := range got {
					equal(t, "event", got[i], c.events[i])
				}
			}
			want := domain.ClaimGranted
			if c.denied {
				want = domain.ClaimDenied
			}
			equal(t, "a message of ours", s.outbound(t, "News").ask(t, patient), want)
			equal(t, "the next message is denied", s.say(t, body("What a long and ordinary text this is, of more than two words")).Denied, c.denied)
		})
	}
}

const (
	service     = "MG00000000000000000000000000000001"
	otherNumber = "+15550001112" // of acme
)

// through is a message to a number of ours that came through a messaging service.
func through(service, number, text string) func(*domain.NewInbound) {
	return func(in *domain.NewInbound) {
		in.Received.MessagingServiceSid, in.Received.To, in.Received.Body = service, number, text
	}
}

// What is said to a number of a messaging service holds for the others, whether they answer or write by themselves; the latest word counts.
func TestConsentWithAMessagingService(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	must(t, s.directory.AddSender(t.Context(), domain.Sender{AccountSid: account, Channel: domain.ChannelSMS, Address: otherNumber, OwnerID: acme}))
	s.another().say(t, through(service, otherNumber, "It is somebody else whose message shows what the number belongs to"))

	pending := s.say(t, through(service, ourNumber, "Hello"))
	reply := flow{s, pending.MessageID, "inbound:x", ""}
	reply.write(t, "An answer")
	s.say(t, through(service, otherNumber, "STOP"))
	equal(t, "a reply that was pending", reply.ask(t, patient), domain.ClaimDenied)
	equal(t, "the next message", s.say(t, through(service, ourNumber, "Hello?")).Denied, true)
	equal(t, "a message of ours", s.outbound(t, "News").ask(t, patient), domain.ClaimDenied)
	elsewhere := s.another()
	elsewhere.say(t, through(service, ourNumber, "STOP"))
	equal(t, "a number that they never wrote to", elsewhere.outboundFrom(t, otherNumber, "News").ask(t, patient), domain.ClaimDenied)
	equal(t, "somebody else", s.another().outbound(t, "News").ask(t, patient), domain.ClaimGranted)

	s.say(t, through(service, otherNumber, "START"))
	equal(t, "after START to the other number", s.outbound(t, "News").ask(t, patient), domain.ClaimGranted)
	other := s.another()
	other.say(t, through(service, ourNumber, "STOP"))
	must(t, s.messages.SetConsent(t.Context(), acme, domain.Consent{
		Channel: domain.ChannelSMS, Sender: ourNumber, Address: other.person, State: domain.ConsentGiven, Source: domain.ConsentByOperator, Reason: "asked",
	}))
	equal(t, "what an operator lifts for a number", other.outbound(t, "News").ask(t, patient), domain.ClaimGranted)
	equal(t, "holds for no other", other.outboundFrom(t, otherNumber, "News").ask(t, patient), domain.ClaimDenied)

	away := s.another()
	away.say(t, through("", otherNumber, "The number does not belong to the service any more"))
	away.say(t, through(service, ourNumber, "STOP"))
	equal(t, "a number that left the service", away.outboundFrom(t, otherNumber, "News").ask(t, patient), domain.ClaimGranted)
	senders, err := s.directory.Senders(t.Context(), acme)
	must(t, err)
	for _, sender := range senders {
		want := map[string]string{ourNumber: service}[sender.Address]
		equal(t, "the service of "+sender.Address, sender.MessagingServiceSid, want)
	}
}

// A consent word is nothing that a model answers, or sees.
func TestAConsentWordIsNotSaidToTheModel(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.say(t, body("STOP"))
	s.say(t, body("START"))
	f := s.inbound(t, "Hello", "")
	prompt, err := s.messages.Prompt(t.Context(), acme, f.messageID)
	must(t, err)
	if len(prompt.Turns) != 1 || len(prompt.Answers) != 1 || prompt.Answers[0] != f.messageID {
		t.Errorf("the model sees %+v, and answers %v", prompt.Turns, prompt.Answers)
	}
}

// That somebody opted out may be told by the answer to a POST, or by a callback alone. What was sent before they came back says nothing.
func TestAnOptOutErrorWithdrawsConsent(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	tell := map[string]func(*testing.T, flow){
		"refused": func(t *testing.T, f flow) {
			f.begin(t, 1, 1)
			f.resolve(t, 1, 1, domain.Resolution{State: domain.AttemptRefused, ErrorCode: 21610, ErrorKind: domain.KindDenied})
		},
		"failed": func(t *testing.T, f flow) {
			f.apply(t, callback(f.key(1, 1), f.send(t, 1, 1), domain.StatusFailed, 63033))
		},
		"failed, before the answer": func(t *testing.T, f flow) {
			f.begin(t, 1, 1)
			f.apply(t, callback(f.key(1, 1), newSid(), domain.StatusFailed, 63014))
		},
		"failed, as a look-up finds": func(t *testing.T, f flow) {
			f.begin(t, 1, 1)
			found := accepted(newSid())
			found.Status, found.ErrorCode = domain.StatusFailed, 63014
			f.resolve(t, 1, 1, found)
		},
	}
	for name, told := range tell {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := s.another()
			f := s.outbound(t, "News")
			told(t, f)
			equal(t, "afterwards", s.outbound(t, "More news").ask(t, patient), domain.ClaimDenied)
			s.say(t, body("START"))
			if sid := f.trace(t).Attempts[0].TwilioSid; sid != "" {
				f.apply(t, callback(f.key(1, 1), sid, domain.StatusFailed, 21610)) // late, of what was sent before
			}
			equal(t, "after START", s.outbound(t, "And more").ask(t, patient), domain.ClaimGranted)
			equal(t, "events", len(s.events(t)), 2)
		})
	}
	t.Run("of a message that came through a service", func(t *testing.T) {
		t.Parallel()
		s := s.another()
		f := flow{s, s.say(t, through(service, otherNumber, "Hello")).MessageID, "inbound:x", ""}
		f.write(t, "An answer")
		f.apply(t, callback(f.key(1, 1), f.send(t, 1, 1), domain.StatusFailed, 21610))
		if got := s.events(t); len(got) != 2 || got[0] != otherNumber+" withdrawn by twilio" || got[1] != service+" withdrawn by twilio" {
			t.Errorf("events %q", got)
		}
	})
	other := s.another()
	f := other.outbound(t, "News")
	f.apply(t, callback(f.key(1, 1), f.send(t, 1, 1), domain.StatusFailed, 30003)) // unreachable: no opt-out
	equal(t, "another error", len(other.events(t)), 0)
}

func TestAnOperatorSetsConsent(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	address := domain.Address{Channel: domain.ChannelSMS, Value: s.person}
	consent := domain.Consent{
		Channel: domain.ChannelSMS, Sender: ourNumber, Address: s.person, State: domain.ConsentWithdrawn, Source: domain.ConsentByOperator, Reason: "asked",
	}
	must(t, s.messages.SetConsent(t.Context(), acme, consent))
	equal(t, "a message of ours", s.outbound(t, "News").ask(t, patient), domain.ClaimDenied)
	history, err := s.messages.Consents(t.Context(), acme, address)
	must(t, err)
	if len(history.Consents) != 1 || len(history.Events) != 1 || history.Events[0].Reason != "asked" || history.Consents[0].State != domain.ConsentWithdrawn {
		t.Errorf("history %+v", history)
	}
	others, err := s.messages.Consents(t.Context(), rival, address)
	must(t, err)
	equal(t, "another owner's", len(others.Consents)+len(others.Events), 0)
	wantKind(t, s.messages.SetConsent(t.Context(), "nobody", consent), domain.KindNotFound)
}

// A system text has the owner's words, which may change: its key stands for it all the same.
func TestSystemTexts(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	in := outbound("")
	in.To, in.Kind = s.person, domain.KindHelp
	recorded, err := s.messages.RecordOutbound(t.Context(), in)
	must(t, err)
	equal(t, "body", value[string](t, s, `SELECT body FROM messages WHERE message_id = $1`, recorded.MessageID), domain.TextHelp.In(domain.English))
	must(t, s.directory.SetSettings(t.Context(), acme, map[string]string{"help_text": "Call us."}))
	again, err := s.messages.RecordOutbound(t.Context(), in)
	must(t, err)
	equal(t, "recorded twice", again, recorded)
	elsewhere := in // a text that goes out once, from whichever number: the key of register first is the person
	elsewhere.From = otherNumber
	again, err = s.messages.RecordOutbound(t.Context(), elsewhere)
	must(t, err)
	equal(t, "recorded for another number", again, recorded)
	in.Key, in.Kind = "another", "poem"
	_, err = s.messages.RecordOutbound(t.Context(), in)
	wantKind(t, err, domain.KindInvalid)
	s.say(t, body("STOP"))
	in.Kind = domain.KindStopConfirmation
	confirmation, err := s.messages.RecordOutbound(t.Context(), in)
	must(t, err)
	s.subscribe(t, "canceled", nil)
	equal(t, "the confirmation of STOP", flow{s, confirmation.MessageID, in.WorkflowID, ""}.ask(t, patient), domain.ClaimGranted)
}

func TestUsageAndLedger(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	must(t, s.directory.SavePlan(t.Context(), domain.Plan{PlanID: "small", Name: "Small", Quotas: map[domain.Meter]int64{domain.MeterReplies: 3}}))
	for _, change := range []struct{ wanted, holds domain.Subscription }{
		{domain.Subscription{OwnerID: acme, State: domain.SubscriptionPastDue}, domain.Subscription{OwnerID: acme, PlanID: domain.Unlimited, State: domain.SubscriptionPastDue}},
		{domain.Subscription{OwnerID: acme, PlanID: "small"}, domain.Subscription{OwnerID: acme, PlanID: "small", State: domain.SubscriptionPastDue}},
		{domain.Subscription{OwnerID: acme, State: domain.SubscriptionActive}, domain.Subscription{OwnerID: acme, PlanID: "small", State: domain.SubscriptionActive}},
	} {
		holds, err := s.directory.Subscribe(t.Context(), change.wanted)
		must(t, err)
		equal(t, "subscription", holds, change.holds)
	}
	for _, none := range []domain.Subscription{{OwnerID: acme, PlanID: "none"}, {OwnerID: "nobody", PlanID: "small"}} {
		_, err := s.directory.Subscribe(t.Context(), none)
		wantKind(t, err, domain.KindNotFound)
	}
	wantKind(t, s.directory.SavePlan(t.Context(), domain.Plan{PlanID: "small", Name: "Small", Quotas: map[domain.Meter]int64{"wishes": 3}}), domain.KindInvalid)
	f := s.inbound(t, "Hello", "An answer")
	f.reserve(t)
	f.send(t, 1, 1)
	f.finish(t, domain.OutcomeReplied, "")
	now := f.trace(t).Message.ReceivedAt
	usage, err := s.directory.Usage(t.Context(), acme, now)
	must(t, err)
	if len(usage) != 2 || usage[0].Used != 1 || usage[0].Quota == nil || *usage[0].Quota != 3 || usage[1].Used != 1 || usage[1].Quota != nil {
		t.Errorf("usage %+v", usage)
	}
	entries, err := s.directory.Ledger(t.Context(), acme, domain.LedgerSearch{Month: now, WorkflowID: f.workflowID})
	must(t, err)
	equal(t, "entries", len(entries), 4)
	none, err := s.directory.Usage(t.Context(), rival, now)
	must(t, err)
	if len(none) != 2 || none[0].Used != 0 {
		t.Errorf("another owner's usage %+v", none)
	}
	subscription, err := s.directory.Subscription(t.Context(), rival)
	must(t, err)
	equal(t, "who chose no plan", subscription, domain.Subscription{OwnerID: rival, PlanID: domain.Unlimited, State: domain.SubscriptionActive})
	plans, err := s.directory.Plans(t.Context())
	must(t, err)
	equal(t, "plans", len(plans), 2)
}

// The spool, and Twilio's own log, bring messages late: what the person said last counts, not what came last.
func TestALateConsentWordDoesNotUndoALaterOne(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	say := func(word string, at time.Time) {
		in := received(word)
		in.Received.ReceivedAt = at
		_, err := s.messages.RecordInbound(t.Context(), in)
		must(t, err)
	}
	now := time.Now()
	say("STOP", now)
	say("START", now.Add(-time.Hour)) // was in the spool
	equal(t, "a message of ours", s.outbound(t, "News").ask(t, patient), domain.ClaimDenied)
}
