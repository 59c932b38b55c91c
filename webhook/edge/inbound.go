package edge

import (
	"context"
	"time"

	"parley/contract"
	"parley/internal/twilio"
	"parley/webhook/inbox"
)

// inbound makes a message durable before it is acknowledged. A message that comes again is the same flow.
func (e *edge) inbound(ctx context.Context, r *request) error {
	received, err := twilio.ParseInbound(r.form)
	if err != nil {
		return err
	}
	received.ReceivedAt = time.Now().UTC()
	r.messageSid = received.MessageSid
	acceptance, err := e.inbox.Accept(ctx, received)
	if err != nil {
		return err
	}
	if acceptance == inbox.Duplicate {
		e.counts.duplicate(ctx)
	}
	e.logger.InfoContext(ctx, "inbound message", "message_sid", received.MessageSid, "account_sid", received.AccountSid,
		"workflow_id", contract.InboundWorkflowID(received.AccountSid, received.MessageSid),
		"acceptance", string(acceptance), "path", r.path, "idempotency_token", r.idempotencyToken)
	return nil
}
