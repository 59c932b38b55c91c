package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// binding is what it came to to bind an attempt.
type binding struct {
	// found says that a flow may be looking for the attempt, or be parked about it: its fate is unknown, a person is waited for, or its
	// answer is late. Before that the answer to the POST tells the flow.
	found bool
	over  bool // its flow is over: it does not settle any more
}

// bind says that Twilio accepted an attempt under a sid, whatever was believed of it before, and with it that the
// message is answered (inbound) or sent (outbound), even where its flow has given up meanwhile. An attempt that was bound before stays as
// it is. The caller holds the pair, and calls leaveAgain once it has moved the status, where the flow is over.
func bind(ctx context.Context, tx pgx.Tx, key domain.AttemptKey, sid string) (b binding, err error) {
	var last bool
	err = tx.QueryRow(ctx, `
		WITH old AS (
			SELECT a.state = 'unknown' OR m.park IS NOT NULL OR a.post_before < clock_timestamp() AS sought, m.finished_at IS NOT NULL AS over
			FROM send_attempts a JOIN messages m USING (message_id)
			WHERE a.message_id = $1 AND a.part = $2 AND a.attempt = $3 AND a.state <> 'accepted'
		)
		UPDATE send_attempts SET state = 'accepted', twilio_sid = $4, error_code = 0, error_kind = '', error_message = '',
			resolved_at = coalesce(resolved_at, clock_timestamp()), price_at = clock_timestamp()
		FROM old WHERE message_id = $1 AND part = $2 AND attempt = $3
		RETURNING old.sought, old.over, last_part`, key.MessageID, key.Part, key.Attempt, sid).Scan(&b.found, &b.over, &last)
	if errors.Is(err, pgx.ErrNoRows) {
		return binding{}, nil
	}
	if err == nil && last {
		err = giveUp(ctx, tx, key.MessageID)
	}
	switch {
	case err != nil:
	case key.Part == 1:
		err = answered(ctx, tx, key)
	default:
		err = unpark(ctx, tx, key)
	}
	return b, err
}

// unpark notes that a flow does not wait for a person any more, where it was this part that it waited about.
func unpark(ctx context.Context, tx pgx.Tx, key domain.AttemptKey) error {
	_, err := tx.Exec(ctx, `
		UPDATE messages SET park = NULL, park_step = NULL, park_reason = NULL WHERE message_id = $1 AND park IS NOT NULL
			AND NOT EXISTS (SELECT FROM send_attempts WHERE message_id = $1 AND part > $2)`, key.MessageID, key.Part)
	return err
}

// answered notes, once, that a message's first part was accepted, and which messages that answers. Where its flow is over already, and
// believed otherwise, its end is mended.
func answered(ctx context.Context, tx pgx.Tx, key domain.AttemptKey) error {
	tag, err := tx.Exec(ctx, `
		UPDATE messages SET reply_state = 'answered', park = NULL, park_step = NULL, park_reason = NULL,
			outcome = CASE WHEN outcome IS NULL THEN NULL WHEN direction = 'inbound' THEN 'replied' ELSE 'sent' END
		WHERE message_id = $1 AND reply_state <> 'answered'`, key.MessageID)
	if err != nil || tag.RowsAffected() == 0 { // another attempt got through before
		return err
	}
	_, err = tx.Exec(ctx, `
		UPDATE messages SET answered_by = $1
		FROM send_attempts a JOIN drafts USING (draft_id)
		WHERE a.message_id = $1 AND a.part = $2 AND a.attempt = $3 AND messages.message_id = ANY (answers)`, key.MessageID, key.Part, key.Attempt)
	return err
}

// leaveAgain makes the bill of a message right whose flow is over, after something turned up about it: what was sent is charged, what
// failed is credited, what was kept for an attempt of unknown fate is handed back. A flow that is not over does so itself. The caller
// holds the pair.
func leaveAgain(ctx context.Context, tx pgx.Tx, messageID string) error {
	b := bill{messageID: messageID}
	err := tx.QueryRow(ctx, `
		SELECT owner_id, workflow_id FROM messages WHERE message_id = $1 AND finished_at IS NOT NULL`, messageID).Scan(&b.ownerID, &b.workflowID)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return leave(ctx, tx, b)
}
