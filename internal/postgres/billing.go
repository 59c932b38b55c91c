package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// A reply's unit goes through these states, all under the pair's lock:
//
//	(none) --Reserve--> the pair's --claim--> the message's --accepted--> charged --failed--> credited
//	                     |                     |--Finish, nothing sent--> the pair's, where others of the turn need it, else released
//	                     |                     `--Finish, perhaps sent--> still the message's, until Twilio's list tells: charged, or as above
//	                     `--the last of the turn leaves--> released
//
// Segments are the message's from its claim on. The ledger has an entry for every change, and usage the sums.

// Reserve has a message's flow share the unit of its pair's turn, which is taken where there is none. Key: the message. A message that a
// newer one answers for is closed here already, so that no model writes for nobody. A Reserve that arrives after its flow's Finish takes
// nothing, nor does one of a message that has its unit.
func (m *Messages) Reserve(ctx context.Context, in domain.NewReservation) (state domain.QuotaState, err error) {
	err = inTx(ctx, m.pool, "reserve", func(ctx context.Context, tx pgx.Tx) error {
		if err := lockPair(ctx, tx, in.OwnerID, in.MessageID); err != nil {
			return err
		}
		superseded, err := yieldsEarly(ctx, tx, in)
		if err != nil || superseded {
			state = domain.QuotaSuperseded
			return err
		}
		var provided, there, active bool
		err = tx.QueryRow(ctx, `
			UPDATE messages SET turn = CASE turn WHEN '' THEN 'joined' ELSE turn END
			FROM pairs WHERE message_id = $2 AND pairs.pair_id = messages.pair_id
			RETURNING turn = 'left' OR finished_at IS NOT NULL OR replies_reserved + replies_charged > 0, unit, `+planIsActive, in.OwnerID, in.MessageID).Scan(
			&provided, &there, &active)
		switch {
		case err != nil:
			return err
		case there && !provided && !active: // canceled since the unit was taken: no model writes for nobody
			state = domain.QuotaInactive
			return nil
		case provided || there:
			state = domain.QuotaGranted
			return nil
		}
		state, err = takeUnit(ctx, tx, bill{in.OwnerID, in.WorkflowID, in.MessageID})
		return err
	})
	return state, err
}

// yieldsEarly closes a message that a claim would find superseded, if nothing of it was ever sent: its own attempts come first. A second
// call finds it closed.
func yieldsEarly(ctx context.Context, tx pgx.Tx, in domain.NewReservation) (bool, error) {
	var fresh, closed bool
	err := tx.QueryRow(ctx, `
		SELECT reply_state = 'pending' AND turn = '' AND finished_at IS NULL AND NOT EXISTS (SELECT FROM send_attempts a WHERE a.message_id = m.message_id),
			reply_state = 'superseded'
		FROM messages m WHERE message_id = $1`, in.MessageID).Scan(&fresh, &closed)
	if err != nil || !fresh {
		return closed, err
	}
	turn, err := turnOf(ctx, tx, domain.NewClaim{AttemptKey: domain.AttemptKey{MessageID: in.MessageID}, OwnerID: in.OwnerID, Turns: in.Turns})
	if err != nil {
		return false, err
	}
	yields, err := turn.yields(ctx, tx, bill{in.OwnerID, in.WorkflowID, in.MessageID})
	if err != nil || !yields {
		return false, err
	}
	_, err = closeMessage(ctx, tx, domain.NewFinish{
		OwnerID: in.OwnerID, WorkflowID: in.WorkflowID, MessageID: in.MessageID, Ending: domain.OutcomeSuperseded,
	})
	return true, err
}

// planIsActive says whether the plan of the owner $1 is.
const planIsActive = `NOT EXISTS (SELECT FROM subscriptions WHERE owner_id = $1 AND state <> 'active')`

// Settle charges what Twilio accepted for a message. Key: the message. It returns the segments, or KindConflict where nothing was accepted.
func (m *Messages) Settle(ctx context.Context, ownerID, workflowID, messageID string) (segments int, err error) {
	err = inTx(ctx, m.pool, "settle", func(ctx context.Context, tx pgx.Tx) error {
		if err := lockPair(ctx, tx, ownerID, messageID); err != nil {
			return err
		}
		a, err := charge(ctx, tx, bill{ownerID, workflowID, messageID})
		if err == nil && !a.accepted {
			return domain.Errorf(domain.KindConflict, "nothing of this message was accepted: nothing to settle")
		}
		segments = a.segments.charged
		return err
	})
	return segments, err
}

// bill is what every entry of the ledger names.
type bill struct{ ownerID, workflowID, messageID string }

// entryKind says what an entry of the ledger does to the usage.
type entryKind string

const (
	entryReserve entryKind = "reserve"
	entrySettle  entryKind = "settle"
	entryRelease entryKind = "release"
	entryCredit  entryKind = "credit"
)

// post adds an entry to the ledger, and to the usage of its period. The caller holds the pair.
func (b bill) post(ctx context.Context, tx pgx.Tx, kind entryKind, meter domain.Meter, quantity int, period time.Time) error {
	if quantity == 0 {
		return nil
	}
	used, reserved := 0, 0
	switch kind {
	case entryReserve:
		reserved = quantity
	case entrySettle:
		used, reserved = quantity, -quantity
	case entryRelease:
		reserved = -quantity
	case entryCredit:
		used = -quantity
	default:
		return domain.Errorf(domain.KindInternal, "no such ledger entry: %q", kind)
	}
	if err := b.enter(ctx, tx, kind, meter, quantity, period); err != nil {
		return err
	}
	return affected(tx.Exec(ctx, `
		UPDATE usage SET used = used + $4, reserved = reserved + $5 WHERE owner_id = $1 AND meter = $2 AND period = $3`,
		b.ownerID, meter, period, used, reserved))
}

func (b bill) enter(ctx context.Context, tx pgx.Tx, kind entryKind, meter domain.Meter, quantity int, period time.Time) error {
	id, err := newID()
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO ledger (entry_id, owner_id, workflow_id, message_id, kind, meter, quantity, period) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		id, b.ownerID, b.workflowID, b.messageID, kind, meter, quantity, period)
	return err
}

// take reserves some of a meter in the present period, where the owner's plan has room: one statement, so that concurrent ones never
// overshoot. always takes it whatever the plan says.
func (b bill) take(ctx context.Context, tx pgx.Tx, meter domain.Meter, quantity int, always bool) (period time.Time, state domain.QuotaState, err error) {
	var active bool
	var taken *time.Time
	err = tx.QueryRow(ctx, `
		WITH plan AS (
			SELECT $4 OR coalesce(s.state, 'active') = 'active' AS active, CASE WHEN NOT $4 THEN quota END AS quota
			FROM owners LEFT JOIN subscriptions s USING (owner_id) LEFT JOIN plan_quotas q ON q.plan_id = s.plan_id AND q.meter = $2
			WHERE owner_id = $1
		), taken AS (
			INSERT INTO usage AS u (owner_id, meter, period, reserved)
			SELECT $1, $2, date_trunc('month', now() AT TIME ZONE 'UTC')::date, $3::bigint FROM plan WHERE active AND $3 <= coalesce(quota, $3)
			ON CONFLICT (owner_id, meter, period) DO UPDATE SET reserved = u.reserved + excluded.reserved
			WHERE u.used + u.reserved + excluded.reserved <= coalesce((SELECT quota FROM plan), u.used + u.reserved + excluded.reserved)
			RETURNING period
		)
		SELECT active, (SELECT period FROM taken) FROM plan`, b.ownerID, meter, quantity, always).Scan(&active, &taken)
	switch {
	case err != nil:
		return period, "", err
	case !active:
		return period, domain.QuotaInactive, nil
	case taken == nil:
		return period, domain.QuotaUsedUp, nil
	default:
		return *taken, domain.QuotaGranted, b.enter(ctx, tx, entryReserve, meter, quantity, *taken)
	}
}

// takeUnit takes a unit of ai_replies for the pair's turn, which has none.
func takeUnit(ctx context.Context, tx pgx.Tx, b bill) (domain.QuotaState, error) {
	period, state, err := b.take(ctx, tx, domain.MeterReplies, 1, false)
	if err != nil || state != domain.QuotaGranted {
		return state, err
	}
	return state, setPairUnit(ctx, tx, b.messageID, &period)
}

// setPairUnit notes that the pair has a unit, or none.
func setPairUnit(ctx context.Context, tx pgx.Tx, messageID string, period *time.Time) error {
	_, err := tx.Exec(ctx, `
		UPDATE pairs SET unit = $2::date IS NOT NULL, unit_period = $2
		WHERE pair_id = (SELECT pair_id FROM messages WHERE message_id = $1)`, messageID, period)
	return err
}

// amount is what a message has of one meter.
type amount struct {
	reserved, charged int
	period            *time.Time
	due               int // what Twilio accepted, and did not fail to deliver
	doubtful          int // what may turn out to have been sent
}

// account is how the bill of a message stands.
type account struct {
	replies, segments amount
	turn              string
	unit              *time.Time // the period of the pair's unit, nil where it has none
	others            bool       // of the turn count on the pair's unit
	accepted          bool       // some attempt
}

func accountOf(ctx context.Context, tx pgx.Tx, messageID string) (a account, err error) {
	err = tx.QueryRow(ctx, `
		SELECT m.replies_reserved, m.replies_charged, m.replies_period, coalesce(sent.replies, 0), coalesce(sent.doubtful_replies, 0),
			m.segments_reserved, m.segments_charged, m.segments_period, coalesce(sent.segments, 0), coalesce(sent.doubtful_segments, 0),
			m.turn, p.unit_period, coalesce(sent.accepted, false),
			EXISTS (SELECT FROM messages o WHERE o.pair_id = m.pair_id AND o.message_id <> m.message_id AND o.direction = 'inbound'
				AND (o.turn = 'joined' OR o.reply_state = 'pending'))
		FROM messages m JOIN pairs p USING (pair_id) CROSS JOIN LATERAL (
			SELECT sum(a.segments) FILTER (WHERE due) AS segments, max(1) FILTER (WHERE due AND NOT d.fixed) AS replies,
				sum(a.segments) FILTER (WHERE doubtful) AS doubtful_segments, max(1) FILTER (WHERE doubtful AND NOT d.fixed) AS doubtful_replies,
				bool_or(a.state = 'accepted') AS accepted
			FROM send_attempts a LEFT JOIN drafts d USING (draft_id),
				LATERAL (SELECT a.state = 'accepted' AND a.status NOT IN ('failed', 'canceled') AS due,
					a.state IN ('begun', 'unknown') AND NOT a.missing AS doubtful) AS judged
			WHERE a.message_id = m.message_id
		) sent WHERE m.message_id = $1`, messageID).Scan(
		&a.replies.reserved, &a.replies.charged, &a.replies.period, &a.replies.due, &a.replies.doubtful,
		&a.segments.reserved, &a.segments.charged, &a.segments.period, &a.segments.due, &a.segments.doubtful,
		&a.turn, &a.unit, &a.accepted, &a.others)
	return a, err
}

// save writes what a message has by now.
func (a account) save(ctx context.Context, tx pgx.Tx, messageID string) error {
	_, err := tx.Exec(ctx, `
		UPDATE messages SET replies_reserved = $2, replies_charged = $3, replies_period = $4,
			segments_reserved = $5, segments_charged = $6, segments_period = $7, turn = $8 WHERE message_id = $1`,
		messageID, a.replies.reserved, a.replies.charged, a.replies.period, a.segments.reserved, a.segments.charged, a.segments.period, a.turn)
	return err
}

// charge makes what a message is charged equal to what is due. Running it twice is harmless. The caller holds the pair.
func charge(ctx context.Context, tx pgx.Tx, b bill) (a account, err error) {
	if a, err = accountOf(ctx, tx, b.messageID); err != nil {
		return a, err
	}
	if err := a.replies.charge(ctx, tx, b, domain.MeterReplies); err != nil {
		return a, err
	}
	if err := a.segments.charge(ctx, tx, b, domain.MeterSegments); err != nil {
		return a, err
	}
	return a, a.save(ctx, tx, b.messageID)
}

func (n *amount) charge(ctx context.Context, tx pgx.Tx, b bill, meter domain.Meter) error {
	more := n.due - n.charged
	if more == 0 {
		return nil
	}
	if more < 0 {
		n.charged = n.due
		return b.post(ctx, tx, entryCredit, meter, -more, *n.period)
	}
	if missing := more - n.reserved; missing > 0 { // it was handed back already, or Twilio counts more segments than we
		if n.period == nil {
			period, _, err := b.take(ctx, tx, meter, missing, true)
			if err != nil {
				return err
			}
			n.period = &period
		} else if err := b.post(ctx, tx, entryReserve, meter, missing, *n.period); err != nil {
			return err
		}
		n.reserved += missing
	}
	n.reserved, n.charged = n.reserved-more, n.due
	return b.post(ctx, tx, entrySettle, meter, more, *n.period)
}

// leave charges a message whose flow is over, and hands back what it does not need: the unit to the others of its turn, if there are any.
// What may have been sent it keeps until that is known. Running it again, whenever more is known, is harmless. The caller holds the pair.
func leave(ctx context.Context, tx pgx.Tx, b bill) error {
	a, err := charge(ctx, tx, b)
	if err != nil {
		return err
	}
	a.turn = "left"
	unit := a.unit
	if a.replies.spare() > 0 && unit == nil && a.others {
		unit, a.replies.reserved = a.replies.period, a.replies.reserved-1
	}
	if unit != nil && !a.others { // before the segments, as pay takes them: no two flows of an owner wait for each other
		if err := b.post(ctx, tx, entryRelease, domain.MeterReplies, 1, *unit); err != nil {
			return err
		}
		unit = nil
	}
	if err := a.handBack(ctx, tx, b); err != nil {
		return err
	}
	return errors.Join(a.save(ctx, tx, b.messageID), setPairUnit(ctx, tx, b.messageID, unit))
}

// handBack releases what is reserved and not needed any more.
func (a *account) handBack(ctx context.Context, tx pgx.Tx, b bill) error {
	return errors.Join(
		a.replies.release(ctx, tx, b, domain.MeterReplies, a.replies.spare()),
		a.segments.release(ctx, tx, b, domain.MeterSegments, a.segments.spare()))
}

// spare is what is reserved beyond what may turn out to have been sent.
func (n *amount) spare() int { return max(0, n.reserved-n.doubtful) }

func (n *amount) release(ctx context.Context, tx pgx.Tx, b bill, meter domain.Meter, quantity int) error {
	if quantity == 0 {
		return nil
	}
	n.reserved -= quantity
	return b.post(ctx, tx, entryRelease, meter, quantity, *n.period)
}

// pay has the claim of part 1 pay for the whole message: the unit, where a model wrote it, and the segments of all parts. What the
// message has already is not taken again. The caller holds the pair.
func pay(ctx context.Context, tx pgx.Tx, b bill, byModel bool, segments int, always bool) (domain.QuotaState, error) {
	a, err := accountOf(ctx, tx, b.messageID)
	if err != nil {
		return "", err
	}
	unit := a.unit
	if byModel && a.replies.reserved+a.replies.charged == 0 {
		if unit == nil {
			period, state, err := b.take(ctx, tx, domain.MeterReplies, 1, always)
			if err != nil || state != domain.QuotaGranted {
				return state, err
			}
			unit = &period
		}
		a.replies.reserved, a.replies.period, unit = 1, unit, nil
	}
	state, err := a.segments.hold(ctx, tx, b, segments, always)
	if err != nil {
		return state, err
	}
	return state, errors.Join(a.save(ctx, tx, b.messageID), setPairUnit(ctx, tx, b.messageID, unit))
}

// hold makes what a message has reserved of its segments at least so many, all in the present period.
func (n *amount) hold(ctx context.Context, tx pgx.Tx, b bill, segments int, always bool) (domain.QuotaState, error) {
	if n.reserved+n.charged >= segments { // taken by an earlier claim, while the plan was active
		active := always
		if !always {
			if err := tx.QueryRow(ctx, `SELECT `+planIsActive, b.ownerID).Scan(&active); err != nil {
				return "", err
			}
		}
		if !active {
			return domain.QuotaInactive, nil
		}
		return domain.QuotaGranted, nil
	}
	if err := n.release(ctx, tx, b, domain.MeterSegments, n.reserved); err != nil {
		return "", err
	}
	period, state, err := b.take(ctx, tx, domain.MeterSegments, segments, always)
	if err == nil && state == domain.QuotaGranted {
		n.reserved, n.period = segments, &period
	}
	return state, err
}
