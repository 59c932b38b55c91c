package postgres

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// attachmentNote stands in a prompt for what a person sent beside text.
const attachmentNote = "[attachment]"

// promptTurns is how many earlier messages of the pair a model sees.
const promptTurns = 20

// Draft returns the reply that is stored for a message and answers what is to be answered now, or KindNotFound.
func (m *Messages) Draft(ctx context.Context, ownerID, messageID string) (draft domain.Draft, err error) {
	err = inTx(ctx, m.pool, "draft", func(ctx context.Context, tx pgx.Tx) error {
		draft, err = draftOf(ctx, tx, ownerID, messageID)
		return err
	})
	return draft, err
}

// Prompt returns what a model needs to answer a message: the owner's instructions and the latest messages of the pair,
// oldest first, up to this one.
func (m *Messages) Prompt(ctx context.Context, ownerID, messageID string) (prompt domain.Prompt, err error) {
	err = inTx(ctx, m.pool, "prompt", func(ctx context.Context, tx pgx.Tx) error {
		settings, err := settingsOf(ctx, tx, ownerID)
		if err != nil {
			return err
		}
		turns, err := collect[domain.Turn](ctx, tx, `
			SELECT earlier.direction, concat_ws(' ', nullif(earlier.body, ''), CASE WHEN earlier.media <> '[]' AND earlier.direction = 'inbound' THEN $4::text END)
			FROM messages m JOIN messages earlier USING (pair_id)
			WHERE m.message_id = $1 AND m.owner_id = $2 AND earlier.seq <= m.seq AND earlier.consent_word IS NULL
				AND (earlier.body <> '' OR (earlier.direction = 'inbound' AND earlier.media <> '[]'))
				AND (earlier.direction = 'inbound' OR EXISTS ( -- what did not go out was not said
					SELECT FROM send_attempts a
					WHERE a.message_id = coalesce(earlier.in_reply_to, earlier.message_id) AND a.part = earlier.part AND a.state = 'accepted'))
				AND NOT EXISTS ( -- a further part of a message of ours, whose own row has the whole
					SELECT FROM messages whole WHERE whole.message_id = earlier.in_reply_to AND whole.direction = 'outbound')
			ORDER BY earlier.seq DESC LIMIT $3`, messageID, ownerID, promptTurns+1, attachmentNote)
		if err != nil {
			return err
		}
		if len(turns) == 0 {
			return pgx.ErrNoRows
		}
		slices.Reverse(turns)
		prompt = domain.Prompt{Language: settings.Language, Instructions: settings.Instructions, Turns: turns}
		prompt.Answers, err = answersOf(ctx, tx, ownerID, messageID)
		return err
	})
	return prompt, err
}

// SaveReply stores a model's answer with what it cost. Key: the message and what the reply answers: where a draft is stored already, that
// one is returned and the new text is dropped; what it cost is kept all the same. An answer without text leaves only its cost, and is counted.
func (m *Messages) SaveReply(ctx context.Context, reply domain.NewReply) (saved domain.SavedReply, err error) {
	id, err := newID()
	if err != nil {
		return saved, err
	}
	err = inTx(ctx, m.pool, "reply", func(ctx context.Context, tx pgx.Tx) error {
		c := reply.Completion
		cost, currency := amountOf(c.Cost)
		if err := affected(tx.Exec(ctx, `
			INSERT INTO ai_runs (ai_run_id, owner_id, message_id, provider, model, input_tokens, output_tokens, latency_ms, answered, cost_micros, currency)
			SELECT $1, owner_id, message_id, $4, $5, $6, $7, $8, $9, $10, $11 FROM messages WHERE message_id = $2 AND owner_id = $3`,
			id, reply.MessageID, reply.OwnerID, text(c.Provider), text(c.Model), c.InputTokens, c.OutputTokens, c.Latency.Milliseconds(), c.Text != "",
			cost, currency)); err != nil {
			return err
		}
		if c.Text != "" {
			saved.Draft, err = saveDraft(ctx, tx, newDraft{reply.OwnerID, reply.MessageID, reply.Answers, c.Text, false})
			return err
		}
		return tx.QueryRow(ctx, `
			SELECT count(*) FROM ai_runs WHERE message_id = $1 AND owner_id = $2 AND NOT answered`, reply.MessageID, reply.OwnerID).Scan(&saved.Unanswered)
	})
	return saved, err
}

// newDraft is a reply to be stored.
type newDraft struct {
	ownerID, messageID string
	answers            []string
	body               string
	fixed              bool // the owner's words
}

// saveDraft stores the reply to a message, once, and returns the one that is stored.
func saveDraft(ctx context.Context, tx pgx.Tx, d newDraft) (domain.Draft, error) {
	id, err := newID()
	if err != nil {
		return domain.Draft{}, err
	}
	if _, err := tx.Exec(ctx, `
		INSERT INTO drafts (draft_id, owner_id, message_id, answers, body, fixed) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (message_id, answers) DO NOTHING`, id, d.ownerID, d.messageID, d.answers, text(d.body), d.fixed); err != nil {
		return domain.Draft{}, err
	}
	return draftFor(ctx, tx, d.ownerID, d.messageID, d.answers)
}

// draftOf returns the draft of a message that answers what is to be answered now.
func draftOf(ctx context.Context, tx pgx.Tx, ownerID, messageID string) (domain.Draft, error) {
	answers, err := answersOf(ctx, tx, ownerID, messageID)
	if err != nil {
		return domain.Draft{}, err
	}
	return draftFor(ctx, tx, ownerID, messageID, answers)
}

// answersOf returns the ids of the messages that a reply to a message answers, oldest first.
func answersOf(ctx context.Context, tx pgx.Tx, ownerID, messageID string) (answers []string, err error) {
	err = tx.QueryRow(ctx, `SELECT coalesce(array_agg(message_id ORDER BY seq), '{}') FROM (`+unanswered+`) asked`, messageID, ownerID).Scan(&answers)
	return answers, err
}

func draftFor(ctx context.Context, tx pgx.Tx, ownerID, messageID string, answers []string) (draft domain.Draft, err error) {
	var body string
	err = tx.QueryRow(ctx, `
		SELECT draft_id, body FROM drafts WHERE message_id = $1 AND owner_id = $2 AND answers = $3`, messageID, ownerID, answers).Scan(&draft.DraftID, &body)
	draft.Parts = len(domain.Parts(body))
	return draft, err
}

// draftBody returns the text of a draft of a message, or KindNotFound.
func draftBody(ctx context.Context, tx pgx.Tx, ownerID, messageID, draftID string) (body string, err error) {
	err = tx.QueryRow(ctx, `SELECT body FROM drafts WHERE draft_id = $1 AND message_id = $2 AND owner_id = $3`, draftID, messageID, ownerID).Scan(&body)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", domain.Errorf(domain.KindNotFound, "draft not found")
	}
	return body, err
}
