package workflows_test

import (
	"testing"
	"time"

	"parley/contract"
	"parley/internal/domain"
)

func TestPeopleWhomTheOwnerDoesNotKnow(t *testing.T) {
	t.Parallel()
	stranger, known := contract.ResolveIdentityResult{ContactID: "contact-1"}, contract.ResolveIdentityResult{ContactID: "contact-1", Registered: true}
	for name, c := range map[string]struct {
		policy  contract.UnknownPeople
		person  contract.ResolveIdentityResult
		outcome contract.Outcome
		told    string // the key of the text
	}{
		"answered":               {domain.AnswerUnknown, stranger, domain.OutcomeReplied, ""},
		"told to register":       {domain.RegisterFirst, stranger, domain.OutcomeBlocked, "register_first:contact-1"},
		"ignored":                {domain.IgnoreUnknown, stranger, domain.OutcomeBlocked, ""},
		"registered":             {domain.RegisterFirst, known, domain.OutcomeReplied, ""},
		"registered, not others": {domain.IgnoreUnknown, known, domain.OutcomeReplied, ""},
		"a way of another day":   {"shout", stranger, domain.OutcomeFailed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.resolveAccount.returns(contract.ResolveAccountResult{OwnerID: ownerID, Timing: timing(), UnknownPeople: c.policy})
			r.resolveIdentity.returns(c.person)
			r.deliver(time.Minute, 1, 1, domain.StatusDelivered)
			started := r.children()
			if result := r.inbound(); result.Outcome != c.outcome {
				t.Errorf("ended %+v, want %s", result, c.outcome)
			}
			if c.outcome != domain.OutcomeReplied && len(r.reserve.inputs)+len(r.generate.inputs) != 0 {
				t.Error("a model was asked")
			}
			if end := r.finish.inputs[0]; c.outcome == domain.OutcomeBlocked && (end.Ending != c.outcome || end.Reason != "the owner does not know the person") {
				t.Errorf("finished as %+v", end)
			}
			told := ""
			for _, text := range *started {
				if told += text.Key; text.Kind != domain.KindRegisterFirst || text.Body != "" || text.From != company || text.To != customer {
					t.Errorf("told %+v", text)
				}
			}
			if told != c.told {
				t.Errorf("told by the key %q, want %q", told, c.told)
			}
		})
	}
}

// Who opted out is told nothing, nor is anybody whose message is too old to be answered. A consent word is one, whoever sends it.
func TestPeopleWhomTheOwnerDoesNotKnowAreToldNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stored  contract.Recorded
		age     time.Duration
		outcome contract.Outcome
	}{
		"after STOP":    {contract.Recorded{MessageID: messageID, ReplyState: domain.ReplyPending, Denied: true}, 0, domain.OutcomeDenied},
		"STOP":          {contract.Recorded{MessageID: messageID, ReplyState: domain.ReplyNotNeeded, ConsentWord: domain.WordStop}, 0, domain.OutcomeConsent},
		"long since":    {contract.Recorded{MessageID: messageID, ReplyState: domain.ReplyPending}, time.Hour, domain.OutcomeExpired},
		"closed before": {contract.Recorded{MessageID: messageID, ReplyState: domain.ReplyNotNeeded}, 0, domain.OutcomeFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.resolveAccount.returns(contract.ResolveAccountResult{OwnerID: ownerID, Timing: timing(), UnknownPeople: domain.RegisterFirst})
			r.recordInbound.returns(c.stored)
			started, in := r.children(), received()
			in.ReceivedAt = in.ReceivedAt.Add(-c.age)
			if result := r.execute(contract.InboundMessage.Name, contract.InboundMessageInput{Received: in}); result.Outcome != c.outcome {
				t.Errorf("ended %+v, want %s", result, c.outcome)
			}
			if len(*started) != 0 {
				t.Errorf("told %+v", *started)
			}
		})
	}
}

// WhatsApp's id of the person goes where their number goes.
func TestBothAddressesOfAPersonAreResolved(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.deliver(time.Minute, 1, 1, domain.StatusDelivered)
	in := received()
	in.From, in.Other = "whatsapp:"+customer, map[string][]string{"ExternalUserId": {"whatsapp:US.1234"}}
	r.execute(contract.InboundMessage.Name, contract.InboundMessageInput{Received: in})
	if got, want := one(t, &r.resolveIdentity), (contract.ResolveIdentityInput{
		OwnerID: ownerID, Address: in.From, OtherAddress: "whatsapp:US.1234", ProfileName: "Ada",
	}); got != want {
		t.Errorf("identity.Resolve got %+v, want %+v", got, want)
	}
}
