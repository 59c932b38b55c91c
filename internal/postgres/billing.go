package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// Reserve takes the unit of one reply. Key: the workflow. A Reserve that arrives after its flow's Finish takes nothing.
func (m *Messages) Reserve(ctx context.Context, ownerID, workflowID, messageID string) error {
	return inTx(ctx, m.pool, "reserve", func(ctx context.Context, tx pgx.Tx) error {
		if err := lockPair(ctx, tx, ownerID, messageID); err != nil {
			return err
		}
		return enter(ctx, tx, `
			SELECT $1, owner_id, $2, message_id, 'reserve', 'ai_replies', 1 FROM messages
			WHERE message_id = $3 AND owner_id = $4 AND finished_at IS NULL`, workflowID, messageID, ownerID)
	})
}

// Settle charges what Twilio accepted for a message: the reply that was reserved, and the segments of its parts. Key: the
// workflow. It returns the segments, or KindConflict where nothing was accepted.
func (m *Messages) Settle(ctx context.Context, ownerID, workflowID, messageID string) (segments int, err error) {
	err = inTx(ctx, m.pool, "settle", func(ctx context.Context, tx pgx.Tx) error {
		if err := lockPair(ctx, tx, ownerID, messageID); err != nil {
			return err
		}
		segments, err = settle(ctx, tx, ownerID, workflowID, messageID)
		if err == nil && segments == 0 {
			return domain.Errorf(domain.KindConflict, "nothing of this message was accepted: nothing to settle")
		}
		return err
	})
	return segments, err
}

// settle enters the charges that are not entered yet. The caller holds the pair.
func settle(ctx context.Context, tx pgx.Tx, ownerID, workflowID, messageID string) (segments int, err error) {
	if err := enter(ctx, tx, `
		SELECT $1, owner_id, workflow_id, message_id, 'settle', meter, quantity FROM ledger
		WHERE workflow_id = $2 AND message_id = $3 AND owner_id = $4 AND kind = 'reserve'`, workflowID, messageID, ownerID); err != nil {
		return 0, err
	}
	if err := enter(ctx, tx, `
		SELECT $1, owner_id, $2, message_id, 'settle', 'message_segments', sum(segments) FROM send_attempts
		WHERE message_id = $3 AND owner_id = $4 AND state = 'accepted' GROUP BY owner_id, message_id`, workflowID, messageID, ownerID); err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, `
		SELECT coalesce(sum(quantity), 0) FROM ledger
		WHERE workflow_id = $1 AND message_id = $2 AND owner_id = $3 AND kind = 'settle' AND meter = 'message_segments'`,
		workflowID, messageID, ownerID).Scan(&segments)
	return segments, err
}

// release hands back what was reserved and not charged. The caller holds the pair.
func release(ctx context.Context, tx pgx.Tx, ownerID, workflowID, messageID string) error {
	return enter(ctx, tx, `
		SELECT $1, owner_id, workflow_id, message_id, 'release', meter, quantity FROM ledger r
		WHERE workflow_id = $2 AND message_id = $3 AND owner_id = $4 AND kind = 'reserve'
			AND NOT EXISTS (SELECT FROM ledger s WHERE s.workflow_id = r.workflow_id AND s.meter = r.meter AND s.kind = 'settle')`,
		workflowID, messageID, ownerID)
}

// enter adds the ledger entry that a SELECT yields, at most one, once. Its arguments are $1 the entry's id, $2 the workflow, $3 the message, $4 the owner.
func enter(ctx context.Context, tx pgx.Tx, entry, workflowID, messageID, ownerID string) error {
	id, err := newID()
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO ledger (entry_id, owner_id, workflow_id, message_id, kind, meter, quantity) `+entry+`
		ON CONFLICT (workflow_id, meter, kind) DO NOTHING`, id, workflowID, messageID, ownerID)
	return err
}
