// Package migrations holds the schema of Parley's database as numbered SQL, and applies it.
//
// Migrations expand before they contract: binaries of the version before run on the new schema.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed *.sql
var files embed.FS

// Up applies what is missing and returns the version the schema then has. Several processes may call it at once: one
// does the work, the others wait. The lock is a row with a lease, not a session lock, so that poolers in transaction
// mode work.
func Up(ctx context.Context, db *sql.DB) (int64, error) {
	provider, err := newProvider(db)
	if err != nil {
		return 0, err
	}
	if _, err := provider.Up(ctx); err != nil {
		return 0, fmt.Errorf("migrations: %w", err)
	}
	if err := protectOwnTables(ctx, db); err != nil {
		return 0, err
	}
	return provider.GetDBVersion(ctx)
}

// DownTo takes the schema back to a version; 0 removes all of it.
func DownTo(ctx context.Context, db *sql.DB, version int64) error {
	provider, err := newProvider(db)
	if err != nil {
		return err
	}
	if _, err := provider.DownTo(ctx, version); err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	return nil
}

// Version returns the version that the schema has, 0 where it was never migrated. Other than goose's own question, it changes
// nothing: goose makes its table where there is none.
func Version(ctx context.Context, db *sql.DB) (version int64, err error) {
	var migrated bool
	if err := db.QueryRowContext(ctx, "SELECT to_regclass('goose_db_version') IS NOT NULL").Scan(&migrated); err != nil || !migrated {
		return 0, err
	}
	err = db.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0) FROM goose_db_version").Scan(&version)
	return version, err
}

// Latest returns the version that Up leads to.
func Latest() int64 {
	sources, err := files.ReadDir(".")
	if err != nil {
		return 0
	}
	return int64(len(sources))
}

// The locker asks every second for five minutes: as long as a large migration of another process may take.
const (
	probeEvery = time.Second
	probeTimes = 300
)

func newProvider(db *sql.DB) (*goose.Provider, error) {
	locker, err := lock.NewPostgresTableLocker(lock.WithTableLockTimeout(probeEvery, probeTimes))
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithLocker(locker), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	return provider, nil
}

// protectOwnTables closes goose's own tables like all others: a Data API over the same database shows nothing.
func protectOwnTables(ctx context.Context, db *sql.DB) error {
	for _, table := range []string{"goose_db_version", "goose_lock"} {
		if _, err := db.ExecContext(ctx, "ALTER TABLE IF EXISTS "+table+" ENABLE ROW LEVEL SECURITY"); err != nil {
			return fmt.Errorf("migrations: row level security on %s: %w", table, err)
		}
	}
	return nil
}
