package workflows_test

import (
	"strings"
	"testing"
	"time"

	"parley/contract"
	"parley/internal/domain"
)

func TestOutboundSent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.deliver(time.Minute, 1, 1, domain.StatusDelivered)
	r.finish.returns(contract.Finished{Outcome: domain.OutcomeSent, Status: domain.StatusDelivered})

	result := r.outbound()

	r.wantResult(result, contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeSent, Status: domain.StatusDelivered})
	r.wantCalls("account.Resolve", "identity.Resolve persistence.RecordOutbound", "messaging.Send", "billing.Settle", "persistence.Finish")
	r.wantFinish(domain.OutcomeSent, "")
	if got, want := one(t, &r.resolveAccount), (contract.ResolveAccountInput{AccountSid: accountSid, Address: company}); got != want {
		t.Errorf("account.Resolve got %+v, want %+v", got, want)
	}
	recorded, in := one(t, &r.recordOutbound), outboundInput()
	if recorded.OwnerID != ownerID || recorded.WorkflowID != workflowID || recorded.AccountSid != accountSid || recorded.From != in.From ||
		recorded.To != in.To || recorded.Body != in.Body || recorded.Key != in.Key || !recorded.Deadline.Equal(start.Add(timing().OutboundDeadline)) {
		t.Errorf("RecordOutbound got %+v", recorded)
	}
	if got, want := one(t, &r.resolveIdentity), (contract.ResolveIdentityInput{OwnerID: ownerID, Address: customer}); got != want {
		t.Errorf("identity.Resolve got %+v, want %+v", got, want)
	}
	if got, want := one(t, &r.send), sendInput("", 1, 1); got != want {
		t.Errorf("Send got %+v, want %+v", got, want)
	}
}

func TestOutboundInSeveralParts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.recordOutbound.returns(contract.Recorded{MessageID: messageID, ReplyState: domain.ReplyPending, Parts: 2})
	r.deliver(time.Minute, 2, 1, domain.StatusDelivered)
	r.deliver(2*time.Minute, 1, 1, domain.StatusUndelivered)
	r.wantResult(r.outbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeSent})
	if len(r.send.inputs) != 2 || r.send.inputs[1] != sendInput("", 2, 1) {
		t.Errorf("Send got %+v", r.send.inputs)
	}
}

// A message that cannot go anywhere ends its flow at once: no retry would mend it.
func TestOutboundToNobody(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"ACME Shop", "54321", "whatsapp:" + customer, "nonsense:1", ""} {
		r := newRig(t)
		in := outboundInput()
		in.To = to
		r.wantResult(r.execute(contract.OutboundMessage.Name, in), contract.MessageResult{Outcome: domain.OutcomeFailed})
		r.wantCalls()
		if reason := r.status().Reason; reason == "" || (to != "" && strings.Contains(reason, to)) {
			t.Errorf("%q: the flow says %q", to, reason)
		}
	}
}

// Nothing is stored for an owner whose sender it is not.
func TestOutboundSenderOfAnotherOwner(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.resolveAccount.returns(contract.ResolveAccountResult{OwnerID: "owner-2", Timing: timing()})
	r.wantResult(r.outbound(), contract.MessageResult{Outcome: domain.OutcomeFailed})
	r.wantCalls("account.Resolve")
}

// A system text goes out from where the message came to that it answers, whatever makes that the owner's; any other message of ours from a
// sender of the owner's alone.
func TestASystemTextResolvesAsItsMessageDid(t *testing.T) {
	t.Parallel()
	for kind, inbound := range map[contract.MessageKind]bool{domain.KindStopConfirmation: true, domain.KindMessage: false, "": false} {
		r := newRig(t)
		r.deliver(time.Minute, 1, 1, domain.StatusDelivered)
		in := outboundInput()
		in.Kind, in.MessagingServiceSid = kind, "MG1"
		r.execute(contract.OutboundMessage.Name, in)
		want := contract.ResolveAccountInput{AccountSid: accountSid, Address: company, Inbound: inbound, MessagingServiceSid: "MG1"}
		if got := one(t, &r.resolveAccount); got != want {
			t.Errorf("%q: account.Resolve got %+v, want %+v", kind, got, want)
		}
		if got := one(t, &r.recordOutbound); got.MessagingServiceSid != "MG1" {
			t.Errorf("%q: RecordOutbound got %+v", kind, got)
		}
	}
}

// The same key again, after Temporal has forgotten the first flow: nothing is sent twice.
func TestOutboundClosedBefore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.recordOutbound.returns(contract.Recorded{MessageID: messageID, ReplyState: domain.ReplyAnswered, Finished: true, Parts: 1})
	r.finish.returns(contract.Finished{Outcome: domain.OutcomeSent, Status: domain.StatusDelivered})
	r.wantResult(r.outbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeSent, Status: domain.StatusDelivered})
	r.wantCalls("account.Resolve", "identity.Resolve persistence.RecordOutbound", "persistence.Finish")
}

// A key that stands for another message is a conflict: the flow parks, and abandon ends it without asking for the recording again.
func TestOutboundKeyOfAnotherMessage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	conflict := domain.Errorf(domain.KindConflict, "the key was used for another message")
	r.recordOutbound.fails(conflict, conflict)
	r.after(time.Hour, func() { r.wantTaken(r.update(contract.AbandonCommand, contract.Command{})) })
	r.wantResult(r.outbound(), contract.MessageResult{Outcome: domain.OutcomeAbandoned})
	if r.env.Now().Sub(start) > 2*time.Hour {
		t.Error("the flow parked a second time after it was abandoned")
	}
	if len(r.finish.inputs)+len(r.park.inputs) > 0 {
		t.Error("Finish and Park have no row to write to")
	}
}
