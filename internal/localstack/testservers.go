package localstack

import (
	"context"
	"fmt"
	"os"
	"sync"
)

// The only variables that name servers for dev and for tests. Whatever they name is used as it is, never stopped.
const (
	DevDatabaseVariable  = "PARLEY_DEV_DATABASE_URL"     // a database for dev
	TestDatabaseVariable = "PARLEY_TEST_DATABASE_URL"    // an empty database; tests make others beside it
	TemporalVariable     = "PARLEY_DEV_TEMPORAL_ADDRESS" // a Temporal server for both: host:port
)

// TestServers are a Postgres and a Temporal for tests, each started when it is first asked for unless the environment
// names one. They keep nothing: their data is removed when they stop, which is when this process ends at the latest.
type TestServers struct {
	Guard  Guard
	Bin    string // where bin/temporal is, or is built
	Getenv func(string) string
	Say    func(format string, args ...any)

	mu      sync.Mutex
	started []*Process
}

// Postgres returns the URL of an empty database, whose server lets others be made beside it.
func (s *TestServers) Postgres(ctx context.Context) (string, error) {
	if given := s.Getenv(TestDatabaseVariable); given != "" {
		if err := PingPostgres(ctx, given); err != nil {
			return "", fmt.Errorf("%s: %w", TestDatabaseVariable, err)
		}
		return given, RefuseTables(ctx, given)
	}
	if err := EnsurePostgres(ctx, s.Say); err != nil {
		return "", err
	}
	cluster, err := OpenTestCluster(ctx, s.Guard)
	if err != nil {
		return "", err
	}
	port, err := FreePort(0)
	if err != nil {
		return "", err
	}
	process, err := cluster.Start(ctx, port, nil)
	if err != nil {
		return "", err
	}
	s.keep(process)
	return cluster.URL(port, "postgres"), nil
}

// Temporal returns the address of a server.
func (s *TestServers) Temporal(ctx context.Context) (string, error) {
	if given := s.Getenv(TemporalVariable); given != "" {
		if err := PingTemporal(ctx, given); err != nil {
			return "", fmt.Errorf("%s: %w", TemporalVariable, err)
		}
		return given, nil
	}
	binary, err := BuildTemporal(ctx, s.Guard, s.Bin, s.Say)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "parley-temporal-")
	if err != nil {
		return "", err
	}
	port, err := FreePort(0)
	if err != nil {
		return "", err
	}
	process, err := TemporalServer{Binary: binary, Dir: dir, Remove: true, Port: port}.Start(ctx, s.Guard, nil)
	if err != nil {
		return "", err
	}
	s.keep(process)
	return port.Address(), nil
}

func (s *TestServers) keep(process *Process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = append(s.started, process)
}

// Stop stops what was started and returns when it has ended.
func (s *TestServers) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, process := range s.started {
		process.release()
	}
	for _, process := range s.started {
		process.Stop()
	}
	s.started = nil
}
