package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// lock gives a pair to an attempt: until it is resolved nobody else of the pair begins one. The caller holds the pair's row.
func lock(ctx context.Context, tx pgx.Tx, key domain.AttemptKey) error {
	_, err := tx.Exec(ctx, `
		UPDATE pairs SET locked_until = 'infinity', lock_message = $1, lock_part = $2, lock_attempt = $3
		WHERE pair_id = (SELECT pair_id FROM messages WHERE message_id = $1)`, key.MessageID, key.Part, key.Attempt)
	return err
}

// unlock frees a pair that an attempt has, now that it is resolved. What another attempt has, of the same message too, stays its
// own. Who had it last stays written: a reply of several parts learns from it whether it was overtaken. The caller holds the pair's row.
func unlock(ctx context.Context, tx pgx.Tx, key domain.AttemptKey) error {
	_, err := tx.Exec(ctx, `
		UPDATE pairs SET locked_until = '-infinity'
		WHERE pair_id = (SELECT pair_id FROM messages WHERE message_id = $1) AND lock_message = $1 AND lock_part = $2 AND lock_attempt = $3`,
		key.MessageID, key.Part, key.Attempt)
	return err
}

// giveUp frees a pair that a message has, whichever attempt of it: at once, or as soon as nothing of one that is not resolved can be
// under way any more. The caller holds the pair's row.
func giveUp(ctx context.Context, tx pgx.Tx, messageID string) error {
	_, err := tx.Exec(ctx, `
		UPDATE pairs SET locked_until = coalesce(
			(SELECT max(answer_before) FROM send_attempts WHERE message_id = $1 AND resolved_at IS NULL), '-infinity')
		WHERE pair_id = (SELECT pair_id FROM messages WHERE message_id = $1) AND lock_message = $1`, messageID)
	return err
}
