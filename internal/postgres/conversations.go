package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// conversation is the live conversation of a pair; without an id there is none.
type conversation struct {
	id    string
	state domain.ConversationState
}

func (c conversation) looping() bool { return c.state == domain.ConversationLooping }

// liveConversation locks the live conversation of a pair, so that nobody closes it before what is filed under it is stored. The caller holds
// the pair: nobody else opens one.
func liveConversation(ctx context.Context, tx pgx.Tx, pairID string) (c conversation, err error) {
	err = tx.QueryRow(ctx, `
		SELECT conversation_id, state FROM conversations WHERE pair_id = $1 AND state <> 'closed' FOR NO KEY UPDATE`, pairID).Scan(&c.id, &c.state)
	if errors.Is(err, pgx.ErrNoRows) {
		return c, nil
	}
	return c, err
}

// file gives a message that is stored just now the place in the pair that it was stored with, and files it under the live conversation, which
// is opened where there is none. The caller holds the pair.
func file(ctx context.Context, tx pgx.Tx, pairID string, live conversation, messageID string, by domain.Actor) (conversation, error) {
	if live.id != "" { // it was stored with it
		_, err := tx.Exec(ctx, `
			WITH place AS (UPDATE pairs SET next_seq = next_seq + 1 WHERE pair_id = $1)
			UPDATE conversations SET last_message_at = clock_timestamp() WHERE conversation_id = $2`, pairID, live.id)
		return live, err
	}
	live, err := open(ctx, tx, messageID, by)
	if err != nil {
		return live, err
	}
	_, err = tx.Exec(ctx, `
		WITH place AS (UPDATE pairs SET next_seq = next_seq + 1 WHERE pair_id = $1)
		UPDATE messages SET conversation_id = $2 WHERE message_id = $3`, pairID, live.id, messageID)
	return live, err
}

// open opens a conversation for a message, linked to the last one of the pair, of which none is live. The caller holds the pair.
func open(ctx context.Context, tx pgx.Tx, messageID string, by domain.Actor) (conversation, error) {
	id, err := newID()
	if err != nil {
		return conversation{}, err
	}
	opened := conversation{id, domain.ConversationOpen}
	if _, err := tx.Exec(ctx, `
		INSERT INTO conversations (conversation_id, owner_id, pair_id, contact_id, previous_id, opened_at, last_message_at)
		SELECT $1, owner_id, pair_id, contact_id,
			(SELECT conversation_id FROM conversations last WHERE last.pair_id = m.pair_id ORDER BY opened_at DESC LIMIT 1), now, now
		FROM messages m, clock_timestamp() AS now WHERE message_id = $2`, id, messageID); err != nil {
		return opened, err
	}
	return opened, note(ctx, tx, id, domain.ConversationOpened, by, "message "+messageID)
}

// note keeps a change of a conversation.
func note(ctx context.Context, tx pgx.Tx, conversationID string, change domain.ConversationChange, by domain.Actor, reason string) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO conversation_events (conversation_id, owner_id, event, actor, reason, created_at)
		SELECT conversation_id, owner_id, $2, $3, $4, clock_timestamp() FROM conversations WHERE conversation_id = $1`,
		conversationID, change, by, text(reason))
	return err
}

// idleBatch is how many conversations one statement closes: few enough to be over soon.
const idleBatch = 500

// CloseIdleConversations closes conversations that were quiet for their owner's time, at most a batch of them, and returns how many. It takes no
// pair: it locks each conversation, and passes over one that a message is being filed under. Key: the conversation.
func (m *Messages) CloseIdleConversations(ctx context.Context) (closed int, err error) {
	type setting struct{ OwnerID, Value string }
	err = inTx(ctx, m.pool, "conversations", func(ctx context.Context, tx pgx.Tx) error {
		chosen, err := collect[setting](ctx, tx, `SELECT owner_id, value FROM owner_settings WHERE name = $1`, domain.SettingIdle)
		if err != nil {
			return err
		}
		var owners []string
		var idle []time.Duration
		for _, s := range chosen {
			if settings, err := domain.ParseSettings(map[string]string{domain.SettingIdle: s.Value}); err == nil {
				owners, idle = append(owners, s.OwnerID), append(idle, settings.Conversations.Idle)
			}
		}
		usual := domain.DefaultSettings(domain.English).Conversations.Idle
		tag, err := tx.Exec(ctx, `
			WITH quiet AS (
				SELECT quiet.*, usual.idle FROM owners o LEFT JOIN unnest($1::text[], $2::interval[]) AS chosen (owner_id, idle) USING (owner_id),
					LATERAL (SELECT coalesce(chosen.idle, $3)) AS usual (idle),
					LATERAL (
						SELECT conversation_id FROM conversations c
						WHERE c.owner_id = o.owner_id AND state <> 'closed' AND last_message_at < now() - usual.idle
						ORDER BY last_message_at LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED
					) quiet
				LIMIT $4
			), closed AS (
				UPDATE conversations c SET state = 'closed', closed_at = clock_timestamp() FROM quiet
				WHERE c.conversation_id = quiet.conversation_id RETURNING c.conversation_id, owner_id, quiet.idle
			)
			INSERT INTO conversation_events (conversation_id, owner_id, event, actor, reason, created_at)
			SELECT conversation_id, owner_id, $5, $6, 'nothing was written for ' || idle, clock_timestamp() FROM closed`,
			owners, idle, usual, idleBatch, domain.ConversationEnded, domain.ActorParley)
		closed = int(tag.RowsAffected())
		return err
	})
	return closed, err
}

// CloseConversation closes a live conversation, on an operator's word. It returns KindNotFound where there is none with this id, and KindConflict where it
// is closed already.
func (m *Messages) CloseConversation(ctx context.Context, conversationID, reason string) error {
	return m.change(ctx, conversationID, domain.ConversationEnded, reason, `
		UPDATE conversations SET state = 'closed', closed_at = clock_timestamp() WHERE conversation_id = $1 AND state <> 'closed'`)
}

// ResumeConversation has a looping conversation answered again, on an operator's word: what was counted until now does not count any more. It returns
// KindNotFound where there is none with this id, and KindConflict where it is not looping.
func (m *Messages) ResumeConversation(ctx context.Context, conversationID, reason string) error {
	return m.change(ctx, conversationID, domain.ConversationResumed, reason, `
		WITH resumed AS (UPDATE conversations SET state = 'open' WHERE conversation_id = $1 AND state = 'looping' RETURNING pair_id)
		UPDATE pairs SET loops_since = clock_timestamp() FROM resumed WHERE pairs.pair_id = resumed.pair_id`)
}

// change is one word of an operator. sql changes one row, where the conversation is as it should be.
func (m *Messages) change(ctx context.Context, conversationID string, change domain.ConversationChange, reason, sql string) error {
	return inTx(ctx, m.pool, "conversation", func(ctx context.Context, tx pgx.Tx) error {
		var state domain.ConversationState
		if err := tx.QueryRow(ctx, `
			SELECT state FROM conversations JOIN pairs USING (pair_id) WHERE conversation_id = $1 FOR UPDATE OF pairs`, conversationID).Scan(&state); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, sql, conversationID)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return domain.Errorf(domain.KindConflict, "the conversation is %s", state)
		}
		return note(ctx, tx, conversationID, change, domain.ActorOperator, reason)
	})
}

const listedConversation = `
	SELECT c.conversation_id, c.owner_id, channel, our_address, their_address, state,
		coalesce((SELECT reason FROM conversation_events e WHERE e.conversation_id = c.conversation_id ORDER BY event_id DESC LIMIT 1), ''),
		coalesce(previous_id, ''), opened_at, last_message_at, closed_at
	FROM conversations c JOIN pairs USING (pair_id) `

// Conversations returns the latest conversations that fit a filter, newest first. It is the operator's: it looks across owners.
func (m *Messages) Conversations(ctx context.Context, f domain.ConversationFilter) ([]domain.Conversation, error) {
	return list[domain.Conversation](ctx, m.pool, "conversations", listedConversation+`
		WHERE ($1 = '' OR c.owner_id = $1) AND ($2 = '' OR state = $2)
			AND ($3 = '' OR (channel = $4 AND $3 IN (our_address, their_address)))
		ORDER BY conversation_id DESC LIMIT $5`, f.OwnerID, f.State, f.Address.Value, f.Address.Channel, f.Limit)
}

// Conversation returns a conversation with its latest messages and all its changes, or KindNotFound. It is the operator's: it looks across
// owners.
func (m *Messages) Conversation(ctx context.Context, conversationID string, messages int) (history domain.ConversationHistory, err error) {
	err = inTx(ctx, m.pool, "conversation", func(ctx context.Context, tx pgx.Tx) error {
		found, err := collect[domain.Conversation](ctx, tx, listedConversation+`WHERE conversation_id = $1`, conversationID)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return pgx.ErrNoRows
		}
		history.Conversation = found[0]
		if history.Messages, err = collect[domain.TracedMessage](ctx, tx, tracedMessage+`
			WHERE conversation_id = $1 ORDER BY seq DESC LIMIT $2`, conversationID, messages); err != nil {
			return err
		}
		slices.Reverse(history.Messages)
		history.Events, err = collect[domain.ConversationEvent](ctx, tx, `
			SELECT event, actor, reason, created_at FROM conversation_events WHERE conversation_id = $1 ORDER BY event_id`, conversationID)
		return err
	})
	return history, err
}
