package postgres_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"parley/internal/domain"
	"parley/internal/postgres"
	"parley/migrations"
)

func TestDescribe(t *testing.T) {
	t.Parallel()
	s := emptyStore(t)
	server, err := postgres.Describe(t.Context(), s.pool, append(migrations.Tables(), "no_such_table"))
	must(t, err)
	if server.Version < 150000 || !strings.Contains(server.Release, ".") || server.Role == "" || !strings.HasPrefix(server.Database, "parley_test_") {
		t.Errorf("got %+v", server)
	}
	if server.Encoding != "UTF8" || server.ReadOnly || server.Pooled || len(server.Closed) > 0 {
		t.Errorf("got %+v", server)
	}
	now, err := postgres.Now(t.Context(), s.pool)
	must(t, err)
	if difference := time.Since(now).Abs(); difference > time.Minute {
		t.Errorf("the database's clock is off by %s", difference)
	}
}

// A role that may do everything with a table and does not own it reads no row of it, and is told nothing. That is what
// Closed is for.
func TestTablesClosedToARole(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	role := "guest_" + value[string](t, s, `SELECT md5(current_database())`) // roles are the server's, and other tests' too
	run(t, s, `CREATE ROLE `+role+` LOGIN PASSWORD 'guest'`)
	t.Cleanup(func() {
		for _, statement := range []string{`DROP OWNED BY ` + role, `DROP ROLE ` + role} {
			_, err := s.pool.Exec(context.WithoutCancel(t.Context()), statement)
			must(t, err)
		}
	})
	guest := open(t, edited(t, s.url, func(u *url.URL) { u.User = url.UserPassword(role, "guest") }))
	closed := func() string {
		t.Helper()
		server, err := postgres.Describe(t.Context(), guest, []string{"owners", "usage"})
		must(t, err)
		return strings.Join(server.Closed, " ")
	}
	equal(t, "closed to a stranger", closed(), "owners usage")
	run(t, s, `GRANT ALL ON owners, usage TO `+role)
	equal(t, "closed by row level security", closed(), "owners usage")
	owners, err := postgres.NewDirectory(guest, newCipher(t)).Owners(t.Context())
	must(t, err)
	equal(t, "owners that the role sees", len(owners), 0)
	run(t, s, `ALTER ROLE `+role+` BYPASSRLS`)
	equal(t, "closed to one that bypasses it", closed(), "")
	run(t, s, `REVOKE DELETE ON usage FROM `+role)
	equal(t, "closed to one that may not delete", closed(), "usage")
}

func TestADatabaseThatTakesNothing(t *testing.T) {
	t.Parallel()
	s := emptyStore(t)
	run(t, s, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$`)
	server, err := postgres.Describe(t.Context(), open(t, s.url), migrations.Tables())
	must(t, err)
	equal(t, "read only", server.ReadOnly, true)
}

func TestADatabaseWithoutName(t *testing.T) {
	t.Parallel()
	// The empty label makes it no name: that is found out without the network.
	_, err := postgres.Now(t.Context(), open(t, "postgres://parley:hunter2@no-such-host..invalid/parley"))
	wantKind(t, err, domain.KindUnavailable)
	if !strings.Contains(err.Error(), "name was not found") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestAPoolerIsSeen(t *testing.T) {
	t.Parallel()
	s := emptyStore(t)
	behind := open(t, edited(t, s.url, func(u *url.URL) { u.Host, u.RawQuery = pooler(t, u.Host), "sslmode=disable" }))
	server, err := postgres.Describe(t.Context(), behind, migrations.Tables())
	must(t, err)
	equal(t, "pooled", server.Pooled, true)
}

// Statements are prepared only where DATABASE_URL says so: a pooler may keep none.
func TestStatementsArePreparedWhereTheURLSaysSo(t *testing.T) {
	t.Parallel()
	s := emptyStore(t)
	for mode, prepared := range map[string]bool{"": false, "cache_describe": false, "simple_protocol": false, "cache_statement": true} {
		pool := open(t, edited(t, s.url, func(u *url.URL) {
			query := u.Query()
			query.Set("default_query_exec_mode", mode)
			if mode == "" {
				query.Del("default_query_exec_mode")
			}
			u.RawQuery = query.Encode()
		}))
		server, err := postgres.Describe(t.Context(), pool, nil)
		must(t, err)
		equal(t, "prepared with "+mode, server.Prepared, prepared)
	}
}

func run(t *testing.T, s *store, statement string) {
	t.Helper()
	_, err := s.pool.Exec(t.Context(), statement)
	must(t, err)
}

// pooler listens before a server and does the one thing of a pooler that a client can see: it says that the session is a
// process of its own.
func pooler(t *testing.T, server string) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go relay(client, server)
		}
	}()
	return listener.Addr().String()
}

func relay(client net.Conn, address string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	go func() { _, _ = io.Copy(server, client); _ = server.Close() }()
	for { // messages of the server: a letter, a length that counts itself, a body
		head := make([]byte, 5)
		if _, err := io.ReadFull(server, head); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(server, body); err != nil {
			return
		}
		if head[0] == 'K' { // BackendKeyData
			binary.BigEndian.PutUint32(body, 1<<31-1)
		}
		if _, err := client.Write(append(head, body...)); err != nil {
			return
		}
	}
}
