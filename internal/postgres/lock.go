package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// lock gives a pair to an attempt: until it is resolved nobody else of the pair begins one. The caller holds the pair's row.
func lock(ctx context.Context, tx pgx.Tx, key domain.AttemptKey) error {
	_, err := tx.Exec(ctx, `
		UPDATE pairs SET locked = true, lock_message = $1, lock_part = $2, lock_attempt = $3
		WHERE pair_id = (SELECT pair_id FROM messages WHERE message_id = $1)`, key.MessageID, key.Part, key.Attempt)
	return err
}

// unlock frees a pair that a message has, unless a POST of the message may still be under way. Who had it last stays written:
// a reply of several parts learns from it whether it was overtaken. The caller holds the pair's row.
func unlock(ctx context.Context, tx pgx.Tx, messageID string) error {
	_, err := tx.Exec(ctx, `
		UPDATE pairs SET locked = false
		WHERE pair_id = (SELECT pair_id FROM messages WHERE message_id = $1) AND lock_message = $1 AND NOT EXISTS (
			SELECT FROM send_attempts WHERE message_id = $1 AND state = 'begun' AND answer_before > clock_timestamp())`, messageID)
	return err
}
