package edge

import (
	"context"
	"time"

	"parley/contract"
	"parley/internal/domain"
	"parley/internal/twilio"
)

// Both together, with the account's look-up, stay below the 15 s after which Twilio gives up.
const (
	statusTimeout = 4 * time.Second // one transaction, which may wait for the message's pair
	signalTimeout = 4 * time.Second // 2 s for the server: the SDK gives one call half
)

// status makes a delivery status durable, and tells the flow where that ends its wait.
func (e *edge) status(ctx context.Context, r *request) error {
	event, err := twilio.ParseStatus(r.query, r.form)
	if err != nil {
		return err
	}
	r.messageSid = event.Sid
	applyCtx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	change, err := e.statuses.ApplyStatus(applyCtx, event)
	if err != nil {
		return err
	}
	if change.NewError {
		e.errors.Count(ctx, twilio.PhaseDelivery, change.ErrorCode, "message_sid", event.Sid, "account_sid", event.AccountSid, "workflow_id", change.WorkflowID)
	}
	if endsAWait(change) {
		e.tell(ctx, event, change)
	}
	return nil
}

// endsAWait reports whether a flow waits for this change: its attempt's status became final, or the attempt that it looks for, or is
// parked about, was accepted. Of anything else the rows tell it in time, and each signal costs its history four events.
func endsAWait(change domain.StatusChange) bool { return change.Ended || change.Found }

// tell signals the flow. If Temporal is away the callback is taken all the same: the row holds the status, and the flow asks
// for it by itself.
func (e *edge) tell(ctx context.Context, event domain.StatusEvent, change domain.StatusChange) {
	ctx, cancel := context.WithTimeout(ctx, signalTimeout)
	defer cancel()
	err := e.flows.SignalDelivery(ctx, change.WorkflowID, contract.Delivery{
		Part: change.Part, Attempt: change.Attempt, Status: change.Status, ErrorCode: change.ErrorCode,
	})
	if err != nil {
		e.logger.WarnContext(ctx, "flow not told of a delivery: it will ask by itself", "workflow_id", change.WorkflowID,
			"message_sid", event.Sid, "account_sid", event.AccountSid, "error", err.Error())
	}
}
