package e2e_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"parley/contract"
	"parley/internal/testkit"
)

// A flow is terminated in the middle of each of its steps: no step of it runs any more, and the sweep closes its message by the rows. What
// was sent is charged, what was not is handed back, and the person's next message is answered.

func terminate(t *testing.T, s *testkit.Stack, workflowID string) {
	t.Helper()
	if err := s.Temporal.Client.TerminateWorkflow(t.Context(), workflowID, "", "by a test"); err != nil {
		t.Fatal(err)
	}
}

// sweep has the sweep run until it has closed a flow's message: once nothing of a POST can be under way.
func sweep(t *testing.T, s *testkit.Stack, workflowID string) {
	t.Helper()
	testkit.Eventually(t, soon, func() error {
		result := s.Upkeep(contract.CloseEnded)
		if count(t, s, `SELECT count(*) FROM messages WHERE workflow_id = $1 AND finished_at IS NOT NULL`, workflowID) == 0 {
			return fmt.Errorf("%s is not closed: %+v", workflowID, result)
		}
		return nil
	})
}

// swept has the sweep close a flow's message, and fails the test unless it ended so, by all that ended checks.
func swept(t *testing.T, s *testkit.Stack, person, workflowID string, want contract.Outcome, accepted int) {
	t.Helper()
	sweep(t, s, workflowID)
	closed(t, s, person, workflowID, want, accepted)
	if why := count(t, s, `SELECT count(*) FROM messages WHERE workflow_id = $1 AND direction = 'inbound' AND outcome_reason = 'its flow was terminated'`,
		workflowID); why != 1 {
		t.Errorf("%s does not say why it ended", workflowID)
	}
}

func TestTerminateAndSweepAtEachStep(t *testing.T) {
	t.Parallel()
	model := testkit.OpenAI(t)
	s := testkit.NewStack(t, testkit.Options{PerRole: true, Settings: searching(), Env: model.Env()})
	for _, c := range []struct {
		role    contract.Role
		step    string
		stored  bool // the message is, when the flow is terminated
		working bool // the worker is back by then, and waits for the pair
	}{
		{role: contract.RoleAccount, step: contract.ResolveAccount.Name},
		{role: contract.RolePersistence, step: contract.RecordInbound.Name},
		{role: contract.RoleIdentity, step: contract.ResolveIdentity.Name, stored: true},
		{role: contract.RoleBilling, step: contract.Reserve.Name, stored: true},
		{role: contract.RoleBilling, step: contract.Reserve.Name, stored: true, working: true},
		{role: contract.RoleMessaging, step: contract.Send.Name, stored: true},
		{role: contract.RoleMessaging, step: contract.Send.Name, stored: true, working: true},
	} {
		name := c.step
		if c.working {
			name += ", which waits for the pair"
		}
		t.Run(name, func(t *testing.T) {
			worker, person := s.Worker(c.role), s.Customer()
			worker.Stop()
			workflowID := s.WorkflowID(s.Say(person, "hello"))
			awaitStep(t, s, workflowID, c.step)
			if c.stored {
				awaitStored(t, s, workflowID)
			}
			release := func() {}
			if c.working {
				release = hold(t, s, `SELECT FROM pairs WHERE their_address = $1 FOR UPDATE`, person)
				worker.Restart()
				testkit.EventuallyTrue(t, soon, c.step+" waits for the pair", func() bool { return waitingForLocks(t, s) > 0 })
			}
			terminate(t, s, workflowID)
			release()
			worker.Restart()
			switch {
			case !c.stored: // nobody knows of it but Twilio
				if result := s.Upkeep(contract.CloseEnded); result.Done != 0 {
					t.Errorf("the sweep came to %+v", result)
				}
			case c.step == contract.Send.Name && c.working: // the step goes on until it hears that its flow is gone: it may send, or not
				sweep(t, s, workflowID)
				accepted := s.Accepted(person)
				outcome := map[int]contract.Outcome{0: "failed", 1: "replied"}[accepted]
				closed(t, s, person, workflowID, outcome, accepted)
			default:
				swept(t, s, person, workflowID, "failed", 0)
				posted(t, s, person, 0)
			}
			answersNext(t, s, person)
		})
	}
	t.Run(contract.Generate.Name, func(t *testing.T) {
		person, asked := s.Customer(), len(model.Calls())
		model.Script(testkit.ModelAnswer{Hang: true})
		workflowID := s.WorkflowID(s.Say(person, "hello"))
		testkit.EventuallyTrue(t, soon, "the model is asked", func() bool { return len(model.Calls()) > asked })
		terminate(t, s, workflowID)
		model.Script()
		swept(t, s, person, workflowID, "failed", 0)
		answersNext(t, s, person)
	})
	t.Run("messaging.Send, between its claim and its POST", func(t *testing.T) {
		person := s.Customer()
		s.Worker(contract.RoleMessaging).Stop()
		workflowID := s.WorkflowID(s.Say(person, "hello"))
		awaitStep(t, s, workflowID, contract.Send.Name)
		release := hold(t, s, `LOCK TABLE twilio_accounts IN ACCESS EXCLUSIVE MODE`) // the token is read after the claim's commit
		s.Worker(contract.RoleMessaging).Restart()
		awaitAttempt(t, s, workflowID, "begun")
		s.Worker(contract.RoleMessaging).Kill9()
		terminate(t, s, workflowID)
		release()
		s.Worker(contract.RoleMessaging).Restart()
		swept(t, s, person, workflowID, "unknown", 0)
		posted(t, s, person, 0)
		answersNext(t, s, person)
	})
	t.Run("once it is sent", func(t *testing.T) { terminateOnceItIsSent(t, s) })
	nothingStaysReserved(t, s)
}

func terminateOnceItIsSent(t *testing.T, s *testkit.Stack) {
	t.Helper()
	endedOnceItIsSent(t, s, ending{
		end:     func(t *testing.T, workflowID string) { t.Helper(); terminate(t, s, workflowID) },
		over:    swept,
		refused: "failed",
	})
	t.Run(contract.Settle.Name, func(t *testing.T) {
		t.Parallel()
		person := s.Customer()
		mend := refuse(t, s, "ledger", passing, fmt.Sprintf(`NEW.kind = 'settle' AND %s`, of(person)))
		workflowID := s.WorkflowID(s.Say(person, "hello"))
		awaitStep(t, s, workflowID, contract.Settle.Name)
		terminate(t, s, workflowID)
		mend()
		swept(t, s, person, workflowID, "replied", 1)
		answersNext(t, s, person)
	})
}

// awaitStored waits until a flow's message is in the database.
func awaitStored(t *testing.T, s *testkit.Stack, workflowID string) {
	t.Helper()
	testkit.EventuallyTrue(t, soon, "the message is stored", func() bool {
		return count(t, s, `SELECT count(*) FROM messages WHERE workflow_id = $1`, workflowID) == 1
	})
}

func TestTheSweepLeavesFlowsAlone(t *testing.T) {
	t.Parallel()
	model := testkit.OpenAI(t, testkit.ModelAnswer{Hang: true})
	s := testkit.NewStack(t, testkit.Options{PerRole: true, Env: slices.Concat(model.Env(), []string{"PARLEY_SWEEP_AFTER=1ms"})})
	schedule := s.Temporal.Client.ScheduleClient().GetHandle(t.Context(), contract.Schedule{Job: contract.CloseEnded}.ID())
	if err := schedule.Pause(t.Context(), client.SchedulePauseOptions{}); err != nil { // or the clock's sweep comes between what this test does
		t.Fatal(err)
	}
	asking := func(t *testing.T, body string) (person, workflowID string) {
		t.Helper()
		asked, person := len(model.Calls()), s.Customer()
		workflowID = s.WorkflowID(s.Say(person, body))
		testkit.EventuallyTrue(t, soon, "the model is asked", func() bool { return len(model.Calls()) > asked })
		return person, workflowID
	}
	untouched := func(t *testing.T, workflowID string) {
		t.Helper()
		if n := count(t, s, `SELECT count(*) FROM messages WHERE workflow_id = $1 AND finished_at IS NULL AND reply_state = 'pending' AND swept_at IS NOT NULL`,
			workflowID); n != 1 {
			t.Errorf("the sweep did not ask for %s, or touched it", workflowID)
		}
	}
	t.Run("that run", func(t *testing.T) {
		person, running := asking(t, "hello")
		if result := s.Upkeep(contract.CloseEnded); result.Seen == 0 || result.Done != 0 {
			t.Errorf("the sweep came to %+v", result)
		}
		untouched(t, running)
		model.Script()
		s.Starter("cancel", running) // its call hangs on
		ended(t, s, person, running, "cancelled", 0)
	})
	t.Run("that were terminated and reset", func(t *testing.T) {
		model.Script(testkit.ModelAnswer{Hang: true})
		person, workflowID := asking(t, "hello")
		terminate(t, s, workflowID)
		model.Script()
		s.Worker(contract.RoleBilling).Stop() // the new run comes so far, and waits
		reset(t, s, workflowID)
		if result := s.Upkeep(contract.CloseEnded); result.Done != 0 {
			t.Errorf("the sweep came to %+v", result)
		}
		untouched(t, workflowID)
		s.Worker(contract.RoleBilling).Restart()
		ended(t, s, person, workflowID, "replied", 1)
	})
	t.Run("but not those that are reset too late", func(t *testing.T) {
		model.Script(testkit.ModelAnswer{Hang: true})
		person, workflowID := asking(t, "hello")
		terminate(t, s, workflowID)
		swept(t, s, person, workflowID, "failed", 0)
		model.Script()
		reset(t, s, workflowID)
		ended(t, s, person, workflowID, "failed", 0)
		posted(t, s, person, 0)
		answersNext(t, s, person)
	})
	t.Run("and tells what they had superseded", func(t *testing.T) {
		model.Script(testkit.ModelAnswer{Hang: true})
		person, first := asking(t, "hello")
		second := s.WorkflowID(s.Say(person, "are you there?"))
		testkit.EventuallyTrue(t, soon, "the model is asked for both", func() bool {
			return count(t, s, `SELECT count(*) FROM messages WHERE workflow_id = $1 AND turn = 'joined'`, second) == 1
		})
		s.Worker(contract.RoleReply).Kill9() // the first one's answer comes, and finds the second
		model.Script()
		s.Worker(contract.RoleMessaging).Stop()
		s.Worker(contract.RoleReply).Restart()
		awaitStep(t, s, second, contract.Send.Name)
		terminate(t, s, second)
		s.Worker(contract.RoleMessaging).Restart()
		if result := awaitClosed(t, s, first); result.Outcome != "superseded" {
			t.Errorf("the first one ended %+v", result)
		}
		result := s.Upkeep(contract.CloseEnded)
		id := show(t, s, first).Trace.Message.MessageID
		if len(result.Notes) != 1 || result.Notes[0].WorkflowID != second || !slices.Equal(result.Notes[0].Superseded, []string{id}) {
			t.Errorf("told %+v, want %s and that it had superseded %s", result.Notes, second, id)
		}
		s.Worker(contract.RoleUpkeep).Await(soon, id) // the log says so too
		answersNext(t, s, person)                     // for all three
	})
	nothingStaysReserved(t, s)
}

// A sweep that is killed in the middle, and another beside it, close each message once.
func TestASweepThatIsKilledIsMadeUpFor(t *testing.T) {
	t.Parallel()
	model := testkit.OpenAI(t, testkit.ModelAnswer{Hang: true})
	s := testkit.NewStack(t, testkit.Options{PerRole: true, Env: slices.Concat(model.Env(), []string{"PARLEY_SWEEP_AFTER=1s"})})
	const people = 6
	persons, flows := make([]string, people), make([]string, people)
	for i := range flows {
		persons[i] = s.Customer()
		flows[i] = s.WorkflowID(s.Say(persons[i], "hello"))
	}
	testkit.EventuallyTrue(t, soon, "the model is asked for all", func() bool { return len(model.Calls()) == people })
	for _, flow := range flows {
		terminate(t, s, flow)
	}
	release := hold(t, s, `SELECT FROM pairs WHERE their_address = $1 FOR UPDATE`, persons[people/2])
	schedule := s.Temporal.Client.ScheduleClient().GetHandle(t.Context(), contract.Schedule{Job: contract.CloseEnded}.ID())
	asked := time.Time{}
	testkit.EventuallyTrue(t, soon, "the sweep waits for a pair", func() bool {
		if time.Since(asked) > 3*time.Second { // beside one of the clock's that came too early nothing is started
			asked = time.Now()
			if err := schedule.Trigger(t.Context(), client.ScheduleTriggerOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		return waitingForLocks(t, s) > 0
	})
	s.Worker(contract.RoleUpkeep).Kill9()
	s.Worker(contract.RoleUpkeep).Restart()
	s.AddWorker(contract.RoleUpkeep)
	release()
	model.Script()
	for i, flow := range flows {
		sweep(t, s, flow)
		closed(t, s, persons[i], flow, "failed", 0)
	}
	if n := count(t, s, `SELECT count(*) FROM ledger`); n != 2*people {
		t.Errorf("%d entries, want one that reserves and one that releases each of %d units", n, people)
	}
}
