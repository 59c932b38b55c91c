package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// attachmentNote stands in a prompt for what a person sent beside text.
const attachmentNote = "[attachment]"

// A prompt reaches over this many places of a pair before the message that it is about, and after: a part of a reply has its place when
// it is claimed, which may be after the next message has come. So many rows are read at most, however long the conversation; and so many of
// each other pair that the person has with this sender, under another address of theirs.
const (
	promptBefore = 200
	promptAfter  = 50
)

// Draft returns the reply that is stored for a message and answers what is to be answered now, or KindNotFound.
func (m *Messages) Draft(ctx context.Context, ownerID, messageID string) (draft domain.Draft, err error) {
	err = inTx(ctx, m.pool, "draft", func(ctx context.Context, tx pgx.Tx) error {
		draft, err = draftOf(ctx, tx, ownerID, messageID)
		return err
	})
	return draft, err
}

// Prompt returns what a model needs to answer a message: the owner's instructions, and of what was said between the two addresses, in this
// conversation and those before it, as much as the owner's budget takes. What the person wrote after the message is left to its own turn;
// what it is to answer comes last.
func (m *Messages) Prompt(ctx context.Context, ownerID, messageID string) (prompt domain.Prompt, err error) {
	err = inTx(ctx, m.pool, "prompt", func(ctx context.Context, tx pgx.Tx) error {
		settings, err := settingsOf(ctx, tx, ownerID)
		if err != nil {
			return err
		}
		prompt = domain.Prompt{Language: settings.Language, Instructions: settings.Instructions}
		// First: an answer that goes out meanwhile is seen below, and the claim finds that it was not known here.
		if prompt.Answers, err = answersOf(ctx, tx, ownerID, messageID); err != nil {
			return err
		}
		if len(prompt.Answers) == 0 {
			return pgx.ErrNoRows
		}
		said, asked, err := saidBetween(ctx, tx, ownerID, messageID, prompt.Answers)
		if err != nil {
			return err
		}
		prompt.Turns = domain.FitPrompt(said, asked, settings.Conversations.PromptTokens)
		return nil
	})
	return prompt, err
}

// saidBetween returns what was said between the two addresses of a message, oldest first: what it is to answer, and all else. A number that
// comes with another id of WhatsApp's than before may have got another holder, who is shown nothing of what was said with the one before.
func saidBetween(ctx context.Context, tx pgx.Tx, ownerID, messageID string, answers []string) (said, asked []domain.Turn, err error) {
	type row struct {
		Asked bool
		domain.Turn
	}
	rows, err := collect[row](ctx, tx, `
		WITH talk AS MATERIALIZED (
			SELECT q.pair_id, m.pair_id = q.pair_id AS own, CASE WHEN m.pair_id = q.pair_id THEN m.seq ELSE q.next_seq END AS place, m.created_at, holder
			FROM messages m JOIN pairs p USING (pair_id) CROSS JOIN LATERAL (SELECT m.parameters->'ExternalUserId'->>0) told (holder)
				JOIN contacts one ON one.owner_id = p.owner_id AND one.channel = p.channel AND one.address = p.their_address
				JOIN contacts every USING (person_id)
				JOIN pairs q ON q.owner_id = p.owner_id AND q.channel = p.channel AND q.our_address = p.our_address AND q.their_address = every.address
			WHERE m.message_id = $1 AND m.owner_id = $2
				AND (every.address LIKE '+%' OR every.address = coalesce(replace(holder, 'whatsapp:', ''), every.address))
		), held AS MATERIALIZED (
			SELECT talk.*, CASE WHEN holder IS NOT NULL THEN (
				SELECT max(seq) FROM messages other WHERE other.pair_id = talk.pair_id AND seq BETWEEN place - $4 AND place
					AND direction = 'inbound' AND parameters->'ExternalUserId'->>0 <> holder) END AS since
			FROM talk
		), near AS MATERIALIZED (
			SELECT e.* FROM held AS talk CROSS JOIN LATERAL ( -- the limit is for the planner: it then goes by the index, whatever it believes of a pair
				SELECT * FROM messages WHERE pair_id = talk.pair_id AND seq BETWEEN place - $4 AND place + $5 ORDER BY seq DESC LIMIT $4 + $5 + 1
			) e
			WHERE message_id <> ALL ($3) AND (direction = 'outbound' OR CASE WHEN own THEN seq < place ELSE e.created_at < talk.created_at END)
				AND seq > coalesce(since, -1)
		)
		SELECT message_id = ANY ($3) AS asked, direction, concat_ws(' ', nullif(body, ''), CASE WHEN media <> '[]' AND direction = 'inbound' THEN $6::text END)
		FROM (
			SELECT * FROM near UNION ALL
			SELECT * FROM messages WHERE message_id = ANY ($3) AND coalesce(parameters->'ExternalUserId'->>0 = (SELECT holder FROM talk WHERE own), true)
		) e
		WHERE consent_word IS NULL AND (body <> '' OR (direction = 'inbound' AND media <> '[]'))
			AND (direction = 'inbound' OR ( -- what did not go out was not said, what is going out is; asked row by row, never of a whole table
				SELECT true FROM send_attempts a
				WHERE a.message_id = coalesce(e.in_reply_to, e.message_id) AND a.part = e.part AND a.state IN ('begun', 'accepted') LIMIT 1))
			AND ( -- not a further part of a message of ours, whose own row has the whole
				SELECT direction FROM messages whole WHERE whole.message_id = e.in_reply_to) IS DISTINCT FROM 'outbound'
		ORDER BY CASE WHEN message_id = ANY ($3) THEN received_at ELSE created_at END, seq -- as they were written, though the spool gave them back in another order
		`, messageID, ownerID, answers, promptBefore, promptAfter, attachmentNote)
	for _, r := range rows {
		if r.Asked {
			asked = append(asked, r.Turn)
		} else {
			said = append(said, r.Turn)
		}
	}
	return said, asked, err
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
		ON CONFLICT (message_id, hash_array_extended(answers, 0)) DO NOTHING`, id, d.ownerID, d.messageID, d.answers, text(d.body), d.fixed); err != nil {
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
