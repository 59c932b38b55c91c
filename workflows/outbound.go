package workflows

import (
	"go.temporal.io/sdk/workflow"

	"parley/contract"
	"parley/internal/domain"
)

// OutboundMessage sends one message of ours, and follows it. Its id is contract.OutboundWorkflowID.
func OutboundMessage(ctx workflow.Context, in contract.OutboundMessageInput) (contract.MessageResult, error) {
	f := outbound{in: in}
	if err := f.setup(ctx); err != nil {
		return contract.MessageResult{}, err
	}
	return f.finish(ctx, domain.OutcomeSent, f.run(ctx), f.record, f.send)
}

type outbound struct {
	flow
	in contract.OutboundMessageInput
}

func (f *outbound) setup(ctx workflow.Context) error {
	return f.flow.setup(ctx, f.in.AccountSid, f.in.From, f.in.StartedAt, domain.DefaultSettings(domain.English).Timing.OutboundDeadline)
}

// run is the way of a message of ours.
func (f *outbound) run(ctx workflow.Context) error {
	if _, _, err := domain.Route(f.in.From, f.in.To); err != nil { // nothing that anybody could mend
		return &ending{domain.OutcomeFailed, err.Error()}
	}
	if err := f.resolve(ctx); err != nil {
		return err
	}
	identified := f.identify(ctx, f.in.To, "", "")
	if err := f.keep(f.record(ctx).wait(ctx)); err != nil {
		return err
	}
	if _, err := identified.wait(ctx); err != nil {
		return err
	}
	if err := f.closedBefore(); err != nil {
		return err
	}
	return f.send(ctx)
}

// send sends the message's own body, and follows it.
func (f *outbound) send(ctx workflow.Context) error {
	return f.sendAndFollow(ctx, func(workflow.Context) (contract.Draft, error) { return contract.Draft{Parts: f.stored.Parts}, nil })
}

// resolve checks that the sender is the owner's. A system text goes out from where the message came to that it answers.
func (f *outbound) resolve(ctx workflow.Context) error {
	owner, err := do(ctx, &f.flow, contract.ResolveAccount, func() (workflow.ActivityOptions, contract.ResolveAccountInput) {
		return resolving(f.within), contract.ResolveAccountInput{
			AccountSid: f.in.AccountSid, Address: f.in.From, Inbound: f.in.Kind.System(), MessagingServiceSid: f.in.MessagingServiceSid,
		}
	})
	if err != nil {
		return err
	}
	if owner.OwnerID != f.in.OwnerID {
		return &ending{domain.OutcomeFailed, "the sender belongs to another owner"}
	}
	return f.know(ctx, owner, f.in.StartedAt, owner.Timing.OutboundDeadline)
}

// record stores the message.
func (f *outbound) record(ctx workflow.Context) recorder {
	return start(ctx, &f.flow, contract.RecordOutbound, func() (workflow.ActivityOptions, contract.NewOutbound) {
		return recording(), contract.NewOutbound{
			OwnerID: f.status.OwnerID, WorkflowID: workflow.GetInfo(ctx).WorkflowExecution.ID, AccountSid: f.in.AccountSid,
			From: f.in.From, To: f.in.To, Body: f.in.Body, Media: f.in.Media, Kind: f.in.Kind, Key: f.in.Key, Deadline: f.deadline,
			MessagingServiceSid: f.in.MessagingServiceSid,
		}
	})
}
