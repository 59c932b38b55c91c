package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// Unfinished returns messages whose flow has not closed them and that were not looked at for a time, those that wait longest first, and
// notes that they are looked at now: who asks at the same time gets others. It looks across owners.
func (m *Messages) Unfinished(ctx context.Context, after time.Duration, most int) (messages []domain.Unfinished, err error) {
	err = inTx(ctx, m.pool, "unfinished messages", func(ctx context.Context, tx pgx.Tx) error {
		messages, err = collect[domain.Unfinished](ctx, tx, `
			UPDATE messages SET swept_at = clock_timestamp() WHERE message_id IN (
				SELECT message_id FROM messages
				WHERE finished_at IS NULL AND in_reply_to IS NULL AND coalesce(swept_at, created_at) < now() - $1::interval
				ORDER BY coalesce(swept_at, created_at) LIMIT $2 FOR UPDATE SKIP LOCKED)
			RETURNING owner_id, message_id, workflow_id, clock_timestamp() - created_at`, after, most)
		return err
	})
	return messages, err
}

// LeftUnanswered returns the messages that were superseded, that a reply to this one was to answer too, and that nobody has answered.
func (m *Messages) LeftUnanswered(ctx context.Context, ownerID, messageID string) (ids []string, err error) {
	err = inTx(ctx, m.pool, "superseded messages", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			SELECT message_id FROM (`+unanswered+`) asked WHERE superseded ORDER BY seq`, messageID, ownerID)
		if err != nil {
			return err
		}
		ids, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return ids, err
}
