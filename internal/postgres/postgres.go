// Package postgres holds all of Parley's SQL: the stores over pgx.
//
// Rules that every store keeps:
//   - Each method is one transaction and gives up after statementTimeout.
//   - Whatever decides about a message locks the row of its pair first, by a statement of its own: under READ COMMITTED
//     a statement that waited for a lock still reads other tables as of before it waited.
//   - Idempotency is a unique constraint and ON CONFLICT, never a check before.
//   - Everything an activity asks is scoped by owner. Only the edge (an account is verified, its owner not yet known) and
//     the operator's tools (Trace, lists) look across owners.
//
// Errors are domain errors: KindNotFound, KindConflict, KindInvalid, KindConfiguration, KindUnavailable.
package postgres

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"parley/internal/domain"
)

// statementTimeout bounds one transaction: below the 10 s of the database activities, so that the reason is reported. It is
// the context's, since poolers refuse statement_timeout as a startup parameter.
const statementTimeout = 8 * time.Second

// connectTimeout bounds a dial where DATABASE_URL does not. pgx goes on dialing when nobody waits any more, for two minutes otherwise: a host
// that vanished would keep the pool's places for so long after another one has its address.
const connectTimeout = 5 * time.Second

// Pool is a pool of connections. The processes hold one without knowing pgx.
type Pool = pgxpool.Pool

// DB returns a pool for database/sql, which the migrations need. Closing it leaves the pool open.
func DB(pool *Pool) *sql.DB { return stdlib.OpenDBFromPool(pool) }

// Open returns a pool of connections; it connects with the first query. Its statements work through poolers in transaction mode that keep no
// prepared ones, unless the URL says default_query_exec_mode=cache_statement: then they are prepared, which saves Postgres from planning each
// time. Only application_name and timezone are sent at start, since poolers refuse others.
func Open(ctx context.Context, url string) (*Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		// pgx's error repeats parts of the URL, which may hold a password.
		return nil, domain.Errorf(domain.KindConfiguration, "DATABASE_URL: not a connection string")
	}
	if !strings.Contains(url, "default_query_exec_mode=cache_statement") {
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	config.ConnConfig.RuntimeParams = map[string]string{"application_name": "parley", "timezone": "UTC"}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, mapError("connect", err)
	}
	return pool, nil
}

// Ping reports whether the database answers: KindUnavailable, or KindConfiguration for a wrong password or database.
func Ping(ctx context.Context, pool *pgxpool.Pool) error { return mapError("database", pool.Ping(ctx)) }

// inTx runs one transaction. It is rolled back where fn returns an error.
func inTx(ctx context.Context, pool *pgxpool.Pool, what string, fn func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	return mapError(what, pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return fn(ctx, tx) }))
}

// mapError is the one place where SQLSTATEs become kinds. Domain errors pass. The server's text is left out: it repeats values.
func mapError(what string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*domain.Error](err); ok {
		return err
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return domain.Errorf(domain.KindNotFound, "%s: not found", what)
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return &domain.Error{Kind: domain.KindUnavailable, Message: what + ": the database does not answer: " + reason(err), Err: err}
	}
	return &domain.Error{Kind: kindOfState(pg.Code), Message: what + ": SQLSTATE " + pg.Code + " " + pg.ConstraintName, Err: err}
}

// reason says why there was no answer, without the connection string that pgx repeats.
func reason(err error) string {
	if network, ok := errors.AsType[*net.OpError](err); ok {
		return network.Err.Error()
	}
	if name, ok := errors.AsType[*net.DNSError](err); ok {
		return "its name was not found: " + name.Err
	}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return certificate.Error()
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "time-out"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	default:
		return "the connection was lost"
	}
}

// kindOfState maps a SQLSTATE. https://www.postgresql.org/docs/current/errcodes-appendix.html
func kindOfState(state string) domain.Kind {
	switch class := state[:min(2, len(state))]; {
	case state == "23503": // foreign_key_violation
		return domain.KindNotFound
	case state == "23505": // unique_violation
		return domain.KindConflict
	case class == "22" || class == "23": // bad data, other constraints
		return domain.KindInvalid
	case class == "42" || class == "28" || class == "3D": // undefined table or column, wrong password, no such database: not migrated, or misconfigured
		return domain.KindConfiguration
	default: // connection, resources, shutting down, serialisation, dead-lock
		return domain.KindUnavailable
	}
}

// newID returns an opaque id. UUIDv7 grows with time, so that indexes stay dense.
func newID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", domain.Errorf(domain.KindInternal, "new id: %w", err)
	}
	return id.String(), nil
}

// lockPair locks the row of a message's pair. It returns KindNotFound for a message that the owner does not have, and for
// a part of a reply: only the message that a flow is about has a reply_state.
func lockPair(ctx context.Context, tx pgx.Tx, ownerID, messageID string) error {
	var pairID string
	return tx.QueryRow(ctx, `
		SELECT p.pair_id FROM messages m JOIN pairs p USING (pair_id)
		WHERE m.message_id = $1 AND m.owner_id = $2 AND m.reply_state IS NOT NULL
		FOR UPDATE OF p`, messageID, ownerID).Scan(&pairID)
}

// seconds turns Postgres's seconds into a duration.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// text makes a string storable: Postgres has neither NUL nor invalid UTF-8 in a text. Each becomes the replacement
// character, so that nothing is lost for it, and what was not empty does not become so.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
