package e2e_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"parley/internal/domain"
	"parley/internal/testkit"
)

// tenant is an owner with a number of their own on the stack's account.
type tenant struct{ owner, number string }

// addTenant adds another owner to a stack, with settings like those of the first.
func addTenant(t *testing.T, s *testkit.Stack, owner, number string) tenant {
	t.Helper()
	s.Starter("owner", "add", owner, "--name", strings.ToUpper(owner))
	s.Starter("owner", "set", owner, "delivery_check=1s", "delivery_grace=2s")
	s.Starter("sender", "add", s.AccountSid, number, "--owner", owner)
	return tenant{owner, number}
}

// hears has a person write to the tenant, and returns the flow.
func (o tenant) hears(s *testkit.Stack, person, body string) (workflowID string) {
	return s.WorkflowID(s.SayTo(o.number, person, body))
}

// contacts is who the tenant's command line shows.
func (o tenant) contacts(t *testing.T, s *testkit.Stack, more ...string) (list []struct {
	ContactID    string `json:"contact_id"`
	Addresses    []string
	Name         string
	Messages     int
	RegisteredAt string `json:"registered_at"`
}) {
	t.Helper()
	result := struct{ Contacts any }{&list}
	if err := json.Unmarshal([]byte(s.Starter(append([]string{"contact", "list", "--owner", o.owner, "--json"}, more...)...)), &result); err != nil {
		t.Fatal(err)
	}
	return list
}

// The same person at two tenants of one account is two people: what the one knows, was told and may do says nothing about the other.
func TestTwoTenantsOnOneAccountShareNothing(t *testing.T) {
	t.Parallel()
	model := testkit.OpenAI(t, testkit.ModelAnswer{Text: "An answer."})
	s := testkit.NewStack(t, testkit.Options{Env: model.Env()})
	acme, rival := tenant{s.OwnerID, s.Company}, addTenant(t, s, "rival", "+14155550101")
	person := s.Customer()
	secrets := map[tenant]string{acme: "My code is 4711", rival: "My code is 0815"}
	for _, at := range []tenant{acme, rival} {
		awaitOutcome(t, s, at.hears(s, person, secrets[at]), "replied")
		awaitOutcome(t, s, at.hears(s, person, "And what was it again?"), "replied")
	}

	t.Run("contacts", func(t *testing.T) {
		s.Starter("contact", "set", person, "--owner", acme.owner, "--name", "Ana Souza", "--registered")
		ours, theirs := acme.contacts(t, s), rival.contacts(t, s)
		if len(ours) != 1 || len(theirs) != 1 || ours[0].ContactID == theirs[0].ContactID {
			t.Fatalf("contacts %+v and %+v, want one each", ours, theirs)
		}
		if ours[0].Name != "Ana Souza" || ours[0].RegisteredAt == "" || ours[0].Messages != 2 {
			t.Errorf("acme knows %+v", ours[0])
		}
		if theirs[0].Name != "" || theirs[0].RegisteredAt != "" || theirs[0].Messages != 2 {
			t.Errorf("rival knows %+v", theirs[0])
		}
		if n := count(t, s, `SELECT count(*) FROM messages m JOIN contacts c USING (contact_id) WHERE m.owner_id <> c.owner_id`); n != 0 {
			t.Errorf("%d messages are filed under another owner's contact", n)
		}
	})
	t.Run("prompts", func(t *testing.T) {
		seen := map[tenant]int{}
		for _, call := range model.Calls() {
			text := fmt.Sprint(call.Messages)
			if strings.Contains(text, secrets[acme]) && strings.Contains(text, secrets[rival]) {
				t.Errorf("the model is shown both: %s", text)
			}
			for at, secret := range secrets {
				if strings.Contains(text, secret) {
					seen[at]++
				}
			}
		}
		if seen[acme] != 2 || seen[rival] != 2 {
			t.Errorf("the model was shown each %v times, want twice", seen)
		}
	})
	t.Run("consent", func(t *testing.T) {
		sent := len(s.SentTo(person))
		awaitOutcome(t, s, acme.hears(s, person, "STOP"), "consent")
		awaitOutcome(t, s, acme.hears(s, person, "hello?"), "denied")
		awaitOutcome(t, s, rival.hears(s, person, "hello?"), "replied")
		if shown := s.Starter("consent", "show", person, "--owner", rival.owner); !strings.Contains(shown, "has said nothing") {
			t.Errorf("rival is shown %s", shown)
		}
		for _, at := range []tenant{acme, rival} {
			result := s.TryStarter("send", "--from", at.number, "--to", person, "--body", "news", "--key", "news", "--wait")
			if want := map[tenant]int{acme: 10, rival: 0}[at]; result.ExitCode != want {
				t.Errorf("a message of %s: exit code %d, want %d: %s%s", at.owner, result.ExitCode, want, result.Stdout, result.Stderr)
			}
		}
		exactly(t, s, person, sent+2)
		if wrong := s.TryStarter("consent", "set", person, "given", "--owner", rival.owner, "--from", acme.number, "--reason", "x"); wrong.ExitCode != 3 {
			t.Errorf("rival speaks for acme's number: exit code %d", wrong.ExitCode)
		}
	})
	t.Run("bills", func(t *testing.T) {
		balanced(t, s)
		for at, want := range map[tenant]int64{acme: 2, rival: 3} {
			if got := billOf(t, s, at.owner).used(domain.MeterReplies); got != want {
				t.Errorf("%s is charged %d replies, want %d", at.owner, got, want)
			}
		}
	})
}

// WhatsApp tells who writes by number, by an id, or by both: then they are one person, in what was said and in what they want.
func TestAPersonWithANumberAndAnID(t *testing.T) {
	t.Parallel()
	model := testkit.OpenAI(t, testkit.ModelAnswer{Text: "An answer."})
	s := testkit.NewStack(t, testkit.Options{Env: model.Env()})
	whatsapp := tenant{s.OwnerID, "whatsapp:" + s.Company}
	s.Starter("sender", "add", s.AccountSid, whatsapp.number, "--owner", s.OwnerID)
	number, id := "whatsapp:"+s.Customer(), "whatsapp:US.1234567890"
	awaitOutcome(t, s, whatsapp.hears(s, number, "My code is 4711"), "replied")
	awaitOutcome(t, s, whatsapp.hears(s, id, "Good morning"), "replied")
	if n := len(whatsapp.contacts(t, s)); n != 2 {
		t.Fatalf("%d contacts before anything says that they are one", n)
	}
	both := s.Deliver(testkit.Inbound{From: number, To: whatsapp.number, Body: "It is me", Params: map[string]string{"ExternalUserId": id}})
	awaitOutcome(t, s, s.WorkflowID(both.MessageSid), "replied")
	known := whatsapp.contacts(t, s)
	if len(known) != 1 || len(known[0].Addresses) != 2 || known[0].Messages != 3 {
		t.Errorf("contacts %+v, want one with both addresses and all messages", known)
	}
	awaitOutcome(t, s, whatsapp.hears(s, id, "What is my code?"), "replied")
	if calls := model.Calls(); !strings.Contains(fmt.Sprint(calls[len(calls)-1].Messages), "4711") {
		t.Error("what was said from the number is not known to whom the id writes")
	}
	awaitOutcome(t, s, whatsapp.hears(s, number, "STOP"), "consent")
	awaitOutcome(t, s, whatsapp.hears(s, id, "hello?"), "denied")
	if refused := s.TryStarter("send", "--from", whatsapp.number, "--to", id, "--body", "news", "--wait"); refused.ExitCode != 10 {
		t.Errorf("a message to the id: exit code %d", refused.ExitCode)
	}
	awaitOutcome(t, s, whatsapp.hears(s, id, "START"), "consent")
	awaitOutcome(t, s, whatsapp.hears(s, number, "hello?"), "replied")
}

// A bank's code, a parcel's news: what comes from a name or a short code is stored, and costs neither a model nor a send.
func TestNobodyAnswersANameOrAShortCode(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{})
	acme := tenant{s.OwnerID, s.Company}
	for _, from := range []string{"O2.co.uk", "12345"} {
		awaitOutcome(t, s, acme.hears(s, from, "Your code is 4711"), "blocked")
		awaitOutcome(t, s, acme.hears(s, from, "STOP"), "consent")
	}
	if n := count(t, s, `SELECT count(*) FROM ledger`) + count(t, s, `SELECT count(*) FROM drafts`) + count(t, s, `SELECT count(*) FROM send_attempts`); n != 0 {
		t.Errorf("%d units, drafts and attempts", n)
	}
	if out := s.Starter("contact", "show", "O2.co.uk", "--owner", s.OwnerID); !strings.Contains(out, "O2.co.uk") {
		t.Errorf("starter contact show printed %s", out)
	}
}

func TestPeopleWhomNobodyRegistered(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{Settings: []string{"unknown_people=register_first", "register_text=Please sign up at the desk."}})
	acme, second := tenant{s.OwnerID, s.Company}, "+14155550109"
	s.Starter("sender", "add", s.AccountSid, second, "--owner", s.OwnerID)
	stranger, expected := s.Customer(), s.Customer()

	awaitOutcome(t, s, acme.hears(s, stranger, "hello"), "blocked")
	awaitOutcome(t, s, acme.hears(s, stranger, "hello?"), "blocked")
	awaitOutcome(t, s, tenant{s.OwnerID, second}.hears(s, stranger, "Does anybody read this?"), "blocked")
	if sent := s.AwaitAnswers(stranger, 1, soon); sent[0].Body != "Please sign up at the desk." {
		t.Errorf("told %q", sent[0].Body)
	}
	exactly(t, s, stranger, 1) // once, whichever number they write to
	if unknown := acme.contacts(t, s, "--unregistered"); len(unknown) != 1 || unknown[0].Addresses[0] != stranger {
		t.Errorf("unregistered %+v", unknown)
	}
	for _, person := range []string{stranger, expected} { // one of them before they ever write
		s.Starter("contact", "set", person, "--owner", s.OwnerID, "--registered")
		awaitOutcome(t, s, acme.hears(s, person, "hello"), "replied")
	}
	exactly(t, s, stranger, 2)
	s.Starter("contact", "set", stranger, "--owner", s.OwnerID, "--registered=false")
	s.Starter("owner", "set", s.OwnerID, "unknown_people=ignore")
	awaitOutcome(t, s, acme.hears(s, stranger, "hello"), "blocked")
	exactly(t, s, stranger, 2)
	if n := count(t, s, `SELECT count(*) FROM ledger l JOIN messages m USING (message_id) WHERE m.outcome = 'blocked'`); n != 0 {
		t.Errorf("%d entries of the ledger are about messages that nobody answers", n)
	}
}

// Each system text is a flow of its own, which the key of what it answers names: told again to send it, Parley does not.
func TestASystemTextGoesOutOnceAfterAResetToo(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{})
	acme, whatsapp := tenant{s.OwnerID, s.Company}, tenant{s.OwnerID, "whatsapp:" + s.Company}
	s.Starter("sender", "add", s.AccountSid, whatsapp.number, "--owner", s.OwnerID)
	s.Starter("plan", "add", "none", "--name", "None", "--quota", "ai_replies=0")
	people, flows := map[string]string{}, map[string]string{}
	say := func(what string, at tenant, person, body, outcome string) {
		people[what], flows[what] = person, at.hears(s, person, body)
		if result := awaitClosed(t, s, flows[what]); string(result.Outcome) != outcome {
			t.Errorf("%s: ended %+v, want %s", what, result, outcome)
		}
	}
	say("STOP", whatsapp, "whatsapp:"+s.Customer(), "STOP", "consent")
	say("HELP", whatsapp, "whatsapp:"+s.Customer(), "HELP", "consent")
	s.Starter("subscription", "set", s.OwnerID, "--plan", "none")
	say("a used-up plan", acme, s.Customer(), "hello", "over_quota")
	s.Starter("owner", "set", s.OwnerID, "unknown_people=register_first")
	say("register first", acme, s.Customer(), "hello", "blocked")
	for _, person := range people {
		s.AwaitAnswers(person, 1, soon)
	}
	for _, flow := range flows {
		reset(t, s, flow)
	}
	for what, flow := range flows {
		awaitClosed(t, s, flow)
		exactly(t, s, people[what], 1)
	}
	if n := count(t, s, `SELECT count(*) FROM messages WHERE direction = 'outbound' AND kind <> 'message' AND outcome = 'sent'`); n != len(flows) {
		t.Errorf("%d system texts are stored, want %d", n, len(flows))
	}
}
