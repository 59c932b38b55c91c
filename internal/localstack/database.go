package localstack

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // database/sql's driver, which the migrations use

	"parley/migrations"
)

// marker is the table that dev leaves in a database it was given, before anything else: Parley's tables without it were
// made by somebody else, in production perhaps.
const marker = "parley_dev"

// ClaimDatabase takes a database of somebody's server for dev. It refuses one that holds a table that dev did not make.
// Claiming it again is harmless.
func ClaimDatabase(ctx context.Context, databaseURL string) error {
	conn, err := connect(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	tables, err := tablesOf(ctx, conn)
	if err != nil {
		return err
	}
	if err := checkTables(tables); err != nil {
		return fmt.Errorf("%s: %w", Redact(databaseURL), err)
	}
	_, err = conn.Exec(ctx, "CREATE TABLE IF NOT EXISTS "+marker+" (); ALTER TABLE "+marker+" ENABLE ROW LEVEL SECURITY")
	return err
}

// checkTables decides whether a database with these tables, named schema.table, may be used by dev.
func checkTables(tables []string) error {
	if len(tables) == 0 {
		return nil
	}
	known := append(migrations.Tables(), marker)
	foreign := slices.DeleteFunc(slices.Clone(tables), func(name string) bool {
		schema, table, _ := strings.Cut(name, ".")
		return schema == "public" && slices.Contains(known, table)
	})
	switch {
	case len(foreign) > 0:
		return fmt.Errorf("the database has tables that are not Parley's (%s): give it one of its own", someOf(foreign))
	case !slices.Contains(tables, "public."+marker):
		return fmt.Errorf("the database has Parley's tables, but they were not made by dev: give it one of its own")
	default:
		return nil
	}
}

// ReleaseDatabase removes all that dev made in a database that it claimed.
func ReleaseDatabase(ctx context.Context, databaseURL string) error {
	if err := ClaimDatabase(ctx, databaseURL); err != nil { // refuses what is not dev's
		return err
	}
	db, err := sql.Open("pgx", databaseURL)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := migrations.DownTo(ctx, db, 0); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "DROP TABLE IF EXISTS goose_db_version, goose_lock, "+marker)
	return err
}

// RefuseTables returns an error for a database that holds any table: tests make databases of their own beside it and
// have no business in one that is used.
func RefuseTables(ctx context.Context, databaseURL string) error {
	conn, err := connect(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	tables, err := tablesOf(ctx, conn)
	if err != nil {
		return err
	}
	if len(tables) > 0 {
		return fmt.Errorf("%s: the database has tables that the tests did not make (%s): name an empty one", Redact(databaseURL), someOf(tables))
	}
	return nil
}

// EnsureDatabase makes a database on the server of a URL where there is none of that name.
func EnsureDatabase(ctx context.Context, serverURL, name string) error {
	conn, err := connect(ctx, serverURL)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists); err != nil || exists {
		return err
	}
	_, err = conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
	return err
}

func connect(ctx context.Context, databaseURL string) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Redact(databaseURL), err)
	}
	return conn, nil
}

// tablesOf returns the tables of a database as schema.table, those of Postgres itself left out.
func tablesOf(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	rows, err := conn.Query(ctx, `
		SELECT schemaname || '.' || tablename FROM pg_tables
		WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func someOf(names []string) string {
	if len(names) > 5 {
		return strings.Join(names[:5], ", ") + ", ..."
	}
	return strings.Join(names, ", ")
}

// Redact returns a database URL that may be printed.
func Redact(databaseURL string) string {
	u, err := url.Parse(databaseURL)
	if err != nil || u.Scheme == "" { // a connection string of the other kind, which may hold a password anywhere
		return "the given database"
	}
	u.RawQuery = ""
	return u.Redacted()
}
