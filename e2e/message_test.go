package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"

	"parley/contract"
	"parley/internal/testkit"
)

func TestAMessageIsAnsweredDeliveredAndCharged(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{PerRole: true})
	person := s.Customer()
	sid := s.Say(person, "Are you open today?")
	sent := s.AwaitAnswers(person, 1, soon)
	if !strings.Contains(sent[0].Body, "Are you open today?") || sent[0].From != s.Company {
		t.Errorf("answered %+v", sent[0])
	}
	result := awaitOutcome(t, s, sid, "replied")
	if result.Trace.Message.ReplyState != "answered" || len(result.Trace.Attempts) != 1 || result.Trace.Attempts[0].Status != "delivered" {
		t.Errorf("stored %+v", result.Trace)
	}
	charged := map[string]int{}
	for _, entry := range result.Trace.Ledger {
		charged[entry.Kind+" "+entry.Meter] += entry.Quantity
	}
	if len(charged) != 4 || charged["reserve message_segments"] != 1 || charged["reserve ai_replies"] != 1 || charged["settle ai_replies"] != 1 || charged["settle message_segments"] != 1 {
		t.Errorf("charged %v", charged)
	}
	exactly(t, s, person, 1)
}

func TestTheSameMessageFiftyTimesAtOnceIsOneMessage(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{})
	person, sid := s.Customer(), "SM00000000000000000000000000000050"
	var posts sync.WaitGroup
	for range 50 {
		posts.Go(func() {
			// A busy machine may answer 503; Twilio then tries again, as its connection overrides say.
			testkit.Eventually(t, soon, func() error {
				if answer := s.Deliver(testkit.Inbound{From: person, Body: "hello", MessageSid: sid}); answer.StatusCode != http.StatusOK {
					return fmt.Errorf("answered %+v", answer)
				}
				return nil
			})
		})
	}
	posts.Wait()
	s.AwaitAnswers(person, 1, soon)
	awaitOutcome(t, s, sid, "replied")
	exactly(t, s, person, 1)
	if answer := s.Deliver(testkit.Inbound{From: person, Body: "hello", MessageSid: sid}); answer.StatusCode != http.StatusOK {
		t.Errorf("once more, after the flow has closed: %+v", answer)
	}
	exactly(t, s, person, 1)
	forget(t, s, s.WorkflowID(sid))
	if answer := s.Deliver(testkit.Inbound{From: person, Body: "hello", MessageSid: sid}); answer.StatusCode != http.StatusOK {
		t.Errorf("once more, after Temporal has forgotten the flow: %+v", answer)
	}
	awaitClosed(t, s, s.WorkflowID(sid))
	exactly(t, s, person, 1)
	if stored := count(t, s, `SELECT count(*) FROM messages WHERE twilio_sid = $1`, sid); stored != 1 {
		t.Errorf("%d rows are stored, want 1", stored)
	}
}

// forget has Temporal forget a flow that is over, as it does once it has kept it long enough.
func forget(t *testing.T, s *testkit.Stack, workflowID string) {
	t.Helper()
	_, err := s.Temporal.Client.WorkflowService().DeleteWorkflowExecution(t.Context(), &workflowservice.DeleteWorkflowExecutionRequest{
		Namespace: s.Temporal.Name, WorkflowExecution: &common.WorkflowExecution{WorkflowId: workflowID},
	})
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, soon, func() error {
		_, err := s.Temporal.Client.DescribeWorkflowExecution(t.Context(), workflowID, "")
		if _, gone := errors.AsType[*serviceerror.NotFound](err); !gone {
			return fmt.Errorf("%s is still known: %w", workflowID, err)
		}
		return nil
	})
}

func TestAnAttachmentWithoutTextGetsTheOwnersText(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{Settings: []string{"language=pt-BR"}})
	person := s.Customer()
	answer := s.Deliver(testkit.Inbound{From: person, Media: []testkit.InboundMedia{{URL: "https://api.twilio.com/media/1", ContentType: "image/jpeg"}}})
	sent := s.AwaitAnswers(person, 1, soon)
	if !strings.HasPrefix(sent[0].Body, "Obrigado pela sua mensagem.") {
		t.Errorf("answered %q", sent[0].Body)
	}
	result := awaitOutcome(t, s, answer.MessageSid, "replied")
	for _, entry := range result.Trace.Ledger {
		if entry.Meter == "ai_replies" {
			t.Errorf("a fixed text was charged as a model's: %+v", entry)
		}
	}
}

func TestTheCommandLineSendsOnce(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{})
	person := s.Customer()
	send := []string{"send", "--from", s.Company, "--to", person, "--body", "Your table is ready.", "--key", "table-7", "--wait"}
	if out := s.Starter(send...); !strings.Contains(out, "delivered") {
		t.Errorf("printed %s", out)
	}
	s.Starter(send...)
	exactly(t, s, person, 1)
	awaitOutcome(t, s, contract.OutboundWorkflowID(s.OwnerID, "table-7"), "sent")
	if sent := s.SentTo(person); sent[0].Body != "Your table is ready." {
		t.Errorf("sent %+v", sent)
	}
}

func TestAPermanentRefusalEndsTheFlow(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{})
	const invalid = "+15005550001" // Twilio's magic number for error 21211
	result := s.TryStarter("send", "--from", s.Company, "--to", invalid, "--body", "hello", "--key", "k", "--wait", "--json")
	if result.ExitCode != 10 { // not sent
		t.Errorf("exit code %d: %s%s", result.ExitCode, result.Stdout, result.Stderr)
	}
	shown := awaitOutcome(t, s, contract.OutboundWorkflowID(s.OwnerID, "k"), "failed")
	if len(shown.Trace.Attempts) != 1 || shown.Trace.Attempts[0].State != "refused" {
		t.Errorf("attempts %+v", shown.Trace.Attempts)
	}
}

func TestStrangersAreRefusedAndStartNothing(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{})
	other := testkit.NewStack(t, testkit.Options{})
	values := s.InboundForm(s.Customer(), "hi")
	form, address := values.Encode(), s.PublicURL+"/webhooks/twilio/inbound"
	for name, signature := range map[string]string{
		"no signature": "", "garbage": "AAAA",
		"another account's token": testkit.Sign(other.AuthToken, address, form),
		"a changed byte":          testkit.Sign(s.AuthToken, address, strings.Replace(form, "Body=hi", "Body=ho", 1)),
	} {
		if status := testkit.Post(t, address, form, signature); status != http.StatusForbidden {
			t.Errorf("%s: answered %d, want 403", name, status)
		}
	}
	if status := testkit.Post(t, address, form, testkit.Sign(s.AuthToken, address, form)); status != http.StatusOK {
		t.Fatalf("the genuine one: answered %d, want 200", status)
	}
	awaitOutcome(t, s, s.WorkflowID(values.Get("MessageSid")), "replied")
	var list struct{ Parked []json.RawMessage }
	if err := json.Unmarshal([]byte(s.Starter("parked", "--json")), &list); err != nil || len(list.Parked) != 0 {
		t.Errorf("parked %v, %v", list, err)
	}
	if stored := count(t, s, `SELECT count(*) FROM messages WHERE direction = 'inbound'`); stored != 1 {
		t.Errorf("%d inbound messages are stored, want the genuine one", stored)
	}
}
