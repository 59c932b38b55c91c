package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// unanswered selects what a reply to the message $1 of the owner $2 answers: itself, and every older message of the person that is still to be answered
// and that no reply accepted or under way answers.
const unanswered = `
	SELECT m.message_id, m.seq, m.received_at, false AS superseded FROM messages m WHERE m.message_id = $1 AND m.owner_id = $2
	UNION ALL
	SELECT o.message_id, o.seq, o.received_at, o.reply_state = 'superseded' FROM messages m JOIN messages o USING (pair_id)
	WHERE m.message_id = $1 AND m.owner_id = $2 AND o.direction = 'inbound' AND o.seq < m.seq AND o.answered_by IS NULL
		AND o.reply_state IN ('pending', 'parked', 'superseded')
		AND NOT EXISTS (
			SELECT FROM send_attempts a JOIN drafts d USING (draft_id)
			WHERE a.pair_id = m.pair_id AND a.state = 'begun' AND a.message_id <> m.message_id AND o.message_id = ANY (d.answers))`

// turn is what a claim of part 1 is decided by beside the message's own rows: what the person wrote before and after it.
type turn struct {
	answers  []string // what a reply to the message answers, oldest first
	waited   bool     // the person has waited long enough: newer messages that are not answered themselves make the next turn
	stale    bool     // the draft answers something else
	byModel  bool     // a model wrote the draft
	pending  bool     // a newer message is pending
	answered bool     // a newer message is answered, or may have been
	paid     bool     // a newer message that is ahead has a unit
}

// ahead reports whether a newer message answers for this one.
func (t turn) ahead() bool { return t.answered || (t.pending && !t.waited) }

func turnOf(ctx context.Context, tx pgx.Tx, in domain.NewClaim) (t turn, err error) {
	var oldest time.Duration
	var superseded int
	err = tx.QueryRow(ctx, `
		WITH asked AS (`+unanswered+`)
		SELECT array_agg(message_id ORDER BY seq), count(*) FILTER (WHERE superseded), clock_timestamp() - min(received_at),
			(SELECT answers FROM drafts WHERE draft_id = $3) IS DISTINCT FROM array_agg(message_id ORDER BY seq),
			coalesce((SELECT NOT fixed FROM drafts WHERE draft_id = $3), false)
		FROM asked`, in.MessageID, in.OwnerID, in.DraftID).Scan(&t.answers, &superseded, &oldest, &t.stale, &t.byModel)
	if err != nil {
		return t, err
	}
	t.waited = oldest > in.Turns.Wait || superseded >= in.Turns.Messages
	err = tx.QueryRow(ctx, `
		SELECT coalesce(bool_or(n.reply_state = 'pending'), false), coalesce(bool_or(n.decided), false),
			coalesce(bool_or(n.reply_state = 'answered' OR n.replies_reserved + n.replies_charged > 0) FILTER (WHERE n.decided OR n.reply_state = 'pending'), false)
		FROM (
			SELECT n.*, n.reply_state = 'answered' OR EXISTS (
				SELECT FROM send_attempts a WHERE a.message_id = n.message_id AND a.state IN ('begun', 'unknown', 'accepted')) AS decided
			FROM messages m JOIN messages n USING (pair_id)
			WHERE m.message_id = $1 AND m.owner_id = $2 AND n.direction = 'inbound' AND n.seq > m.seq
		) n`, in.MessageID, in.OwnerID).Scan(&t.pending, &t.answered, &t.paid)
	return t, err
}

// yields reports whether the message is superseded. Where its unknown attempt holds its unit, it yields only to a message for which there
// is one too. The caller holds the pair.
func (t turn) yields(ctx context.Context, tx pgx.Tx, b bill) (bool, error) {
	if !t.ahead() || t.paid {
		return t.ahead(), nil
	}
	a, err := accountOf(ctx, tx, b.messageID)
	if err != nil {
		return false, err
	}
	if a.unit != nil || (a.replies.reserved > 0 && a.replies.doubtful == 0) {
		return true, nil
	}
	state, err := takeUnit(ctx, tx, b)
	return state == domain.QuotaGranted, err
}
