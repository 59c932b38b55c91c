package e2e_test

import (
	"fmt"
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

// Somebody who keeps writing is answered all the same; without bounds on the wait, only at the end. The design's two minutes, four times as fast.
func TestSomebodyWhoKeepsWritingIsAnswered(t *testing.T) {
	t.Parallel()
	keepsWriting(t, pace{lines: 60, every: 500 * time.Millisecond, thinks: 1250 * time.Millisecond, wait: 7500 * time.Millisecond, gap: time.Minute})
}

// pace is that of a person who keeps writing, and of who answers.
type pace struct {
	lines  int
	every  time.Duration // the person writes one
	thinks time.Duration // the model, about an answer
	wait   time.Duration // the owner's turn_wait
	gap    time.Duration // the longest time without an answer
}

func keepsWriting(t *testing.T, p pace) {
	t.Helper()
	model := testkit.OpenAI(t, testkit.ModelAnswer{Text: "An answer.", Delay: p.thinks})
	s := testkit.NewStack(t, testkit.Options{Env: model.Env(), Settings: []string{"turn_wait=" + p.wait.String(), "loop_replies=1000"}})
	patient := addTenant(t, s, "patient", "+14155550101")
	s.Starter("owner", "set", patient.owner, "turn_wait=1h", "turn_messages=1000", "loop_replies=1000")
	t.Run("by an owner", func(t *testing.T) {
		for at, answered := range map[tenant]bool{{s.OwnerID, s.Company}: true, patient: false} {
			t.Run(at.owner, func(t *testing.T) {
				t.Parallel()
				person := s.Customer()
				began, last := time.Now(), time.Time{}
				for i := range p.lines {
					last = time.Now()
					at.hears(s, person, fmt.Sprintf("Line %d", i))
					time.Sleep(p.every) // the person's own pace
				}
				answers, longest := answeredUntil(s, person, began, last)
				t.Logf("%d lines: %d answers before the end, the longest time without one %s", p.lines, answers, longest.Round(time.Millisecond))
				paused := count(t, s, `
					SELECT coalesce(1000 * extract(epoch FROM max(pause)), 0)::int FROM (
						SELECT created_at - lag(created_at) OVER (ORDER BY seq) AS pause FROM messages WHERE direction = 'inbound' AND owner_id = $1) p`, at.owner)
				kept := time.Duration(paused)*time.Millisecond < p.thinks // who pauses is answered
				if (answered && (answers == 0 || longest > p.gap)) || (!answered && answers > 0 && kept) {
					t.Errorf("%d answers before the end, after %s", answers, longest)
				}
				testkit.EventuallyTrue(t, soon, "all is answered", func() bool {
					return count(t, s, `SELECT count(*) FROM messages WHERE direction = 'inbound' AND owner_id = $1
						AND (answered_by IS NULL OR finished_at IS NULL)`, at.owner) == 0
				})
				if sent := len(s.SentTo(person)); sent <= answers || sent >= p.lines {
					t.Errorf("%d answers to %d messages, of which %d before the end", sent, p.lines, answers)
				}
			})
		}
	})
	balanced(t, s)
}

// answeredUntil returns how many answers a person had until the last line was said, and the longest time without one.
func answeredUntil(s *testkit.Stack, person string, began, last time.Time) (answers int, longest time.Duration) {
	for _, sent := range s.SentTo(person) {
		if sent.CreatedAt.After(last) {
			break
		}
		answers, longest, began = answers+1, max(longest, sent.CreatedAt.Sub(began)), sent.CreatedAt
	}
	return answers, max(longest, last.Sub(began))
}

// awaitOver waits until a message's flow is over and returns how it ended.
func awaitOver(t *testing.T, s *testkit.Stack, id string) (outcome contract.Outcome) {
	t.Helper()
	testkit.EventuallyTrue(t, soon, id+" is over", func() bool {
		if shown, err := tryShow(t, s, id); err == nil && shown.Trace != nil {
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
