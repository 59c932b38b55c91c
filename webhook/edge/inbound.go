package edge

import (
	"context"
	"strconv"
	"time"

	"parley/contract"
	"parley/internal/domain"
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
	if r.path == FallbackPath {
		e.fellBack(ctx, r)
	}
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

// fellBack tells an operator why Twilio delivered a message by the fallback URL. Both parameters are kept with the message too, unless its
// flow had been started before.
func (e *edge) fellBack(ctx context.Context, r *request) {
	code, err := strconv.ParseInt(r.form.Get("ErrorCode"), 10, 32)
	if err != nil {
		code = 0 // Twilio did not say
	}
	e.counts.fallback(ctx, int(code))
	e.logger.WarnContext(ctx, "message came by the fallback URL", "error_code", code, "error_url", domain.Plain(r.form.Get("ErrorUrl"), maxLogged),
		"message_sid", r.messageSid, "account_sid", r.accountSid)
}
