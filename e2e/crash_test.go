package e2e_test

import (
	"strings"
	"testing"
	"time"

	"parley/contract"
	"parley/internal/testkit"
)

// backWithin is what the design promises: answered this long after a worker is back.
const backWithin = 30 * time.Second

func TestAWorkerKilledInTheModelStepIsReplaced(t *testing.T) {
	t.Parallel()
	model := testkit.OpenAI(t, testkit.ModelAnswer{Hang: true})
	s := testkit.NewStack(t, testkit.Options{PerRole: true, Env: model.Env()})
	person := s.Customer()
	sid := s.Say(person, "hello")
	testkit.EventuallyTrue(t, soon, "the model is asked", func() bool { return len(model.Calls()) == 1 })
	model.Script(testkit.ModelAnswer{Text: "An answer."})
	s.Worker(contract.RoleReply).Kill9()
	s.Worker(contract.RoleReply).Restart()
	s.AwaitAnswers(person, 1, backWithin)
	awaitOutcome(t, s, sid, "replied")
	exactly(t, s, person, 1)
}

func TestAWorkerKilledBeforeItsClaimCommitsIsReplaced(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{PerRole: true})
	s.Worker(contract.RoleMessaging).Stop()
	person := s.Customer()
	sid := s.Say(person, "hello")
	testkit.EventuallyTrue(t, soon, "the flow waits for messaging", func() bool {
		waits := show(t, s, s.WorkflowID(sid)).Flow.Waits
		return len(waits) == 1 && waits[0].Step == contract.Send.Name
	})

	// The pair's row is held, so that the claim waits for it, uncommitted.
	holder, err := database(t, s).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := holder.Exec(t.Context(), `SELECT FROM pairs FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	s.Worker(contract.RoleMessaging).Restart()
	testkit.EventuallyTrue(t, soon, "the claim waits for the pair", func() bool {
		return count(t, s, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) > 0
	})
	s.Worker(contract.RoleMessaging).Kill9()
	if err := holder.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Worker(contract.RoleMessaging).Restart()
	s.AwaitAnswers(person, 1, backWithin)
	awaitOutcome(t, s, sid, "replied")
	exactly(t, s, person, 1)
}

// killedInThePOST kills the messaging worker while the simulator holds the POST of an answer, and starts another.
func killedInThePOST(t *testing.T, s *testkit.Stack, accepted bool) (person, workflowID string) {
	t.Helper()
	person = s.Customer()
	s.Script(testkit.Rule{To: person, Answer: "hold", Accepted: accepted, Callbacks: "none"})
	workflowID = s.WorkflowID(s.Say(person, "hello"))
	testkit.EventuallyTrue(t, soon, "the POST is under way", func() bool { return s.Creates(person) == 1 })
	s.Worker(contract.RoleMessaging).Kill9()
	s.Script(testkit.Rule{To: person})
	s.Worker(contract.RoleMessaging).Restart()
	return person, workflowID
}

func TestAWorkerKilledAfterTwilioAcceptedFindsTheMessage(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{PerRole: true, Settings: impatient()})
	person, workflowID := killedInThePOST(t, s, true)
	awaitOutcome(t, s, workflowID, "replied")
	if creates := s.Creates(person); creates != 1 {
		t.Errorf("%d POSTs, want 1", creates)
	}
	exactly(t, s, person, 1)
	nothingStaysReserved(t, s)
}

func TestAWorkerKilledBeforeTwilioAcceptedParksAndSendsAgainOnlyWhenTold(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{PerRole: true, Settings: impatient()})
	person, workflowID := killedInThePOST(t, s, false)
	park := awaitParked(t, s, workflowID, contract.LookUp.Name)
	if !park.Unknown || !strings.Contains(park.Reason, "unknown") {
		t.Errorf("parked as %+v", park)
	}
	if refused := s.TryStarter("retry", workflowID); refused.ExitCode != 4 {
		t.Errorf("the retry of an unknown send without the park's name: exit code %d", refused.ExitCode)
	}
	if refused := s.TryStarter("retry", workflowID, "--park", park.Name+"0"); refused.ExitCode != 4 {
		t.Errorf("the retry of another park: exit code %d", refused.ExitCode)
	}
	if creates := s.Creates(person); creates != 1 {
		t.Errorf("%d POSTs, want 1", creates)
	}
	s.Starter("retry", workflowID, "--park", park.Name)
	awaitOutcome(t, s, workflowID, "replied")
	if creates := s.Creates(person); creates != 2 {
		t.Errorf("%d POSTs, want 2", creates)
	}
	exactly(t, s, person, 1)
	nothingStaysReserved(t, s)
}

func TestKillingAnyWorkerLosesNothing(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{PerRole: true})
	for _, role := range contract.Roles() {
		s.Worker(role).Kill9()
		person := s.Customer()
		sid := s.Say(person, "hello")
		s.Worker(role).Restart()
		s.AwaitAnswers(person, 1, backWithin)
		awaitOutcome(t, s, sid, "replied")
		exactly(t, s, person, 1)
	}
}
