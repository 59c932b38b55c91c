package e2e_test

import (
	"strings"
	"testing"

	"parley/contract"
	"parley/internal/testkit"
)

func TestStopAndStart(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{Settings: []string{"stop_words=basta"}})
	whatsapp := "whatsapp:" + s.Company
	s.Starter("sender", "add", s.AccountSid, whatsapp, "--owner", s.OwnerID)
	toWhatsApp := func(person, body string) (workflowID string) {
		return s.WorkflowID(s.Deliver(testkit.Inbound{From: person, To: whatsapp, Body: body}).MessageSid)
	}

	t.Run("on a long code, where Twilio confirms", func(t *testing.T) {
		t.Parallel()
		person := s.Customer()
		awaitOutcome(t, s, s.WorkflowID(s.Say(person, " stop ")), "consent")
		exactly(t, s, person, 0)
		refused := s.TryStarter("send", "--from", s.Company, "--to", person, "--body", "news", "--key", person, "--wait")
		if refused.ExitCode != 10 || !strings.Contains(refused.Stderr, "the person does not want to be written to") {
			t.Errorf("a message of ours: exit code %d: %s%s", refused.ExitCode, refused.Stdout, refused.Stderr)
		}
		awaitOutcome(t, s, s.WorkflowID(s.Say(person, "hello?")), "denied")
		exactly(t, s, person, 0)
		if shown := s.Starter("consent", "show", person, "--owner", s.OwnerID); !strings.Contains(shown, "takes no messages") {
			t.Errorf("consent: %s", shown)
		}
		awaitOutcome(t, s, s.WorkflowID(s.Say(person, "Start")), "consent")
		awaitOutcome(t, s, s.WorkflowID(s.Say(person, "hello?")), "replied")
		exactly(t, s, person, 1)
	})
	t.Run("on a long code, by a word that Twilio does not know", func(t *testing.T) {
		t.Parallel()
		person := s.Customer()
		awaitOutcome(t, s, s.WorkflowID(s.Say(person, "Basta")), "consent")
		s.AwaitAnswers(person, 1, soon)
		exactly(t, s, person, 1)
	})
	t.Run("on WhatsApp, where we confirm", func(t *testing.T) {
		t.Parallel()
		person := "whatsapp:" + s.Customer()
		answer := s.Deliver(testkit.Inbound{From: person, To: whatsapp, Body: "STOP"})
		awaitOutcome(t, s, s.WorkflowID(answer.MessageSid), "consent")
		if sent := s.AwaitAnswers(person, 1, soon); !strings.Contains(sent[0].Body, "START") {
			t.Errorf("confirmed with %q", sent[0].Body)
		}
		again := s.Deliver(testkit.Inbound{From: person, To: whatsapp, Body: "STOP", MessageSid: answer.MessageSid}) // Twilio delivers it twice
		awaitOutcome(t, s, s.WorkflowID(again.MessageSid), "consent")
		exactly(t, s, person, 1)
		awaitOutcome(t, s, toWhatsApp(person, "hello?"), "denied")
		awaitOutcome(t, s, toWhatsApp(person, "yes"), "consent")
		awaitOutcome(t, s, toWhatsApp(person, "hello?"), "replied")
		s.AwaitAnswers(person, 3, soon) // both confirmations, and the answer
		exactly(t, s, person, 3)
	})
	t.Run("by an operator, before the message comes", func(t *testing.T) {
		t.Parallel()
		person := s.Customer()
		s.Starter("consent", "set", person, "withdrawn", "--owner", s.OwnerID, "--from", s.Company, "--reason", "asked on the phone")
		awaitOutcome(t, s, s.WorkflowID(s.Say(person, "hello")), "denied")
		s.Starter("consent", "set", person, "given", "--owner", s.OwnerID, "--from", s.Company, "--reason", "asked on the phone")
		awaitOutcome(t, s, s.WorkflowID(s.Say(person, "hello")), "replied")
		exactly(t, s, person, 1)
	})
	t.Run("told by Twilio alone", func(t *testing.T) {
		t.Parallel()
		const person = "+15005550114" // whose phone opts out when the message comes
		awaitOutcome(t, s, s.WorkflowID(s.Say(person, "hello")), "replied")
		awaitOutcome(t, s, s.WorkflowID(s.Say(person, "hello again")), "denied")
		exactly(t, s, person, 1)
	})
}

// Whatever the flow of a reply is doing when STOP comes: no part begins after it.
func TestStopWhileAReplyIsUnderWay(t *testing.T) {
	t.Parallel()
	written := make(chan struct{})
	longReply := testkit.ModelAnswer{Text: strings.Repeat("A long answer. ", 200)} // two parts
	held := longReply
	held.Until = written
	model := testkit.OpenAI(t, held, longReply)
	s := testkit.NewStack(t, testkit.Options{PerRole: true, Env: model.Env()})
	stop := func(t *testing.T, person string) {
		t.Helper()
		awaitOutcome(t, s, s.WorkflowID(s.Say(person, "STOP")), "consent")
	}
	// One after another: the model's first answer is the first person's, and there is one messaging worker.
	t.Run("while the model writes", func(t *testing.T) {
		person := s.Customer()
		workflowID := s.WorkflowID(s.Say(person, "hello"))
		testkit.EventuallyTrue(t, soon, "the model writes", func() bool { return len(model.Calls()) == 1 })
		stop(t, person)
		close(written)
		ended(t, s, person, workflowID, "denied", 0)
		posted(t, s, person, 0)
	})
	t.Run("between the claim and the POST", func(t *testing.T) {
		s.Worker(contract.RoleMessaging).Stop()
		atDoor := s.AddWorker(contract.RoleMessaging, "PARLEY_TWILIO_BASE_URL=https://"+s.Door(testkit.DoorStalled))
		person := s.Customer()
		workflowID := s.WorkflowID(s.Say(person, "hello"))
		awaitAttempt(t, s, workflowID, "begun")
		stop(t, person)
		s.Door(testkit.DoorClosed)
		ended(t, s, person, workflowID, "denied", 0)
		posted(t, s, person, 0)
		atDoor.Stop()
		s.Worker(contract.RoleMessaging).Restart()
	})
	t.Run("between two parts", func(t *testing.T) {
		person := s.Customer()
		mend := refuse(t, s, "send_attempts", passing, "NEW.part = 2 AND "+of(person))
		workflowID := s.WorkflowID(s.Say(person, "hello"))
		awaitAttempt(t, s, workflowID, "accepted")
		stop(t, person)
		mend()
		if result := awaitClosed(t, s, workflowID); result.Outcome != "replied" {
			t.Errorf("ended %+v", result)
		}
		posted(t, s, person, 1)
		if n := count(t, s, `SELECT count(*) FROM messages WHERE workflow_id = $1 AND outcome_reason = $2`, workflowID,
			"part 2 of 2 was not sent: the person does not want to be written to"); n != 1 {
			t.Error("it does not say why")
		}
	})
	if late := count(t, s, `
		SELECT count(*) FROM send_attempts a JOIN pairs p USING (pair_id) JOIN consents c ON c.sender = p.our_address AND c.address = p.their_address
		WHERE a.begun_at > c.changed_at`); late > 0 {
		t.Errorf("%d parts begun after STOP", late)
	}
	nothingStaysReserved(t, s)
}
