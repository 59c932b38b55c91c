package e2e_test

import (
	"fmt"
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
	t.Cleanup(func() { _ = connection.Close(t.Context()) })
	return connection
}

// hold runs a statement that takes locks, and keeps them until they are released: a transaction that needs one waits.
func hold(t *testing.T, s *testkit.Stack, statement string) (release func()) {
	t.Helper()
	holder, err := database(t, s).Begin(t.Context())
	if err == nil {
		_, err = holder.Exec(t.Context(), statement)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := holder.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func count(t *testing.T, s *testkit.Stack, query string, args ...any) (n int) {
	t.Helper()
	connection := database(t, s)
	defer func() { _ = connection.Close(t.Context()) }() // it may be one of many that wait for something to be counted
	if err := connection.QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
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
