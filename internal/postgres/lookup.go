package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// Sought returns how an attempt's part stands, or, alone, how the attempt itself does, with what it takes to find its message in Twilio's
// list, or KindNotFound.
func (m *Messages) Sought(ctx context.Context, ownerID string, key domain.AttemptKey, alone bool) (domain.Sought, error) {
	type row struct {
		domain.Sought
		Whole bool // the body is the whole message's, of which this is the first part
		Media []domain.Media
	}
	found, err := one[row](ctx, m.pool, "attempt", `
		SELECT a.attempt, a.state, coalesce(a.twilio_sid, ''), a.status, a.error_code, a.error_kind, a.error_message,
			a.account_sid, sent.from_address, sent.to_address, sent.body, a.begun_at, a.answer_before, sent.in_reply_to IS NULL, sent.media
		FROM send_attempts a JOIN messages sent
			ON (sent.message_id = a.message_id AND sent.direction = 'outbound' AND a.part = 1)
			OR (sent.in_reply_to = a.message_id AND sent.part = a.part)
		WHERE a.message_id = $1 AND a.part = $2 AND (a.attempt = $3 OR (a.state = 'accepted' AND NOT $5)) AND a.owner_id = $4
		`+standingFirst, key.MessageID, key.Part, key.Attempt, ownerID, alone)
	if err == nil && found.Whole {
		found.Body = outboundParts(found.Body, found.Media)[0]
	}
	return found.Sought, err
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

// DeclareUnknown says that an attempt was looked for in vain, frees the pair, and returns how its part then stands. Key: the
// attempt. It returns KindBusy while something of it may still be under way, with the time until then; an attempt that was
// resolved meanwhile stays as it is.
func (m *Messages) DeclareUnknown(ctx context.Context, ownerID string, key domain.AttemptKey) (attempt domain.Attempt, err error) {
	err = inTx(ctx, m.pool, "attempt", func(ctx context.Context, tx pgx.Tx) error {
		if err := lockPair(ctx, tx, ownerID, key.MessageID); err != nil {
			return err
		}
		if err := declareUnknown(ctx, tx, key); err != nil {
			return err
		}
		attempt, err = standing(ctx, tx, key)
		return err
	})
	return attempt, err
}

// declareUnknown resolves an attempt that is not resolved yet, and frees the pair. The caller holds the pair's row.
func declareUnknown(ctx context.Context, tx pgx.Tx, key domain.AttemptKey) error {
	var left float64
	err := tx.QueryRow(ctx, `
		SELECT extract(epoch FROM answer_before - clock_timestamp())::float8 FROM send_attempts
		WHERE message_id = $1 AND part = $2 AND attempt = $3 AND resolved_at IS NULL`, key.MessageID, key.Part, key.Attempt).Scan(&left)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if left > 0 {
		return &domain.Error{Kind: domain.KindBusy, Message: "the POST may still be under way", RetryAfter: seconds(left)}
	}
	if _, err := tx.Exec(ctx, `
		UPDATE send_attempts SET state = 'unknown', resolved_at = clock_timestamp()
		WHERE message_id = $1 AND part = $2 AND attempt = $3`, key.MessageID, key.Part, key.Attempt); err != nil {
		return err
	}
	return unlock(ctx, tx, key)
}

// Doubtful returns attempts of unknown fate whose flow is over and that are to be looked for by now, those that wait longest first. They are
// the caller's for the length of a lease; then another may have them. It looks across owners.
func (m *Messages) Doubtful(ctx context.Context, lease time.Duration, most int) (attempts []domain.Doubtful, err error) {
	err = inTx(ctx, m.pool, "attempts of unknown fate", func(ctx context.Context, tx pgx.Tx) error {
		attempts, err = collect[domain.Doubtful](ctx, tx, `
			UPDATE send_attempts a SET look_at = now() + $1::interval FROM (
				SELECT message_id, part, attempt FROM send_attempts WHERE state = 'unknown' AND look_at <= now()
				ORDER BY look_at LIMIT $2 FOR UPDATE SKIP LOCKED) due, messages m
			WHERE (a.message_id, a.part, a.attempt) = (due.message_id, due.part, due.attempt) AND m.message_id = a.message_id
			RETURNING a.message_id, a.part, a.attempt, a.owner_id, m.workflow_id`, lease, most)
		return err
	})
	return attempts, err
}

// LookedInVain notes that an attempt of unknown fate, whose flow is over, was looked for and not found. It is looked for again after a
// while, and the second time counts as not sent: what was kept for it is handed back, and missing is true. Key: the attempt; what was looked
// for a moment ago, or is known by now, stays as it is.
func (m *Messages) LookedInVain(ctx context.Context, ownerID string, key domain.AttemptKey, again time.Duration) (missing bool, err error) {
	err = inTx(ctx, m.pool, "attempt of unknown fate", func(ctx context.Context, tx pgx.Tx) error {
		if err := lockPair(ctx, tx, ownerID, key.MessageID); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `
			UPDATE send_attempts SET missing = looked_at IS NOT NULL, looked_at = clock_timestamp(),
				look_at = CASE WHEN looked_at IS NULL THEN clock_timestamp() + $4::interval END
			WHERE message_id = $1 AND part = $2 AND attempt = $3 AND state = 'unknown' AND look_at IS NOT NULL
				AND (looked_at IS NULL OR looked_at <= clock_timestamp() - $4::interval)
			RETURNING missing`, key.MessageID, key.Part, key.Attempt, again).Scan(&missing)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil || !missing {
			return err
		}
		return leaveAgain(ctx, tx, key.MessageID)
	})
	return missing, err
}
