package e2e_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"parley/internal/testkit"
)

// An account's token is changed as docs/operations.md says, while messages come and go: none is refused at the door, no send is refused or
// waits for a person, and everybody is answered once. A token that Twilio does not take is done without, for as long as there is another.
func TestATokenIsChangedUnderLoad(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{Connections: 8})
	older, newer := s.AuthToken, "0123456789abcdef0123456789abcdef"
	said, stop := startTraffic(t, s, 400*time.Millisecond)
	during := func(phase string, event func()) {
		t.Helper()
		said.during(phase, time.Second, func() { event(); someAreAnswered(t, s) })
	}
	during("before", func() {})
	during("Twilio has a secondary token", func() { s.AddToken(newer) })
	during("it is added", func() { addToken(t, s, newer) })
	during("it is promoted", func() { s.PromoteToken(newer) })
	during("the old one is dropped", func() { s.Starter("account", "drop-token", s.AccountSid, oldestToken(t, s)) })
	stop()
	said.comeBack(t, s)

	acknowledged, unavailable := said.outcomes(t, s)
	if len(acknowledged) != len(said.answers) || len(acknowledged) == 0 {
		t.Errorf("%d of %d messages were acknowledged, %d not", len(acknowledged), len(said.answers), unavailable)
	}
	requests := eachAnsweredOnce(t, s, acknowledged)
	if n := s.Webhook.Metric("parley_webhook_signature_failures_total") + s.Webhook.Metric("parley_webhook_requests_total", `status="403"`); n != 0 {
		t.Errorf("%v genuine requests were refused", n)
	}
	if requests.Creates != requests.Accepted {
		t.Errorf("%d creates were refused", requests.Creates-requests.Accepted)
	}
	t.Logf("%d messages answered once; by phase: %v", len(acknowledged), said.phases)

	addToken(t, s, "fedcba9876543210fedcba9876543210") // which Twilio does not know
	person := s.Customer()
	sid := s.Say(person, "Is somebody there?")
	s.AwaitAnswers(person, 1, soon)
	awaitOutcome(t, s, sid, "replied")
	exactly(t, s, person, 1)
	if creates := s.Creates(person); creates != 2 {
		t.Errorf("%d creates, want one with either token", creates)
	}

	// What is signed with the dropped token is refused once what is remembered has been forgotten.
	address := s.PublicURL + "/webhooks/twilio/status"
	form := url.Values{"AccountSid": {s.AccountSid}, "MessageSid": {s.InboundForm("", "").Get("MessageSid")}, "MessageStatus": {"sent"}}.Encode()
	testkit.EventuallyTrue(t, soon, "the dropped token opens nothing", func() bool {
		return testkit.Post(t, address, form, testkit.Sign(older, address, form)) == http.StatusForbidden
	})
}

// addToken gives Parley a new token of the account.
func addToken(t *testing.T, s *testkit.Stack, token string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Starter("account", "rotate", s.AccountSid, "--token-file", file)
}

// someAreAnswered waits until Twilio has accepted some more messages.
func someAreAnswered(t *testing.T, s *testkit.Stack) {
	t.Helper()
	before := s.Requests().Accepted
	testkit.EventuallyTrue(t, settledWithin, "messages are answered", func() bool { return s.Requests().Accepted >= before+3 })
}

// oldestToken is the id of the account's first token.
func oldestToken(t *testing.T, s *testkit.Stack) (id string) {
	t.Helper()
	var list struct {
		Accounts []struct {
			Tokens []struct {
				TokenID string    `json:"token_id"`
				AddedAt time.Time `json:"added_at"`
			}
		}
	}
	if err := json.Unmarshal([]byte(s.Starter("account", "list", "--json")), &list); err != nil || len(list.Accounts) != 1 {
		t.Fatalf("%v: %+v", err, list)
	}
	var first time.Time
	for _, token := range list.Accounts[0].Tokens {
		if first.IsZero() || token.AddedAt.Before(first) {
			id, first = token.TokenID, token.AddedAt
		}
	}
	return id
}
