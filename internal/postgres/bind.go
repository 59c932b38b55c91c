package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// bind says that Twilio accepted an attempt under a sid, whatever was believed of it before, and with it that the
// message is answered (inbound) or sent (outbound), even where its flow has given up meanwhile. It reports whether a flow may be
// looking for the attempt, or be parked about it: its fate is unknown, a person is waited for, or its answer is late. Before that
// the answer to the POST tells the flow. The caller holds the pair.
func bind(ctx context.Context, tx pgx.Tx, key domain.AttemptKey, sid string) (found bool, err error) {
	var last bool
	err = tx.QueryRow(ctx, `
		WITH old AS (
			SELECT a.state = 'unknown' OR m.park IS NOT NULL OR a.post_before < clock_timestamp() AS sought
			FROM send_attempts a JOIN messages m USING (message_id)
			WHERE a.message_id = $1 AND a.part = $2 AND a.attempt = $3 AND a.state <> 'accepted'
		)
		UPDATE send_attempts SET state = 'accepted', twilio_sid = $4, error_code = 0, error_kind = '', error_message = '',
			resolved_at = coalesce(resolved_at, clock_timestamp())
		FROM old WHERE message_id = $1 AND part = $2 AND attempt = $3
		RETURNING old.sought, last_part`, key.MessageID, key.Part, key.Attempt, sid).Scan(&found, &last)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err == nil && last {
		err = giveUp(ctx, tx, key.MessageID)
	}
	switch {
	case err != nil:
	case key.Part == 1:
		err = answered(ctx, tx, key.MessageID)
	default:
		err = unpark(ctx, tx, key)
	}
	return found, err
}

// unpark notes that a flow does not wait for a person any more, where it was this part that it waited about.
func unpark(ctx context.Context, tx pgx.Tx, key domain.AttemptKey) error {
	_, err := tx.Exec(ctx, `
		UPDATE messages SET park = NULL, park_step = NULL, park_reason = NULL WHERE message_id = $1 AND park IS NOT NULL
			AND NOT EXISTS (SELECT FROM send_attempts WHERE message_id = $1 AND part > $2)`, key.MessageID, key.Part)
	return err
}

// answered notes, once, that a message's first part was accepted. Where its flow is over already, and believed otherwise, its end is
// mended and it is charged.
func answered(ctx context.Context, tx pgx.Tx, messageID string) error {
	var ownerID, workflowID string
	var over bool
	err := tx.QueryRow(ctx, `
		UPDATE messages SET reply_state = 'answered', park = NULL, park_step = NULL, park_reason = NULL,
			outcome = CASE WHEN outcome IS NULL THEN NULL WHEN direction = 'inbound' THEN 'replied' ELSE 'sent' END
		WHERE message_id = $1 AND reply_state <> 'answered'
		RETURNING owner_id, workflow_id, finished_at IS NOT NULL`, messageID).Scan(&ownerID, &workflowID, &over)
	if errors.Is(err, pgx.ErrNoRows) { // another attempt got through before
		return nil
	}
	if err != nil || !over { // a flow that is not over settles itself
		return err
	}
	_, err = settle(ctx, tx, ownerID, workflowID, messageID)
	return err
}
