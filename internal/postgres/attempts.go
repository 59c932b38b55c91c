package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// Resolve stores the answer to an attempt's POST and returns how its part then stands. Key: the attempt. An attempt
// that was resolved or claimed anew meanwhile keeps what it has (the answer may be stored a second time, when that of the first transaction was
// lost), except that one known to be accepted always says so. One of unknown fate is not resolved by that: it is found, or declared unknown, later.
func (m *Messages) Resolve(ctx context.Context, r domain.Resolution) (attempt domain.Attempt, err error) {
	err = inTx(ctx, m.pool, "attempt", func(ctx context.Context, tx pgx.Tx) error {
		if err := lockPair(ctx, tx, r.OwnerID, r.MessageID); err != nil {
			return err
		}
		if r.State == domain.AttemptAccepted {
			err = accept(ctx, tx, r)
		} else {
			err = fail(ctx, tx, r)
		}
		if err != nil {
			return err
		}
		attempt, err = standing(ctx, tx, r.AttemptKey)
		return err
	})
	return attempt, err
}

// standing returns the attempt that says how its part stands: it itself, or one that was accepted, whichever that was. One that is not
// resolved speaks for itself: it has to be looked for all the same.
func standing(ctx context.Context, tx pgx.Tx, key domain.AttemptKey) (attempt domain.Attempt, err error) {
	rows, err := tx.Query(ctx, `
		SELECT attempt, state, coalesce(twilio_sid, ''), status, error_code, error_kind, error_message FROM send_attempts
		WHERE message_id = $1 AND part = $2 AND (attempt = $3 OR state = 'accepted') `+standingFirst, key.MessageID, key.Part, key.Attempt)
	if err != nil {
		return attempt, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[domain.Attempt])
}

const standingFirst = `ORDER BY attempt = $3 AND resolved_at IS NULL DESC, state = 'accepted' DESC, attempt = $3 DESC LIMIT 1`

func accept(ctx context.Context, tx pgx.Tx, r domain.Resolution) error {
	bound, err := bind(ctx, tx, r.AttemptKey, r.Sid)
	if err != nil {
		return err
	}
	if domain.OptedOut(r.ErrorCode) { // a look-up may be the first to tell
		if err := withdraw(ctx, tx, r.AttemptKey, r.ErrorCode); err != nil {
			return err
		}
	}
	if err := moveStatus(ctx, tx, r.AttemptKey, r.Sid, newsOf(r.Status, r.ErrorCode, r.Segments, r.Price)); err != nil {
		return err
	}
	if !bound.over && r.Status.Due() { // nearly always
		return nil
	}
	return leaveAgain(ctx, tx, r.MessageID)
}

func fail(ctx context.Context, tx pgx.Tx, r domain.Resolution) error {
	tag, err := tx.Exec(ctx, `
		UPDATE send_attempts SET state = $4, resolved_at = CASE WHEN $4 = 'unknown' THEN resolved_at ELSE clock_timestamp() END,
			error_code = $5, error_kind = $6, error_message = $7,
			refused_tokens = CASE WHEN $8 = '' THEN refused_tokens ELSE array_append(refused_tokens, $8) END
		WHERE message_id = $1 AND part = $2 AND attempt = $3 AND state IN ('begun', 'unknown') AND begun_at = $9`,
		r.MessageID, r.Part, r.Attempt, r.State, r.ErrorCode, r.ErrorKind, text(r.Error), r.Refused, r.BegunAt)
	if err != nil || tag.RowsAffected() == 0 {
		return err
	}
	if domain.OptedOut(r.ErrorCode) {
		if err := withdraw(ctx, tx, r.AttemptKey, r.ErrorCode); err != nil {
			return err
		}
	}
	between := r.State == domain.AttemptNotSent && r.Part > 1 // the lock stays with the reply, which claims again
	if r.State != domain.AttemptUnknown && !between {
		if err := unlock(ctx, tx, r.AttemptKey); err != nil {
			return err
		}
	}
	if err := showBest(ctx, tx, r.AttemptKey); err != nil {
		return err
	}
	return leaveAgain(ctx, tx, r.MessageID)
}

// Accepted returns the sid of an accepted attempt with its account, or KindNotFound.
func (m *Messages) Accepted(ctx context.Context, ownerID string, key domain.AttemptKey) (accountSid, sid string, err error) {
	err = inTx(ctx, m.pool, "attempt", func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, `
			SELECT account_sid, twilio_sid FROM send_attempts
			WHERE message_id = $1 AND part = $2 AND attempt = $3 AND owner_id = $4 AND state = 'accepted'`,
			key.MessageID, key.Part, key.Attempt, ownerID).Scan(&accountSid, &sid)
	})
	return accountSid, sid, err
}
