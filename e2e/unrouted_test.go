package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"

	"parley/contract"
	"parley/internal/testkit"
)

// Three people write to a number that is nobody's. One flow stays parked and is retried; one is terminated, and Temporal forgets it; one is given
// up by an operator. Once the number has an owner, each is answered, once.
func TestAMessageToAnUnregisteredNumberIsAnsweredOnceTheNumberIs(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{NoSender: true})
	people := []string{s.Customer(), s.Customer(), s.Customer()}
	var sids, flows []string
	for _, person := range people {
		sids = append(sids, s.Say(person, "a secret question"))
		flows = append(flows, s.WorkflowID(sids[len(sids)-1]))
	}
	for _, workflowID := range flows {
		if park := awaitParked(t, s, workflowID, contract.ResolveAccount.Name); !strings.Contains(park.Reason, "unroutable") {
			t.Errorf("%s is parked as %+v", workflowID, park)
		}
	}
	testkit.EventuallyTrue(t, soon, "starter parked lists it", func() bool { return strings.Contains(s.Starter("parked"), flows[0]) })
	awaitCount(t, s, len(people), "messages that are kept", `SELECT count(*) FROM unrouted`)
	if clear := count(t, s, `SELECT count(*) FROM unrouted WHERE unrouted::text || encode(received, 'escape') ~ 'secret|1415777|14155550100'`); clear != 0 {
		t.Error("unrouted messages can be read")
	}
	list := s.Starter("unrouted", "list")
	for _, sid := range sids {
		if !strings.Contains(list, sid) || !strings.Contains(list, s.Company) || strings.Contains(list, "1415777") {
			t.Errorf("starter unrouted list printed %s", list)
		}
	}
	testkit.EventuallyTrue(t, soon, "the webhook shows them", func() bool { return s.Webhook.Metric("parley_unrouted_messages") == 3 })

	terminate(t, s, flows[1])
	forget(t, s, flows[1])
	s.Starter("abandon", flows[2])
	awaitClosed(t, s, flows[2])
	if shown := unroutedOf(t, s, sids[1]); shown.Body != "a secret question" || shown.Flow != nil {
		t.Errorf("starter unrouted show printed %+v", shown)
	}
	if refused := s.TryStarter("unrouted", "start", s.AccountSid, sids[0]); refused.ExitCode != 4 {
		t.Errorf("the start of a flow that is parked: exit code %d, %s", refused.ExitCode, refused.Stderr)
	}

	s.Starter("sender", "add", s.AccountSid, s.Company, "--owner", s.OwnerID)
	s.Starter("retry", flows[0])
	s.Starter("unrouted", "start", s.AccountSid, sids[1])
	s.Starter("unrouted", "start", s.AccountSid, sids[2])
	for i, person := range people {
		s.AwaitAnswers(person, 1, soon)
		ended(t, s, person, flows[i], "replied", 1)
		if again := s.TryStarter("unrouted", "start", s.AccountSid, sids[i]); again.ExitCode != 3 {
			t.Errorf("the start of a message that is answered: exit code %d, %s", again.ExitCode, again.Stderr)
		}
		again := s.Deliver(testkit.Inbound{From: person, Body: "a secret question", MessageSid: sids[i]})
		if again.StatusCode != 200 {
			t.Errorf("the same message again: %+v", again)
		}
	}
	for _, person := range people {
		exactly(t, s, person, 1)
	}
	if left := count(t, s, `SELECT count(*) FROM unrouted`); left != 0 {
		t.Errorf("%d messages are kept although they are answered", left)
	}
}

// A message whose owner is known, and which the database does not take, is kept like one that nobody owns: it outlives its flow.
func TestAMessageThatCannotBeStoredIsKept(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{})
	broken := func(change string) {
		if _, err := s.Database.Exec(t.Context(), `ALTER TABLE messages `+change); err != nil {
			t.Fatal(err)
		}
	}
	broken(`ADD CONSTRAINT refused CHECK (body <> 'a drawing')`)
	person := s.Customer()
	sid := s.Say(person, "a drawing")
	workflowID := s.WorkflowID(sid)
	awaitParked(t, s, workflowID, contract.RecordInbound.Name)
	awaitCount(t, s, 1, "messages that are kept", `SELECT count(*) FROM unrouted`)
	s.Starter("abandon", workflowID)
	awaitClosed(t, s, workflowID)
	if shown := unroutedOf(t, s, sid); shown.Body != "a drawing" {
		t.Errorf("starter unrouted show printed %+v", shown)
	}
	broken(`DROP CONSTRAINT refused`)
	s.Starter("unrouted", "start", s.AccountSid, sid)
	ended(t, s, person, workflowID, "replied", 1)
}

// Numbers that nobody registered: what comes through a messaging service is its owner's, system texts and all; what is nobody's is, in development,
// that of the owner named for it. The answers go out from where the messages came to.
func TestNumbersThatNobodyRegistered(t *testing.T) {
	t.Parallel()
	const service, number = "MG0123456789abcdef0123456789abcdef", "whatsapp:+14155550177"
	s := testkit.NewStack(t, testkit.Options{Env: []string{"PARLEY_DEVELOPMENT_OWNER=lab"}})
	s.Starter("owner", "add", "lab", "--name", "Laboratory")
	s.Starter("sender", "add", s.AccountSid, "+14155550178", "--owner", "lab") // so that the account alone tells nothing
	s.Starter("sender", "add", s.AccountSid, service, "--owner", s.OwnerID)
	s.Worker(contract.RoleAccount).Await(soon, "PARLEY_DEVELOPMENT_OWNER is for development")
	for owner, params := range map[string]map[string]string{s.OwnerID: {"MessagingServiceSid": service}, "lab": nil} {
		person := "whatsapp:" + s.Customer()
		for _, body := range []string{"hello", "HELP"} {
			sent := s.Accepted(person)
			if answer := s.Deliver(testkit.Inbound{From: person, To: number, Body: body, Params: params}); answer.StatusCode != 200 {
				t.Fatalf("the webhook answered %+v", answer)
			}
			for _, message := range s.AwaitAnswers(person, sent+1, soon) {
				if message.From != number {
					t.Errorf("answered from %s, want %s", message.From, number)
				}
			}
		}
		exactly(t, s, person, 2)
		if others := count(t, s, `SELECT count(*) FROM messages WHERE $1 IN (from_address, to_address) AND owner_id <> $2`, person, owner); others != 0 {
			t.Errorf("%d messages are not %s's", others, owner)
		}
	}
}

type unroutedShown struct {
	Body string `json:"body"`
	Flow any    `json:"flow"`
}

func unroutedOf(t *testing.T, s *testkit.Stack, messageSid string) (found unroutedShown) {
	t.Helper()
	if err := json.Unmarshal([]byte(s.Starter("unrouted", "show", s.AccountSid, messageSid, "--json")), &found); err != nil {
		t.Fatal(err)
	}
	return found
}
