package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// Claim asks for the right to make the one POST of an attempt. Key: the attempt. The attempt's row is committed with the
// grant, so that whoever finds it begun knows that the POST may be under way, and does not POST. An attempt that is known
// not to have been sent is claimed afresh, with every check.
func (m *Messages) Claim(ctx context.Context, in domain.NewClaim) (claim domain.Claim, err error) {
	err = inTx(ctx, m.pool, "claim", func(ctx context.Context, tx pgx.Tx) error {
		if err := lockPair(ctx, tx, in.OwnerID, in.MessageID); err != nil {
			return err
		}
		row, err := claimable(ctx, tx, in)
		if err != nil {
			return err
		}
		if claim, err = decide(row, in); err != nil || claim.State != domain.ClaimGranted {
			return err
		}
		return begin(ctx, tx, in, row, &claim)
	})
	return claim, err
}

// claimRow is what a claim is decided by.
type claimRow struct {
	Direction  domain.Direction
	ReplyState domain.ReplyState
	Finished   bool
	Expired    bool
	AccountSid string
	From, To   string
	Body       string
	Media      []domain.Media
	Follows    bool // the part before is accepted
	Locked     bool
	Holder     string         // the message that has the pair, or had it last
	attempts   []claimAttempt // of this part
}

type claimAttempt struct {
	domain.Attempt
	Resolved bool // false while it is begun, and while one of unknown fate is still looked for
}

func claimable(ctx context.Context, tx pgx.Tx, in domain.NewClaim) (row claimRow, err error) {
	// clock_timestamp: now() is when the transaction began, before it waited for the pair.
	err = tx.QueryRow(ctx, `
		SELECT direction, reply_state, finished_at IS NOT NULL, deadline < clock_timestamp(), account_sid, from_address, to_address, body, media,
			$3 <= 1 OR EXISTS (SELECT FROM send_attempts a WHERE a.message_id = $1 AND a.part = $3 - 1 AND a.state = 'accepted'),
			locked_until > clock_timestamp(), coalesce(lock_message, '')
		FROM messages JOIN pairs USING (pair_id) WHERE message_id = $1 AND messages.owner_id = $2`, in.MessageID, in.OwnerID, in.Part).Scan(
		&row.Direction, &row.ReplyState, &row.Finished, &row.Expired, &row.AccountSid, &row.From, &row.To, &row.Body, &row.Media,
		&row.Follows, &row.Locked, &row.Holder)
	if err != nil {
		return row, err
	}
	row.attempts, err = collect[claimAttempt](ctx, tx, `
		SELECT attempt, state, coalesce(twilio_sid, ''), status, error_code, error_kind, error_message, resolved_at IS NOT NULL
		FROM send_attempts WHERE message_id = $1 AND part = $2 ORDER BY attempt`, in.MessageID, in.Part)
	return row, err
}

// busyWait is how soon a claim that found the pair taken is tried again: Temporal's server fires no timer sooner.
const busyWait = time.Second

// decide answers a claim by the rows.
func decide(row claimRow, in domain.NewClaim) (domain.Claim, error) {
	var own domain.Attempt
	var perhapsSent int // another attempt, which forbids this one
	for _, attempt := range row.attempts {
		switch {
		case attempt.State == domain.AttemptAccepted: // this part got through, whichever attempt it was
			return domain.Claim{State: domain.ClaimResolved, Resolved: attempt.Attempt}, nil
		case attempt.Number == in.Attempt:
			own = attempt.Attempt
		case !attempt.Resolved, attempt.State == domain.AttemptUnknown && attempt.Number > in.Attempt:
			perhapsSent = attempt.Number
		}
	}
	switch {
	case own.State == domain.AttemptBegun:
		return domain.Claim{State: domain.ClaimBegun}, nil
	case own.State == domain.AttemptRefused || own.State == domain.AttemptUnknown:
		return domain.Claim{State: domain.ClaimResolved, Resolved: own}, nil
	case perhapsSent > 0:
		return domain.Claim{}, domain.Errorf(domain.KindConflict, "attempt %d of part %d may have been sent", perhapsSent, in.Part)
	}
	open := row.ReplyState.Open() || (row.ReplyState == domain.ReplyAnswered && in.Part > 1)
	switch {
	case row.Finished || !open:
		return domain.Claim{State: domain.ClaimClosed}, nil
	case row.Expired && !in.Anyway:
		return domain.Claim{State: domain.ClaimExpired}, nil
	case !row.Follows:
		return domain.Claim{}, domain.Errorf(domain.KindConflict, "the part before part %d is not accepted yet", in.Part)
	case in.Part > 1 && row.Holder != in.MessageID:
		return domain.Claim{State: domain.ClaimOvertaken}, nil
	case row.Locked && row.Holder != in.MessageID:
		return domain.Claim{}, &domain.Error{Kind: domain.KindBusy, Message: "another message of this pair is being sent", RetryAfter: busyWait}
	}
	return domain.Claim{State: domain.ClaimGranted, AccountSid: row.AccountSid, From: row.From, To: row.To}, nil
}

// begin writes the attempt, and the row that the person will see as this part.
func begin(ctx context.Context, tx pgx.Tx, in domain.NewClaim, row claimRow, claim *domain.Claim) error {
	body, media := row.Body, row.Media
	if row.Direction == domain.Inbound { // a reply goes the other way
		draft, err := draftBody(ctx, tx, in.OwnerID, in.MessageID, in.DraftID)
		if err != nil {
			return err
		}
		body, media, claim.From, claim.To = draft, nil, row.To, row.From
	}
	parts := outboundParts(body, media)
	if in.Part < 1 || in.Part > len(parts) {
		return domain.Errorf(domain.KindInvalid, "the message has %d parts, not %d", len(parts), in.Part)
	}
	claim.Body = parts[in.Part-1]
	if in.Part == 1 {
		claim.Media = media
	}
	segments := 1
	if address, err := domain.ParseAddress(claim.To); err == nil && address.Channel == domain.ChannelSMS {
		_, segments = domain.Segments(claim.Body)
	}
	if _, err := tx.Exec(ctx, `
		INSERT INTO send_attempts (message_id, part, attempt, owner_id, account_sid, state, segments, begun_at, post_before, answer_before, last_part)
		SELECT $1, $2, $3, $4, $5, 'begun', $6, now, now + $7::interval, now + $7::interval + $8::interval, $9 FROM clock_timestamp() AS now
		ON CONFLICT (message_id, part, attempt) DO UPDATE
		SET state = 'begun', begun_at = excluded.begun_at, post_before = excluded.post_before, answer_before = excluded.answer_before,
			last_part = excluded.last_part, resolved_at = NULL, segments = excluded.segments, error_code = 0, error_kind = '', error_message = ''`,
		in.MessageID, in.Part, in.Attempt, in.OwnerID, row.AccountSid, segments, in.PostWithin, in.Timeout, in.Part == len(parts)); err != nil {
		return err
	}
	if err := lock(ctx, tx, in.AttemptKey); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `
		UPDATE messages SET park = NULL, park_step = NULL, park_reason = NULL,
			reply_state = CASE reply_state WHEN 'parked' THEN 'pending' ELSE reply_state END
		WHERE message_id = $1 AND (park IS NOT NULL OR reply_state = 'parked')`, in.MessageID); err != nil {
		return err
	}
	if row.Direction == domain.Outbound && in.Part == 1 {
		return nil // the message's own row
	}
	return savePart(ctx, tx, in, claim, segments)
}

// savePart writes the row of messages of one part of a reply. A part takes its place in the pair once.
func savePart(ctx context.Context, tx pgx.Tx, in domain.NewClaim, claim *domain.Claim, segments int) error {
	id, err := newID()
	if err != nil {
		return err
	}
	var inserted bool
	err = tx.QueryRow(ctx, `
		INSERT INTO messages (message_id, owner_id, pair_id, contact_id, workflow_id, direction, account_sid,
			from_address, to_address, body, seq, in_reply_to, part, segments, received_at)
		SELECT $1, m.owner_id, m.pair_id, m.contact_id, m.workflow_id, 'outbound', m.account_sid, $3, $4, $5, p.next_seq, m.message_id, $6, $7, now()
		FROM messages m JOIN pairs p USING (pair_id) WHERE m.message_id = $2
		ON CONFLICT (in_reply_to, part) DO UPDATE SET body = excluded.body, segments = excluded.segments
		RETURNING message_id = $1`, id, in.MessageID, claim.From, claim.To, claim.Body, in.Part, segments).Scan(&inserted)
	if err != nil || !inserted {
		return err
	}
	_, err = tx.Exec(ctx, `
		UPDATE pairs SET next_seq = next_seq + 1 WHERE pair_id = (SELECT pair_id FROM messages WHERE message_id = $1)`, in.MessageID)
	return err
}

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
	return moveStatus(ctx, tx, r.AttemptKey, r.Sid, newsOf(r.Status, r.ErrorCode, r.Segments))
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
