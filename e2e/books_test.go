package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/contract"
	"parley/internal/testkit"
)

// settledWithin bounds the time in which every flow is over or parked: the loss of a worker and all look-ups included.
const settledWithin = 3 * time.Minute

// record is what the rows say of an inbound message and of the reply to it.
type record struct {
	WorkflowID string
	From       string
	Body       string
	Over       bool
	Outcome    contract.Outcome
	Park       string   // the name, while its flow is parked
	Sids       []string // that Twilio accepted the reply under
	Unresolved int      // attempts whose fate is still looked for
}

// answeredBy reports whether a message is the answer, as the scripted provider gives it: it repeats what was said.
func (r record) answeredBy(message testkit.Message) bool {
	return message.To == r.From && strings.Contains(message.Body, r.Body)
}

// settled reports whether nothing happens any more unless somebody acts. A park that an operator has decided is not a rest.
func (r record) settled(decided []string) bool {
	return r.Over || (r.Park != "" && !slices.Contains(decided, r.Park))
}

// records returns what the rows say, by flow.
func records(t *testing.T, s *testkit.Stack) map[string]record {
	t.Helper()
	connection := database(t, s)
	defer func() { _ = connection.Close(t.Context()) }()
	rows, err := connection.Query(t.Context(), `
		SELECT workflow_id, from_address, body, finished_at IS NOT NULL, coalesce(outcome, ''), coalesce(park, ''),
			ARRAY(SELECT twilio_sid FROM send_attempts a WHERE a.message_id = m.message_id AND state = 'accepted'),
			(SELECT count(*) FROM send_attempts a WHERE a.message_id = m.message_id AND resolved_at IS NULL)
		FROM messages m WHERE direction = 'inbound'`)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[record])
	if err != nil {
		t.Fatal(err)
	}
	byFlow := map[string]record{}
	for _, r := range list {
		byFlow[r.WorkflowID] = r
	}
	return byFlow
}

// awaitSettled waits until every flow is over or parked, and `starter parked` lists exactly those that are. It returns their parks' names.
func awaitSettled(t *testing.T, s *testkit.Stack, decided []string) (parks map[string]string) {
	t.Helper()
	testkit.Eventually(t, settledWithin, func() error {
		parks = map[string]string{}
		for workflowID, r := range records(t, s) {
			if !r.settled(decided) {
				return fmt.Errorf("neither over nor parked: %+v", r)
			}
			if !r.Over {
				parks[workflowID] = r.Park
			}
		}
		return nil
	})
	testkit.Eventually(t, soon, func() error { // Temporal's list lags
		if listed := listParked(t, s); !maps.Equal(listed, parks) {
			return fmt.Errorf("starter lists %v, but the rows say %v", listed, parks)
		}
		return nil
	})
	return parks
}

// listParked returns what `starter parked` lists: the parks' names by flow. Each says that its message is of unknown fate.
func listParked(t *testing.T, s *testkit.Stack) map[string]string {
	t.Helper()
	var list struct {
		Parked []struct {
			WorkflowID string `json:"workflow_id"`
			Park       *contract.Park
		}
	}
	if err := json.Unmarshal([]byte(s.Starter("parked", "--json", "--limit", "10000")), &list); err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, parked := range list.Parked {
		names[parked.WorkflowID] = ""
		if parked.Park != nil && parked.Park.Unknown && parked.Park.Step == contract.LookUp.Name {
			names[parked.WorkflowID] = parked.Park.Name
		}
	}
	return names
}

// balance compares what Twilio accepted with what the rows say that it accepted, sid by sid, and fails the test for a sid that is not
// Twilio's, for one on the reply to somebody else, and for a second message to one person about one thing. It returns the messages that no
// row knows.
func balance(t *testing.T, s *testkit.Stack) (unbound []testkit.Message) {
	t.Helper()
	accepted := map[string]testkit.Message{}
	replies := map[string]int{}
	for _, message := range s.Messages() {
		if message.Direction != "inbound" && !message.Twin {
			accepted[message.Sid] = message
			if replies[message.To+message.Body]++; replies[message.To+message.Body] > 1 {
				t.Errorf("sent twice: %+v", message)
			}
		}
	}
	bound := map[string]bool{}
	for _, r := range records(t, s) {
		for _, sid := range r.Sids {
			message, known := accepted[sid]
			if !known || bound[sid] || !r.answeredBy(message) {
				t.Errorf("%+v does not belong to %+v", message, r)
			}
			bound[sid] = true
		}
	}
	for sid, message := range accepted {
		if !bound[sid] {
			unbound = append(unbound, message)
		}
	}
	return unbound
}
