package workflows_test

import (
	"testing"
	"time"

	"parley/contract"
	"parley/internal/domain"
)

// Wherever a flow is cancelled, it ends through Finish, once, and its message is stored as soon as the owner is known; before, it is kept.
func TestCancelledAtEveryStep(t *testing.T) {
	t.Parallel()
	begin := []string{"account.Resolve", "identity.Resolve persistence.RecordInbound"}
	for name, test := range map[string]struct {
		cancelAt func(*rig)
		calls    []string
		finishes int
	}{
		"account.Resolve": {func(r *rig) { r.resolveAccount.interrupts(r.env.CancelWorkflow) }, []string{"account.Resolve", "account.KeepUnrouted"}, 0},
		"persistence.RecordInbound": {
			func(r *rig) {
				identified := make(chan struct{})
				r.resolveIdentity.interrupts(func() { close(identified) })
				r.recordInbound.interrupts(onFirst(func() {
					<-identified // so that the order of the calls is certain
					r.env.CancelWorkflow()
				}))
			},
			[]string{"account.Resolve", "identity.Resolve persistence.RecordInbound", "persistence.RecordInbound", "persistence.Finish"}, 1,
		},
		"billing.Reserve": {
			func(r *rig) { r.reserve.interrupts(r.env.CancelWorkflow) },
			append(begin, "billing.Reserve", "persistence.Finish"), 1,
		},
		"reply.Generate": {
			func(r *rig) { r.generate.interrupts(r.env.CancelWorkflow) },
			append(begin, "billing.Reserve", "reply.Generate", "persistence.Finish"), 1,
		},
		"messaging.Send": {
			func(r *rig) { r.send.interrupts(r.env.CancelWorkflow) },
			append(begin, "billing.Reserve", "reply.Generate", "messaging.Send", "persistence.Finish"), 1,
		},
		"the park's row": {
			func(r *rig) {
				r.send.fails(configuration("no token"))
				r.park.interrupts(r.env.CancelWorkflow)
			},
			append(begin, "billing.Reserve", "reply.Generate", "messaging.Send", "persistence.Park", "persistence.Finish"), 1,
		},
		"parked": {
			func(r *rig) {
				r.send.fails(configuration("no token"))
				r.after(time.Minute, r.env.CancelWorkflow)
			},
			append(begin, "billing.Reserve", "reply.Generate", "messaging.Send", "persistence.Park", "persistence.Finish"), 1,
		},
		"parked without a row": {
			func(r *rig) {
				r.resolveAccount.fails(domain.Errorf(domain.KindNotFound, "no owner has this address"))
				r.after(time.Minute, r.env.CancelWorkflow)
			},
			[]string{"account.Resolve", "account.KeepUnrouted"}, 0,
		},
		"delivery": {func(r *rig) { r.after(time.Minute, r.env.CancelWorkflow) }, append(answered, "persistence.Finish"), 1},
		"messaging.FetchStatus": {
			func(r *rig) { r.fetchStatus.interrupts(r.env.CancelWorkflow) },
			append(answered, "messaging.FetchStatus", "persistence.Finish"), 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			test.cancelAt(r)
			result := r.inbound()
			r.wantCalls(test.calls...)
			if result.Outcome != domain.OutcomeCancelled || len(r.finish.inputs) != test.finishes {
				t.Errorf("ended as %+v after %d calls of Finish, want cancelled and %d", result, len(r.finish.inputs), test.finishes)
			}
			if test.finishes > 0 {
				r.wantFinish(domain.OutcomeCancelled, "cancelled")
			}
		})
	}
}

// The steps that run beside others are cancelled with them.
func TestCancelledBesideTheRecording(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	// Still waiting for its retry when the cancel comes.
	r.resolveIdentity.fails(&domain.Error{Kind: domain.KindThrottled, Message: "later", RetryAfter: 10 * time.Minute})
	r.after(time.Minute, r.env.CancelWorkflow)
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeCancelled})
	r.wantFinish(domain.OutcomeCancelled, "cancelled during identity.Resolve")
	one(t, &r.recordInbound)
}

// Once all is done, a cancel changes nothing.
func TestCancelledAtFinish(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.finish.interrupts(r.env.CancelWorkflow)
	r.deliver(time.Minute, 1, 1, domain.StatusDelivered)
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied})
	r.wantFinish(domain.OutcomeReplied, "")
}

// A cancelled flow whose message cannot be stored ends all the same, and asks nobody; the message is kept where operators find it.
func TestCancelledAndNotStored(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	wrong := domain.Errorf(domain.KindInvalid, "not an address")
	r.recordInbound.fails(wrong, wrong)
	r.after(time.Minute, r.env.CancelWorkflow)
	r.wantResult(r.inbound(), contract.MessageResult{Outcome: domain.OutcomeCancelled})
	if took := r.env.Now().Sub(start); took != time.Minute || len(r.recordInbound.inputs) != 2 || len(r.finish.inputs) != 0 {
		t.Errorf("took %s with %d recordings and %d calls of Finish", took, len(r.recordInbound.inputs), len(r.finish.inputs))
	}
	if kept := one(t, &r.keepUnrouted); kept.Received.MessageSid != received().MessageSid {
		t.Errorf("kept: %+v", kept)
	}
}

// What Twilio accepted counts, whatever the flow believes: the rows decide.
func TestRowsDecide(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.after(time.Minute, r.env.CancelWorkflow)
	r.finish.returns(contract.Finished{Outcome: domain.OutcomeReplied, Status: domain.StatusSent, ErrorCode: 1})
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied, Status: domain.StatusSent, ErrorCode: 1})
	r.wantFinish(domain.OutcomeCancelled, "")
}

// Trouble that may pass is tried again until the deadline; then the flow ends expired, and nobody is asked.
func TestExpires(t *testing.T) {
	t.Parallel()
	patience := &domain.Error{Kind: domain.KindThrottled, Message: "come back later", RetryAfter: 8 * time.Minute}
	forever := func() (errs []error) {
		for range 20 {
			errs = append(errs, patience)
		}
		return errs
	}
	for name, test := range map[string]struct {
		breakStep func(*rig)
		tries     func(*rig) int
	}{ // 20 minutes: tried at 0, 8 and 16
		"identity.Resolve": {func(r *rig) { r.resolveIdentity.fails(forever()...) }, func(r *rig) int { return len(r.resolveIdentity.inputs) }},
		"billing.Reserve":  {func(r *rig) { r.reserve.fails(forever()...) }, func(r *rig) int { return len(r.reserve.inputs) }},
		"reply.Generate":   {func(r *rig) { r.generate.fails(forever()...) }, func(r *rig) int { return len(r.generate.inputs) }},
		"messaging.Send":   {func(r *rig) { r.send.fails(forever()...) }, func(r *rig) int { return len(r.send.inputs) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			test.breakStep(r)
			r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeExpired})
			r.wantFinish(domain.OutcomeExpired, name+" did not succeed in time: come back later")
			if tries := test.tries(r); tries != 3 {
				t.Errorf("tried %d times, want 3", tries)
			}
		})
	}
}

// Before the owner is known the default deadline holds, and there is no row to close.
func TestExpiresWithoutOwner(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		run   func(*rig) contract.MessageResult
		total time.Duration
		calls []string
	}{
		{"inbound", (*rig).inbound, 10 * time.Minute, []string{"account.Resolve", "account.Resolve", "account.KeepUnrouted"}},
		{"outbound", (*rig).outbound, 24 * time.Hour, []string{"account.Resolve", "account.Resolve"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			wait := &domain.Error{Kind: domain.KindUnavailable, Message: "no database", RetryAfter: test.total - time.Minute}
			r.resolveAccount.fails(wait, wait, wait)
			r.wantResult(test.run(r), contract.MessageResult{Outcome: domain.OutcomeExpired})
			r.wantCalls(test.calls...)
			if took := r.env.Now().Sub(start); took != test.total-time.Minute {
				t.Errorf("ended after %s", took)
			}
		})
	}
}

// A message that comes when it is too late already is stored, and not answered.
func TestTooLateFromTheStart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := received()
	in.ReceivedAt = start.Add(-time.Hour)
	r.wantResult(r.execute(contract.InboundMessage.Name, contract.InboundMessageInput{Received: in}),
		contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeExpired})
	r.wantCalls("account.Resolve", "identity.Resolve persistence.RecordInbound", "persistence.Finish")
	r.wantFinish(domain.OutcomeExpired, "the deadline "+clock(start.Add(-time.Hour+timing().ReplyDeadline))+" has passed")
}

// A consent word that comes too late (it waited in the spool) is obeyed and confirmed, also where the person is not found at once.
func TestAConsentWordThatComesTooLate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.recordInbound.returns(contract.Recorded{
		MessageID: messageID, ReplyState: domain.ReplyNotNeeded, ConsentWord: domain.WordStop, Confirm: domain.KindStopConfirmation,
	})
	r.resolveIdentity.fails(&domain.Error{Kind: domain.KindUnavailable, Message: "no database", RetryAfter: time.Minute})
	told := r.children()
	in := received()
	in.ReceivedAt = start.Add(-time.Hour)
	r.wantResult(r.execute(contract.InboundMessage.Name, contract.InboundMessageInput{Received: in}),
		contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeConsent})
	if len(*told) != 1 || (*told)[0].Kind != domain.KindStopConfirmation {
		t.Errorf("told %+v", *told)
	}
}

// The deadline may pass while the model writes: nothing is sent.
func TestTooLateToSend(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.generate.fails(configuration("no key"))
	r.after(19*time.Minute, func() { r.wantTaken(r.update(contract.RetryCommand, contract.Command{})) })
	slow := &domain.Error{Kind: domain.KindThrottled, Message: "later", RetryAfter: time.Minute}
	r.generate.fails(configuration("no key"), slow) // the retry at 19 m is answered at 20 m, the very deadline
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeExpired})
	r.wantFinish(domain.OutcomeExpired, "has passed")
	if len(r.send.inputs) > 0 {
		t.Error("Send was called")
	}
}

// A step that begins at the very deadline is bounded all the same: a total of nothing would be none.
func TestStepAtTheDeadline(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.reserve.fails(&domain.Error{Kind: domain.KindThrottled, Message: "later", RetryAfter: timing().ReplyDeadline})
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeExpired})
	if total := r.infos["reply.Generate"].ScheduleToCloseTimeout; total != time.Second {
		t.Errorf("Generate's total is %s, want a second", total)
	}
}

// Parts after the first go out past the deadline too, as far as the claim lets them: a reply is not cut in the middle by the flow.
func TestLaterPartsAreLeftToTheClaim(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.generate.returns(contract.Draft{DraftID: draftID, Parts: 2})
	patience := &domain.Error{Kind: domain.KindThrottled, Message: "later", RetryAfter: 20*time.Minute + 30*time.Second}
	r.send.fails(patience)
	r.deliver(21*time.Minute, 1, 1, domain.StatusDelivered)
	r.deliver(21*time.Minute, 2, 1, domain.StatusDelivered)
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied})
	if len(r.send.inputs) != 3 || r.send.inputs[2].Part != 2 {
		t.Errorf("Send got %+v", r.send.inputs)
	}
}

// onFirst returns a function that does something the first time only.
func onFirst(what func()) func() {
	done := false
	return func() {
		if !done {
			done = true
			what()
		}
	}
}
