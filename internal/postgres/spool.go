package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"parley/internal/domain"
)

// Spool keeps inbound messages whose flow could not be started when they came.
//
// Whoever takes a message has it for a time (due_at): no transaction is open while its flow is started, and what a process took that died
// is taken by another. So a flow may be started twice, which its workflow id makes harmless.
type Spool struct {
	pool   *pgxpool.Pool
	cipher Cipher
}

// NewSpool returns the spool over a pool.
func NewSpool(pool *pgxpool.Pool, cipher Cipher) *Spool { return &Spool{pool, cipher} }

// Put keeps a message. Key: (AccountSid, MessageSid); the first one stays.
func (s *Spool) Put(ctx context.Context, received domain.Received) error {
	ciphertext, err := sealReceived(s.cipher, spoolReceived(), received)
	if err != nil {
		return err
	}
	return s.execute(ctx, `
		INSERT INTO webhook_spool (account_sid, message_sid, received, received_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (account_sid, message_sid) DO NOTHING`, received.AccountSid, received.MessageSid, ciphertext, received.ReceivedAt)
}

// Take takes the messages that are due longest, at most so many: nobody else is given them within a time. A message that does not
// decrypt is among them, with its error.
func (s *Spool) Take(ctx context.Context, most int, within time.Duration) ([]domain.Spooled, error) {
	type row struct {
		domain.SpoolKey
		ciphertext []byte
	}
	var taken []domain.Spooled
	err := inTx(ctx, s.pool, "spool", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			WITH due AS MATERIALIZED (
				SELECT account_sid, message_sid FROM webhook_spool WHERE due_at <= now() ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
			)
			UPDATE webhook_spool s SET due_at = now() + $2 FROM due
			WHERE s.account_sid = due.account_sid AND s.message_sid = due.message_sid
			RETURNING s.account_sid, s.message_sid, s.received`, most, within)
		if err != nil {
			return err
		}
		list, err := pgx.CollectRows(rows, func(found pgx.CollectableRow) (r row, err error) {
			err = found.Scan(&r.AccountSid, &r.MessageSid, &r.ciphertext)
			return r, err
		})
		for _, r := range list {
			received, err := openReceived(s.cipher, spoolReceived(), r.AccountSid, r.MessageSid, r.ciphertext)
			taken = append(taken, domain.Spooled{SpoolKey: r.SpoolKey, Received: received, Err: err})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return taken, nil
}

// PutBack gives messages back that were taken: they are due at once.
func (s *Spool) PutBack(ctx context.Context, keys []domain.SpoolKey) error {
	return s.execute(ctx, `UPDATE webhook_spool SET due_at = now() WHERE `+spoolKeys, spoolArgs(keys)...)
}

// Refuse notes that the flow of a message could not be started for a reason of the message's own. It stays, and is tried again ever less
// often, at last every five minutes: a key or a setting may be mended.
func (s *Spool) Refuse(ctx context.Context, key domain.SpoolKey, reason string) error {
	return s.execute(ctx, `
		UPDATE webhook_spool SET refusals = refusals + 1, refusal = $3, due_at = now() + least(interval '1 s' * 2 ^ least(refusals, 10), '5 min')
		WHERE account_sid = $1 AND message_sid = $2`, key.AccountSid, key.MessageSid, text(reason))
}

// Drop removes messages: their flows were started.
func (s *Spool) Drop(ctx context.Context, keys []domain.SpoolKey) error {
	return s.execute(ctx, `DELETE FROM webhook_spool WHERE `+spoolKeys, spoolArgs(keys)...)
}

// Remove removes one message on an operator's word, or returns KindNotFound.
func (s *Spool) Remove(ctx context.Context, key domain.SpoolKey) error {
	return inTx(ctx, s.pool, "spool", func(ctx context.Context, tx pgx.Tx) error {
		return affected(tx.Exec(ctx, `DELETE FROM webhook_spool WHERE account_sid = $1 AND message_sid = $2`, key.AccountSid, key.MessageSid))
	})
}

// List returns the messages that have waited longest, the refused ones first, at most so many.
func (s *Spool) List(ctx context.Context, most int) ([]domain.SpoolEntry, error) {
	return list[domain.SpoolEntry](ctx, s.pool, "spool", `
		SELECT account_sid, message_sid, received_at, due_at, refusals, refusal FROM webhook_spool
		ORDER BY refusals > 0 DESC, received_at LIMIT $1`, most)
}

// spoolCounted is the most that State counts: every webhook asks every few seconds, also while the spool is long.
const spoolCounted = 10_000

// State returns how full the spool is.
func (s *Spool) State(ctx context.Context) (state domain.SpoolState, err error) {
	var oldest float64
	err = inTx(ctx, s.pool, "spool", func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, `
			SELECT count(*), count(*) FILTER (WHERE refusals > 0),
				coalesce(extract(epoch FROM clock_timestamp() - min(received_at) FILTER (WHERE refusals = 0)), 0)::float8
			FROM (SELECT refusals, received_at FROM webhook_spool ORDER BY received_at LIMIT $1) counted`, spoolCounted).
			Scan(&state.Waiting, &state.Refused, &oldest)
	})
	state.Oldest = seconds(max(oldest, 0)) // the webhook's clock may be ahead
	return state, err
}

// execute runs one statement, which is a transaction by itself.
func (s *Spool) execute(ctx context.Context, sql string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	_, err := s.pool.Exec(ctx, sql, args...)
	return mapError("spool", err)
}

// spoolKeys is the condition for several messages, whose args are spoolArgs.
const spoolKeys = `(account_sid, message_sid) IN (SELECT * FROM unnest($1::text[], $2::text[]))`

func spoolArgs(keys []domain.SpoolKey) []any {
	accounts, messages := make([]string, len(keys)), make([]string, len(keys))
	for i, key := range keys {
		accounts[i], messages[i] = key.AccountSid, key.MessageSid
	}
	return []any{accounts, messages}
}
