package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// ApplyStatus keeps what Twilio said about a message of ours and moves the attempt's status forward, never back: events
// come late, twice, out of order, and before the response to the POST. Running it twice adds an event and moves nothing.
//
// Nearly always the attempt that the event names is the one that has its sid, and the bill stays as it is: then all of it is one round
// trip. Else it has to be found, perhaps bound, and a message whose flow is over charged or credited: that is a second transaction.
func (m *Messages) ApplyStatus(ctx context.Context, event domain.StatusEvent) (domain.StatusChange, error) {
	event.MessageID, event.Status = text(event.MessageID), domain.Status(text(string(event.Status)))
	var change domain.StatusChange
	var applied bool
	var err error
	if event.Status.Due() {
		change, applied, err = m.applyBound(ctx, event)
	}
	if err == nil && !applied {
		change, err = m.applyFound(ctx, event)
	}
	return change, mapError("status", err)
}

// applyBound applies an event to the attempt that it names, if that is bound to its sid and due; else it does nothing.
//
// A batch is one transaction. Its statements are sent before any is answered, and each reads the tables as they are when its turn
// comes: those after the first as they are once the pair is held.
func (m *Messages) applyBound(ctx context.Context, event domain.StatusEvent) (change domain.StatusChange, applied bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	batch := &pgx.Batch{}
	batch.Queue(`
		SELECT FROM messages m JOIN pairs p USING (pair_id) WHERE m.message_id = $1 AND m.account_sid = $2 FOR UPDATE OF p`,
		event.MessageID, event.AccountSid)
	batch.Queue(applyEvent, eventArgs(event, true)...).QueryRow(func(row pgx.Row) (err error) {
		change, err = scanChange(row, event.AttemptKey)
		if applied = err == nil; errors.Is(err, pgx.ErrNoRows) {
			return nil // an error of the batch would cost pgx's descriptions of its statements, and the next one a round trip
		}
		return err
	})
	batch.Queue(showBestOf+` AND account_sid = $3`, event.MessageID, event.Part, event.AccountSid)
	if domain.OptedOut(event.ErrorCode) {
		batch.Queue(withdrawByError, event.MessageID, event.Part, event.Attempt, event.ErrorCode, event.AccountSid, event.Sid)
	}
	err = m.pool.SendBatch(ctx, batch).Close()
	return change, applied, err
}

// applyFound applies an event to the attempt that it is about, by its sid or by the parameters of ours, and binds it. An event about
// none of ours is kept, without an owner.
func (m *Messages) applyFound(ctx context.Context, event domain.StatusEvent) (change domain.StatusChange, err error) {
	err = inTx(ctx, m.pool, "status", func(ctx context.Context, tx pgx.Tx) error {
		ownerID, key, err := attemptOf(ctx, tx, event)
		if err == nil {
			err = lockPair(ctx, tx, ownerID, key.MessageID)
		}
		if err == nil {
			change, err = apply(ctx, tx, key, event)
		}
		if errors.Is(err, pgx.ErrNoRows) { // also where it was bound to another sid while we waited for the pair
			return keepStrange(ctx, tx, event)
		}
		return err
	})
	return change, err
}

// apply binds an attempt to an event's sid, if it has none, and applies the event to it. It returns pgx.ErrNoRows where the attempt has
// another sid. The caller holds the pair.
func apply(ctx context.Context, tx pgx.Tx, key domain.AttemptKey, event domain.StatusEvent) (change domain.StatusChange, err error) {
	bound, err := bind(ctx, tx, key, event.Sid)
	if err != nil {
		return change, err
	}
	event.AttemptKey = key
	if change, err = scanChange(tx.QueryRow(ctx, applyEvent, eventArgs(event, false)...), key); err != nil {
		return change, err
	}
	change.Found = bound.found
	if domain.OptedOut(event.ErrorCode) {
		if err := withdraw(ctx, tx, key, event.ErrorCode); err != nil {
			return change, err
		}
	}
	if err := showBest(ctx, tx, key); err != nil {
		return change, err
	}
	return change, leaveAgain(ctx, tx, key.MessageID)
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

// keepStrange keeps an event that is about no attempt of ours.
func keepStrange(ctx context.Context, tx pgx.Tx, event domain.StatusEvent) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO message_events (account_sid, twilio_sid, message_id, part, attempt, source, status, error_code)
		VALUES ($1, $2, nullif($3, ''), nullif($4, 0), nullif($5, 0), $6, $7, $8)`,
		event.AccountSid, event.Sid, event.MessageID, event.Part, event.Attempt, event.Source, event.Status, event.ErrorCode)
	return err
}

// forward moves an attempt's status forward by news, whose args are $1 to $9. The error code is that of the highest status that carried
// one; of equal ones the larger. So the order of the news makes no difference. A price that is known is not forgotten, nor asked for again.
const forward = `
	UPDATE send_attempts SET
		status = CASE WHEN ($5, $4) > (status_rank, status) THEN $4 ELSE status END,
		status_rank = greatest(status_rank, $5),
		error_code = CASE WHEN $6 > 0 AND ($5, $6) > (error_rank, error_code) THEN $6 ELSE error_code END,
		error_rank = CASE WHEN $6 > 0 THEN greatest(error_rank, $5) ELSE error_rank END,
		segments = CASE WHEN $7 > 0 THEN $7 ELSE segments END,
		price_micros = coalesce($8, price_micros), price_unit = coalesce($9, price_unit), price_at = CASE WHEN $8::bigint IS NULL THEN price_at END`

// applyEvent keeps an event and moves the attempt that it names forward, if that is the one that has its sid, and, where only such are
// wanted, is due. See eventArgs.
const applyEvent = `
	WITH bound AS (
		SELECT owner_id, status AS old_status, error_code AS old_code FROM send_attempts
		WHERE message_id = $1 AND part = $2 AND attempt = $3 AND account_sid = $10 AND twilio_sid = $11
			AND NOT ($15 AND status IN ('failed', 'canceled'))
	), kept AS (
		INSERT INTO message_events (owner_id, account_sid, twilio_sid, message_id, part, attempt, source, status, error_code)
		SELECT owner_id, $10, $11, $1, $2, $3, $12, $13, $14 FROM bound
	), moved AS (` + forward + `
		FROM bound WHERE message_id = $1 AND part = $2 AND attempt = $3
		RETURNING old_status, old_code, status, error_code
	)
	SELECT m.workflow_id, moved.status, moved.error_code, old_status, old_code FROM moved, messages m WHERE m.message_id = $1`

func eventArgs(event domain.StatusEvent, onlyDue bool) []any {
	return append(newsOf(event.Status, event.ErrorCode, 0, event.Price).args(event.AttemptKey),
		event.AccountSid, event.Sid, event.Source, event.Status, event.ErrorCode, onlyDue)
}

// scanChange reads the row of applyEvent.
func scanChange(row pgx.Row, key domain.AttemptKey) (domain.StatusChange, error) {
	change := domain.StatusChange{AttemptKey: key}
	var before domain.Status
	var codeBefore int
	if err := row.Scan(&change.WorkflowID, &change.Status, &change.ErrorCode, &before, &codeBefore); err != nil {
		return domain.StatusChange{}, err
	}
	change.Moved = change.Status.Rank() > before.Rank()
	change.Ended = change.Status.Final() && !before.Final()
	change.NewError = change.ErrorCode != codeBefore
	return change, nil
}

// news is what Twilio says of an accepted attempt. Zero is not said.
type news struct {
	status    domain.Status
	errorCode int
	segments  int
	price     *domain.Money
}

// newsOf returns what is news of what was said: a status that is not in our list moves nothing, nor does the error that came with it.
func newsOf(status domain.Status, errorCode, segments int, price *domain.Money) news {
	if status.Rank() < 0 {
		status, errorCode = "", 0
	}
	return news{status, errorCode, segments, price}
}

// args are those of forward.
func (n news) args(key domain.AttemptKey) []any {
	price, unit := amountOf(n.price)
	return []any{key.MessageID, key.Part, key.Attempt, n.status, n.status.Rank(), n.errorCode, n.segments, price, unit}
}

// moveStatus moves the status of an attempt that has a sid forward. One that has another is left alone. The caller holds the pair.
func moveStatus(ctx context.Context, tx pgx.Tx, key domain.AttemptKey, sid string, n news) error {
	_, err := tx.Exec(ctx, forward+` WHERE message_id = $1 AND part = $2 AND attempt = $3 AND twilio_sid = $10`, append(n.args(key), sid)...)
	if err != nil {
		return err
	}
	return showBest(ctx, tx, key)
}

// showBestOf lets a part's row of messages show the best of the part's attempts: one that is delivered, else the newest.
const showBestOf = `
	UPDATE messages SET status = best.status, status_rank = best.status_rank, error_code = best.error_code, segments = best.segments
	FROM (
		SELECT status, status_rank, error_code, segments FROM send_attempts WHERE message_id = $1 AND part = $2
		ORDER BY CASE WHEN status IN ('delivered', 'read') THEN status_rank ELSE 0 END DESC, attempt DESC LIMIT 1
	) best
	WHERE ((direction = 'outbound' AND message_id = $1 AND $2 = 1) OR (in_reply_to = $1 AND part = $2))`

func showBest(ctx context.Context, tx pgx.Tx, key domain.AttemptKey) error {
	_, err := tx.Exec(ctx, showBestOf, key.MessageID, key.Part)
	return err
}
