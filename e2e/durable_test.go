package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"parley/internal/testkit"
)

// What was acknowledged is answered, once, whatever is away when it comes and whichever webhook dies. One stack, whose servers are stopped
// one after another.
func TestWhatIsAcknowledgedIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{OwnServers: true})
	s.AddWebhook()
	temporalIsStopped(t, s)
	oneIsPoisoned(t, s)
	temporalStalls(t, s)
	postgresIsStopped(t, s)
	bothAreStopped(t, s)
}

// temporalIsStopped: messages are spooled; the webhook that spooled them is killed, and another one starts them.
func temporalIsStopped(t *testing.T, s *testkit.Stack) {
	t.Helper()
	s.TemporalServer.Stop()
	people := []string{s.Customer(), s.Customer(), s.Customer()}
	sids := map[string]string{}
	for _, person := range people {
		sids[person] = s.Say(person, "a secret question")
	}
	again := s.Deliver(testkit.Inbound{From: people[0], Body: "a secret question", MessageSid: sids[people[0]]})
	if again.StatusCode != http.StatusOK {
		t.Errorf("the same message again: %+v", again)
	}
	if spooled := count(t, s, `SELECT count(*) FROM webhook_spool`); spooled != len(people) {
		t.Errorf("%d messages are spooled, want %d", spooled, len(people))
	}
	if clear := count(t, s, `SELECT count(*) FROM webhook_spool WHERE webhook_spool::text || encode(received, 'escape') ~ 'secret|1415777'`); clear != 0 {
		t.Error("spooled messages can be read")
	}
	if out := s.Starter("spool", "list"); !strings.Contains(out, sids[people[0]]) || strings.Contains(out, "1415777") {
		t.Errorf("starter spool list printed %s", out)
	}
	s.Webhook.Kill9()
	back := time.Now()
	s.TemporalServer.Start()
	for _, person := range people {
		answeredOnce(t, s, person, sids[person])
		late := count(t, s, `SELECT count(*) FROM messages WHERE twilio_sid = $1 AND (received_at >= $2 OR deadline > received_at + interval '10 min')`, sids[person], back)
		if late != 0 {
			t.Error("the deadline does not count from the message's arrival")
		}
	}
	s.Webhook.Restart()
}

// oneIsPoisoned: a row that does not decrypt, as one that was moved from another message, stays and says so; the others are started.
func oneIsPoisoned(t *testing.T, s *testkit.Stack) {
	t.Helper()
	poison := "SM" + strings.Repeat("f", 32)
	s.TemporalServer.Stop()
	person := s.Customer()
	sid := s.Say(person, "is somebody before me?")
	execute(t, s, `INSERT INTO webhook_spool (account_sid, message_sid, received, received_at, due_at)
		SELECT account_sid, '`+poison+`', received, received_at, due_at - interval '1 hour' FROM webhook_spool`)
	s.TemporalServer.Start()
	answeredOnce(t, s, person, sid)
	awaitCount(t, s, 1, "poisoned messages that were refused", `SELECT count(*) FROM webhook_spool WHERE refusals > 0`)
	if out := s.Starter("spool", "list"); !strings.Contains(out, poison) || !strings.Contains(out, "does not decrypt") {
		t.Errorf("starter spool list printed %s", out)
	}
	s.Starter("spool", "remove", s.AccountSid, poison)
	if stored := count(t, s, `SELECT count(*) FROM messages WHERE twilio_sid = $1`, poison); stored != 0 {
		t.Error("the poisoned message has a flow")
	}
}

// temporalStalls: it takes connections and answers nothing, as behind a network that is cut. The webhooks are killed while they start
// what waits, so that the start may have got through.
func temporalStalls(t *testing.T, s *testkit.Stack) {
	t.Helper()
	s.TemporalServer.Signal(syscall.SIGSTOP)
	person := s.Customer()
	sid := s.Say(person, "hello?")
	awaitCount(t, s, 1, "messages that are being started", `SELECT count(*) FROM webhook_spool WHERE due_at > now()`)
	s.Webhook.Kill9()
	s.TemporalServer.Signal(syscall.SIGCONT)
	answeredOnce(t, s, person, sid)
	s.Webhook.Restart()
}

// postgresIsStopped: the webhook remembers the account, so that the flow is started, and goes on when Postgres is back.
func postgresIsStopped(t *testing.T, s *testkit.Stack) {
	t.Helper()
	s.Webhook.AwaitReady()
	s.Say(s.Customer(), "do you remember the account?")
	s.PostgresServer.Stop()
	person := s.Customer()
	sid := s.Say(person, "is the flow started?")
	s.Webhook.AwaitReady() // or a load balancer would leave Twilio without any
	s.PostgresServer.Start()
	answeredOnce(t, s, person, sid)
}

// bothAreStopped: what is not durable is not acknowledged, Twilio still has it, and it is answered once when it comes again.
func bothAreStopped(t *testing.T, s *testkit.Stack) {
	t.Helper()
	s.PostgresServer.Stop()
	s.TemporalServer.Stop()
	person, began := s.Customer(), time.Now()
	answer := s.Deliver(testkit.Inbound{From: person, Body: "is anybody there?"})
	if answer.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("the webhook answered %+v, want 503", answer)
	}
	t.Logf("503 after %s", time.Since(began).Round(time.Millisecond))
	if !slices.ContainsFunc(s.Messages(), func(m testkit.Message) bool { return m.Sid == answer.MessageSid }) {
		t.Error("Twilio does not list a message that was not acknowledged")
	}
	s.PostgresServer.Start()
	s.TemporalServer.Start()
	testkit.Eventually(t, soon, func() error {
		again := s.Deliver(testkit.Inbound{From: person, Body: "is anybody there?", MessageSid: answer.MessageSid})
		if again.StatusCode != http.StatusOK {
			return fmt.Errorf("once both are back: %+v", again)
		}
		return nil
	})
	answeredOnce(t, s, person, answer.MessageSid)
}

// answeredOnce waits for the one answer to a message, and for the spool to be empty but for what is refused.
func answeredOnce(t *testing.T, s *testkit.Stack, person, sid string) {
	t.Helper()
	s.AwaitAnswers(person, 1, settledWithin)
	awaitOutcome(t, s, sid, "replied")
	awaitCount(t, s, 0, "messages in the spool", `SELECT count(*) FROM webhook_spool WHERE refusals = 0`)
	exactly(t, s, person, 1)
}
