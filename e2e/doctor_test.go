package e2e_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver, for the migrations
	"go.temporal.io/sdk/client"

	"parley/contract"
	"parley/internal/testkit"
	"parley/migrations"
)

// What is broken here is broken one at a time, and mended: the steps share a system.
func TestDoctorNamesWhatIsBrokenAndNothingElse(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{})
	var well health
	testkit.Eventually(t, soon, func() error { // Temporal tells of a worker once it has asked for work
		well = examine(t, s)
		return well.differs("nothing", nil)
	})
	for check, says := range map[string]string{
		"database": "Postgres ", "migrations": fmt.Sprintf("schema version %d", migrations.Latest()), "accounts": "1 of 1", "senders": "1, of accounts: 1",
		"temporal": s.Temporal.Address, "namespace": s.Temporal.Name, "search attributes": contract.SearchStage.GetName(),
		"schedules": fmt.Sprintf("%d of %d", len(contract.Schedules()), len(contract.Schedules())), "spool": "wait: 0", "unrouted messages": "0",
		"workers": "messaging 1", "public URL": s.PublicURL + ", a webhook answers", "clock": "the webhook",
	} {
		if !strings.Contains(well.checks[check].Found, says) {
			t.Errorf("%s: found %q, want %q", check, well.checks[check].Found, says)
		}
	}

	breakTheToken(t, s)
	stopTheWebhook(t, s)
	breakASchedule(t, s)
	writeToNobody(t, s)

	dead := testkit.Port(t)
	another := filepath.Join(t.TempDir(), "another.json")
	s.Starter("secrets", "keygen", "--out", another)
	for name, broken := range map[string]struct {
		env    []string
		states map[string]string // of the checks that are not ok
		check  string            // that names the cause
		says   []string
	}{
		"no variables": {
			[]string{"DATABASE_URL=", "PARLEY_KEYSET_FILE=", "PARLEY_PAYLOAD_KEYSET_FILE=", "PARLEY_PUBLIC_URL="},
			map[string]string{"configuration": "failed", "database": "skipped", "migrations": "skipped", "keyset": "skipped", "accounts": "skipped",
				"senders": "skipped", "spool": "skipped", "unrouted messages": "skipped", "payload keyset": "skipped", "payloads": "skipped", "public URL": "skipped"},
			"configuration", []string{"DATABASE_URL: ", "PARLEY_KEYSET or PARLEY_KEYSET_FILE: ",
				"PARLEY_PAYLOAD_KEYSET or PARLEY_PAYLOAD_KEYSET_FILE: ", "PARLEY_PUBLIC_URL: "},
		},
		"no database": {
			[]string{"DATABASE_URL=postgres://parley:hunter2@" + dead + "/parley"},
			map[string]string{"database": "failed", "migrations": "skipped", "accounts": "skipped", "senders": "skipped", "spool": "skipped",
				"unrouted messages": "skipped"},
			"database", []string{"connection refused", "start the database"},
		},
		"a schema of before": {
			[]string{"DATABASE_URL=" + migratedTo(t, 1)},
			map[string]string{"migrations": "failed", "accounts": "skipped", "senders": "skipped", "spool": "skipped",
				"unrouted messages": "skipped"},
			"migrations", []string{"schema version 1", "starter setup"},
		},
		"another keyset": {
			[]string{"PARLEY_KEYSET_FILE=" + another}, map[string]string{"accounts": "failed"},
			"accounts", []string{s.AccountSid + ": its token does not decrypt", "PARLEY_KEYSET"},
		},
		"no keyset": {
			[]string{"PARLEY_KEYSET_FILE=" + another + ".gone"}, map[string]string{"keyset": "failed", "accounts": "skipped"},
			"keyset", []string{"no such file", "starter secrets keygen"},
		},
		"another payload keyset": {
			[]string{"PARLEY_PAYLOAD_KEYSET_FILE=" + another}, map[string]string{"payloads": "failed"},
			"payloads", []string{"PARLEY_PAYLOAD_KEYSET does not have", "all processes the same"},
		},
		"one keyset for both": {
			[]string{"PARLEY_KEYSET_FILE=" + s.PayloadKeysetFile}, map[string]string{"accounts": "failed", "payload keyset": "warning"},
			"payload keyset", []string{"shares a key with PARLEY_KEYSET"},
		},
		"no payload keyset": {
			[]string{"PARLEY_PAYLOAD_KEYSET_FILE=" + another + ".gone"}, map[string]string{"payload keyset": "failed", "payloads": "skipped"},
			"payload keyset", []string{"no such file", "starter secrets keygen"},
		},
		"no Temporal": {
			[]string{"TEMPORAL_ADDRESS=" + dead},
			map[string]string{"temporal": "failed", "namespace": "skipped", "search attributes": "skipped", "schedules": "skipped", "workers": "skipped", "parked flows": "skipped",
				"payloads": "skipped"},
			"temporal", []string{dead, "connection refused", "TEMPORAL_ADDRESS"},
		},
		"no namespace": {
			[]string{"TEMPORAL_NAMESPACE=nowhere"},
			map[string]string{"namespace": "failed", "search attributes": "skipped", "schedules": "skipped", "workers": "skipped", "parked flows": "skipped",
				"payloads": "skipped"},
			"namespace", []string{"nowhere does not exist", "starter setup"},
		},
		"a namespace that nobody set up": {
			[]string{"TEMPORAL_NAMESPACE=" + testkit.BareTemporal(t).Name},
			map[string]string{"namespace": "warning", "search attributes": "failed", "schedules": "failed", "workers": "failed", "parked flows": "skipped"},
			"search attributes", []string{contract.SearchOwner.GetName(), "starter setup"},
		},
		"Twilio out of reach": {
			[]string{"PARLEY_TWILIO_BASE_URL=http://" + dead}, map[string]string{"accounts": "failed"},
			"accounts", []string{s.AccountSid, "connection refused"},
		},
		"a host that nobody knows": {
			[]string{"PARLEY_PUBLIC_URL=https://parley.invalid"}, map[string]string{"public URL": "failed"},
			"public URL", []string{"its host was not found", "DNS"},
		},
		"another server at the URL": {
			[]string{"PARLEY_PUBLIC_URL=" + s.Simulator.URL("")}, map[string]string{"public URL": "warning"},
			"public URL", []string{"not a webhook of Parley's", "path prefix"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testkit.Eventually(t, soon, func() error { return examine(t, s, broken.env...).differs(broken.check, broken.states, broken.says...) })
		})
	}
}

// breakTheToken lets Twilio refuse the account's token, so that a flow parks, and mends both.
func breakTheToken(t *testing.T, s *testkit.Stack) {
	t.Helper()
	s.SetAPIToken("another")
	workflowID := s.WorkflowID(s.Say(s.Customer(), "hello"))
	awaitPark(t, s, workflowID, contract.Send.Name)
	testkit.Eventually(t, soon, func() error { // the list of flows lags
		return examine(t, s).differs("accounts", map[string]string{"accounts": "failed", "parked flows": "warning"},
			s.AccountSid+": ", "did not accept the account's auth token", "starter account rotate "+s.AccountSid)
	})
	s.SetAPIToken(s.AuthToken)
	s.Starter("retry", workflowID)
	testkit.Eventually(t, soon, func() error { return examine(t, s).differs("nothing", nil) })
}

// breakASchedule pauses a schedule, and deletes it; starter setup mends the latter.
func breakASchedule(t *testing.T, s *testkit.Stack) {
	t.Helper()
	schedule := s.Temporal.Client.ScheduleClient().GetHandle(t.Context(), contract.CloseIdle.Name)
	if err := schedule.Pause(t.Context(), client.SchedulePauseOptions{Note: "by a test"}); err != nil {
		t.Fatal(err)
	}
	warned := map[string]string{"schedules": "warning"}
	testkit.Eventually(t, soon, func() error {
		return examine(t, s).differs("schedules", warned, contract.CloseIdle.Name+" is paused", "--unpause")
	})
	if err := schedule.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, soon, func() error {
		return examine(t, s).differs("schedules", map[string]string{"schedules": "failed"}, "no schedule "+contract.CloseIdle.Name, "starter setup")
	})
	s.Starter("setup")
	testkit.Eventually(t, soon, func() error { return examine(t, s).differs("nothing", nil) })
}

// writeToNobody lets a message come to a number of an account whose senders are of two owners.
func writeToNobody(t *testing.T, s *testkit.Stack) {
	t.Helper()
	s.Starter("owner", "add", "other", "--name", "Other")
	s.Starter("sender", "add", s.AccountSid, "+14155550178", "--owner", "other")
	answer := s.Deliver(testkit.Inbound{From: s.Customer(), To: "+14155550177", Body: "hello"})
	awaitPark(t, s, s.WorkflowID(answer.MessageSid), contract.ResolveAccount.Name)
	testkit.Eventually(t, soon, func() error {
		return examine(t, s).differs("unrouted messages", map[string]string{"unrouted messages": "warning", "parked flows": "warning"},
			"nobody owns: 1", "starter unrouted list")
	})
	s.Starter("abandon", s.WorkflowID(answer.MessageSid))
	awaitClosed(t, s, s.WorkflowID(answer.MessageSid))
	s.Starter("unrouted", "remove", s.AccountSid, answer.MessageSid)
	s.Starter("sender", "remove", s.AccountSid, "+14155550178")
	testkit.Eventually(t, soon, func() error { return examine(t, s).differs("nothing", nil) })
}

func stopTheWebhook(t *testing.T, s *testkit.Stack) {
	t.Helper()
	s.Webhook.Stop()
	testkit.Eventually(t, soon, func() error {
		return examine(t, s).differs("public URL", map[string]string{"public URL": "warning"}, "connection refused", "start a webhook")
	})
	s.Webhook.Restart()
}

// health is what doctor said.
type health struct {
	exitCode int
	output   string
	checks   map[string]checked
}

type checked struct {
	Name, State, Found string
	Problems           []struct{ State, Problem, Advice string }
}

// examine runs doctor in the usual environment and some changes of it. It has to keep what is secret.
func examine(t *testing.T, s *testkit.Stack, env ...string) health {
	t.Helper()
	result := s.TryStarterWith(env, "doctor", "--json")
	h := health{exitCode: result.ExitCode, output: result.Stdout + result.Stderr, checks: map[string]checked{}}
	var report struct{ Checks []checked }
	if err := json.Unmarshal([]byte(result.Stdout), &report); err != nil {
		t.Fatalf("doctor: %v\n%s", err, h.output)
	}
	for _, check := range report.Checks {
		h.checks[check.Name] = check
	}
	for _, secret := range secretsOf(t, s) {
		if strings.Contains(h.output, secret) {
			t.Errorf("doctor tells a secret: %s", h.output)
		}
	}
	return h
}

// differs compares the checks that are not ok with those that are expected, and what is said of one of them with what it has to say.
// The exit code follows.
func (h health) differs(check string, states map[string]string, says ...string) error {
	code := 0
	for name, is := range h.checks {
		want, named := states[name]
		if !named {
			want = "ok"
		}
		if is.State != want {
			return fmt.Errorf("%s is %s, want %s:\n%s", name, is.State, want, h.output)
		}
		if want == "failed" {
			code = 8
		}
	}
	if h.exitCode != code || len(h.checks) == 0 {
		return fmt.Errorf("exit code %d, want %d:\n%s", h.exitCode, code, h.output)
	}
	for _, words := range says {
		if text := fmt.Sprintf("%+v", h.checks[check]); !strings.Contains(text, words) {
			return fmt.Errorf("%s does not say %q: %s", check, words, text)
		}
	}
	return nil
}

// secretsOf returns what doctor knows and never tells: the token, the database's password, the keys.
func secretsOf(t *testing.T, s *testkit.Stack) []string {
	t.Helper()
	secrets := append(keysOf(t, s), "hunter2")
	if address, err := url.Parse(s.DatabaseURL); err != nil {
		t.Fatal(err)
	} else if password, given := address.User.Password(); given {
		secrets = append(secrets, ":"+password+"@")
	}
	return secrets
}

// migratedTo returns a database whose schema is of an older version.
func migratedTo(t *testing.T, version int64) (databaseURL string) {
	t.Helper()
	databaseURL = testkit.Postgres(t)
	db, err := sql.Open("pgx", databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := migrations.DownTo(t.Context(), db, version); err != nil {
		t.Fatal(err)
	}
	return databaseURL
}
