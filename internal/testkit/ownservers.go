package testkit

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"parley/internal/localstack"
)

// Server is a Postgres or a Temporal of one test's own: it can be stopped, killed, held up and started again, always at the same address
// and with all that it knew. It ends with its test.
type Server struct {
	Folder string // holds Temporal's database; of Postgres empty

	t       testing.TB
	name    string
	start   func(context.Context) (*localstack.Process, error)
	running *localstack.Process
}

func newServer(t testing.TB, name string, start func(context.Context) (*localstack.Process, error)) *Server {
	t.Helper()
	s := &Server{t: t, name: name, start: start}
	t.Cleanup(s.Stop)
	s.Start()
	return s
}

// Start starts the server, and returns when it answers.
func (s *Server) Start() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), startWithin)
	defer cancel()
	var err error
	if s.running, err = s.start(ctx); err != nil {
		s.t.Fatalf("testkit: %s: %v", s.name, err)
	}
}

// Stop stops the server. Stopping one that has ended is harmless.
func (s *Server) Stop() {
	if s.running != nil {
		s.running.Stop()
	}
}

// Signal sends the server a signal: SIGSTOP and SIGCONT for one that takes connections and does not answer.
func (s *Server) Signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.running.Signal(sig); err != nil {
		s.t.Fatalf("testkit: %s: %v", s.name, err)
	}
}

// OwnTemporal starts a Temporal server that only this test uses, and returns its address.
func OwnTemporal(t testing.TB) (server *Server, address string) {
	t.Helper()
	Binary(t, "dev") // the guard
	shared, port := get(t), ownPort(t)
	ctx, cancel := context.WithTimeout(t.Context(), startWithin)
	defer cancel()
	binary, err := localstack.BuildTemporal(ctx, shared.Guard, shared.Bin, shared.Say)
	if err != nil {
		t.Fatalf("testkit: temporal: %v", err)
	}
	dir := t.TempDir()
	server = newServer(t, "temporal", func(ctx context.Context) (*localstack.Process, error) {
		return localstack.TemporalServer{Binary: binary, Dir: dir, Port: port}.Start(ctx, shared.Guard, nil)
	})
	server.Folder = dir
	return server, port.Address()
}

// OwnPostgres starts a Postgres that only this test uses, and returns the URL of an empty database.
func OwnPostgres(t testing.TB) (server *Server, databaseURL string) {
	t.Helper()
	Binary(t, "dev") // the guard
	shared, port := get(t), ownPort(t)
	ctx, cancel := context.WithTimeout(t.Context(), startWithin)
	defer cancel()
	cluster, err := openOwnCluster(ctx, t, shared)
	if err != nil {
		t.Fatalf("testkit: postgres: %v", err)
	}
	server = newServer(t, "postgres", func(ctx context.Context) (*localstack.Process, error) { return cluster.Start(ctx, port, nil) })
	databaseURL = cluster.URL(port, "postgres")
	// Its data has to survive the server, not the machine.
	if err := execute(databaseURL, "ALTER DATABASE postgres SET synchronous_commit = off"); err != nil {
		t.Fatalf("testkit: postgres: %v", err)
	}
	return server, databaseURL
}

func openOwnCluster(ctx context.Context, t testing.TB, shared *shared) (*localstack.Cluster, error) {
	t.Helper()
	if err := localstack.EnsurePostgres(ctx, shared.Say); err != nil {
		return nil, err
	}
	user, err := localstack.ServerUser()
	if err != nil {
		return nil, err
	}
	dir, err := localstack.TemporaryData(user)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return localstack.OpenCluster(ctx, shared.Guard, filepath.Join(dir, "postgres"))
}

func ownPort(t testing.TB) *localstack.Port {
	t.Helper()
	port, err := localstack.FreePort(0)
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	t.Cleanup(port.Release)
	return port
}
