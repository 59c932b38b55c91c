// Package e2e_test runs Parley as its users do: the built binaries as processes of their own, over real HTTP, on a real
// Postgres and a real Temporal server. Twilio is the simulator.
package e2e_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"parley/contract"
	"parley/internal/testkit"
)

// soon bounds what takes a moment, on a machine that is busy with other tests.
const soon = time.Minute

// shown is what the tests read of `starter show --json`.
type shown struct {
	Flow struct {
		State string
		Waits []struct{ Step, State string }
	}
	Status *contract.StatusResult
	Trace  *struct {
		Message struct {
			MessageID  string           `json:"message_id"`
			ReplyState string           `json:"reply_state"`
			Outcome    contract.Outcome `json:"outcome"`
		}
		Attempts []struct{ State, Status string }
		Ledger   []struct {
			Kind, Meter string
			Quantity    int
		}
	}
}

func show(t *testing.T, s *testkit.Stack, id string) shown {
	t.Helper()
	result, err := tryShow(t, s, id)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// tryShow is show for who waits: what was just said may be in the spool yet, and a server may be busy.
func tryShow(t *testing.T, s *testkit.Stack, id string) (result shown, err error) {
	t.Helper()
	printed := s.TryStarter("show", id, "--json")
	switch printed.ExitCode {
	case 0:
		err = json.Unmarshal([]byte(printed.Stdout), &result)
	case 3, 6: // not found, unavailable
		err = fmt.Errorf("starter show %s: exit code %d: %s", id, printed.ExitCode, printed.Stderr)
	default:
		t.Fatalf("starter show %s: %+v", id, printed)
	}
	return result, err
}

// awaitParked waits until a flow is parked at a step and returns the park.
func awaitParked(t *testing.T, s *testkit.Stack, workflowID, step string) contract.Park {
	t.Helper()
	var park contract.Park
	testkit.Eventually(t, soon, func() error {
		result, err := tryShow(t, s, workflowID)
		if err != nil {
			return err
		}
		if result.Status == nil || result.Status.Park == nil {
			return fmt.Errorf("%s is not parked: %+v", workflowID, result.Status)
		}
		park = *result.Status.Park
		return nil
	})
	if park.Step != step || park.Reason == "" || park.Advice == "" {
		t.Fatalf("parked as %+v, want a reason and advice for %s", park, step)
	}
	return park
}

// awaitOutcome waits until a message's flow is over.
func awaitOutcome(t *testing.T, s *testkit.Stack, id string, want contract.Outcome) shown {
	t.Helper()
	var result shown
	testkit.Eventually(t, soon, func() (err error) {
		if result, err = tryShow(t, s, id); err != nil {
			return err
		}
		if result.Trace == nil || result.Trace.Message.Outcome == "" {
			return fmt.Errorf("%s is not over: %+v", id, result.Status)
		}
		return nil
	})
	if got := result.Trace.Message.Outcome; got != want {
		t.Fatalf("%s ended %s, want %s", id, got, want)
	}
	return result
}

// exactly fails the test unless Twilio accepted so many messages for a person, now and a moment later.
func exactly(t *testing.T, s *testkit.Stack, to string, want int) {
	t.Helper()
	time.Sleep(500 * time.Millisecond) // long enough for one more to show, on any machine that answered at all
	if got := s.SentTo(to); len(got) != want {
		t.Fatalf("Twilio accepted %d messages for %s, want %d: %+v", len(got), to, want, got)
	}
}
