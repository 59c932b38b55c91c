package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parley/contract"
	"parley/internal/testkit"
)

// A new key takes the place of the old one in both keysets while everything runs. What was begun before goes on; where its key is dropped too
// early it waits until that is back.
func TestKeysAreRotatedWhileEverythingRuns(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{})
	before := s.Customer()
	s.Script(testkit.Rule{To: before, StatusCode: http.StatusUnauthorized, Code: 20003})
	parked := s.WorkflowID(s.Say(before, "are you open?"))
	awaitParked(t, s, parked, contract.Send.Name)
	s.Script(testkit.Rule{To: before})

	for _, file := range []string{s.KeysetFile, s.PayloadKeysetFile} {
		s.Starter("secrets", "add-key", file)
		s.Starter("secrets", "promote", file)
	}
	if refused := s.TryStarter("secrets", "drop-keys", s.KeysetFile); refused.ExitCode != 4 || !strings.Contains(refused.Stderr, "secrets rotate") {
		t.Errorf("a key was dropped that the token needs: exit code %d %s", refused.ExitCode, refused.Stderr)
	}
	rotate(t, s, true)
	rotate(t, s, false)
	dropKeys(t, s, s.KeysetFile)
	awaitSameKeyset(t, s)
	answered(t, s)

	old := readFile(t, s.PayloadKeysetFile)
	dropKeys(t, s, s.PayloadKeysetFile)
	s.Worker(contract.RoleWorkflow).Restart() // it has the flow in its memory
	s.Worker(contract.RoleWorkflow).AwaitReady()
	if retried := s.TryStarter("retry", parked); retried.ExitCode != 0 { // the signal is there, whoever reads it
		t.Errorf("retry: exit code %d %s", retried.ExitCode, retried.Stderr)
	}
	testkit.Eventually(t, soon, func() error {
		for _, line := range s.Worker(contract.RoleWorkflow).Logs() {
			if strings.Contains(line, "which PARLEY_PAYLOAD_KEYSET does not have") {
				return nil
			}
		}
		return errors.New("no worker missed the key")
	})
	answered(t, s) // nobody else waits
	if state := show(t, s, parked).Flow.State; state != "running" {
		t.Fatalf("a flow whose key is missing is %s", state)
	}
	if err := os.WriteFile(s.PayloadKeysetFile, old, 0o600); err != nil {
		t.Fatal(err)
	}
	awaitOutcome(t, s, parked, "replied")
	exactly(t, s, before, 1)
}

func TestNoProcessStartsWithoutBothKeysets(t *testing.T) {
	t.Parallel()
	keyset, broken := filepath.Join(t.TempDir(), "keyset.json"), filepath.Join(t.TempDir(), "broken.json")
	if made := testkit.Run(t, "/", "starter", nil, "secrets", "keygen", "--out", keyset); made.ExitCode != 0 {
		t.Fatal(made.Stderr)
	}
	if err := os.WriteFile(broken, []byte(`{"primaryKeyId":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, process := range [][]string{{"webhook"}, {"worker"}, {"starter", "account", "list"}, {"starter", "cancel", "inbound:1"}} {
		for _, variable := range []string{"PARLEY_KEYSET", "PARLEY_PAYLOAD_KEYSET"} {
			for name, file := range map[string]string{"none": "", "not one": broken, "a file that is not there": broken + ".gone"} {
				if file != "" && process[0] == "starter" && (variable == "PARLEY_KEYSET") != (process[1] == "account") {
					continue // a command opens what it needs
				}
				t.Run(strings.Join(process, " ")+", "+variable+": "+name, func(t *testing.T) {
					t.Parallel()
					env := []string{
						"DATABASE_URL=postgres://parley@127.0.0.1:1/parley", "TEMPORAL_ADDRESS=127.0.0.1:1", "PARLEY_PUBLIC_URL=https://parley.example",
						"PARLEY_LISTEN=127.0.0.1:0", "PARLEY_KEYSET_FILE=" + keyset, "PARLEY_PAYLOAD_KEYSET_FILE=" + keyset, variable + "_FILE=" + file,
					}
					ended := testkit.Run(t, "/", process[0], env, process[1:]...)
					if said := ended.Stdout + ended.Stderr; ended.ExitCode == 0 || !strings.Contains(said, variable) {
						t.Errorf("exit code %d: %s", ended.ExitCode, said)
					}
				})
			}
		}
	}
}

// dropKeys drops a keyset's older keys, once every process has read the file again.
func dropKeys(t *testing.T, s *testkit.Stack, file string) {
	t.Helper()
	testkit.Eventually(t, soon, func() error {
		if dropped := s.TryStarter("secrets", "drop-keys", file); dropped.ExitCode != 0 {
			return fmt.Errorf("exit code %d %s", dropped.ExitCode, dropped.Stderr)
		}
		return nil
	})
}

// answered sends a message and awaits its answer.
func answered(t *testing.T, s *testkit.Stack) {
	t.Helper()
	person := s.Customer()
	sid := s.Say(person, "hello")
	s.AwaitAnswers(person, 1, soon)
	awaitOutcome(t, s, sid, "replied")
}

// rotate runs the command, which finds something to do the first time only.
func rotate(t *testing.T, s *testkit.Stack, first bool) {
	t.Helper()
	var r struct {
		Values, Unusable int
		Schedules        []struct{ State string }
	}
	if err := json.Unmarshal([]byte(s.Starter("secrets", "rotate", "--json")), &r); err != nil {
		t.Fatal(err)
	}
	values, state := 0, "exists"
	if first {
		values, state = 1, "updated"
	}
	if r.Values != values || r.Unusable != 0 || len(r.Schedules) != len(contract.Schedules()) || r.Schedules[0].State != state {
		t.Errorf("rotate, the first time %t: %+v", first, r)
	}
}

// awaitSameKeyset waits until the other processes write with the key that starter writes with.
func awaitSameKeyset(t *testing.T, s *testkit.Stack) {
	t.Helper()
	testkit.Eventually(t, soon, func() error {
		answered(t, s)
		if check := examine(t, s).checks["payloads"]; check.State != "ok" {
			return fmt.Errorf("payloads: %+v", check)
		}
		return nil
	})
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
