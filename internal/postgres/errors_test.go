package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"net/url"
	"testing"
	"time"

	"parley/internal/domain"
	"parley/internal/postgres"
	"parley/internal/testkit"
	"parley/migrations"
)

// A host that vanished keeps no place of the pool for longer than a dial may take.
func TestADialIsBounded(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]time.Duration{
		"postgres://parley@db.example/parley": 5 * time.Second, "postgres://parley@db.example/parley?connect_timeout=9": 9 * time.Second,
	} {
		pool, err := postgres.Open(t.Context(), address)
		must(t, err)
		defer pool.Close()
		equal(t, "bound of a dial to "+address, pool.Config().ConnConfig.ConnectTimeout, want)
	}
}

func TestDatabaseThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	databaseURL := testkit.Postgres(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, closed.Close())
	for name, c := range map[string]struct {
		edit func(*url.URL)
		want domain.Kind
	}{
		"wrong password":   {func(u *url.URL) { u.User = url.UserPassword("stranger", "hunter2") }, domain.KindConfiguration},
		"no such database": {func(u *url.URL) { u.Path = "/none" }, domain.KindConfiguration},
		"dead server": {func(u *url.URL) {
			u.User, u.Host = url.UserPassword("parley", "hunter2"), closed.Addr().String()
		}, domain.KindUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := postgres.NewDirectory(open(t, edited(t, databaseURL, c.edit)), newCipher(t)).Owners(t.Context())
			wantKind(t, err, c.want)
		})
	}
	t.Run("not a URL", func(t *testing.T) {
		t.Parallel()
		_, err := postgres.Open(t.Context(), "postgres://parley:hunter2@127.0.0.1:port/x")
		wantKind(t, err, domain.KindConfiguration)
	})
}

func TestDatabaseThatIsNotMigrated(t *testing.T) {
	t.Parallel()
	s := emptyStore(t)
	db, err := sql.Open("pgx", s.url)
	must(t, err)
	defer db.Close()
	must(t, migrations.DownTo(t.Context(), db, 0))
	_, err = s.directory.Owners(t.Context())
	wantKind(t, err, domain.KindConfiguration)
	_, err = s.messages.RecordInbound(t.Context(), received("Hello"))
	wantKind(t, err, domain.KindConfiguration)
}

// A session of ours sends nothing at its start that a pooler in transaction mode refuses.
func TestSessionParameters(t *testing.T) {
	t.Parallel()
	s := emptyStore(t)
	equal(t, "application_name", value[string](t, s, `SELECT current_setting('application_name')`), "parley")
	equal(t, "timezone", value[string](t, s, `SELECT current_setting('timezone')`), "UTC")
	for name := range s.pool.Config().ConnConfig.RuntimeParams {
		if name != "application_name" && name != "timezone" {
			t.Errorf("startup parameter %s", name)
		}
	}
	_, err := s.directory.Owners(t.Context())
	must(t, err)
	equal(t, "prepared statements kept in the session", value[int](t, s, `SELECT count(*) FROM pg_prepared_statements WHERE name <> ''`), 0)
}

func TestCancelledCallSaysSo(t *testing.T) {
	t.Parallel()
	s := emptyStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.directory.Owners(ctx)
	wantKind(t, err, domain.KindUnavailable)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v does not show that the caller cancelled", err)
	}
}
