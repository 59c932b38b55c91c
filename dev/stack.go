package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"parley/contract"
	"parley/internal/localstack"
)

// namespace is the one that dev uses, on a server of its own and on one that it was given.
const namespace = "parley-dev"

// options are the ways of a run.
type options struct {
	once   bool // end after the first exchange
	twilio bool // the real Twilio
}

// run is the whole stack, from the checks to the stop.
func (d *dev) run(ctx context.Context, o options) error {
	lock, err := d.lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	d.guard.Lock = lock // held until the last guard has ended, even if this process is killed
	if err := d.check(ctx, o); err != nil {
		return err
	}
	s := &stack{dev: d, options: o, servers: keeper{out: d.out}, processes: keeper{out: d.out}}
	defer s.stop()
	err = s.start(ctx)
	if err == nil {
		err = s.serve(ctx)
	}
	if ctx.Err() != nil {
		d.out.Say("stopping: %v", context.Cause(ctx))
		return interrupted(o)
	}
	return err
}

// interrupted is how a run ends that was told to: well, unless an exchange was asked for and cut off.
func interrupted(o options) error {
	if o.once {
		return errors.New("interrupted before the exchange was complete")
	}
	return nil
}

// lock makes this the only dev of the checkout. What a killed one left behind is waited for: its guards are ending it.
func (d *dev) lock(ctx context.Context) (*localstack.FileLock, error) {
	path := d.path("dev.lock")
	lock, err := localstack.TryLock(path)
	if errors.Is(err, localstack.ErrLocked) {
		if pid := localstack.Owner(path); pid > 0 && syscall.Kill(pid, 0) == nil {
			return nil, fmt.Errorf("a dev runs in this checkout already (pid %d): talk to it with make say, stop it with Ctrl-C", pid)
		}
		d.out.Say("waiting for the processes of the run before to end")
		bounded, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		lock, err = localstack.Lock(bounded, path)
	}
	if err != nil {
		return nil, err
	}
	return lock, lock.Sign()
}

// stack is one run.
type stack struct {
	*dev
	options
	endpoints
	ports     map[string]*localstack.Port
	publicURL string   // the webhook's, as Twilio or the simulator knows it
	baseURL   string   // of Twilio's API; empty: Twilio's own
	env       []string // of every process of ours

	servers   keeper // Postgres and Temporal
	processes keeper // Parley's own, which need them
}

func (s *stack) stop() {
	s.processes.stop()
	s.servers.stop()
}

// start brings everything up, in the order in which things need each other.
func (s *stack) start(ctx context.Context) error {
	if err := s.prepare(); err != nil {
		return err
	}
	group, both := errgroup.WithContext(ctx)
	group.Go(func() error { return s.startPostgres(both) })
	group.Go(func() error { return s.startTemporal(both) })
	if err := group.Wait(); err != nil {
		return err
	}
	if err := s.environment(); err != nil {
		return err
	}
	if err := s.setUp(ctx); err != nil {
		return err
	}
	if err := errors.Join(writeJSON(s.path("dev.json"), s.endpoints), writeSecret(s.path("dev.env"), shellLines(s.env))); err != nil {
		return err
	}
	return s.startProcesses(ctx)
}

// prepare decides on addresses: everything that is known before anything runs.
func (s *stack) prepare() error {
	user, err := localstack.ServerUser()
	if err != nil {
		return err
	}
	if user != nil { // Postgres runs as another user, whose data may lie in this folder; its files are private one by one
		if err := os.Chmod(s.path(), 0o755); err != nil {
			return err
		}
	}
	memory, err := s.loadState()
	if err != nil {
		return err
	}
	if s.ports, err = s.keepPorts(&memory); err != nil {
		return err
	}
	local := func(name string) string { return "http://" + s.ports[name].Address() }
	s.endpoints = endpoints{
		WebhookURL: local(portWebhook), AdminURL: local(portAdmin), SimulatorURL: local(portSimulator),
		AccountSid: memory.AccountSid, AuthToken: memory.AuthToken, CompanyNumber: demoCompany, CustomerNumber: demoCustomer,
	}
	s.publicURL, s.baseURL = s.WebhookURL, s.SimulatorURL
	if s.twilio {
		s.SimulatorURL, s.CustomerNumber = "", ""
		s.AccountSid, s.AuthToken = s.getenv("TWILIO_ACCOUNT_SID"), s.getenv("TWILIO_AUTH_TOKEN")
		s.CompanyNumber = s.getenv("TWILIO_NUMBER")
		s.publicURL, s.baseURL = s.getenv("PARLEY_PUBLIC_URL"), s.getenv("PARLEY_TWILIO_BASE_URL")
	}
	return nil
}

func (s *stack) startPostgres(ctx context.Context) error {
	if given := s.getenv(localstack.DevDatabaseVariable); given != "" {
		s.out.Say("Postgres: %s, named by %s", localstack.Redact(given), localstack.DevDatabaseVariable)
		s.DatabaseURL = given
		if err := localstack.PingPostgres(ctx, given); err != nil {
			return fmt.Errorf("%s: %w", localstack.DevDatabaseVariable, err)
		}
		return localstack.ClaimDatabase(ctx, given)
	}
	user, err := localstack.ServerUser()
	if err != nil {
		return err
	}
	data := localstack.PostgresData(s.checkout, user)
	cluster, err := localstack.OpenCluster(ctx, s.guard, data)
	if err != nil {
		return err
	}
	port := s.ports[portPostgres]
	s.out.Say("Postgres: a private cluster, version %d, on %s, data in %s", cluster.Version(), port.Address(), data)
	start := func(ctx context.Context) (*localstack.Process, error) {
		return cluster.Start(ctx, port, s.out.Logger("postgres"))
	}
	if err := s.servers.keep(ctx, "postgres", start); err != nil {
		return err
	}
	s.DatabaseURL = cluster.URL(port, "parley")
	return localstack.EnsureDatabase(ctx, cluster.URL(port, "postgres"), "parley")
}

func (s *stack) startTemporal(ctx context.Context) error {
	if given := s.getenv(localstack.TemporalVariable); given != "" {
		s.out.Say("Temporal: %s, named by %s", given, localstack.TemporalVariable)
		s.TemporalAddress = given
		if err := localstack.PingTemporal(ctx, given); err != nil {
			return fmt.Errorf("%s: %w", localstack.TemporalVariable, err)
		}
		return nil
	}
	binary, err := localstack.BuildTemporal(ctx, s.guard, s.bin, s.out.Say)
	if err != nil {
		return err
	}
	server := localstack.TemporalServer{Binary: binary, Dir: s.path("temporal"), Port: s.ports[portTemporal], UI: s.ports[portUI]}
	s.TemporalAddress, s.TemporalUIURL = server.Port.Address(), "http://"+server.UI.Address()
	s.out.Say("Temporal: a development server on %s, UI at %s", s.TemporalAddress, s.TemporalUIURL)
	return s.servers.keep(ctx, "temporal", func(ctx context.Context) (*localstack.Process, error) {
		return server.Start(ctx, s.guard, s.out.Logger("temporal"))
	})
}

// environment builds what every process of ours is given: nothing of the developer's own but the model's settings and
// the way to the internet.
func (s *stack) environment() error {
	env, err := localstack.Environment(s.path("home"),
		"DATABASE_URL="+s.DatabaseURL,
		"TEMPORAL_ADDRESS="+s.TemporalAddress, "TEMPORAL_NAMESPACE="+namespace,
		"TEMPORAL_PROFILE=", "TEMPORAL_API_KEY=", "TEMPORAL_TLS=", // dev.env is read into shells that may have these
		"PARLEY_CONFIG=", "PARLEY_KEYSET=", "PARLEY_KEYSET_FILE="+s.path("keyset.json"),
		"PARLEY_PAYLOAD_KEYSET=", "PARLEY_PAYLOAD_KEYSET_FILE="+s.path("payload-keyset.json"),
		"PARLEY_PUBLIC_URL="+s.publicURL, "PARLEY_TWILIO_BASE_URL="+s.baseURL,
	)
	for _, name := range []string{
		"OPENAI_API_KEY", "PARLEY_MODEL_PROVIDER", "PARLEY_MODEL_NAME", "PARLEY_MODEL_BASE_URL", "PARLEY_LOG_LEVEL",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
	} {
		if value := s.getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	s.env = env
	return err
}

// setUp makes schema, namespace and the demo tenant. Every command may be run again.
func (s *stack) setUp(ctx context.Context) error {
	for _, keyset := range []string{s.path("keyset.json"), s.path("payload-keyset.json")} {
		if _, err := os.Stat(keyset); errors.Is(err, os.ErrNotExist) {
			if err := s.starter(ctx, "secrets", "keygen", "--out", keyset); err != nil {
				return err
			}
		}
	}
	for _, command := range [][]string{
		{"setup"},
		{"owner", "add", "demo", "--name", "Demo Company"},
		{"account", "add", s.AccountSid, "--token-env", "TWILIO_AUTH_TOKEN", "--name", "Demo"},
		{"sender", "add", s.AccountSid, s.CompanyNumber, "--owner", "demo"},
	} {
		if err := s.starter(ctx, command...); err != nil {
			return err
		}
	}
	return nil
}

func (s *stack) starter(ctx context.Context, args ...string) error {
	_, err := s.guard.Run(ctx, localstack.Command{
		Path: filepath.Join(s.bin, "starter"), Args: args, Dir: s.checkout, Env: slices.Concat(s.env, []string{"TWILIO_AUTH_TOKEN=" + s.AuthToken}),
	})
	if err != nil {
		return fmt.Errorf("starter %s: %w", args[0], err)
	}
	return nil
}

// startProcesses starts Parley's own processes and waits until the webhook is ready.
func (s *stack) startProcesses(ctx context.Context) error {
	if !s.twilio {
		if err := s.startProcess(ctx, "simulator", "simulator",
			"PARLEY_SIMULATOR_LISTEN="+s.ports[portSimulator].Address(),
			"TWILIO_ACCOUNT_SID="+s.AccountSid, "TWILIO_AUTH_TOKEN="+s.AuthToken,
			"PARLEY_SIMULATOR_INBOUND_URL="+s.publicURL+inboundPath); err != nil {
			return err
		}
	}
	for _, role := range contract.Roles() {
		if err := s.startProcess(ctx, string(role), "worker", "PARLEY_ROLE="+string(role), "PARLEY_ADMIN_LISTEN=127.0.0.1:0"); err != nil {
			return err
		}
	}
	if err := s.startProcess(ctx, "webhook", "webhook",
		"PARLEY_LISTEN="+s.ports[portWebhook].Address(), "PARLEY_ADMIN_LISTEN="+s.ports[portAdmin].Address()); err != nil {
		return err
	}
	return s.awaitWebhook(ctx)
}

func (s *stack) startProcess(ctx context.Context, name, binary string, env ...string) error {
	command := localstack.Command{
		Path: filepath.Join(s.bin, binary), Dir: s.checkout, Env: slices.Concat(s.env, env), Output: s.out.Logger(name),
	}
	return s.processes.keep(ctx, name, func(context.Context) (*localstack.Process, error) { return s.guard.Start(command) })
}

// inboundPath is where the webhook takes messages.
const inboundPath = "/webhooks/twilio/inbound"

func (s *stack) awaitWebhook(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.AdminURL+"/readyz", nil)
		if err != nil {
			return err
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return errors.New("the webhook is not ready after 30 s: its log above says why")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// link is the page of a workflow in Temporal's UI; empty where the UI's address is not known.
func (s *stack) link(workflowID string) string {
	if s.TemporalUIURL == "" {
		return ""
	}
	return s.TemporalUIURL + "/namespaces/" + namespace + "/workflows/" + url.PathEscape(workflowID)
}
