package localstack_test

import (
	"context"
	"database/sql"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/internal/localstack"
	"parley/migrations"
)

// testServers starts servers of its own, whatever the environment names.
func testServers(t *testing.T) *localstack.TestServers {
	t.Helper()
	g := guard(t)
	servers := &localstack.TestServers{
		Guard: g, Bin: filepath.Dir(g.Dev), Getenv: func(string) string { return "" }, Say: t.Logf,
	}
	t.Cleanup(servers.Stop)
	return servers
}

// TestPostgresIsPrivate checks the promises about the private cluster, then uses it as a database that somebody named.
func TestPostgresIsPrivate(t *testing.T) {
	t.Parallel()
	server, err := testServers(t).Postgres(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for setting, want := range map[string]string{
		"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off", "password_encryption": "scram-sha-256",
	} {
		var got string
		if err := conn.QueryRow(t.Context(), "SELECT current_setting($1)", setting).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, %v, want %q", setting, got, err, want)
		}
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	for name, user := range map[string]*url.Userinfo{"no password": url.User("parley"), "a wrong one": url.UserPassword("parley", "wrong")} {
		u.User = user
		if err := localstack.PingPostgres(t.Context(), u.String()); err == nil {
			t.Errorf("the cluster lets everybody in: %s", name)
		}
	}
	t.Run("a named database", func(t *testing.T) { namedDatabase(t, server) })
}

func namedDatabase(t *testing.T, server string) {
	database := func(name string, statements ...string) string {
		if err := localstack.EnsureDatabase(t.Context(), server, name); err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(server)
		if err != nil {
			t.Fatal(err)
		}
		u.Path = "/" + name
		db, err := sql.Open("pgx", u.String())
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for _, statement := range statements {
			if statement == "migrate" {
				_, err = migrations.Up(t.Context(), db)
			} else {
				_, err = db.ExecContext(t.Context(), statement)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return u.String()
	}
	tests := []struct {
		name       string
		statements []string
		claim      string // part of the error; empty: none
		tests      string
	}{
		{"empty", nil, "", ""},
		{"foreign", []string{"CREATE TABLE invoices ()"}, "not Parley's (public.invoices)", "did not make (public.invoices)"},
		{"schema", []string{"CREATE SCHEMA s", "CREATE TABLE s.messages ()"}, "not Parley's (s.messages)", "did not make"},
		{"production", []string{"migrate"}, "not made by dev", "did not make"},
		{"claimed", []string{"CREATE TABLE parley_dev ()", "migrate"}, "", "did not make"},
		{"mixed", []string{"CREATE TABLE parley_dev ()", "migrate", "CREATE TABLE invoices ()"}, "not Parley's", "did not make"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			given := database("named_"+tt.name, tt.statements...)
			check(t, "tests", localstack.RefuseTables(t.Context(), given), tt.tests)
			check(t, "dev", localstack.ClaimDatabase(t.Context(), given), tt.claim)
			check(t, "dev again", localstack.ClaimDatabase(t.Context(), given), tt.claim)
			check(t, "release", localstack.ReleaseDatabase(t.Context(), given), tt.claim)
			if tt.claim == "" {
				check(t, "after release", localstack.RefuseTables(t.Context(), given), "")
			}
		})
	}
}

func check(t *testing.T, what string, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: got %v, want %q", what, err, want)
	}
}

// TestAClusterKeepsItsData also kills the server: what was committed is there after the next start.
func TestAClusterKeepsItsData(t *testing.T) {
	t.Parallel()
	user, err := localstack.ServerUser()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := localstack.TemporaryData(user)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for life := range 3 {
		cluster, err := localstack.OpenCluster(t.Context(), guard(t), filepath.Join(dir, "data"))
		if err != nil {
			t.Fatal(err)
		}
		port, err := localstack.FreePort(0)
		if err != nil {
			t.Fatal(err)
		}
		process, err := cluster.Start(t.Context(), port, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := localstack.EnsureDatabase(t.Context(), cluster.URL(port, "postgres"), "parley"); err != nil {
			t.Fatal(err)
		}
		conn, err := pgx.Connect(t.Context(), cluster.URL(port, "parley"))
		if err != nil {
			t.Fatal(err)
		}
		var count int
		if _, err := conn.Exec(t.Context(), "CREATE TABLE IF NOT EXISTS lives (life int); INSERT INTO lives VALUES (1)"); err != nil {
			t.Fatal(err)
		}
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM lives").Scan(&count); err != nil || count != life+1 {
			t.Errorf("life %d: %d rows, %v", life, count, err)
		}
		conn.Close(context.Background())
		if life == 0 {
			if err := process.Signal(9); err != nil {
				t.Fatal(err)
			}
			<-process.Ended()
		}
		process.Stop()
		port.Release()
	}
}

// TestNamedServersAreUsed checks that the tests' servers are those that the environment names, and that a dead one is an
// error, not a reason to start another.
func TestNamedServersAreUsed(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := listener.Addr().String()
	listener.Close()
	servers := &localstack.TestServers{Say: t.Logf, Getenv: func(name string) string {
		return map[string]string{
			localstack.TestDatabaseVariable: "postgres://me:secret@" + dead + "/parley",
			localstack.TemporalVariable:     dead,
		}[name]
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := servers.Postgres(ctx); err == nil || !strings.Contains(err.Error(), localstack.TestDatabaseVariable) || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
	if _, err := servers.Temporal(ctx); err == nil || !strings.Contains(err.Error(), localstack.TemporalVariable) {
		t.Errorf("got %v", err)
	}
}
