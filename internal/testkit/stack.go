package testkit

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"parley/contract"
	"parley/internal/localstack"
)

// Options are the ways of a Stack.
type Options struct {
	PerRole  bool     // one worker process a role; otherwise one with all roles
	Env      []string // NAME=VALUE for every worker, such as OpenAIServer.Env
	Settings []string // NAME=VALUE of the owner, over the usual ones
	NoSender bool     // the company's number is not registered

	// AsDeployed has the waits be those that nobody has set, and statements prepared, as in docker-compose.yml. Otherwise waits are short, and
	// statements are such as a pooler takes.
	AsDeployed bool

	OwnServers bool // a Postgres and a Temporal that the test may stop; otherwise those that all tests share

	// Connections is the size of each worker's database pool; 0: as pgx chooses. A test that holds locks of the database needs one for
	// every step that waits for them.
	Connections int
}

// waits are as an impatient owner would set them.
func (o Options) waits() []string {
	if o.AsDeployed {
		return nil
	}
	return []string{"delivery_check=1s", "delivery_grace=2s"}
}

// patience has upkeep ask for every flow that is older than a moment: a test that it disturbs has found something.
func (o Options) patience() []string {
	if o.AsDeployed {
		return nil
	}
	return []string{"PARLEY_SWEEP_AFTER=1s", "PARLEY_SWEEP_AGAIN=1s"}
}

// Stack is a whole Parley of one test: a database, a namespace, the simulator, the webhook and its workers, each a built
// process of its own, with an owner who has one account and one number.
type Stack struct {
	t testing.TB

	DatabaseURL string
	Temporal    Namespace
	PublicURL   string // the webhook's, as the simulator knows it

	KeysetFile, PayloadKeysetFile string
	Simulator                     *Process
	Webhook                       *Process

	PostgresServer *Server // with OwnServers only
	TemporalServer *Server // with OwnServers only

	Database *pgxpool.Pool // the test's own connections: what is awaited is counted many times

	OwnerID    string
	AccountSid string
	AuthToken  string
	Company    string // the owner's number

	workers   map[contract.Role]*Process
	workerEnv []string
	env       []string // of starter and webhook
	customers atomic.Int64
	door      string // its address, once it is needed
}

// NewStack starts a Parley and waits until it is ready. Everything is stopped when the test ends.
func NewStack(t testing.TB, o Options) *Stack {
	t.Helper()
	webhook, simulator := Port(t), Port(t)
	s := &Stack{
		t: t, PublicURL: "http://" + webhook,
		OwnerID: "acme", AccountSid: "AC" + randomHex(), AuthToken: randomHex(), Company: "+14155550100",
		workers: map[contract.Role]*Process{},
	}
	if o.OwnServers {
		var temporal string
		s.PostgresServer, s.DatabaseURL = OwnPostgres(t)
		s.TemporalServer, temporal = OwnTemporal(t)
		s.Temporal = emptyNamespace(t, temporal)
	} else {
		s.DatabaseURL, s.Temporal = Postgres(t), EmptyTemporal(t)
	}
	if o.AsDeployed {
		s.DatabaseURL = withQuery(t, s.DatabaseURL, "default_query_exec_mode", "cache_statement")
	}
	s.Database = connections(t, s.DatabaseURL)
	s.KeysetFile, s.PayloadKeysetFile = filepath.Join(t.TempDir(), "keyset.json"), filepath.Join(t.TempDir(), "payload-keyset.json")
	s.env = []string{
		"DATABASE_URL=" + s.DatabaseURL, "TEMPORAL_ADDRESS=" + s.Temporal.Address, "TEMPORAL_NAMESPACE=" + s.Temporal.Name,
		"PARLEY_KEYSET_FILE=" + s.KeysetFile, "PARLEY_PAYLOAD_KEYSET_FILE=" + s.PayloadKeysetFile,
		"PARLEY_PUBLIC_URL=" + s.PublicURL, "PARLEY_TWILIO_BASE_URL=http://" + simulator,
	}
	s.Starter("secrets", "keygen", "--out", s.KeysetFile)
	s.Starter("secrets", "keygen", "--out", s.PayloadKeysetFile)
	s.Temporal.Client = s.Temporal.encrypted(t, s.PayloadKeysetFile)
	s.Starter("setup")
	if !o.OwnServers {
		t.Cleanup(s.unschedule)
	}
	s.setUpOwner(o)

	s.Simulator = Start(t, "simulator", "PARLEY_SIMULATOR_LISTEN="+simulator, "TWILIO_ACCOUNT_SID="+s.AccountSid,
		"TWILIO_AUTH_TOKEN="+s.AuthToken, "PARLEY_SIMULATOR_INBOUND_URL="+s.PublicURL+"/webhooks/twilio/inbound")
	s.Webhook = s.startWebhook(webhook)
	s.workerEnv = slices.Concat(s.env, s.pool(o.Connections), o.patience(), o.Env)
	s.startWorkers(o.PerRole)
	s.Webhook.AwaitReady()
	return s
}

// unschedule deletes the schedules of a stack that is over: on the server that all tests share they would go on, all of them at each full minute.
func (s *Stack) unschedule() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), 10*time.Second)
	defer cancel()
	for _, schedule := range contract.Schedules() {
		_ = s.Temporal.Client.ScheduleClient().GetHandle(ctx, schedule.ID()).Delete(ctx) // one that stays costs time, and no test depends on it
	}
}

// connections returns a pool of few connections. Each is tried before it is used: its server may have been stopped.
func connections(t testing.TB, databaseURL string) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	config.MaxConns, config.ShouldPing = 2, func(context.Context, pgxpool.ShouldPingParams) bool { return true }
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func (s *Stack) setUpOwner(o Options) {
	s.t.Helper()
	s.Starter("owner", "add", s.OwnerID, "--name", "Acme")
	if settings := mergeSettings(o.waits(), o.Settings); len(settings) > 0 {
		s.Starter(append([]string{"owner", "set", s.OwnerID}, settings...)...)
	}
	s.starter([]string{"TOKEN=" + s.AuthToken}, "account", "add", s.AccountSid, "--token-env", "TOKEN")
	if !o.NoSender {
		s.Starter("sender", "add", s.AccountSid, s.Company, "--owner", s.OwnerID)
	}
}

// pool is the variable of a database pool of a size, where one is given; the last of a name counts.
func (s *Stack) pool(size int) []string {
	if size == 0 {
		return nil
	}
	return []string{"DATABASE_URL=" + withQuery(s.t, s.DatabaseURL, "pool_max_conns", strconv.Itoa(size))}
}

// withQuery is a URL with a parameter.
func withQuery(t testing.TB, address, name, value string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	query := parsed.Query()
	query.Set(name, value)
	parsed.RawQuery = query.Encode()
	return parsed.String()
}

// mergeSettings joins two lists of NAME=VALUE; the second wins.
func mergeSettings(usual, wanted []string) []string {
	list := append([]string{}, wanted...)
	for _, setting := range usual {
		name, _, _ := strings.Cut(setting, "=")
		given := false
		for _, other := range wanted {
			given = given || strings.HasPrefix(other, name+"=")
		}
		if !given {
			list = append(list, setting)
		}
	}
	return list
}

func (s *Stack) startWorkers(perRole bool) {
	s.t.Helper()
	if !perRole {
		worker := Start(s.t, "worker", slices.Concat(s.workerEnv, []string{"PARLEY_ROLE=all"})...)
		for _, role := range contract.Roles() {
			s.workers[role] = worker
		}
		worker.AwaitReady()
		return
	}
	for _, role := range contract.Roles() {
		s.workers[role] = Start(s.t, "worker", slices.Concat(s.workerEnv, []string{"PARLEY_ROLE=" + string(role)})...)
	}
	for _, worker := range s.workers {
		worker.AwaitReady()
	}
}

// Worker returns the process that runs a role.
func (s *Stack) Worker(role contract.Role) *Process { return s.workers[role] }

// AddWorker starts one more worker process with a role, beside those that run it already.
func (s *Stack) AddWorker(role contract.Role, env ...string) *Process {
	s.t.Helper()
	worker := Start(s.t, "worker", slices.Concat(s.workerEnv, []string{"PARLEY_ROLE=" + string(role)}, env)...)
	worker.AwaitReady()
	return worker
}

// AddWebhook starts one more webhook process. Twilio does not know its address.
func (s *Stack) AddWebhook() *Process {
	s.t.Helper()
	webhook := s.startWebhook("127.0.0.1:0")
	webhook.AwaitReady()
	return webhook
}

func (s *Stack) startWebhook(listen string) *Process {
	s.t.Helper()
	return Start(s.t, "webhook", slices.Concat(s.env, []string{"PARLEY_LISTEN=" + listen})...)
}

// Starter runs one command of the command line tool and returns what it printed. The test fails if the command does.
func (s *Stack) Starter(args ...string) string { s.t.Helper(); return s.starter(nil, args...) }

func (s *Stack) starter(env []string, args ...string) string {
	s.t.Helper()
	result := s.tryStarter(env, args...)
	if result.ExitCode != 0 {
		s.t.Fatalf("starter %s: exit code %d\n%s%s", strings.Join(args, " "), result.ExitCode, result.Stdout, result.Stderr)
	}
	return result.Stdout
}

// TryStarter runs one command of the command line tool and returns how it ended.
func (s *Stack) TryStarter(args ...string) Result { s.t.Helper(); return s.tryStarter(nil, args...) }

// TryStarterWith is TryStarter with NAME=VALUE over the usual environment; an empty value unsets a variable.
func (s *Stack) TryStarterWith(env []string, args ...string) Result {
	s.t.Helper()
	return s.tryStarter(env, args...)
}

func (s *Stack) tryStarter(env []string, args ...string) Result {
	s.t.Helper()
	Binary(s.t, "dev") // the guard
	return run(s.t, localstack.Command{
		Path: Binary(s.t, "starter"), Args: args, Dir: "/", Env: Environment(s.t, slices.Concat(s.env, env)...),
	})
}

// Customer returns a number that no other customer of this stack has.
func (s *Stack) Customer() string { return fmt.Sprintf("+1415777%04d", s.customers.Add(1)) }

// WorkflowID is the id of the flow of an inbound message.
func (s *Stack) WorkflowID(messageSid string) string {
	return contract.InboundWorkflowID(s.AccountSid, messageSid)
}

func randomHex() string {
	random := make([]byte, 16)
	_, _ = rand.Read(random) // never fails
	return hex.EncodeToString(random)
}
