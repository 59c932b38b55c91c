package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// Resolve stores the answer to an attempt's POST and returns how its part then stands. Key: the attempt. An attempt
// that was resolved meanwhile keeps what it has, except that one known to be accepted always says so. One of unknown fate
// is not resolved by that: it is found, or declared unknown, later.
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
	if _, err := bind(ctx, tx, r.AttemptKey, r.Sid); err != nil {
		return err
	}
	_, err := moveStatus(ctx, tx, r.AttemptKey, news{status: r.Status, segments: r.Segments})
	return err
}

func fail(ctx context.Context, tx pgx.Tx, r domain.Resolution) error {
	tag, err := tx.Exec(ctx, `
		UPDATE send_attempts SET state = $4, resolved_at = CASE WHEN $4 = 'unknown' THEN resolved_at ELSE clock_timestamp() END,
			error_code = $5, error_kind = $6, error_message = $7
		WHERE message_id = $1 AND part = $2 AND attempt = $3 AND state IN ('begun', 'unknown')`,
		r.MessageID, r.Part, r.Attempt, r.State, r.ErrorCode, r.ErrorKind, text(r.Error))
	if err != nil || tag.RowsAffected() == 0 {
		return err
	}
	between := r.State == domain.AttemptNotSent && r.Part > 1 // the lock stays with the reply, which claims again
	if r.State != domain.AttemptUnknown && !between {
		if err := unlock(ctx, tx, r.AttemptKey); err != nil {
			return err
		}
	}
	return showBest(ctx, tx, r.AttemptKey)
}

// bind says that Twilio accepted an attempt under a sid, whatever was believed of it before, and with it that the
// message is answered (inbound) or sent (outbound), even where its flow has given up meanwhile. It reports whether the attempt's
// fate was unknown, declared or still looked for. The caller holds the pair.
func bind(ctx context.Context, tx pgx.Tx, key domain.AttemptKey, sid string) (found bool, err error) {
	var before domain.AttemptState
	var last bool
	err = tx.QueryRow(ctx, `
		WITH old AS (
			SELECT state FROM send_attempts WHERE message_id = $1 AND part = $2 AND attempt = $3 AND state <> 'accepted'
		)
		UPDATE send_attempts SET state = 'accepted', twilio_sid = $4, error_code = 0, error_kind = '', error_message = '',
			resolved_at = coalesce(resolved_at, clock_timestamp())
		FROM old WHERE message_id = $1 AND part = $2 AND attempt = $3
		RETURNING old.state, last_part`, key.MessageID, key.Part, key.Attempt, sid).Scan(&before, &last)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
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
	if err == nil {
		err = chargeLate(ctx, tx, key.MessageID)
	}
	return before == domain.AttemptUnknown, err
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
		FROM send_attempts JOIN drafts USING (draft_id)
		WHERE send_attempts.message_id = $1 AND send_attempts.part = $2 AND attempt = $3 AND messages.message_id = ANY (answers)`, key.MessageID, key.Part, key.Attempt)
	return err
}

// chargeLate charges a message whose flow is over; one that is not over settles itself.
func chargeLate(ctx context.Context, tx pgx.Tx, messageID string) error {
	b := bill{messageID: messageID}
	var over bool
	err := tx.QueryRow(ctx, `
		SELECT owner_id, workflow_id, finished_at IS NOT NULL FROM messages WHERE message_id = $1`, messageID).Scan(&b.ownerID, &b.workflowID, &over)
	if err == nil && over {
		_, err = charge(ctx, tx, b)
	}
	return err
}

// ApplyStatus keeps what Twilio said about a message of ours and moves the attempt's status forward, never back: events
// come late, twice, out of order, and before the response to the POST. The attempt is found by the parameters of ours that
// the callback carries, else by its sid. Running it twice adds an event and moves nothing.
func (m *Messages) ApplyStatus(ctx context.Context, event domain.StatusEvent) (change domain.StatusChange, err error) {
	event.MessageID, event.Status = text(event.MessageID), domain.Status(text(string(event.Status)))
	err = inTx(ctx, m.pool, "status", func(ctx context.Context, tx pgx.Tx) error {
		ownerID, key, err := attemptOf(ctx, tx, event)
		if errors.Is(err, pgx.ErrNoRows) {
			return keepEvent(ctx, tx, event, nil)
		}
		if err != nil {
			return err
		}
		if err := lockPair(ctx, tx, ownerID, key.MessageID); err != nil {
			return err
		}
		event.AttemptKey = key
		if err := keepEvent(ctx, tx, event, &ownerID); err != nil {
			return err
		}
		found, err := bind(ctx, tx, key, event.Sid)
		if err != nil {
			return err
		}
		change, err = moveStatus(ctx, tx, key, news{status: event.Status, errorCode: event.ErrorCode})
		change.AttemptKey, change.Found = key, found
		return err
	})
	return change, err
}

// attemptOf finds the attempt that an event is about, within the verified account: by its sid, else (NULLs sort last) by
// the parameters of ours, where it has no sid yet.
func attemptOf(ctx context.Context, tx pgx.Tx, event domain.StatusEvent) (ownerID string, key domain.AttemptKey, err error) {
	err = tx.QueryRow(ctx, `
		SELECT owner_id, message_id, part, attempt FROM send_attempts
		WHERE account_sid = $1
			AND (twilio_sid = $2 OR (message_id = $3 AND part = $4 AND attempt = $5 AND twilio_sid IS NULL))
		ORDER BY twilio_sid LIMIT 1`, event.AccountSid, event.Sid, event.MessageID, event.Part, event.Attempt).Scan(&ownerID, &key.MessageID, &key.Part, &key.Attempt)
	return ownerID, key, err
}

func keepEvent(ctx context.Context, tx pgx.Tx, event domain.StatusEvent, ownerID *string) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO message_events (owner_id, account_sid, twilio_sid, message_id, part, attempt, source, status, error_code)
		VALUES ($1, $2, $3, nullif($4, ''), nullif($5, 0), nullif($6, 0), $7, $8, $9)`,
		ownerID, event.AccountSid, event.Sid, event.MessageID, event.Part, event.Attempt, event.Source, event.Status, event.ErrorCode)
	return err
}

// news is what Twilio says of an accepted attempt. Zero is not said.
type news struct {
	status    domain.Status
	errorCode int
	segments  int
}

// moveStatus moves an attempt's status forward, and lets the message show it. The error code is that of the highest status
// that carried one; of equal ones the larger. So the order of the news makes no difference. The caller holds the pair.
func moveStatus(ctx context.Context, tx pgx.Tx, key domain.AttemptKey, n news) (change domain.StatusChange, err error) {
	if n.status.Rank() < 0 { // not in our list: it is kept as an event and moves nothing
		n.status, n.errorCode = "", 0
	}
	err = tx.QueryRow(ctx, `
		WITH old AS (
			SELECT status_rank FROM send_attempts WHERE message_id = $1 AND part = $2 AND attempt = $3
		), moved AS (
			UPDATE send_attempts SET
				status = CASE WHEN ($5, $4) > (status_rank, status) THEN $4 ELSE status END,
				status_rank = greatest(status_rank, $5),
				error_code = CASE WHEN $6 > 0 AND ($5, $6) > (error_rank, error_code) THEN $6 ELSE error_code END,
				error_rank = CASE WHEN $6 > 0 THEN greatest(error_rank, $5) ELSE error_rank END,
				segments = CASE WHEN $7 > 0 THEN $7 ELSE segments END
			WHERE message_id = $1 AND part = $2 AND attempt = $3
			RETURNING status, status_rank, error_code
		)
		SELECT m.workflow_id, moved.status, moved.error_code, moved.status_rank > old.status_rank
		FROM moved, old, messages m WHERE m.message_id = $1`,
		key.MessageID, key.Part, key.Attempt, n.status, n.status.Rank(), n.errorCode, n.segments).Scan(
		&change.WorkflowID, &change.Status, &change.ErrorCode, &change.Moved)
	if err != nil {
		return change, err
	}
	return change, showBest(ctx, tx, key)
}

// showBest lets a part's row of messages show the best of the part's attempts: one that is delivered, else the newest.
func showBest(ctx context.Context, tx pgx.Tx, key domain.AttemptKey) error {
	_, err := tx.Exec(ctx, `
		UPDATE messages SET status = best.status, status_rank = best.status_rank, error_code = best.error_code, segments = best.segments
		FROM (
			SELECT status, status_rank, error_code, segments FROM send_attempts WHERE message_id = $1 AND part = $2
			ORDER BY CASE WHEN status IN ('delivered', 'read') THEN status_rank ELSE 0 END DESC, attempt DESC LIMIT 1
		) best
		WHERE (direction = 'outbound' AND message_id = $1 AND $2 = 1) OR (in_reply_to = $1 AND part = $2)`, key.MessageID, key.Part)
	return err
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
