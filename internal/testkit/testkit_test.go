package testkit_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"parley/contract"
	"parley/internal/testkit"
	"parley/migrations"
)

const soon = 2 * time.Minute // bounds what comes in a second on an idle machine

func TestEveryTestHasADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	var one, two string
	t.Run("", func(t *testing.T) {
		one, two = testkit.Postgres(t), testkit.Postgres(t)
		if one == two {
			t.Fatal("the same database twice")
		}
		first, second := testkit.Pool(t, one), testkit.Pool(t, two)
		if _, err := first.Exec(t.Context(), "INSERT INTO owners (owner_id, name) VALUES ('acme', 'Acme')"); err != nil {
			t.Fatal(err)
		}
		var count int
		if err := second.QueryRow(t.Context(), "SELECT count(*) FROM owners").Scan(&count); err != nil || count != 0 {
			t.Errorf("the other database has %d owners, %v", count, err)
		}
		var version int64
		if err := second.QueryRow(t.Context(), "SELECT max(version_id) FROM goose_db_version").Scan(&version); err != nil || version != migrations.Latest() {
			t.Errorf("schema version %d, %v, want %d", version, err, migrations.Latest())
		}
	})
	for _, gone := range []string{one, two} {
		if err := testkit.Pool(t, gone).Ping(t.Context()); err == nil {
			t.Error("a database is still there after its test")
		}
	}
}

func TestEmptyPostgresHasNoTables(t *testing.T) {
	t.Parallel()
	var count int
	err := testkit.Pool(t, testkit.EmptyPostgres(t)).QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").Scan(&count)
	if err != nil || count != 0 {
		t.Errorf("%d tables, %v", count, err)
	}
}

func TestEveryTestHasANamespaceOfItsOwn(t *testing.T) {
	t.Parallel()
	one, two := testkit.Temporal(t), testkit.Temporal(t)
	if one.Name == two.Name {
		t.Fatal("the same namespace twice")
	}
	run, err := contract.InboundMessage.Start(t.Context(), one.Client, client.StartWorkflowOptions{ID: "one"}, contract.InboundMessageInput{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := one.Client.DescribeWorkflowExecution(t.Context(), "one", run.GetRunID()); err != nil {
		t.Error(err)
	}
	if _, err := two.Client.DescribeWorkflowExecution(t.Context(), "one", ""); err == nil {
		t.Error("a workflow is seen from another namespace")
	}
}

func TestOpenAIDoesAsItIsTold(t *testing.T) {
	t.Parallel()
	server := testkit.OpenAI(t,
		testkit.ModelAnswer{Status: http.StatusTooManyRequests, RetryAfter: 2 * time.Second},
		testkit.ModelAnswer{Hang: true},
		testkit.ModelAnswer{Status: http.StatusUnauthorized},
		testkit.ModelAnswer{Text: "Yes."},
	)
	call := func(ctx context.Context) (*http.Response, error) {
		ctx, cancel := context.WithTimeout(ctx, soon)
		t.Cleanup(cancel)
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/chat/completions",
			strings.NewReader(`{"model": "m", "messages": [{"role": "user", "content": "Hello"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer key")
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			t.Cleanup(func() { response.Body.Close() })
		}
		return response, err
	}
	response, err := call(t.Context())
	if err != nil || response.StatusCode != http.StatusTooManyRequests || response.Header.Get("Retry-After") != "2" {
		t.Errorf("first: %v, %v", response, err)
	}
	impatient, cancel := context.WithCancel(t.Context())
	defer cancel()
	second := make(chan error, 1)
	go func() { _, err := call(impatient); second <- err }()
	testkit.EventuallyTrue(t, soon, "the second call has come", func() bool { return len(server.Calls()) == 2 })
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("second: %v", err)
	}
	if response, err := call(t.Context()); err != nil || response.StatusCode != http.StatusUnauthorized {
		t.Errorf("third: %v, %v", response, err)
	}
	for range 2 { // the last answer is given again and again
		if response, err := call(t.Context()); err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("then: %v, %v", response, err)
		}
	}
	calls := server.Calls()
	if len(calls) != 5 || calls[0].Key != "Bearer key" || calls[0].Model != "m" || calls[0].Messages[0].Content != "Hello" {
		t.Errorf("calls: %+v", calls)
	}
}

// TestNothingOfTheDeveloperIsUsed is the promise of isolation: with every variable of production set to a dead address,
// and a profile of Temporal too, the servers, the processes and a whole exchange work as ever.
func TestNothingOfTheDeveloperIsUsed(t *testing.T) { //nolint:paralleltest // it changes the environment
	for _, name := range []string{"dev", "starter", "webhook", "worker", "simulator"} {
		testkit.Binary(t, name) // before HOME changes, where the build cache is
	}
	home, dead := t.TempDir(), "127.0.0.1:1"
	for _, dir := range []string{".config/temporalio", ".config/temporal", "Library/Application Support/temporalio"} {
		profile := filepath.Join(home, dir, "temporal.toml")
		text := fmt.Sprintf("[profile.default]\naddress = %q\nnamespace = \"production\"\n", dead)
		if err := errors.Join(os.MkdirAll(filepath.Dir(profile), 0o755), os.WriteFile(profile, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		t.Setenv("TEMPORAL_CONFIG_FILE", profile)
	}
	for name, value := range map[string]string{
		"HOME": home, "XDG_CONFIG_HOME": filepath.Join(home, ".config"), "DATABASE_URL": "postgres://me@" + dead + "/production",
		"PGHOST": "127.0.0.1", "PGPORT": "1", "TEMPORAL_ADDRESS": dead, "TEMPORAL_NAMESPACE": "production",
		"TEMPORAL_PROFILE": "default", "TEMPORAL_API_KEY": "key", "TEMPORAL_TLS": "true", "PARLEY_CONFIG": "/no/such/file",
		"PARLEY_PUBLIC_URL": "http://" + dead, "PARLEY_TWILIO_BASE_URL": "http://" + dead, "PARLEY_DEV_DATABASE_URL": "postgres://me@" + dead + "/dev",
	} {
		t.Setenv(name, value)
	}
	stack := testkit.NewStack(t, testkit.Options{})
	customer := stack.Customer()
	stack.Say(customer, "Is anybody there?")
	if answers := stack.AwaitAnswers(customer, 1, soon); len(answers) != 1 {
		t.Errorf("answers: %+v", answers)
	}
}

func TestAProcessLivesSeveralTimes(t *testing.T) {
	t.Parallel()
	stack := testkit.NewStack(t, testkit.Options{PerRole: true})
	reply, billing := stack.Worker(contract.RoleReply), stack.Worker(contract.RoleBilling)
	if reply == billing || reply.Pid() == billing.Pid() {
		t.Fatal("two roles share a process")
	}
	before, address := reply.Pid(), stack.Webhook.Address("public")
	reply.Kill9()
	if err := syscall.Kill(before, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the killed process is still there: %v", err)
	}
	reply.Restart()
	if reply.Pid() == before {
		t.Error("the process has not been started again")
	}
	stack.Webhook.Restart()
	if got := stack.Webhook.Address("public"); got != address || "http://"+got != stack.PublicURL {
		t.Errorf("the webhook moved from %s to %s", address, got)
	}
	stack.Webhook.AwaitReady()
	customer := stack.Customer()
	sid := stack.Say(customer, "Are you there again?")
	if answers := stack.AwaitAnswers(customer, 1, soon); answers[0].From != stack.Company || stack.Creates(customer) != 1 {
		t.Errorf("answers: %+v, %d creates", answers, stack.Creates(customer))
	}
	if shown := stack.Starter("show", stack.WorkflowID(sid), "--json"); !strings.Contains(shown, sid) {
		t.Errorf("starter show: %s", shown)
	}
	if result := stack.TryStarter("show", "no-such-message"); result.ExitCode == 0 {
		t.Errorf("starter show of nothing: %+v", result)
	}
	billing.Signal(syscall.SIGTERM)
	if code := billing.Wait(soon); code != 0 {
		t.Errorf("a worker that was told to stop ended with %d", code)
	}
}

// TestAScriptedTwilio uses every control of the simulated Twilio once, through the typed helpers.
func TestAScriptedTwilio(t *testing.T) {
	t.Parallel()
	stack := testkit.NewStack(t, testkit.Options{PerRole: true})
	stack.Worker(contract.RoleMessaging).Stop()
	door := stack.Door(testkit.DoorClosed)
	stack.AddWorker(contract.RoleMessaging, "PARLEY_TWILIO_BASE_URL=http://"+door)
	customer := stack.Customer()
	stack.Script(testkit.Rule{To: customer, CallbackDelayMS: 1, Callbacks: "early", Twin: true})
	stack.Say(customer, "Is the door open?")
	time.Sleep(500 * time.Millisecond) // tries that come to nothing
	if requests := stack.Requests(); requests.Creates != 0 {
		t.Errorf("through a closed door: %+v", requests)
	}
	stack.Door(testkit.DoorOpen)
	if answers := stack.AwaitAnswers(customer, 1, soon); len(answers) != 1 || stack.Accepted(customer) != 1 {
		t.Errorf("answers: %+v, %+v", answers, stack.Requests())
	}
	if twins := stack.Messages(); !twins[len(twins)-1].Twin {
		t.Errorf("no twin: %+v", twins)
	}

	stack.Unscript()
	stack.SetAPIToken("wrong")
	customer = stack.Customer()
	stack.Say(customer, "And now?") // believed, all the same
	testkit.EventuallyTrue(t, soon, "the answer is refused", func() bool { return stack.Creates(customer) == 1 })
	stack.SetAPIToken(stack.AuthToken)
	if accepted := stack.Accepted(customer); accepted != 0 {
		t.Errorf("%d messages accepted with a wrong token", accepted)
	}
}
