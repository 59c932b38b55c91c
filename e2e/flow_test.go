package e2e_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"parley/contract"
	"parley/internal/testkit"
)

// statusOf asks a flow where it stands, without a process of its own as `starter show` is one.
func statusOf(t *testing.T, s *testkit.Stack, workflowID string) (status contract.StatusResult, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	answer, err := s.Temporal.Client.QueryWorkflow(ctx, workflowID, "", contract.StatusQuery)
	if err == nil {
		err = answer.Get(&status)
	}
	return status, err
}

// awaitPark waits until a flow is parked at a step, for another park than those that are over, and returns the park.
func awaitPark(t *testing.T, s *testkit.Stack, workflowID, step string, over ...contract.Park) contract.Park {
	t.Helper()
	var park contract.Park
	testkit.Eventually(t, soon, func() error {
		status, err := statusOf(t, s, workflowID)
		if err != nil {
			return err
		}
		if status.Park == nil {
			return fmt.Errorf("%s is not parked: %+v", workflowID, status)
		}
		for _, past := range over {
			if status.Park.Name == past.Name {
				return fmt.Errorf("%s is still parked as %+v", workflowID, past)
			}
		}
		park = *status.Park
		return nil
	})
	if park.Step != step {
		t.Fatalf("%s is parked as %+v, want %s", workflowID, park, step)
	}
	return park
}

// awaitStep waits until a flow has a step under way; of look-ups, which take a moment every while, that one was made.
func awaitStep(t *testing.T, s *testkit.Stack, workflowID, step string) {
	t.Helper()
	testkit.Eventually(t, soon, func() error {
		status, err := statusOf(t, s, workflowID)
		if err != nil {
			return err
		}
		for _, at := range status.Steps {
			if at.Name == step && (at.State == contract.StepRunning || (step == contract.LookUp.Name && at.State == contract.StepDone)) {
				return nil
			}
		}
		return fmt.Errorf("%s has no %s under way: %+v", workflowID, step, status)
	})
}

// awaitClosed waits until a flow is over and returns how it ended. Its message may be in the spool yet: a busy Temporal takes its time.
func awaitClosed(t *testing.T, s *testkit.Stack, workflowID string) (result contract.MessageResult) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	testkit.Eventually(t, soon, func() error {
		err := s.Temporal.Client.GetWorkflow(ctx, workflowID, "").Get(ctx, &result)
		if err != nil {
			status, _ := statusOf(t, s, workflowID)
			return fmt.Errorf("%s is not over: %w: %+v", workflowID, err, status)
		}
		return nil
	})
	return result
}

// ended waits until a flow is over, and fails the test unless it ended so, Twilio accepted so many messages for the person, and the rows
// agree: no attempt is left unlooked for, the pair is free, and what was reserved is charged or handed back.
func ended(t *testing.T, s *testkit.Stack, person, workflowID string, want contract.Outcome, accepted int) {
	t.Helper()
	if result := awaitClosed(t, s, workflowID); result.Outcome != want {
		t.Errorf("%s ended %+v, want %s", workflowID, result, want)
	}
	closed(t, s, person, workflowID, want, accepted)
}

// closed fails the test unless a flow's message is closed so, by all that ended says of the rows.
func closed(t *testing.T, s *testkit.Stack, person, workflowID string, want contract.Outcome, accepted int) {
	t.Helper()
	if want == "unknown" {
		decideUnknown(t, s)
	}
	if got := s.Accepted(person); got != accepted {
		t.Errorf("Twilio accepted %d messages for %s, want %d", got, person, accepted)
	}
	accounted(t, s, workflowID, min(accepted, 1))
	for what, query := range map[string]string{
		"another outcome in the row": `SELECT count(*) FROM messages WHERE workflow_id = $1 AND direction = 'inbound' AND
			(outcome IS NULL OR outcome <> $2 OR reply_state IN ('pending', 'parked') OR finished_at IS NULL)`,
		"attempts that nobody looked for": `SELECT count(*) FROM send_attempts JOIN messages USING (message_id)
			WHERE workflow_id = $1 AND resolved_at IS NULL AND $2 <> ''`,
		"a pair that is kept": `SELECT count(*) FROM pairs JOIN messages ON lock_message = message_id
			WHERE workflow_id = $1 AND locked_until > clock_timestamp() AND $2 <> ''`,
	} {
		if n := count(t, s, query, workflowID, want); n != 0 {
			t.Errorf("%s leaves %s", workflowID, what)
		}
	}
}

// decideUnknown has upkeep look twice for every attempt of unknown fate whose flow is over: until then what may have been sent is paid for.
func decideUnknown(t *testing.T, s *testkit.Stack) {
	t.Helper()
	testkit.Eventually(t, soon, func() error {
		n := count(t, s, `SELECT count(*) FROM send_attempts WHERE state = 'unknown' AND look_at IS NOT NULL`)
		if n == 0 {
			return nil
		}
		return fmt.Errorf("%d attempts of unknown fate are not decided: %+v", n, s.Upkeep(contract.SeekUnknown))
	})
}

// accounted fails the test unless the ledger says of a flow what became of its reply: charged once, or nothing of it.
func accounted(t *testing.T, s *testkit.Stack, workflowID string, replies int) {
	t.Helper()
	of := func(kind, meter string) int {
		return count(t, s, `SELECT count(*) FROM ledger WHERE workflow_id = $1 AND kind = $2 AND meter = $3`, workflowID, kind, meter)
	}
	if settled, segments := of("settle", "ai_replies"), of("settle", "message_segments"); settled != replies || segments != replies {
		t.Errorf("%s: %d replies and %d entries of segments are charged, want %d", workflowID, settled, segments, replies)
	}
	if reserved, released := of("reserve", "ai_replies"), of("release", "ai_replies"); reserved != released+replies {
		t.Errorf("%s: of %d units %d were handed back, and %d are to be charged", workflowID, reserved, released, replies)
	}
}

// answersNext fails the test unless a person's next message is answered, with one message.
func answersNext(t *testing.T, s *testkit.Stack, person string) {
	t.Helper()
	s.Script(testkit.Rule{To: person})
	before := s.Accepted(person)
	workflowID := s.WorkflowID(s.Say(person, "and now?"))
	ended(t, s, person, workflowID, "replied", before+1)
}
