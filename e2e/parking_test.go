package e2e_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"parley/contract"
	"parley/internal/testkit"
)

func TestAWrongTokenParksAndTheRetrySendsOnce(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{})
	person := s.Customer()
	s.Script(testkit.Rule{To: person, StatusCode: http.StatusUnauthorized, Code: 20003})
	workflowID := s.WorkflowID(s.Say(person, "hello"))
	awaitParked(t, s, workflowID, contract.Send.Name)
	if refused := s.TryStarter("retry", workflowID, "--park", "a-run/7"); refused.ExitCode != 4 {
		t.Errorf("a retry for another park: exit code %d %s", refused.ExitCode, refused.Stderr)
	}
	s.Script(testkit.Rule{To: person})
	s.Starter("retry", workflowID)
	s.AwaitAnswers(person, 1, soon)
	awaitOutcome(t, s, workflowID, "replied")
	exactly(t, s, person, 1)
	if refused := s.TryStarter("retry", workflowID); refused.ExitCode == 0 {
		t.Error("a retry of a flow that is over was taken")
	}
}

func TestPastItsDeadlineAMessageGoesOutOnlyAnyway(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{Settings: []string{"reply_deadline=20s"}})
	person := s.Customer()
	s.Script(testkit.Rule{To: person, StatusCode: http.StatusUnauthorized, Code: 20003, Times: 1})
	workflowID := s.WorkflowID(s.Say(person, "hello"))
	park := awaitParked(t, s, workflowID, contract.Send.Name)
	testkit.EventuallyTrue(t, soon, "the deadline has passed", func() bool { return time.Now().After(park.Deadline) })
	if refused := s.TryStarter("retry", workflowID); refused.ExitCode != 4 || !strings.Contains(refused.Stderr, "deadline") {
		t.Errorf("exit code %d %s%s", refused.ExitCode, refused.Stdout, refused.Stderr)
	}
	s.Starter("retry", workflowID, "--anyway")
	s.AwaitAnswers(person, 1, soon)
	awaitOutcome(t, s, workflowID, "replied")
}

// A worker has room for so many flows. One that had to leave is read again from its history: it goes on from where it was.
func TestAFlowThatLeftTheWorkersMemoryGoesOn(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{Env: []string{"PARLEY_WORKFLOW_CACHE=1"}})
	person, other := s.Customer(), s.Customer()
	s.Script(testkit.Rule{To: person, StatusCode: http.StatusUnauthorized, Code: 20003})
	workflowID := s.WorkflowID(s.Say(person, "hello"))
	park := awaitParked(t, s, workflowID, contract.Send.Name)
	s.Say(other, "hello")
	s.AwaitAnswers(other, 1, soon)
	s.Script(testkit.Rule{To: person})
	s.Starter("retry", workflowID, "--park", park.Name)
	ended(t, s, person, workflowID, "replied", 1)
	// With room for all there are one or two, for other reasons.
	if n := s.Worker(contract.RoleWorkflow).Metric("temporal_sticky_cache_total_forced_eviction"); n < 10 {
		t.Errorf("flows left the worker's memory %v times", n)
	}
}

func TestAbandonEndsAFlowWithoutSending(t *testing.T) {
	t.Parallel()
	model := testkit.OpenAI(t, testkit.ModelAnswer{Status: http.StatusUnauthorized})
	s := testkit.NewStack(t, testkit.Options{Env: model.Env()})
	person := s.Customer()
	workflowID := s.WorkflowID(s.Say(person, "hello"))
	awaitParked(t, s, workflowID, contract.Generate.Name)
	s.Starter("abandon", workflowID)
	awaitOutcome(t, s, workflowID, "abandoned")
	nothingStaysReserved(t, s)
	exactly(t, s, person, 0)
}

func TestCancelEndsAFlowWithoutSending(t *testing.T) {
	t.Parallel()
	model := testkit.OpenAI(t, testkit.ModelAnswer{Hang: true})
	s := testkit.NewStack(t, testkit.Options{Env: model.Env()})
	person := s.Customer()
	workflowID := s.WorkflowID(s.Say(person, "hello"))
	testkit.EventuallyTrue(t, soon, "the model is asked", func() bool { return len(model.Calls()) > 0 })
	s.Starter("cancel", workflowID)
	awaitOutcome(t, s, workflowID, "cancelled")
	nothingStaysReserved(t, s)
	exactly(t, s, person, 0)
}

// nothingStaysReserved fails the test unless every reservation was charged or handed back.
func nothingStaysReserved(t *testing.T, s *testkit.Stack) {
	t.Helper()
	decideUnknown(t, s)
	if open := count(t, s, `SELECT coalesce(sum(reserved), 0) FROM usage`); open != 0 {
		t.Errorf("%d units stay reserved", open)
	}
}
