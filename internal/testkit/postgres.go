package testkit

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // database/sql's driver, which the migrations use

	"parley/internal/localstack"
	"parley/internal/postgres"
	"parley/migrations"
)

// databaseWithin bounds one statement about databases, on a machine that is busy with other tests.
const databaseWithin = time.Minute

// Postgres returns the URL of a fresh database with Parley's schema, made from a template in some 40 ms and dropped when
// the test ends.
func Postgres(t testing.TB) string {
	t.Helper()
	template, err := get(t).template()
	if err != nil {
		t.Fatalf("testkit: postgres: %v", err)
	}
	return newDatabase(t, template)
}

// EmptyPostgres returns the URL of a fresh database without any table, dropped when the test ends.
func EmptyPostgres(t testing.TB) string {
	t.Helper()
	return newDatabase(t, "template0")
}

// Pool opens a database as the processes do, and closes it when the test ends.
func Pool(t testing.TB, databaseURL string) *pgxpool.Pool {
	t.Helper()
	pool, err := postgres.Open(t.Context(), databaseURL)
	if err != nil {
		t.Fatalf("testkit: postgres: %v", err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func newDatabase(t testing.TB, template string) string {
	t.Helper()
	server, err := get(t).database()
	if err != nil {
		t.Fatalf("testkit: postgres: %v", err)
	}
	name := "parley_test_" + strings.ToLower(rand.Text()[:16])
	if err := execute(server, "CREATE DATABASE "+quote(name)+" TEMPLATE "+quote(template)); err != nil {
		t.Fatalf("testkit: postgres: %v", err)
	}
	t.Cleanup(func() {
		drop := func() error { return execute(server, "DROP DATABASE "+quote(name)+" WITH (FORCE)") }
		err := drop()
		for deadline := time.Now().Add(databaseWithin); inUse(err) && time.Now().Before(deadline); {
			err = drop()
		}
		if err != nil {
			t.Errorf("testkit: postgres: %v", err)
		}
	})
	t.Logf("testkit: database %s at %s", name, localstack.Redact(server))
	return inDatabase(server, name)
}

// inUse says whether a database could not be dropped for its connections: Postgres waits 5 s for those that FORCE ends, which
// takes longer on a machine that is busy with other tests.
func inUse(err error) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && refused.Code == "55006"
}

// makeTemplate makes the database that others are copied from, unless another test process has; its name tells the
// schema. It is built under another name and renamed, so that no half made one is ever used, and takes no connections,
// which would be in the way of a copy.
func makeTemplate(server string) (name string, err error) {
	name = "parley_template_" + migrations.Hash()
	ctx, cancel := context.WithTimeout(context.Background(), databaseWithin)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	// The lock is the session's: it ends with this process at the latest.
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtext($1))", name); err != nil {
		return "", err
	}
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists); err != nil || exists {
		return name, err
	}
	half := name + "_half"
	if err := each(ctx, conn, "DROP DATABASE IF EXISTS "+quote(half)+" WITH (FORCE)", "CREATE DATABASE "+quote(half)+" TEMPLATE template0"); err != nil {
		return "", err
	}
	if err := migrate(ctx, inDatabase(server, half)); err != nil {
		return "", err
	}
	return name, each(ctx, conn, "ALTER DATABASE "+quote(half)+" ALLOW_CONNECTIONS false", "ALTER DATABASE "+quote(half)+" RENAME TO "+quote(name))
}

func migrate(ctx context.Context, databaseURL string) error {
	db, err := sql.Open("pgx", databaseURL)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = migrations.Up(ctx, db)
	return err
}

// execute runs one statement on a connection of its own. It outlives the test's context, which has ended at clean-up.
func execute(server, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), databaseWithin)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return each(ctx, conn, statement)
}

func each(ctx context.Context, conn *pgx.Conn, statements ...string) error {
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// inDatabase is the URL of another database on the same server.
func inDatabase(server, name string) string {
	u, err := url.Parse(server)
	if err != nil {
		return server // it was connected to: it parses
	}
	u.Path = "/" + name
	return u.String()
}
