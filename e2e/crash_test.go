package e2e_test

import (
	"strings"
	"testing"
	"time"

	"parley/contract"
	"parley/internal/testkit"
)

// backWithin bounds what the design promises within 30 s: an answer once a worker is back. A machine that is busy with other tests is left as much again.
const backWithin = time.Minute

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

func TestAWorkerKilledInASend(t *testing.T) {
	t.Parallel()
	for name, at := range killPoints() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			killedAt(t, at, map[string]fault{"no fault": {outcome: "replied"}, "reset": faults()["reset"]})
		})
	}
}

func TestASendOfUnknownFateIsRepeatedOnlyByItsParksName(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{Settings: roomy()})
	person := s.Customer()
	s.Script(testkit.Rule{To: person, Answer: "reset", Times: 1})
	workflowID := s.WorkflowID(s.Say(person, "hello"))
	park := awaitParked(t, s, workflowID, contract.LookUp.Name)
	if !park.Unknown || !strings.Contains(park.Reason, "unknown") {
		t.Errorf("parked as %+v", park)
	}
	for _, refused := range [][]string{{"retry", workflowID}, {"retry", workflowID, "--park", park.Name + "0"}} {
		if result := s.TryStarter(refused...); result.ExitCode != 4 {
			t.Errorf("%v: exit code %d", refused, result.ExitCode)
		}
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
