package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// The loop guard stops a conversation that looks like two machines talking, until an operator resumes it, or it was quiet for so long that it is
// closed. It counts by pair, so that closing a conversation does not make it forget, and only what came after an operator lifted it. What it
// reads is bounded: identical texts up to the bound, and the replies of a minute.

// stop marks a conversation as looping: nothing is answered in it any more.
func (c *conversation) stop(ctx context.Context, tx pgx.Tx, reason string) error {
	c.state = domain.ConversationLooping
	if _, err := tx.Exec(ctx, `UPDATE conversations SET state = $2 WHERE conversation_id = $1`, c.id, c.state); err != nil {
		return err
	}
	return note(ctx, tx, c.id, domain.ConversationLoops, domain.ActorParley, reason)
}

// tooAlike says why a text that came is one too many of its like; nothing where it is not. A message without a text is like no other: an album of
// pictures is many of those.
func tooAlike(ctx context.Context, tx pgx.Tx, pairID string, received domain.Received, bounds domain.LoopBounds) (reason string, err error) {
	if domain.Parts(received.Body) == nil {
		return "", nil
	}
	var like int
	err = tx.QueryRow(ctx, `
		SELECT count(*) FROM (
			SELECT FROM messages
			WHERE pair_id = $1 AND direction = 'inbound' AND body <> '' AND hashtextextended(body, 0) = hashtextextended($2, 0) AND body = $2
				AND received_at > greatest($3::timestamptz - $4::interval, (SELECT loops_since FROM pairs WHERE pair_id = $1))
				AND received_at <= $3
			LIMIT $5
		) alike`, pairID, received.Body, received.ReceivedAt, bounds.Window, bounds.Texts).Scan(&like)
	if err != nil || like < bounds.Texts {
		return "", err
	}
	return fmt.Sprintf("more than %d identical texts within %s", bounds.Texts, bounds.Window), nil
}

// tooMany says why a reply that is about to be sent is one too many; nothing where it is not. The caller holds the pair, so that no two replies
// count the same ones.
func tooMany(ctx context.Context, tx pgx.Tx, pairID, messageID string, bounds domain.LoopBounds) (reason string, err error) {
	var replies int
	err = tx.QueryRow(ctx, `
		SELECT count(DISTINCT a.message_id) FROM send_attempts a JOIN messages m USING (message_id)
		WHERE a.pair_id = $1 AND a.part = 1 AND a.state IN ('begun', 'unknown', 'accepted') AND m.direction = 'inbound' AND a.message_id <> $2
			AND a.begun_at > (SELECT greatest(clock_timestamp() - $3::interval, loops_since) FROM pairs WHERE pair_id = $1)`,
		pairID, messageID, domain.LoopMinute).Scan(&replies)
	if err != nil || replies < bounds.Replies {
		return "", err
	}
	return fmt.Sprintf("more than %d replies within %s", bounds.Replies, domain.LoopMinute), nil
}
