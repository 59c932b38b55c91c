package edge

import (
	"context"
	"time"

	"parley/contract"
	"parley/internal/twilio"
)

// startTimeout bounds the start of a flow. Temporal's SDK gives one call half of what is left of its context, so this is
// 3 s for the server; together with the account's look-up it is well below the 15 s after which Twilio gives up.
const startTimeout = 6 * time.Second

// inbound makes a message durable: its flow is started before it is acknowledged. A message that comes again is the same
// flow.
func (e *edge) inbound(ctx context.Context, r *request) error {
	received, err := twilio.ParseInbound(r.form)
	if err != nil {
		return err
	}
	received.ReceivedAt = time.Now().UTC()
	r.messageSid = received.MessageSid
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	started, err := e.flows.StartInbound(ctx, received)
	if err != nil {
		return err
	}
	if !started {
		e.counts.duplicate(ctx)
	}
	e.logger.InfoContext(ctx, "inbound message", "message_sid", received.MessageSid, "account_sid", received.AccountSid,
		"workflow_id", contract.InboundWorkflowID(received.AccountSid, received.MessageSid),
		"duplicate", !started, "path", r.path, "idempotency_token", r.idempotencyToken)
	return nil
}
