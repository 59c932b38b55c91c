package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"parley/contract"
	"parley/internal/testkit"
)

// A burst of messages has one answer after the last, for all of them: nobody is answered twice, and nothing is charged twice.
func TestABurstHasOneAnswerAfterTheLast(t *testing.T) {
	t.Parallel()
	model := testkit.OpenAI(t, testkit.ModelAnswer{Text: "For all of it."})
	s := testkit.NewStack(t, testkit.Options{Env: model.Env(), Settings: []string{"turn_wait=1h", "turn_messages=100"}})
	person := s.Customer()
	const burst = 8
	var flows []string
	for i := range burst {
		flows = append(flows, s.WorkflowID(s.Say(person, fmt.Sprintf("Line %d", i))))
	}
	s.AwaitAnswers(person, 1, soon)
	for _, flow := range flows {
		if outcome := awaitOver(t, s, flow); outcome != "superseded" && outcome != "replied" {
			t.Errorf("%s ended %s", flow, outcome)
		}
	}
	// The newest is the one that was stored last.
	if last := count(t, s, `
		SELECT count(*) FROM (SELECT outcome FROM messages WHERE direction = 'inbound' ORDER BY seq DESC LIMIT 1) newest WHERE outcome = 'replied'`); last != 1 {
		t.Error("the newest message was not replied to")
	}
	if open := count(t, s, `SELECT count(*) FROM messages WHERE direction = 'inbound' AND answered_by IS NULL`); open != 0 {
		t.Errorf("%d messages are answered by nothing", open)
	}
	sent, replied := len(s.SentTo(person)), count(t, s, `SELECT count(*) FROM messages WHERE outcome = 'replied'`)
	if charged := count(t, s, `SELECT sum(used)::int FROM usage WHERE meter = 'ai_replies'`); sent != replied || charged != replied {
		t.Errorf("%d messages sent, %d messages replied to, %d replies charged", sent, replied, charged)
	}
	balanced(t, s)
}

// Somebody who keeps writing is answered all the same, at the bounds that the owner sets; without bounds, only at the end.
func TestSomebodyWhoKeepsWritingIsAnswered(t *testing.T) {
	t.Parallel()
	const lines, every, thinks = 12, 400 * time.Millisecond, 900 * time.Millisecond
	for name, c := range map[string]struct {
		settings []string
		early    bool // answered before the end
	}{
		"bounded":   {[]string{"turn_wait=2s", "turn_messages=1000"}, true},
		"unbounded": {[]string{"turn_wait=1h", "turn_messages=1000"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			model := testkit.OpenAI(t, testkit.ModelAnswer{Text: "An answer.", Delay: thinks})
			s := testkit.NewStack(t, testkit.Options{Env: model.Env(), Settings: c.settings})
			person := s.Customer()
			for i := range lines {
				s.Say(person, fmt.Sprintf("Line %d", i))
				time.Sleep(every) // the person's own pace
			}
			early := len(s.SentTo(person))
			if (early > 0) != c.early {
				t.Errorf("%d answers before the end", early)
			}
			s.AwaitAnswers(person, 1, soon)
			testkit.EventuallyTrue(t, soon, "all is answered", func() bool {
				return count(t, s, `SELECT count(*) FROM messages WHERE direction = 'inbound' AND (answered_by IS NULL OR finished_at IS NULL)`) == 0
			})
			if sent := len(s.SentTo(person)); sent >= lines {
				t.Errorf("%d answers to %d messages", sent, lines)
			}
			balanced(t, s)
		})
	}
}

func TestAPlanThatIsUsedUp(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{})
	s.Starter("plan", "add", "tiny", "--name", "Tiny", "--quota", "ai_replies=1")
	s.Starter("subscription", "set", s.OwnerID, "--plan", "tiny")
	first, second := s.Customer(), s.Customer()
	awaitOutcome(t, s, s.WorkflowID(s.Say(first, "hello")), "replied")
	for range 2 {
		awaitOutcome(t, s, s.WorkflowID(s.Say(second, "hello")), "over_quota")
	}
	if sent := s.AwaitAnswers(second, 1, soon); !strings.Contains(sent[0].Body, "cannot answer here at the moment") {
		t.Errorf("told %q", sent[0].Body)
	}
	exactly(t, s, second, 1) // once a day
	s.Starter("subscription", "set", s.OwnerID, "--plan", "unlimited", "--state", "past_due")
	awaitOutcome(t, s, s.WorkflowID(s.Say(first, "hello?")), "blocked")
	exactly(t, s, first, 1)
	s.Starter("subscription", "set", s.OwnerID, "--state", "active")
	awaitOutcome(t, s, s.WorkflowID(s.Say(first, "hello!")), "replied")
	balanced(t, s)
}

// awaitOver waits until a message's flow is over and returns how it ended.
func awaitOver(t *testing.T, s *testkit.Stack, id string) (outcome contract.Outcome) {
	t.Helper()
	testkit.EventuallyTrue(t, soon, id+" is over", func() bool {
		shown := show(t, s, id)
		if shown.Trace != nil {
			outcome = shown.Trace.Message.Outcome
		}
		return outcome != ""
	})
	return outcome
}

// balanced fails the test unless the usage is the sum of the ledger, and nothing stays reserved once every flow is over.
func balanced(t *testing.T, s *testkit.Stack) {
	t.Helper()
	testkit.EventuallyTrue(t, soon, "every flow is over", func() bool {
		return count(t, s, `SELECT count(*) FROM messages WHERE reply_state IS NOT NULL AND finished_at IS NULL`) == 0
	})
	if wrong := count(t, s, `
		SELECT count(*) FROM usage u WHERE reserved <> 0 OR used <> (
			SELECT sum(CASE kind WHEN 'settle' THEN quantity WHEN 'credit' THEN -quantity ELSE 0 END) FROM ledger l
			WHERE l.owner_id = u.owner_id AND l.meter = u.meter AND l.period = u.period)`); wrong != 0 {
		t.Errorf("%d meters do not balance:\n%s", wrong, s.Starter("ledger", s.OwnerID))
	}
	if held := count(t, s, `SELECT count(*) FROM pairs WHERE unit OR locked_until > now()`); held != 0 {
		t.Errorf("%d pairs still hold a unit or the lock", held)
	}
}
