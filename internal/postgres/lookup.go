package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// Sought returns an attempt with what it takes to find its message in Twilio's list, or KindNotFound.
func (m *Messages) Sought(ctx context.Context, ownerID string, key domain.AttemptKey) (sought domain.Sought, err error) {
	return one[domain.Sought](ctx, m.pool, "attempt", `
		SELECT a.attempt, a.state, coalesce(a.twilio_sid, ''), a.status, a.error_code, a.error_kind, a.error_message,
			a.account_sid, sent.from_address, sent.to_address, sent.body, a.begun_at, a.answer_before
		FROM send_attempts a JOIN messages sent
			ON (sent.message_id = a.message_id AND sent.direction = 'outbound' AND a.part = 1)
			OR (sent.in_reply_to = a.message_id AND sent.part = a.part)
		WHERE a.message_id = $1 AND a.part = $2 AND a.attempt = $3 AND a.owner_id = $4`, key.MessageID, key.Part, key.Attempt, ownerID)
}

// Unbound returns those of some sids that no attempt of the account is bound to, in their order.
func (m *Messages) Unbound(ctx context.Context, accountSid string, sids []string) (unbound []string, err error) {
	err = inTx(ctx, m.pool, "attempts", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			SELECT sid FROM unnest($2::text[]) WITH ORDINALITY AS wanted (sid, place)
			WHERE NOT EXISTS (SELECT FROM send_attempts WHERE account_sid = $1 AND twilio_sid = sid) ORDER BY place`, accountSid, sids)
		if err != nil {
			return err
		}
		unbound, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return unbound, err
}

// DeclareUnknown says that an attempt was looked for in vain, and gives up the pair. Key: the attempt. It returns KindBusy while
// something of it may still be under way, with the time until then; an attempt that was resolved meanwhile is returned as it is.
func (m *Messages) DeclareUnknown(ctx context.Context, ownerID string, key domain.AttemptKey) (attempt domain.Attempt, err error) {
	err = inTx(ctx, m.pool, "attempt", func(ctx context.Context, tx pgx.Tx) error {
		if err := lockPair(ctx, tx, ownerID, key.MessageID); err != nil {
			return err
		}
		var left float64
		if err := tx.QueryRow(ctx, `
			SELECT CASE state WHEN 'begun' THEN extract(epoch FROM answer_before - clock_timestamp()) ELSE 0 END
			FROM send_attempts WHERE message_id = $1 AND part = $2 AND attempt = $3`, key.MessageID, key.Part, key.Attempt).Scan(&left); err != nil {
			return err
		}
		if left > 0 {
			return &domain.Error{Kind: domain.KindBusy, Message: "the POST may still be under way", RetryAfter: seconds(left)}
		}
		if attempt, err = declareUnknown(ctx, tx, key); err != nil {
			return err
		}
		return unlock(ctx, tx, key.MessageID)
	})
	return attempt, err
}

func declareUnknown(ctx context.Context, tx pgx.Tx, key domain.AttemptKey) (domain.Attempt, error) {
	if _, err := tx.Exec(ctx, `
		UPDATE send_attempts SET state = 'unknown', resolved_at = clock_timestamp()
		WHERE message_id = $1 AND part = $2 AND attempt = $3 AND state = 'begun'`, key.MessageID, key.Part, key.Attempt); err != nil {
		return domain.Attempt{}, err
	}
	return theAttempt(ctx, tx, key)
}

func theAttempt(ctx context.Context, tx pgx.Tx, key domain.AttemptKey) (attempt domain.Attempt, err error) {
	rows, err := tx.Query(ctx, storedAttempt+`WHERE message_id = $1 AND part = $2 AND attempt = $3`, key.MessageID, key.Part, key.Attempt)
	if err != nil {
		return attempt, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[domain.Attempt])
}
