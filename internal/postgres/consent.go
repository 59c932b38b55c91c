package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// relation is how a person stands with the sender that they write to.
type relation struct {
	withdrawn bool // they do not want to be written to
	ours      bool // nobody but us answers consent words
}

func relationOf(ctx context.Context, tx pgx.Tx, in domain.NewInbound, ours, theirs domain.Address) (r relation, err error) {
	var replies domain.OptOutReplies
	err = tx.QueryRow(ctx, `
		SELECT EXISTS (
				SELECT FROM consents WHERE owner_id = $1 AND channel = $2 AND sender IN ($3, $6) AND address = $4 AND state = 'withdrawn'),
			coalesce((SELECT opt_out_replies FROM senders WHERE account_sid = $5 AND channel = $2 AND address = $3), '')`,
		in.OwnerID, ours.Channel, ours.Value, theirs.Value, in.Received.AccountSid, in.Received.MessagingServiceSid).Scan(&r.withdrawn, &replies)
	if err != nil {
		return r, err
	}
	replies, err = domain.ParseOptOutReplies(string(replies), ours)
	r.ours = replies == domain.RepliesByUs && optOutType(in) == ""
	return r, err
}

// optOutType is Twilio's own reading of a consent word, which it then answers itself.
func optOutType(in domain.NewInbound) string { return first(in.Received.Other["OptOutType"]) }

// confirmation returns the system text that answers a consent word, nothing where Twilio does.
func (r relation) confirmation(word domain.ConsentWord) domain.MessageKind {
	if !r.ours {
		return ""
	}
	return map[domain.ConsentWord]domain.MessageKind{
		domain.WordStop: domain.KindStopConfirmation, domain.WordStart: domain.KindStartConfirmation, domain.WordHelp: domain.KindHelp,
	}[word]
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// obey gives or withdraws the consent that a message which is stored just now asks for: with the sender that it came to, and with the
// messaging service that this belongs to, if any. The caller holds the pair.
func obey(ctx context.Context, tx pgx.Tx, in domain.NewInbound, word domain.ConsentWord, messageID string, ours, theirs domain.Address) error {
	state := domain.ConsentWithdrawn
	switch word {
	case domain.WordStop:
	case domain.WordStart:
		state = domain.ConsentGiven
	default:
		return nil
	}
	senders := []string{ours.Value}
	if in.Received.MessagingServiceSid != "" {
		senders = append(senders, in.Received.MessagingServiceSid)
	}
	return setConsent(ctx, tx, in.OwnerID, messageID, senders, domain.Consent{
		Channel: ours.Channel, Address: theirs.Value, State: state, Source: domain.ConsentByPerson,
	})
}

// setConsent notes a person's consent with some senders, and that it was noted.
func setConsent(ctx context.Context, tx pgx.Tx, ownerID, messageID string, senders []string, c domain.Consent) error {
	_, err := tx.Exec(ctx, `
		WITH noted AS (
			INSERT INTO consents (owner_id, channel, sender, address, state, source, changed_at)
			SELECT $1, $2, sender, $4, $5, $6, clock_timestamp() FROM unnest($3::text[]) sender
			ON CONFLICT (owner_id, channel, sender, address) DO UPDATE
			SET state = excluded.state, source = excluded.source, changed_at = excluded.changed_at
		)
		INSERT INTO consent_events (owner_id, channel, sender, address, state, source, reason, message_id)
		SELECT $1, $2, sender, $4, $5, $6, $7, nullif($8, '') FROM unnest($3::text[]) sender`,
		ownerID, c.Channel, senders, c.Address, c.State, c.Source, text(c.Reason), messageID)
	return err
}

// withdrawByError withdraws a person's consent since Twilio says, with the error code $4, that they opted out: of the message $1, part $2,
// attempt $3, if that has the sid $6 of the account $5, or none is said. What was sent before they gave consent again says nothing.
const withdrawByError = `
	WITH person AS (
		SELECT p.owner_id, p.channel, p.our_address, p.their_address FROM send_attempts a JOIN pairs p USING (pair_id)
		WHERE a.message_id = $1 AND a.part = $2 AND a.attempt = $3 AND ($6 = '' OR (a.account_sid = $5 AND a.twilio_sid = $6))
			AND NOT EXISTS (
				SELECT FROM consents c WHERE c.owner_id = p.owner_id AND c.channel = p.channel AND c.sender = p.our_address
					AND c.address = p.their_address AND (c.state = 'withdrawn' OR c.changed_at > a.begun_at))
	), noted AS (
		INSERT INTO consents (owner_id, channel, sender, address, state, source, changed_at)
		SELECT owner_id, channel, our_address, their_address, 'withdrawn', 'twilio', clock_timestamp() FROM person
		ON CONFLICT (owner_id, channel, sender, address) DO UPDATE
		SET state = excluded.state, source = excluded.source, changed_at = excluded.changed_at
	)
	INSERT INTO consent_events (owner_id, channel, sender, address, state, source, reason, message_id)
	SELECT owner_id, channel, our_address, their_address, 'withdrawn', 'twilio', 'error ' || $4::int, $1 FROM person`

func withdraw(ctx context.Context, tx pgx.Tx, key domain.AttemptKey, errorCode int) error {
	_, err := tx.Exec(ctx, withdrawByError, key.MessageID, key.Part, key.Attempt, errorCode, "", "")
	return err
}

// SetConsent notes what an operator knows of a person's consent with a sender. It returns KindNotFound without such an owner.
func (m *Messages) SetConsent(ctx context.Context, ownerID string, consent domain.Consent) error {
	return inTx(ctx, m.pool, "consent", func(ctx context.Context, tx pgx.Tx) error {
		return setConsent(ctx, tx, ownerID, "", []string{consent.Sender}, consent)
	})
}

// Consents returns what is known of a person's consent, by sender, and every change of it, oldest first.
func (m *Messages) Consents(ctx context.Context, ownerID string, address domain.Address) (history domain.ConsentHistory, err error) {
	err = inTx(ctx, m.pool, "consent", func(ctx context.Context, tx pgx.Tx) error {
		if history.Consents, err = collect[domain.Consent](ctx, tx, `
			SELECT channel, sender, address, state, source, '', changed_at FROM consents
			WHERE owner_id = $1 AND channel = $2 AND address = $3 ORDER BY sender`, ownerID, address.Channel, address.Value); err != nil {
			return err
		}
		history.Events, err = collect[domain.Consent](ctx, tx, `
			SELECT channel, sender, address, state, source, reason, created_at FROM consent_events
			WHERE owner_id = $1 AND channel = $2 AND address = $3 ORDER BY event_id`, ownerID, address.Channel, address.Value)
		return err
	})
	return history, err
}
