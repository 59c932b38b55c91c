package e2e_test

import (
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

func count(t *testing.T, s *testkit.Stack, query string, args ...any) (n int) {
	t.Helper()
	if err := database(t, s).QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
