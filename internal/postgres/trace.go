package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// Trace returns all that is stored about a message, found by its workflow id, its message id, or a Twilio sid of it or of
// what was sent for it. It is the operator's: it looks across owners. It returns KindNotFound where nothing has this id.
func (m *Messages) Trace(ctx context.Context, id string) (trace domain.Trace, err error) {
	err = inTx(ctx, m.pool, "message", func(ctx context.Context, tx pgx.Tx) error {
		var messageID string
		if err := tx.QueryRow(ctx, `
			SELECT coalesce(CASE WHEN direction = 'outbound' THEN in_reply_to END, message_id) FROM messages
			WHERE message_id = $1 OR workflow_id = $1 OR twilio_sid = $1
			UNION ALL
			SELECT message_id FROM send_attempts WHERE twilio_sid = $1
			LIMIT 1`, id).Scan(&messageID); err != nil {
			return err
		}
		return traceOf(ctx, tx, messageID, &trace)
	})
	return trace, err
}

const tracedMessage = `
	SELECT message_id, owner_id, coalesce(conversation_id, ''), workflow_id, direction, account_sid, coalesce(twilio_sid, ''), from_address, to_address, body, media,
		part, coalesce(reply_state, ''), status, error_code, segments, coalesce(park, ''), coalesce(park_step, ''), coalesce(park_reason, ''),
		coalesce(outcome, ''), coalesce(outcome_reason, ''), deadline, received_at, finished_at
	FROM messages `

func traceOf(ctx context.Context, tx pgx.Tx, messageID string, trace *domain.Trace) error {
	message, err := collect[domain.TracedMessage](ctx, tx, tracedMessage+`WHERE message_id = $1`, messageID)
	if err != nil || len(message) == 0 {
		return err
	}
	trace.Message = message[0]
	if trace.Parts, err = collect[domain.TracedMessage](ctx, tx, tracedMessage+`WHERE in_reply_to = $1 ORDER BY part`, messageID); err != nil {
		return err
	}
	if trace.Attempts, err = collect[domain.TracedAttempt](ctx, tx, `
		SELECT part, attempt, state, coalesce(twilio_sid, ''), status, error_code, error_message, refused_tokens, begun_at, resolved_at
		FROM send_attempts WHERE message_id = $1 ORDER BY part, attempt`, messageID); err != nil {
		return err
	}
	if trace.Events, err = collect[domain.TracedEvent](ctx, tx, `
		SELECT coalesce(part, 0), coalesce(attempt, 0), source, status, error_code, received_at
		FROM message_events WHERE message_id = $1 AND owner_id = $2 ORDER BY event_id`, messageID, trace.Message.OwnerID); err != nil {
		return err
	}
	if trace.Ledger, err = collect[domain.TracedEntry](ctx, tx, `
		SELECT kind, meter, quantity, created_at FROM ledger WHERE workflow_id = $1 ORDER BY entry_id`, trace.Message.WorkflowID); err != nil {
		return err
	}
	trace.AIRuns, err = collect[domain.TracedAIRun](ctx, tx, `
		SELECT provider, model, input_tokens, output_tokens, latency_ms, created_at FROM ai_runs WHERE message_id = $1 ORDER BY ai_run_id`, messageID)
	return err
}
