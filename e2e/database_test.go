package e2e_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"parley/internal/testkit"
)

// database opens a connection beside Parley's own.
func database(t *testing.T, s *testkit.Stack) *pgx.Conn {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), s.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close(context.WithoutCancel(t.Context())) })
	return connection
}

// count returns what a query counts.
func count(t *testing.T, s *testkit.Stack, query string, args ...any) (n int) {
	t.Helper()
	if err := s.Database.QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// execute runs a statement.
func execute(t *testing.T, s *testkit.Stack, statement string, args ...any) {
	t.Helper()
	if _, err := s.Database.Exec(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

// hold locks what a statement locks, until release is called or the test ends: what needs it waits meanwhile.
func hold(t *testing.T, s *testkit.Stack, statement string, args ...any) (release func()) {
	t.Helper()
	tx, err := database(t, s).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// waitingForLocks is how many statements wait for what another transaction holds.
func waitingForLocks(t *testing.T, s *testkit.Stack) int {
	t.Helper()
	return count(t, s, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
}

// SQLSTATEs of what a database says no to.
const (
	noRetryHelps = "22000" // bad data
	passing      = "40001" // serialisation
)

// refuse lets the database say no, with a SQLSTATE, to rows of a table for which a condition on NEW holds, until mend is called.
func refuse(t *testing.T, s *testkit.Stack, table, state, condition string) (mend func()) {
	t.Helper()
	name := "refuse_" + strings.ToLower(rand.Text())
	execute(t, s, fmt.Sprintf(`
		CREATE FUNCTION %[1]s() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF %[4]s THEN RAISE EXCEPTION 'refused by a test' USING ERRCODE = '%[3]s'; END IF;
			RETURN NEW;
		END $$;
		CREATE TRIGGER %[1]s BEFORE INSERT ON %[2]s FOR EACH ROW EXECUTE FUNCTION %[1]s()`, name, table, state, condition))
	return func() {
		t.Helper()
		execute(t, s, fmt.Sprintf(`DROP TRIGGER %s ON %s`, name, table))
	}
}

// awaitCount waits until a query counts so many.
func awaitCount(t *testing.T, s *testkit.Stack, want int, what, query string) {
	t.Helper()
	testkit.Eventually(t, soon, func() error {
		if n := count(t, s, query); n != want {
			return fmt.Errorf("%s: %d, want %d", what, n, want)
		}
		return nil
	})
}
