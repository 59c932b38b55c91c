package e2e_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"parley/contract"
	"parley/internal/testkit"
)

// A flow ends in the middle of each of its steps: cancelled, abandoned, given up, or too late. Whatever it was doing, the rows say how it
// ended, and the person's next message is answered.

// searching are an owner's settings under which a send is of unknown fate for a while, and then looked for in vain for a while.
func searching() []string {
	return []string{"post_within=1s", "send_timeout=8s", "look_ups=1s,2s,5s,10s,20s", "delivery_check=500ms", "validity_period=5m"}
}

// of is a condition on a row that belongs to the message of a person.
func of(person string) string {
	return fmt.Sprintf(`EXISTS (SELECT FROM messages m WHERE m.message_id = NEW.message_id AND m.from_address = '%s')`, person)
}

func TestCancelWhileAStepWaitsForItsWorker(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{PerRole: true})
	for _, c := range []struct {
		role    contract.Role
		step    string
		needed  bool // to close the message, or to keep it
		working bool // the worker is back, and waits for the pair, when the flow is cancelled
	}{
		{role: contract.RoleAccount, step: contract.ResolveAccount.Name, needed: true},
		{role: contract.RolePersistence, step: contract.RecordInbound.Name, needed: true},
		{role: contract.RoleIdentity, step: contract.ResolveIdentity.Name},
		{role: contract.RoleBilling, step: contract.Reserve.Name},
		{role: contract.RoleBilling, step: contract.Reserve.Name, working: true},
		{role: contract.RoleReply, step: contract.Generate.Name},
		{role: contract.RoleMessaging, step: contract.Send.Name},
		{role: contract.RoleMessaging, step: contract.Send.Name, working: true},
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
			release := func() {}
			if c.working {
				testkit.EventuallyTrue(t, soon, "the message is stored", func() bool {
					return count(t, s, `SELECT count(*) FROM pairs WHERE their_address = $1`, person) == 1
				})
				release = hold(t, s, `SELECT FROM pairs WHERE their_address = $1 FOR UPDATE`, person)
				worker.Restart()
				testkit.EventuallyTrue(t, soon, c.step+" waits for the pair", func() bool { return waitingForLocks(t, s) > 0 })
			}
			s.Starter("cancel", workflowID)
			if c.needed {
				worker.Restart()
			}
			if c.working {
				awaitStep(t, s, workflowID, contract.Finish.Name) // which waits for the pair too
			}
			release()
			if c.step == contract.ResolveAccount.Name {
				if result := awaitClosed(t, s, workflowID); result.Outcome != "cancelled" {
					t.Errorf("ended %+v", result)
				}
			} else {
				ended(t, s, person, workflowID, "cancelled", 0)
			}
			worker.Restart()
			posted(t, s, person, 0)
			answersNext(t, s, person)
		})
	}
	nothingStaysReserved(t, s)
}

func TestCancelWhileASendIsUnderWay(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{PerRole: true, Settings: searching()})
	endedOnceItIsSent(t, s, ending{
		end:     func(_ *testing.T, workflowID string) { s.Starter("cancel", workflowID) },
		over:    ended,
		refused: "cancelled",
	})
}

// ending is a way in which somebody brings a flow to its end.
type ending struct {
	end     func(t *testing.T, workflowID string)
	over    func(t *testing.T, s *testkit.Stack, person, workflowID string, want contract.Outcome, accepted int)
	refused contract.Outcome // of a flow that is parked for a refusal
}

// endedOnceItIsSent ends flows at each step that follows a POST. What Twilio accepted is charged, nothing is posted again, and the person's
// next message is answered.
func endedOnceItIsSent(t *testing.T, s *testkit.Stack, e ending) {
	t.Helper()
	never := int(time.Hour.Milliseconds()) // no delivery ends by itself, before the end or after it
	for name, c := range map[string]struct {
		twilio   testkit.Rule
		at       string // the step, once the POST has arrived
		parked   bool
		told     bool // after the end, a callback tells of the message
		outcome  contract.Outcome
		accepted int
	}{
		"a POST that is answered": {
			twilio: testkit.Rule{ResponseDelayMS: 2000}, at: contract.Send.Name, outcome: "replied", accepted: 1,
		},
		"a POST that is accepted and never answered": {
			twilio: testkit.Rule{Answer: "hold", Accepted: true}, at: contract.Send.Name, outcome: "replied", accepted: 1,
		},
		"a POST that is neither": {
			twilio: testkit.Rule{Answer: "hold"}, at: contract.Send.Name, outcome: "unknown",
		},
		"the look-ups of a message that is never listed": {
			twilio: testkit.Rule{Answer: "reset", Accepted: true, ListDelayMS: never}, at: contract.LookUp.Name, told: true, outcome: "replied", accepted: 1,
		},
		"the look-ups of none": {
			twilio: testkit.Rule{Answer: "reset"}, at: contract.LookUp.Name, outcome: "unknown",
		},
		"the delivery": {
			at: "delivery", outcome: "replied", accepted: 1,
		},
		"parked for a refusal": {
			twilio: testkit.Rule{StatusCode: http.StatusUnauthorized, Code: 20003}, at: contract.Send.Name, parked: true, outcome: e.refused,
		},
		"parked for an unknown send": {
			twilio: testkit.Rule{Answer: "reset"}, at: contract.LookUp.Name, parked: true, outcome: "unknown",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.twilio.To, c.twilio.Callbacks, c.twilio.CallbackDelayMS = s.Customer(), "none", never
			s.Script(c.twilio)
			workflowID := s.WorkflowID(s.Say(c.twilio.To, "hello"))
			testkit.EventuallyTrue(t, soon, "the POST has arrived", func() bool { return s.Creates(c.twilio.To) == 1 })
			switch {
			case c.parked:
				awaitPark(t, s, workflowID, c.at)
			case c.at != contract.Send.Name: // which is under way, and may be over before who asks is told so
				awaitStep(t, s, workflowID, c.at)
			}
			e.end(t, workflowID)
			if c.told {
				s.CallBack(s.SentTo(c.twilio.To)[0], "delivered")
			}
			e.over(t, s, c.twilio.To, workflowID, c.outcome, c.accepted)
			posted(t, s, c.twilio.To, 1)
			answersNext(t, s, c.twilio.To)
		})
	}
}

// obstacle is what parks a person's flow at a step, until it is taken away.
type obstacle struct {
	put     func(t *testing.T, s *testkit.Stack, person string) (mend func())
	unknown bool // what became of the message is not known
}

// obstacles are one a step that can park, of those that the flow does by itself once its message is being recorded. That of
// identity.Resolve stands apart: the recording meets it too.
func obstacles() map[string]obstacle {
	rows := func(table, condition string) func(*testing.T, *testkit.Stack, string) func() {
		return func(t *testing.T, s *testkit.Stack, person string) func() {
			t.Helper()
			return refuse(t, s, table, noRetryHelps, fmt.Sprintf(condition, person, of(person)))
		}
	}
	twilio := func(rule testkit.Rule) func(*testing.T, *testkit.Stack, string) func() {
		return func(_ *testing.T, s *testkit.Stack, person string) func() {
			rule.To = person
			s.Script(rule)
			return func() { s.Script(testkit.Rule{To: person}) }
		}
	}
	return map[string]obstacle{
		contract.RecordInbound.Name: {put: rows("messages", `NEW.from_address = '%[1]s'`)},
		contract.Reserve.Name:       {put: rows("ledger", `NEW.kind = 'reserve' AND %[2]s`)},
		contract.Generate.Name:      {put: rows("drafts", `%[2]s`)},
		contract.Send.Name:          {put: twilio(testkit.Rule{StatusCode: http.StatusUnauthorized, Code: 20003})},
		contract.LookUp.Name:        {put: twilio(testkit.Rule{Answer: "reset"}), unknown: true},
	}
}

func TestAbandonAtAParkOfEveryStep(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{PerRole: true, Settings: roomy()})
	addTenant(t, s, "rival", "+14155550101") // of two owners on an account, none is the only one
	abandon := func(t *testing.T, workflowID, step string) {
		t.Helper()
		s.Starter("abandon", workflowID, "--park", awaitPark(t, s, workflowID, step).Name)
	}
	t.Run(contract.ResolveIdentity.Name, func(t *testing.T) { // alone: it stops a worker
		person, workflowID, mend := parkedAtIdentity(t, s)
		abandon(t, workflowID, contract.ResolveIdentity.Name)
		ended(t, s, person, workflowID, "abandoned", 0)
		mend()
		answersNext(t, s, person)
	})
	t.Run(contract.ResolveAccount.Name, func(t *testing.T) {
		t.Parallel()
		person := s.Customer()
		answer := s.Deliver(testkit.Inbound{From: person, To: "+14155550199", Body: "anybody there?"})
		workflowID := s.WorkflowID(answer.MessageSid)
		abandon(t, workflowID, contract.ResolveAccount.Name)
		if result := awaitClosed(t, s, workflowID); result.Outcome != "abandoned" {
			t.Errorf("ended %+v", result)
		}
		answersNext(t, s, person)
	})
	t.Run(contract.Settle.Name, func(t *testing.T) { // what was sent is charged, whatever an operator says
		t.Parallel()
		person := s.Customer()
		mend := refuse(t, s, "ledger", noRetryHelps, fmt.Sprintf(`NEW.kind = 'settle' AND %s`, of(person)))
		workflowID := s.WorkflowID(s.Say(person, "hello"))
		park := awaitPark(t, s, workflowID, contract.Settle.Name)
		mend()
		s.Starter("abandon", workflowID, "--park", park.Name)
		ended(t, s, person, workflowID, "replied", 1)
		answersNext(t, s, person)
	})
	for step, at := range obstacles() {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			person := s.Customer()
			mend := at.put(t, s, person)
			workflowID := s.WorkflowID(s.Say(person, "hello"))
			abandon(t, workflowID, step)
			outcome := contract.Outcome("abandoned")
			if at.unknown {
				outcome = "unknown"
			}
			ended(t, s, person, workflowID, outcome, 0)
			mend()
			answersNext(t, s, person)
		})
	}
}

func TestAParkThatNobodyLooksAfterGivesUp(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{PerRole: true, Settings: append(roomy(), "park_timeout=3s")})
	gaveUp := func(t *testing.T, workflowID, step string, stored int) {
		t.Helper()
		if n := count(t, s, `SELECT count(*) FROM messages WHERE workflow_id = $1 AND direction = 'inbound' AND outcome_reason LIKE $2`,
			workflowID, "nobody mended "+step+" in time: %"); n != stored {
			t.Errorf("%d messages were given up at %s, want %d", n, step, stored)
		}
	}
	t.Run(contract.ResolveIdentity.Name, func(t *testing.T) { // alone: it stops a worker
		person, workflowID, mend := parkedAtIdentity(t, s)
		ended(t, s, person, workflowID, "failed", 0)
		gaveUp(t, workflowID, contract.ResolveIdentity.Name, 1)
		mend()
		answersNext(t, s, person)
	})
	for step, at := range obstacles() {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			person := s.Customer()
			mend := at.put(t, s, person)
			workflowID := s.WorkflowID(s.Say(person, "hello"))
			outcome, stored := contract.Outcome("failed"), 1
			if at.unknown {
				outcome = "unknown"
			}
			if step == contract.RecordInbound.Name {
				stored = 0
			}
			ended(t, s, person, workflowID, outcome, 0)
			gaveUp(t, workflowID, step, stored)
			mend()
			answersNext(t, s, person)
		})
	}
}

// parkedAtIdentity has a person's flow meet an obstacle at identity.Resolve, and not before.
func parkedAtIdentity(t *testing.T, s *testkit.Stack) (person, workflowID string, mend func()) {
	t.Helper()
	person = s.Customer()
	s.Worker(contract.RoleIdentity).Stop()
	workflowID = s.WorkflowID(s.Say(person, "hello"))
	testkit.EventuallyTrue(t, soon, "the message is stored", func() bool {
		return count(t, s, `SELECT count(*) FROM messages WHERE workflow_id = $1`, workflowID) == 1
	})
	mend = refuse(t, s, "contacts", noRetryHelps, fmt.Sprintf(`NEW.address = '%s'`, person))
	s.Worker(contract.RoleIdentity).Restart()
	return person, workflowID, mend
}

func TestADeadlineThatPassesEndsTheFlow(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{PerRole: true, Settings: append(roomy(), "reply_deadline=30s")})
	late := func(t *testing.T, person, workflowID, reason string) {
		t.Helper()
		ended(t, s, person, workflowID, "expired", 0)
		if n := count(t, s, `SELECT count(*) FROM messages WHERE workflow_id = $1 AND outcome_reason LIKE $2`, workflowID, reason); n != 1 {
			t.Errorf("%s did not end for %q", workflowID, reason)
		}
	}
	t.Run("in time", func(t *testing.T) { // so that the next ones run before the worker is stopped
		for step, c := range map[string]struct {
			put    func(t *testing.T, person string) (mend func())
			reason string
		}{
			contract.Reserve.Name: {func(t *testing.T, person string) func() {
				t.Helper()
				return refuse(t, s, "ledger", passing, fmt.Sprintf(`NEW.kind = 'reserve' AND %s`, of(person)))
			}, contract.Reserve.Name + " did not succeed in time%"},
			contract.Generate.Name: {func(t *testing.T, person string) func() {
				t.Helper()
				return refuse(t, s, "drafts", passing, of(person))
			}, contract.Generate.Name + " did not succeed in time%"},
			contract.Send.Name: {func(_ *testing.T, person string) func() {
				s.Script(testkit.Rule{To: person, StatusCode: http.StatusTooManyRequests, Code: 20429})
				return func() {}
			}, "the deadline passed before the message could be sent"},
		} {
			t.Run(step, func(t *testing.T) {
				t.Parallel()
				person := s.Customer()
				mend := c.put(t, person)
				workflowID := s.WorkflowID(s.Say(person, "hello"))
				late(t, person, workflowID, c.reason)
				mend()
				answersNext(t, s, person)
			})
		}
	})
	t.Run("messaging.Send, which waits for its worker", func(t *testing.T) {
		person := s.Customer()
		s.Worker(contract.RoleMessaging).Stop()
		workflowID := s.WorkflowID(s.Say(person, "hello"))
		awaitStep(t, s, workflowID, contract.Send.Name)
		testkit.EventuallyTrue(t, soon, "the deadline has passed", func() bool {
			return count(t, s, `SELECT count(*) FROM messages WHERE workflow_id = $1 AND deadline < now()`, workflowID) == 1
		})
		s.Worker(contract.RoleMessaging).Restart()
		late(t, person, workflowID, "the deadline passed before the message could be sent")
		posted(t, s, person, 0)
		answersNext(t, s, person)
	})
}
