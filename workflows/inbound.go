package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"parley/contract"
	"parley/internal/domain"
)

// InboundMessage answers one message that Twilio delivered, and follows the answer. Its id is contract.InboundWorkflowID.
func InboundMessage(ctx workflow.Context, in contract.InboundMessageInput) (contract.MessageResult, error) {
	f := inbound{received: in.Received}
	f.anyway = in.Anyway
	if err := f.setup(ctx); err != nil {
		return contract.MessageResult{}, err
	}
	result, err := f.finish(ctx, domain.OutcomeReplied, f.run(ctx), f.record, f.answer)
	if err == nil && result.Outcome == domain.OutcomeOverQuota {
		f.notice(ctx)
	}
	return result, err
}

type inbound struct {
	flow
	received  contract.Received
	reserved  bool // the message shares the unit of its turn
	fixed     bool // the owner's fixed text was tried as the answer
	strangers contract.UnknownPeople
	person    contract.ResolveIdentityResult
}

func (f *inbound) setup(ctx workflow.Context) error {
	f.unstored = &f.received
	return f.flow.setup(ctx, f.received.AccountSid, f.received.To, f.received.ReceivedAt, domain.DefaultSettings(domain.English).Timing.ReplyDeadline)
}

// run is the way of an inbound message.
func (f *inbound) run(ctx workflow.Context) error {
	if err := f.resolve(ctx); err != nil {
		return err
	}
	identified := f.identify(ctx, f.received.From, f.received.OtherAddress(), f.received.ProfileName)
	if err := f.keep(f.record(ctx).wait(ctx)); err != nil {
		return err
	}
	var err error
	if f.person, err = identified.wait(ctx); err != nil {
		return err
	}
	if err := f.decide(ctx); err != nil {
		return err
	}
	if err := f.listen(ctx); err != nil {
		return err
	}
	return f.answer(ctx)
}

// answer has a reply written, sent and followed.
func (f *inbound) answer(ctx workflow.Context) error { return f.sendAndFollow(ctx, f.write) }

// resolve finds the owner, and with it the lengths of everything that follows.
func (f *inbound) resolve(ctx workflow.Context) error {
	owner, err := do(ctx, &f.flow, contract.ResolveAccount, func() (workflow.ActivityOptions, contract.ResolveAccountInput) {
		return resolving(f.within), contract.ResolveAccountInput{
			AccountSid: f.received.AccountSid, Address: f.received.To, Inbound: true, MessagingServiceSid: f.received.MessagingServiceSid,
		}
	})
	if err != nil {
		return err
	}
	f.strangers = owner.UnknownPeople
	return f.know(ctx, owner, f.received.ReceivedAt, owner.Timing.ReplyDeadline)
}

// record stores the message.
func (f *inbound) record(ctx workflow.Context) recorder {
	return start(ctx, &f.flow, contract.RecordInbound, func() (workflow.ActivityOptions, contract.NewInbound) {
		return recording(), contract.NewInbound{
			OwnerID: f.status.OwnerID, WorkflowID: workflow.GetInfo(ctx).WorkflowExecution.ID, Received: f.received, Deadline: f.deadline,
		}
	})
}

// decide says whether the message is to be answered at all.
func (f *inbound) decide(ctx workflow.Context) error {
	if word := f.stored.ConsentWord; word != "" {
		if f.stored.Confirm != "" {
			f.tell(ctx, f.stored.Confirm, string(f.stored.Confirm)+":"+f.status.MessageID)
		}
		return &ending{domain.OutcomeConsent, "the message is a consent word: " + string(word)}
	}
	if f.stored.Unreachable {
		return &ending{domain.OutcomeBlocked, "nobody can write to the sender: only a phone number or a WhatsApp id can be answered"}
	}
	if f.stored.Looping {
		workflow.GetLogger(ctx).Warn("conversation is looping: message not answered", "message_id", f.status.MessageID)
		return looping()
	}
	if err := f.closedBefore(); err != nil {
		return err
	}
	if f.stored.Denied { // the claim would say so too, after a model was paid for
		return &ending{domain.OutcomeDenied, "the person does not want to be written to"}
	}
	if err := f.late(ctx); err != nil {
		return err
	}
	return f.admit(ctx)
}

// admit ends the flow of somebody whom the owner does not know, where the owner answers no such people.
func (f *inbound) admit(ctx workflow.Context) error {
	if f.person.Registered {
		return nil
	}
	switch f.strangers {
	case domain.AnswerUnknown:
		return nil
	case domain.RegisterFirst:
		f.tell(ctx, domain.KindRegisterFirst, fmt.Sprintf("%s:%s", domain.KindRegisterFirst, f.person.ContactID))
	case domain.IgnoreUnknown:
	default:
		return fmt.Errorf("no such way with unknown people: %q", f.strangers)
	}
	return &ending{domain.OutcomeBlocked, "the owner does not know the person"}
}

// notice tells a person, once a day (UTC), that the owner's plan has nothing left. It is the day of the message: the flow may be reset on
// another one.
func (f *inbound) notice(ctx workflow.Context) {
	f.tell(ctx, domain.KindOverQuotaNotice, fmt.Sprintf("%s:%s:%s", domain.KindOverQuotaNotice, f.person.ContactID, f.received.ReceivedAt.UTC().Format(time.DateOnly)))
}

// tell sends the person a system text, by a flow of its own that outlives this one. Key: key.
func (f *inbound) tell(ctx workflow.Context, kind contract.MessageKind, key string) {
	err := contract.OutboundMessage.StartChild(ctx, workflow.ChildWorkflowOptions{
		WorkflowID: contract.OutboundWorkflowID(f.status.OwnerID, key),
		TypedSearchAttributes: temporal.NewSearchAttributes(
			contract.SearchOwner.ValueSet(f.status.OwnerID), contract.SearchStage.ValueSet(string(contract.StageWorking))),
		StaticSummary: "A system text: " + string(kind),
	}, contract.OutboundMessageInput{
		OwnerID: f.status.OwnerID, AccountSid: f.received.AccountSid, From: f.received.To, To: f.received.From,
		Kind: kind, Key: key, StartedAt: workflow.Now(ctx), MessagingServiceSid: f.received.MessagingServiceSid,
	})
	if err != nil { // the flow is cancelled
		workflow.GetLogger(ctx).Warn("system text not sent", "kind", kind, "error", err.Error())
	}
}

// listen waits for more of what the person has to say, if the owner wants that: a newer message then answers for all.
func (f *inbound) listen(ctx workflow.Context) error {
	wait := f.received.ReceivedAt.Add(f.timing.QuietWindow).Sub(workflow.Now(ctx))
	if f.timing.QuietWindow == 0 || wait <= 0 {
		return nil
	}
	if err := workflow.NewTimerWithOptions(ctx, wait, workflow.TimerOptions{Summary: "quiet window"}).Get(ctx, nil); err != nil {
		return &ending{domain.OutcomeCancelled, "cancelled in the quiet window"}
	}
	return nil
}

// write has a reply reserved and written. A message without text has the owner's fixed one already: nobody has to write, so nothing is
// reserved, unless older messages turn out to need an answer too.
func (f *inbound) write(ctx workflow.Context) (contract.Draft, error) {
	if f.stored.DraftID != "" && !f.fixed {
		f.fixed = true
		return contract.Draft{DraftID: f.stored.DraftID, Parts: f.stored.Parts}, nil
	}
	if err := f.reserve(ctx); err != nil {
		return contract.Draft{}, err
	}
	return do(ctx, &f.flow, contract.Generate, func() (workflow.ActivityOptions, contract.GenerateInput) {
		return generating(f.rest(ctx)), contract.GenerateInput{OwnerID: f.status.OwnerID, MessageID: f.status.MessageID, Timeout: f.timing.ModelTimeout}
	})
}

// reserve has the message share the unit of its turn, once.
func (f *inbound) reserve(ctx workflow.Context) error {
	if f.reserved {
		return nil
	}
	quota, err := do(ctx, &f.flow, contract.Reserve, func() (workflow.ActivityOptions, contract.NewReservation) {
		return looking(f.rest(ctx)), contract.NewReservation{
			OwnerID: f.status.OwnerID, WorkflowID: workflow.GetInfo(ctx).WorkflowExecution.ID, MessageID: f.status.MessageID, Turns: f.turns(),
		}
	})
	f.reserved = err == nil
	if err != nil {
		return err
	}
	switch quota.State {
	case domain.QuotaGranted:
		return nil
	case domain.QuotaSuperseded:
		return superseded()
	case domain.QuotaUsedUp:
		return &ending{domain.OutcomeOverQuota, "the owner's plan has no reply left this month"}
	case domain.QuotaInactive:
		return &ending{domain.OutcomeBlocked, "the owner's plan is not active"}
	default:
		return fmt.Errorf("no such answer of a plan: %q", quota.State)
	}
}
