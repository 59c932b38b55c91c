package e2e_test

import (
	"slices"
	"testing"

	"parley/contract"
	"parley/internal/testkit"
)

// sweeping has the sweep ask for every flow whose message is not finished, however young.
func sweeping() []string { return []string{"PARLEY_SWEEP_AFTER=1ms"} }

func terminate(t *testing.T, s *testkit.Stack, workflowID string) {
	t.Helper()
	if err := s.Temporal.Client.TerminateWorkflow(t.Context(), workflowID, "", "by a test"); err != nil {
		t.Fatal(err)
	}
}

// A flow that is terminated closes nothing: the sweep does, and leaves alone the one beside it that runs.
func TestTheSweepClosesWhatATerminatedFlowLeft(t *testing.T) {
	t.Parallel()
	model := testkit.OpenAI(t, testkit.ModelAnswer{Hang: true})
	s := testkit.NewStack(t, testkit.Options{Env: slices.Concat(model.Env(), sweeping())})
	gone, running := s.Customer(), s.Customer()
	terminated, runs := s.WorkflowID(s.Say(gone, "hello")), s.WorkflowID(s.Say(running, "hello"))
	testkit.EventuallyTrue(t, soon, "the model is asked for both", func() bool { return len(model.Calls()) == 2 })
	terminate(t, s, terminated)
	result := s.Upkeep(contract.CloseEnded)
	if result.Seen != 2 || result.Done != 1 {
		t.Errorf("the sweep came to %+v", result)
	}
	if n := count(t, s, `SELECT count(*) FROM messages WHERE workflow_id = $1 AND outcome = 'failed' AND outcome_reason = 'its flow was terminated'`, terminated); n != 1 {
		t.Error("the row does not say how the message ended")
	}
	if n := count(t, s, `SELECT count(*) FROM messages WHERE workflow_id = $1 AND finished_at IS NULL AND reply_state = 'pending'`, runs); n != 1 {
		t.Error("the sweep touched a flow that runs")
	}
	accounted(t, s, terminated, 0)
}
