package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"parley/internal/domain"
)

// Messages stores messages and all that happens to them.
type Messages struct{ pool *pgxpool.Pool }

// NewMessages returns a message store over a pool.
func NewMessages(pool *pgxpool.Pool) *Messages { return &Messages{pool} }

// RecordInbound stores an inbound message with its place in the pair. Key: (account, message sid); a second call returns
// what is stored. A message without text gets the owner's fixed answer as its draft. It returns KindConflict where the
// message is already another owner's.
func (m *Messages) RecordInbound(ctx context.Context, in domain.NewInbound) (recorded domain.Recorded, err error) {
	ours, err := domain.ParseAddress(in.Received.To)
	if err != nil {
		return recorded, err
	}
	person, err := domain.NewPerson(in.Received.From, in.Received.OtherAddress(), in.Received.ProfileName)
	if err != nil {
		return recorded, err
	}
	if err := domain.SameChannel(ours, person.Address); err != nil {
		return recorded, err
	}
	in.Received = storable(in.Received)
	err = inTx(ctx, m.pool, "inbound message", func(ctx context.Context, tx pgx.Tx) error {
		a, err := arrive(ctx, tx, in, ours, person)
		if err != nil {
			return err
		}
		if recorded, err = a.store(ctx, tx); err != nil {
			return err
		}
		recorded.Unreachable = a.unreachable
		if recorded.ConsentWord != "" {
			recorded.Confirm = a.confirmation(recorded.ConsentWord)
			return nil
		}
		recorded.Denied = a.person.withdrawn
		if recorded.Looping || recorded.Unreachable || domain.Parts(in.Received.Body) != nil {
			return nil
		}
		draft, err := saveDraft(ctx, tx, newDraft{in.OwnerID, recorded.MessageID, []string{recorded.MessageID}, a.settings.AttachmentText, true})
		recorded.DraftID, recorded.Parts = draft.DraftID, draft.Parts
		return err
	})
	return recorded, err
}

// arrival is an inbound message that is about to be stored, with all that decides whether it is to be answered. The pair is locked, and its
// live conversation.
type arrival struct {
	domain.NewInbound
	ours, theirs domain.Address
	pair         pair
	settings     domain.Settings
	person       relation
	live         conversation
	word         domain.ConsentWord
	unreachable  bool   // nobody can write to where it came from
	loop         string // why the conversation loops from this message on
}

func arrive(ctx context.Context, tx pgx.Tx, in domain.NewInbound, ours domain.Address, person domain.Person) (a arrival, err error) {
	_, err = domain.ParseRecipient(in.Received.From)
	a = arrival{NewInbound: in, ours: ours, theirs: person.Address, unreachable: err != nil}
	if a.pair, err = enterPair(ctx, tx, in.OwnerID, ours, person); err != nil {
		return a, err
	}
	if a.settings, err = settingsOf(ctx, tx, in.OwnerID); err != nil {
		return a, err
	}
	if a.person, err = relationOf(ctx, tx, in, ours, person.Address); err != nil {
		return a, err
	}
	if a.live, err = liveConversation(ctx, tx, a.pair.id); err != nil {
		return a, err
	}
	a.word = a.settings.Words.Meaning(in.Received.Body, optOutType(in), a.person.withdrawn)
	if !a.live.looping() && !a.unreachable {
		a.loop, err = tooAlike(ctx, tx, a.pair.id, in.Received, a.settings.Conversations.Loop)
	}
	return a, err
}

// duty says what the message asks of us. What needs no answer is closed from its first moment: it supersedes nothing.
func (a *arrival) duty() (domain.ReplyState, domain.Outcome) {
	switch {
	case a.word != "":
		return domain.ReplyNotNeeded, ""
	case a.unreachable:
		return domain.ReplyNotNeeded, domain.OutcomeBlocked
	case a.loop != "" || a.live.looping():
		return domain.ReplyNotNeeded, domain.OutcomeLooping
	default:
		return domain.ReplyPending, ""
	}
}

// store stores the message, and what it brings about, once; a second call returns what is stored.
func (a *arrival) store(ctx context.Context, tx pgx.Tx) (recorded domain.Recorded, err error) {
	id, err := newID()
	if err != nil {
		return recorded, err
	}
	state, outcome := a.duty()
	received := a.Received
	tag, err := tx.Exec(ctx, `
		WITH routed AS (DELETE FROM unrouted WHERE account_sid = $6 AND message_sid = $7) -- it has an owner now
		INSERT INTO messages (message_id, owner_id, pair_id, contact_id, workflow_id, direction, account_sid, twilio_sid, from_address, to_address,
			body, media, parameters, seq, conversation_id, reply_state, outcome, consent_word, status, deadline, received_at, messaging_service_sid)
		VALUES ($1, $2, $3, $4, $5, 'inbound', $6, $7, $8, $9, $10, $11, $12, $13, nullif($14, ''), $15, nullif($16, ''), nullif($17, ''),
			'received', $18, $19, nullif($20, ''))
		ON CONFLICT (account_sid, twilio_sid) DO NOTHING`,
		id, a.OwnerID, a.pair.id, a.pair.contactID, a.WorkflowID, received.AccountSid, received.MessageSid, received.From, received.To,
		received.Body, received.Media, received.Other, a.pair.seq, a.live.id, state, outcome, a.word, a.Deadline, received.ReceivedAt,
		received.MessagingServiceSid)
	if err != nil {
		return recorded, err
	}
	if tag.RowsAffected() == 0 {
		err = tx.QueryRow(ctx, `
			SELECT message_id, coalesce(reply_state, ''), finished_at IS NOT NULL, coalesce(consent_word, ''), coalesce(outcome = 'looping', false)
			FROM messages WHERE account_sid = $1 AND twilio_sid = $2 AND owner_id = $3`, received.AccountSid, received.MessageSid, a.OwnerID).Scan(
			&recorded.MessageID, &recorded.ReplyState, &recorded.Finished, &recorded.ConsentWord, &recorded.Looping)
		return recorded, conflictIfMissing(err, "the message is stored for another owner")
	}
	if a.live, err = file(ctx, tx, a.pair.id, a.live, id, domain.ActorPerson); err != nil {
		return recorded, err
	}
	if a.loop != "" {
		if err := a.live.stop(ctx, tx, a.loop); err != nil {
			return recorded, err
		}
	}
	recorded = domain.Recorded{MessageID: id, ReplyState: state, ConsentWord: a.word, Looping: outcome == domain.OutcomeLooping}
	return recorded, errors.Join(belong(ctx, tx, a.NewInbound, a.person, a.ours), obey(ctx, tx, a.NewInbound, a.word, id, a.ours, a.theirs))
}

// confirmation returns the system text that answers a consent word, nothing where Twilio does, where nobody can, or where that would go on for
// ever: two machines may talk in consent words too.
func (a *arrival) confirmation(word domain.ConsentWord) domain.MessageKind {
	if a.live.looping() || a.unreachable {
		return ""
	}
	return a.person.confirmation(a.NewInbound, word)
}

// RecordOutbound stores a message of ours with its place in the pair. A system text has the owner's words. Key: (owner, Key); a second call returns what is
// stored, or KindConflict where the key stands for another message.
func (m *Messages) RecordOutbound(ctx context.Context, in domain.NewOutbound) (recorded domain.Recorded, err error) {
	ours, theirs, err := domain.Route(in.From, in.To)
	if err != nil {
		return recorded, err
	}
	in.Body, in.Media, in.Key = text(in.Body), storableMedia(in.Media), text(in.Key)
	if in.Kind == "" {
		in.Kind = domain.KindMessage
	}
	err = inTx(ctx, m.pool, "outbound message", func(ctx context.Context, tx pgx.Tx) error {
		if in.Kind != domain.KindMessage {
			settings, err := settingsOf(ctx, tx, in.OwnerID)
			if err != nil {
				return err
			}
			if in.Body, err = settings.SystemText(in.Kind); err != nil {
				return err
			}
		}
		if recorded.Parts = len(outboundParts(in.Body, in.Media)); recorded.Parts == 0 {
			return domain.Errorf(domain.KindInvalid, "a message needs a body or media")
		}
		p, err := enterPair(ctx, tx, in.OwnerID, ours, domain.Person{Address: theirs})
		if err != nil {
			return err
		}
		live, err := liveConversation(ctx, tx, p.id)
		if err != nil {
			return err
		}
		id, err := newID()
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `
			INSERT INTO messages (message_id, owner_id, pair_id, contact_id, workflow_id, direction, account_sid,
				from_address, to_address, body, media, seq, reply_state, idempotency_key, deadline, kind, conversation_id, messaging_service_sid,
				received_at)
			VALUES ($1, $2, $3, $4, $5, 'outbound', $6, $7, $8, $9, $10, $11, 'pending', $12, $13, $14, nullif($15, ''), nullif($16, ''), now())
			ON CONFLICT (owner_id, idempotency_key) DO NOTHING`,
			id, in.OwnerID, p.id, p.contactID, in.WorkflowID, in.AccountSid, in.From, in.To, in.Body, in.Media, p.seq, in.Key, in.Deadline, in.Kind,
			live.id, in.MessagingServiceSid)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 1 {
			recorded.MessageID, recorded.ReplyState = id, domain.ReplyPending
			_, err := file(ctx, tx, p.id, live, id, domain.ActorParley)
			return err
		}
		err = tx.QueryRow(ctx, `
			SELECT message_id, reply_state, finished_at IS NOT NULL FROM messages
			WHERE owner_id = $1 AND idempotency_key = $2 AND kind = $6
				AND ($6 <> 'message' OR (pair_id = $3 AND body = $4 AND media = $5)) -- a system text may have other words by now, or another sender`,
			in.OwnerID, in.Key, p.id, in.Body, in.Media, in.Kind).Scan(&recorded.MessageID, &recorded.ReplyState, &recorded.Finished)
		return conflictIfMissing(err, "the key was used for another message")
	})
	return recorded, err
}

// pair is the locked row of (our address, their address), with the person.
type pair struct {
	id        string
	contactID string
	seq       int64 // the place that the next message takes
}

// enterPair locks a pair's row, made where it is new, and finds the person.
func enterPair(ctx context.Context, tx pgx.Tx, ownerID string, ours domain.Address, person domain.Person) (p pair, err error) {
	id, err := newID()
	if err != nil {
		return p, err
	}
	// The update changes nothing: it is what locks a row that was there.
	if err := tx.QueryRow(ctx, `
		INSERT INTO pairs (pair_id, owner_id, channel, our_address, their_address) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (owner_id, channel, our_address, their_address) DO UPDATE SET next_seq = pairs.next_seq
		RETURNING pair_id, next_seq`, id, ownerID, ours.Channel, ours.Value, person.Address.Value).Scan(&p.id, &p.seq); err != nil {
		return p, err
	}
	p.contactID, _, err = meet(ctx, tx, ownerID, person)
	return p, err
}

// outboundParts returns the bodies that a message of ours is sent as. Media without a text is one part.
func outboundParts(body string, media []domain.Media) []string {
	parts := domain.Parts(body)
	if len(parts) == 0 && len(media) > 0 {
		return []string{""}
	}
	return parts
}

func conflictIfMissing(err error, message string) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return domain.Errorf(domain.KindConflict, "%s", message)
	}
	return err
}

// storable makes all that a person wrote storable.
func storable(r domain.Received) domain.Received {
	r.Body, r.ProfileName, r.Media = text(r.Body), text(r.ProfileName), storableMedia(r.Media)
	parameters := make(map[string][]string, len(r.Other))
	for name, values := range r.Other {
		for _, value := range values {
			parameters[text(name)] = append(parameters[text(name)], text(value))
		}
	}
	r.Other = parameters
	return r
}

// storableMedia returns media that can be stored, never nil.
func storableMedia(media []domain.Media) []domain.Media {
	clean := append([]domain.Media{}, media...)
	for i := range clean {
		clean[i].URL, clean[i].ContentType = text(clean[i].URL), text(clean[i].ContentType)
	}
	return clean
}
