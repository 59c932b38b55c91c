package testkit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"parley/internal/localstack"
)

// startWithin bounds the start of a server; building the development server, once, takes minutes.
const startWithin = 15 * time.Minute

// servers are this test process's real parts.
//
//nolint:gochecknoglobals // one value for the process: servers are what its tests share
var servers = sync.OnceValues(func() (*shared, error) {
	checkout, err := localstack.Checkout(".")
	if err != nil {
		return nil, err
	}
	s := &shared{checkout: checkout}
	s.TestServers = localstack.TestServers{
		Guard: localstack.Guard{Dev: s.binary("dev")}, Bin: filepath.Join(checkout, "bin"), Getenv: os.Getenv,
		Say: func(format string, args ...any) { fmt.Fprintf(os.Stderr, "testkit: "+format+"\n", args...) },
	}
	s.guarded = sync.OnceValue(func() error { return s.build("dev") })
	s.database = sync.OnceValues(s.startPostgres)
	s.temporal = sync.OnceValues(s.startTemporal)
	s.template = sync.OnceValues(func() (string, error) {
		server, err := s.database()
		if err != nil {
			return "", err
		}
		return makeTemplate(server)
	})
	return s, nil
})

// shared is what the tests of one process have in common. Each part is made when it is first needed.
type shared struct {
	localstack.TestServers
	checkout string
	guarded  func() error           // builds the guard
	database func() (string, error) // URL of an empty database
	temporal func() (string, error) // address
	template func() (string, error) // name of the migrated database that others are made from

	mu    sync.Mutex
	built map[string]error
}

func get(t testing.TB) *shared {
	t.Helper()
	s, err := servers()
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	return s
}

func (s *shared) startPostgres() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	if os.Getenv(localstack.TestDatabaseVariable) == "" {
		if err := s.guarded(); err != nil {
			return "", err
		}
	}
	return s.Postgres(ctx)
}

func (s *shared) startTemporal() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	if os.Getenv(localstack.TemporalVariable) == "" {
		if err := s.guarded(); err != nil {
			return "", err
		}
	}
	return s.Temporal(ctx)
}

func (s *shared) binary(name string) string { return filepath.Join(s.checkout, "bin", name) }

// build builds one of our processes, once for this test process; one that is up to date stays as it is.
func (s *shared) build(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err, done := s.built[name]; done {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	err := localstack.Build(ctx, s.checkout, name)
	if s.built == nil {
		s.built = map[string]error{}
	}
	s.built[name] = err
	return err
}

// Binary returns the path of one of our processes (webhook, worker, starter, simulator, dev), built from the source as it
// is now.
func Binary(t testing.TB, name string) string {
	t.Helper()
	s := get(t)
	if err := s.build(name); err != nil {
		t.Fatalf("testkit: %v", err)
	}
	return s.binary(name)
}
