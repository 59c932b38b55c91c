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

// An account's token is changed as docs/operations.md says, while messages come and go: none is refused at the door, no send fails or waits
// for a person, and everybody is answered once. Twilio takes the newest token for sends only from when it signs with it, so that for a while
// each send is tried with a token that is not accepted yet.
func TestATokenIsChangedUnderLoad(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{Connections: 8})
	older, newer := s.AuthToken, "0123456789abcdef0123456789abcdef"
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(newer), 0o600); err != nil {
		t.Fatal(err)
	}
	said, stop := startTraffic(t, s, 200*time.Millisecond)
	during := func(phase string, event func()) {
		t.Helper()
		said.during(phase, time.Second, func() { event(); someAreAnswered(t, s) })
	}
	during("before", func() {})
	during("the new token is added", func() {
		s.Starter("account", "rotate", s.AccountSid, "--token-file", file)
		testkit.EventuallyTrue(t, settledWithin, "sends are tried with it", func() bool { r := s.Requests(); return r.Creates > r.Accepted })
	})
	during("Twilio uses the new token", func() { s.SetToken(newer) })
	during("the old token is dropped", func() { s.Starter("account", "drop-token", s.AccountSid, oldestToken(t, s)) })
	stop()

	acknowledged, unavailable := said.outcomes(t, s)
	if len(acknowledged) != len(said.answers) || len(acknowledged) == 0 {
		t.Errorf("%d of %d messages were acknowledged, %d told 503", len(acknowledged), len(said.answers), unavailable)
	}
	requests := eachAnsweredOnce(t, s, acknowledged)
	if n := s.Webhook.Metric("parley_webhook_signature_failures_total") + s.Webhook.Metric("parley_webhook_requests_total", `status="403"`); n != 0 {
		t.Errorf("%v genuine requests were refused", n)
	}
	if n := count(t, s, `SELECT count(*) FROM send_attempts WHERE state <> 'accepted'`); n != 0 {
		t.Errorf("%d attempts were not accepted", n)
	}
	t.Logf("%d messages answered once, %d creates of them again with the older token; by phase: %v", len(acknowledged), requests.Creates-requests.Accepted, said.phases)

	// What is signed with the dropped token is refused once what is remembered has been forgotten.
	address := s.PublicURL + "/webhooks/twilio/status"
	form := url.Values{"AccountSid": {s.AccountSid}, "MessageSid": {s.InboundForm("", "").Get("MessageSid")}, "MessageStatus": {"sent"}}.Encode()
	testkit.EventuallyTrue(t, soon, "the dropped token opens nothing", func() bool {
		return testkit.Post(t, address, form, testkit.Sign(older, address, form)) == http.StatusForbidden
	})
}

// someAreAnswered waits until Twilio has accepted some more messages.
func someAreAnswered(t *testing.T, s *testkit.Stack) {
	t.Helper()
	before := s.Requests().Accepted
	testkit.EventuallyTrue(t, settledWithin, "messages are answered", func() bool { return s.Requests().Accepted >= before+5 })
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
