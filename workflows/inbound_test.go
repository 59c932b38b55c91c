package workflows_test

import (
	"strings"
	"testing"
	"time"

	"parley/contract"
	"parley/internal/domain"
)

// answered are the steps of an inbound message up to the delivery, in order; those that run beside each other together.
var answered = []string{
	"account.Resolve", "identity.Resolve persistence.RecordInbound", "billing.Reserve", "reply.Generate", "messaging.Send", "billing.Settle",
}

func TestInboundAnswered(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.deliver(time.Minute, 1, 1, domain.StatusDelivered)
	r.finish.returns(contract.Finished{Outcome: domain.OutcomeReplied, Status: domain.StatusDelivered})

	result := r.inbound()

	r.wantResult(result, contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied, Status: domain.StatusDelivered})
	r.wantCalls(append(answered, "persistence.Finish")...)
	r.wantFinish(domain.OutcomeReplied, "")
	if got, want := one(t, &r.resolveAccount), (contract.ResolveAccountInput{AccountSid: accountSid, Address: company, Inbound: true}); got != want {
		t.Errorf("account.Resolve got %+v, want %+v", got, want)
	}
	recorded := one(t, &r.recordInbound)
	if recorded.OwnerID != ownerID || recorded.WorkflowID != workflowID || recorded.Received.Body != "hello" ||
		!recorded.Deadline.Equal(start.Add(timing().ReplyDeadline)) {
		t.Errorf("RecordInbound got %+v", recorded)
	}
	if got, want := one(t, &r.resolveIdentity), (contract.ResolveIdentityInput{OwnerID: ownerID, Address: customer, ProfileName: "Ada"}); got != want {
		t.Errorf("identity.Resolve got %+v, want %+v", got, want)
	}
	if got, want := one(t, &r.reserve), (contract.NewReservation{OwnerID: ownerID, WorkflowID: workflowID, MessageID: messageID, Turns: timing().Turns}); got != want {
		t.Errorf("Reserve got %+v, want %+v", got, want)
	}
	if got, want := one(t, &r.generate), (contract.GenerateInput{OwnerID: ownerID, MessageID: messageID, Timeout: timing().ModelTimeout}); got != want {
		t.Errorf("Generate got %+v, want %+v", got, want)
	}
	if got, want := one(t, &r.send), sendInput(draftID, 1, 1); got != want {
		t.Errorf("Send got %+v, want %+v", got, want)
	}
	if got, want := one(t, &r.settle), (contract.SettleInput{OwnerID: ownerID, WorkflowID: workflowID, MessageID: messageID}); got != want {
		t.Errorf("Settle got %+v, want %+v", got, want)
	}
}

func TestInboundInSeveralParts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.generate.returns(contract.Draft{DraftID: draftID, Parts: 3})
	for part := 1; part <= 3; part++ {
		r.deliver(time.Duration(part)*time.Minute, part, 1, domain.StatusDelivered)
	}
	r.deliver(90*time.Second, 1, 1, domain.StatusSending) // late: it takes nothing back

	result := r.inbound()

	r.wantResult(result, contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied})
	for i, got := range r.send.inputs {
		if want := sendInput(draftID, i+1, 1); got != want {
			t.Errorf("Send got %+v, want %+v", got, want)
		}
	}
	r.wantCalls("account.Resolve", "identity.Resolve persistence.RecordInbound", "billing.Reserve", "reply.Generate",
		"messaging.Send", "messaging.Send", "messaging.Send", "billing.Settle", "persistence.Finish")
	if took := r.env.Now().Sub(start); took != 3*time.Minute {
		t.Errorf("the flow closed after %s, want it with the last part's delivery", took)
	}
}

// A message without text has its fixed answer from the recording on: nobody writes, so nothing is reserved.
func TestInboundAttachmentWithoutText(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.recordInbound.returns(contract.Recorded{MessageID: messageID, ReplyState: domain.ReplyPending, DraftID: "fixed", Parts: 1})
	r.deliver(time.Minute, 1, 1, domain.StatusDelivered)

	result := r.inbound()

	r.wantResult(result, contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied})
	r.wantCalls("account.Resolve", "identity.Resolve persistence.RecordInbound", "messaging.Send", "billing.Settle", "persistence.Finish")
	if got, want := one(t, &r.send), sendInput("fixed", 1, 1); got != want {
		t.Errorf("Send got %+v, want %+v", got, want)
	}
}

// A flow that Temporal has forgotten, or that was reset after its end, meets its own row: nothing is done again, and the rows say how
// it ended.
func TestInboundClosedBefore(t *testing.T) {
	t.Parallel()
	for _, state := range []domain.ReplyState{domain.ReplyAnswered, domain.ReplySuperseded, domain.ReplyNotNeeded, domain.ReplyFailed} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.recordInbound.returns(contract.Recorded{MessageID: messageID, ReplyState: state, Finished: state == domain.ReplyAnswered})
			r.finish.returns(contract.Finished{Outcome: domain.OutcomeReplied, Status: domain.StatusDelivered})

			result := r.inbound()

			r.wantResult(result, contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied, Status: domain.StatusDelivered})
			r.wantCalls("account.Resolve", "identity.Resolve persistence.RecordInbound", "persistence.Finish")
			r.wantFinish(domain.OutcomeFailed, "closed before: "+string(state))
		})
	}
}

// A flow that was reset between two parts, or while the delivery was followed, goes on: its sends find their rows.
func TestInboundAnsweredBeforeReset(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.recordInbound.returns(contract.Recorded{MessageID: messageID, ReplyState: domain.ReplyAnswered})
	r.generate.returns(contract.Draft{DraftID: draftID, Parts: 2})
	r.deliver(time.Minute, 1, 1, domain.StatusDelivered)
	r.deliver(time.Minute, 2, 1, domain.StatusDelivered)
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied})
	if len(r.send.inputs) != 2 || r.send.inputs[1].Part != 2 {
		t.Errorf("sent %+v, want both parts asked for", r.send.inputs)
	}
}

// A message that was parked when its flow was reset is still to be answered.
func TestInboundParkedBeforeReset(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.recordInbound.returns(contract.Recorded{MessageID: messageID, ReplyState: domain.ReplyParked})
	r.deliver(time.Minute, 1, 1, domain.StatusDelivered)
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied})
	r.wantCalls(append(answered, "persistence.Finish")...)
}

// What Send settles without sending ends the flow; nothing is charged.
func TestInboundNotSent(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		state  contract.SendState
		ending contract.Outcome
		words  string
	}{
		{contract.SendRefused, domain.OutcomeFailed, "Twilio refused the message with code 21610"},
		{contract.SendExpired, domain.OutcomeExpired, "the deadline passed before the message could be sent"},
		{contract.SendClosed, domain.OutcomeFailed, "closed meanwhile"},
		{"surprise", domain.OutcomeFailed, "no such send state"},
	} {
		t.Run(string(test.state), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.send.returns(contract.SendResult{State: test.state, ErrorCode: 21610})
			r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: test.ending})
			r.wantCalls("account.Resolve", "identity.Resolve persistence.RecordInbound", "billing.Reserve", "reply.Generate",
				"messaging.Send", "persistence.Finish")
			r.wantFinish(test.ending, test.words)
		})
	}
}

// A second part that is not sent does not undo the first: Finish decides by the rows. Nothing follows it.
func TestInboundSecondPartNotSent(t *testing.T) {
	t.Parallel()
	for state, test := range map[contract.SendState]struct {
		ending contract.Outcome
		words  string
	}{
		contract.SendRefused:   {domain.OutcomeFailed, "part 2 of 3 was not sent: Twilio refused the message with code 21610"},
		contract.SendOvertaken: {domain.OutcomeFailed, "part 2 of 3 was not sent: another reply went out between two parts"},
		contract.SendExpired:   {domain.OutcomeExpired, "part 2 of 3 was not sent: the deadline passed"},
	} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.generate.returns(contract.Draft{DraftID: draftID, Parts: 3})
			r.send.answers = func(_ int, in contract.SendInput) (contract.SendResult, error) {
				if in.Part == 2 {
					return contract.SendResult{State: state, ErrorCode: 21610}, nil
				}
				return contract.SendResult{State: contract.SendAccepted, Attempt: 1, Status: domain.StatusQueued}, nil
			}
			r.finish.returns(contract.Finished{Outcome: domain.OutcomeReplied, Status: domain.StatusQueued})
			r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied, Status: domain.StatusQueued})
			r.wantFinish(test.ending, test.words)
			if reason := r.status().Reason; !strings.Contains(reason, test.words) {
				t.Errorf("the flow says %q", reason)
			}
			if len(r.send.inputs) != 2 {
				t.Errorf("Send got %+v, want parts 1 and 2 alone", r.send.inputs)
			}
		})
	}
}

// A draft without a part cannot be: the flow ends instead of breaking.
func TestInboundNothingToSend(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.generate.returns(contract.Draft{DraftID: draftID})
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeFailed})
	r.wantFinish(domain.OutcomeFailed, "nothing to send")
	if len(r.send.inputs) > 0 {
		t.Error("Send was called")
	}
}

// sendInput is what Send is called with under the owner's settings.
func sendInput(draft string, part, attempt int) contract.SendInput {
	return contract.SendInput{
		AttemptKey: contract.AttemptKey{MessageID: messageID, Part: part, Attempt: attempt}, OwnerID: ownerID, DraftID: draft,
		PostWithin: timing().PostWithin, SendTimeout: timing().SendTimeout, ValidityPeriod: timing().ValidityPeriod, Turns: timing().Turns,
	}
}
