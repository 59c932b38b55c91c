package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// lastWord joins, to a message m and its pair p, the sender s of ours and what was said last of the person's consent with it: from any of
// their addresses, to the sender itself or to a messaging service that it belongs to.
const lastWord = `
	LEFT JOIN senders s ON s.owner_id = p.owner_id AND s.account_sid = m.account_sid AND s.channel = p.channel AND s.address = p.our_address
	LEFT JOIN LATERAL (
		SELECT c.state, c.changed_at FROM consents c
		WHERE c.owner_id = p.owner_id AND c.channel = p.channel AND c.sender IN (p.our_address, m.messaging_service_sid, s.messaging_service_sid)
			AND c.address IN (
				SELECT every.address FROM contacts one JOIN contacts every USING (person_id)
				WHERE one.owner_id = p.owner_id AND one.channel = p.channel AND one.address = p.their_address)
		ORDER BY c.changed_at DESC, c.state DESC LIMIT 1
	) said ON true`

// relation is how a person stands with the sender that they write to.
type relation struct {
	withdrawn bool   // they do not want to be written to
	service   string // that the message before to this sender came through
	replies   domain.OptOutReplies
}

// relationOf is asked before the message is stored, and after the person is.
func relationOf(ctx context.Context, tx pgx.Tx, in domain.NewInbound, ours, theirs domain.Address) (r relation, err error) {
	var replies string
	err = tx.QueryRow(ctx, `
		SELECT coalesce(said.state = 'withdrawn', false), coalesce(s.messaging_service_sid, ''),
			coalesce(nullif(s.opt_out_replies, ''), via.opt_out_replies, '')
		FROM (SELECT $1::text AS owner_id, $2::text AS channel, $3::text AS our_address, $4::text AS their_address) p
			CROSS JOIN (SELECT $5::text AS account_sid, nullif($6::text, '') AS messaging_service_sid) m`+lastWord+`
			LEFT JOIN senders via ON via.owner_id = p.owner_id AND via.account_sid = m.account_sid AND via.channel = $7
				AND via.address = m.messaging_service_sid`,
		in.OwnerID, ours.Channel, ours.Value, theirs.Value, in.Received.AccountSid, in.Received.MessagingServiceSid,
		domain.ChannelService).Scan(&r.withdrawn, &r.service, &replies)
	if err != nil {
		return r, err
	}
	r.replies, err = domain.ParseOptOutReplies(replies, ours)
	return r, err
}

// belong notes the messaging service that a sender of ours belongs to, as its messages tell: what is said to the service holds for the
// sender too.
func belong(ctx context.Context, tx pgx.Tx, in domain.NewInbound, r relation, ours domain.Address) error {
	if in.Received.MessagingServiceSid == r.service {
		return nil
	}
	_, err := tx.Exec(ctx, `
		UPDATE senders SET messaging_service_sid = $5 WHERE owner_id = $1 AND account_sid = $2 AND channel = $3 AND address = $4`,
		in.OwnerID, in.Received.AccountSid, ours.Channel, ours.Value, in.Received.MessagingServiceSid)
	return err
}

// optOutType is Twilio's own reading of a consent word, which it then answers itself.
func optOutType(in domain.NewInbound) string { return first(in.Received.Other["OptOutType"]) }

// confirmation returns the system text that answers a consent word, nothing where Twilio does.
func (r relation) confirmation(in domain.NewInbound, word domain.ConsentWord) domain.MessageKind {
	if r.replies.TwilioAnswers(in.Received.Body, optOutType(in)) {
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
		Channel: ours.Channel, Address: theirs.Value, State: state, Source: domain.ConsentByPerson, At: in.Received.ReceivedAt,
	})
}

// setConsent notes a person's consent with some senders, and that it was noted. The latest word counts, by when it was said (c.At; none: now): one
// that comes late, from the spool or from Twilio's log, does not undo what was said after it.
func setConsent(ctx context.Context, tx pgx.Tx, ownerID, messageID string, senders []string, c domain.Consent) error {
	var said *time.Time
	if !c.At.IsZero() {
		said = &c.At
	}
	_, err := tx.Exec(ctx, `
		WITH noted AS (
			INSERT INTO consents (owner_id, channel, sender, address, state, source, changed_at)
			SELECT $1, $2, sender, $4, $5, $6, least($9, clock_timestamp()) FROM unnest($3::text[]) sender
			ON CONFLICT (owner_id, channel, sender, address) DO UPDATE
			SET state = excluded.state, source = excluded.source, changed_at = excluded.changed_at
			WHERE consents.changed_at <= excluded.changed_at
		)
		INSERT INTO consent_events (owner_id, channel, sender, address, state, source, reason, message_id)
		SELECT $1, $2, sender, $4, $5, $6, $7, nullif($8, '') FROM unnest($3::text[]) sender`,
		ownerID, c.Channel, senders, c.Address, c.State, c.Source, text(c.Reason), messageID, said)
	return err
}

// withdrawByError withdraws a person's consent since Twilio says, with the error code $4, that they opted out: of the message $1, part $2,
// attempt $3, if that has the sid $6 of the account $5, or none is said. What was sent before they gave consent again says nothing.
const withdrawByError = `
	WITH told AS (
		SELECT p.owner_id, p.channel, p.their_address, sender
		FROM send_attempts a JOIN messages m USING (message_id) JOIN pairs p ON p.pair_id = a.pair_id` + lastWord + `
			CROSS JOIN LATERAL (
				SELECT DISTINCT sender FROM unnest(ARRAY[p.our_address, m.messaging_service_sid, s.messaging_service_sid]) sender WHERE sender <> ''
			) senders
		WHERE a.message_id = $1 AND a.part = $2 AND a.attempt = $3 AND ($6 = '' OR (a.account_sid = $5 AND a.twilio_sid = $6))
			AND (said.state IS NULL OR (said.state = 'given' AND said.changed_at <= a.begun_at))
	), noted AS (
		INSERT INTO consents (owner_id, channel, sender, address, state, source, changed_at)
		SELECT owner_id, channel, sender, their_address, 'withdrawn', 'twilio', clock_timestamp() FROM told
		ON CONFLICT (owner_id, channel, sender, address) DO UPDATE
		SET state = excluded.state, source = excluded.source, changed_at = excluded.changed_at
	)
	INSERT INTO consent_events (owner_id, channel, sender, address, state, source, reason, message_id)
	SELECT owner_id, channel, sender, their_address, 'withdrawn', 'twilio', 'error ' || $4::int, $1 FROM told`

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

// Consents returns what is known of a person's consent, the latest first, and every change of it, oldest first: from all their addresses.
func (m *Messages) Consents(ctx context.Context, ownerID string, address domain.Address) (history domain.ConsentHistory, err error) {
	err = inTx(ctx, m.pool, "consent", func(ctx context.Context, tx pgx.Tx) error {
		const theirs = `
			WHERE owner_id = $1 AND channel = $2 AND (address = $3 OR address IN (
				SELECT every.address FROM contacts one JOIN contacts every USING (person_id)
				WHERE one.owner_id = $1 AND one.channel = $2 AND one.address = $3)) `
		if history.Consents, err = collect[domain.Consent](ctx, tx, `
			SELECT channel, sender, address, state, source, '', changed_at FROM consents`+theirs+`ORDER BY changed_at DESC, sender`,
			ownerID, address.Channel, address.Value); err != nil {
			return err
		}
		history.Events, err = collect[domain.Consent](ctx, tx, `
			SELECT channel, sender, address, state, source, reason, created_at FROM consent_events`+theirs+`ORDER BY event_id`,
			ownerID, address.Channel, address.Value)
		return err
	})
	return history, err
}
