package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"parley/internal/domain"
)

// Unrouted keeps inbound messages that have no owner, or could not be stored as their owner's, whatever becomes of their flows. RecordInbound
// removes a message in the transaction that stores it: what is left here waits for an operator.
type Unrouted struct {
	pool   *pgxpool.Pool
	cipher Cipher
}

// NewUnrouted returns the unrouted messages over a pool.
func NewUnrouted(pool *pgxpool.Pool, cipher Cipher) *Unrouted { return &Unrouted{pool, cipher} }

// Keep keeps a message, with the latest reason why it is not stored. Key: (AccountSid, MessageSid); one that is stored is not kept.
func (u *Unrouted) Keep(ctx context.Context, received domain.Received, reason string) error {
	ciphertext, err := sealReceived(u.cipher, unroutedReceived(), received)
	if err != nil {
		return err
	}
	return inTx(ctx, u.pool, "unrouted message", func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			INSERT INTO unrouted (account_sid, message_sid, received, received_at, reason)
			SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (SELECT FROM messages WHERE account_sid = $1 AND twilio_sid = $2)
			ON CONFLICT (account_sid, message_sid) DO UPDATE SET reason = excluded.reason`,
			received.AccountSid, received.MessageSid, ciphertext, received.ReceivedAt, text(reason))
		return err
	})
}

// waiting is the condition for a message u that is not stored: an execution of Keep that comes late may have kept one that is.
const waiting = `NOT EXISTS (SELECT FROM messages m WHERE m.account_sid = u.account_sid AND m.twilio_sid = u.message_sid)`

// List returns the messages that have waited longest, at most so many. One that does not decrypt is among them, with its error.
func (u *Unrouted) List(ctx context.Context, most int) ([]domain.Unrouted, error) {
	return u.read(ctx, waiting+` ORDER BY received_at LIMIT $1`, most)
}

// Get returns one message that waits, or KindNotFound.
func (u *Unrouted) Get(ctx context.Context, accountSid, messageSid string) (domain.Unrouted, error) {
	found, err := u.read(ctx, waiting+` AND account_sid = $1 AND message_sid = $2`, accountSid, messageSid)
	if err == nil && len(found) == 0 {
		err = mapError("unrouted message", pgx.ErrNoRows)
	}
	if err != nil {
		return domain.Unrouted{}, err
	}
	return found[0], nil
}

func (u *Unrouted) read(ctx context.Context, where string, args ...any) (list []domain.Unrouted, err error) {
	err = inTx(ctx, u.pool, "unrouted messages", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT account_sid, message_sid, received, received_at, kept_at, reason FROM unrouted u WHERE `+where, args...)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (one domain.Unrouted, err error) {
			var ciphertext []byte
			if err := row.Scan(&one.AccountSid, &one.MessageSid, &ciphertext, &one.ReceivedAt, &one.KeptAt, &one.Reason); err != nil {
				return one, err
			}
			one.Received, one.Err = openReceived(u.cipher, unroutedReceived(), one.AccountSid, one.MessageSid, ciphertext)
			return one, nil
		})
		return err
	})
	return list, err
}

// Remove removes a message on an operator's word, or returns KindNotFound.
func (u *Unrouted) Remove(ctx context.Context, accountSid, messageSid string) error {
	return inTx(ctx, u.pool, "unrouted message", func(ctx context.Context, tx pgx.Tx) error {
		return affected(tx.Exec(ctx, `DELETE FROM unrouted WHERE account_sid = $1 AND message_sid = $2`, accountSid, messageSid))
	})
}

// unroutedCounted is the most that State looks at, as spoolCounted is.
const unroutedCounted = 10_000

// State returns how many messages wait.
func (u *Unrouted) State(ctx context.Context) (state domain.UnroutedState, err error) {
	var oldest float64
	err = inTx(ctx, u.pool, "unrouted messages", func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, `
			SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(received_at)), 0)::float8
			FROM (SELECT received_at FROM unrouted u WHERE `+waiting+` ORDER BY received_at LIMIT $1) counted`, unroutedCounted).Scan(&state.Waiting, &oldest)
	})
	state.Oldest = seconds(max(oldest, 0)) // the webhook's clock may be ahead
	return state, err
}
