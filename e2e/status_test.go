package e2e_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"parley/internal/testkit"
)

// status is what the tests read of `starter status --json`.
type status struct {
	Attempts []struct {
		Status string
		Said   *struct{ Source, Status string } `json:"twilio_said"`
		Asked  *struct {
			Before string
			Moved  bool
		}
	}
	AccountSid string `json:"account_sid"` // of a message that is not ours
	Stored     bool
	Status     string
}

func starterStatus(t *testing.T, s *testkit.Stack, args ...string) (result status) {
	t.Helper()
	if err := json.Unmarshal([]byte(s.Starter(append([]string{"status", "--json"}, args...)...)), &result); err != nil {
		t.Fatal(err)
	}
	return result
}

// Where no callback comes and the flow would ask in an hour only, an operator asks: the row moves, and the flow closes.
func TestAnOperatorAsksTwilioForALostStatus(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{Settings: []string{"delivery_check=1h", "delivery_grace=1h"}})
	person := s.Customer()
	s.Script(testkit.Rule{To: person, Callbacks: "none"})
	messageSid := s.Say(person, "hello")
	sid := s.AwaitAnswers(person, 1, soon)[0].Sid
	testkit.EventuallyTrue(t, soon, "the answer to the POST is stored", func() bool {
		attempts := starterStatus(t, s, messageSid).Attempts
		return len(attempts) == 1 && attempts[0].Status != ""
	})

	before := starterStatus(t, s, sid).Attempts[0]
	if before.Status == "delivered" || before.Said != nil || before.Asked != nil {
		t.Fatalf("before anybody asked: %+v", before)
	}
	after := starterStatus(t, s, sid, "--fetch").Attempts[0]
	if after.Status != "delivered" || after.Said == nil || after.Said.Source != "fetch" || after.Said.Status != "delivered" ||
		after.Asked == nil || !after.Asked.Moved || after.Asked.Before != before.Status {
		t.Errorf("after it was asked for: %+v", after)
	}
	if stored := count(t, s, `SELECT count(*) FROM send_attempts WHERE twilio_sid = $1 AND status = 'delivered'`, sid); stored != 1 {
		t.Error("the row has not moved")
	}
	awaitOutcome(t, s, messageSid, "replied")
	if out := s.Starter("show", messageSid); !strings.Contains(out, "we hold      delivered") || !strings.Contains(out, "Twilio said  delivered (fetch") {
		t.Errorf("show printed\n%s", out)
	}

	stranger := createdElsewhere(t, s)
	if refused := s.TryStarter("status", stranger); refused.ExitCode != 3 {
		t.Errorf("a sid that is not stored: exit code %d", refused.ExitCode)
	}
	if found := starterStatus(t, s, stranger, "--fetch"); found.Stored || found.AccountSid != s.AccountSid || found.Status == "" {
		t.Errorf("a message that somebody else sent: %+v", found)
	}
	if refused := s.TryStarter("status", "SM00000000000000000000000000000404", "--fetch"); refused.ExitCode != 3 {
		t.Errorf("a sid that nobody has: exit code %d %s", refused.ExitCode, refused.Stderr)
	}
}

// createdElsewhere sends a message from the account without Parley, and returns its sid.
func createdElsewhere(t *testing.T, s *testkit.Stack) string {
	t.Helper()
	form := url.Values{"From": {s.Company}, "To": {s.Customer()}, "Body": {"not Parley's"}}
	address := s.Simulator.URL("") + "/2010-04-01/Accounts/" + s.AccountSid + "/Messages.json"
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(s.AccountSid, s.AuthToken)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var created struct{ Sid string }
	if err := json.NewDecoder(response.Body).Decode(&created); err != nil || created.Sid == "" {
		t.Fatalf("answered %s, %v", response.Status, err)
	}
	return created.Sid
}
