package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Server is what a database tells about itself, and about the role that asks.
type Server struct {
	Version  int    // as server_version_num: 150013 is 15.13
	Release  string // the same for people
	Database string
	Role     string
	Encoding string
	ReadOnly bool     // a standby, or set so: nothing can be stored
	Pooled   bool     // a pooler stands between
	Prepared bool     // statements are prepared
	Closed   []string // those of the tables that are there, and that this role may not read and write
}

// Describe asks a database about itself and about tables of a schema; those that are not there are left out. Of a table of
// ours, with row level security and no policy, a role that neither owns it nor bypasses that security reads no row, and
// gets no error: such a table counts as closed.
func Describe(ctx context.Context, pool *pgxpool.Pool, tables []string) (server Server, err error) {
	err = inTx(ctx, pool, "database", func(ctx context.Context, tx pgx.Tx) error {
		var session uint32
		if err := tx.QueryRow(ctx, `
			SELECT current_setting('server_version_num')::int, current_setting('server_version'), current_database(), current_user,
				current_setting('server_encoding'), current_setting('transaction_read_only')::bool, pg_backend_pid(),
				ARRAY(
					SELECT name FROM unnest($1::text[]) AS name CROSS JOIN to_regclass(quote_ident(name)) AS found
					WHERE found IS NOT NULL AND (row_security_active(found) OR NOT (
						has_table_privilege(found, 'SELECT') AND has_table_privilege(found, 'INSERT')
						AND has_table_privilege(found, 'UPDATE') AND has_table_privilege(found, 'DELETE'))))`, tables).
			Scan(&server.Version, &server.Release, &server.Database, &server.Role, &server.Encoding, &server.ReadOnly, &session, &server.Closed); err != nil {
			return err
		}
		// Poolers make up the process id of a session: it is theirs, and not that of any process of the server's.
		server.Pooled = session != tx.Conn().PgConn().PID()
		server.Prepared = tx.Conn().Config().DefaultQueryExecMode == pgx.QueryExecModeCacheStatement
		return nil
	})
	return server, err
}

// Now returns the time of the database's clock: one statement, so that little passes between the question and the answer.
func Now(ctx context.Context, pool *pgxpool.Pool) (now time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	err = mapError("database", pool.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now))
	return now, err
}
