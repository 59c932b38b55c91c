package e2e_test

import (
	"strings"
	"testing"

	"parley/contract"
	"parley/internal/testkit"
)

// impatient are an owner's settings under which the fate of a send is known, or given up, within seconds.
func impatient() []string {
	return []string{"post_within=1s", "send_timeout=1s", "look_ups=100ms,300ms,1s,2s,5s", "delivery_check=500ms", "delivery_grace=1s", "validity_period=5s"}
}

// fault is something that goes wrong at Twilio, with what must become of a message that meets it.
type fault struct {
	number   string           // of the simulator's, that always meets it
	rule     testkit.Rule     // or else a rule for somebody
	outcome  contract.Outcome // of the flow; unknown: it parks first
	accepted int
}

func faults() map[string]fault {
	return map[string]fault{
		"429":                         {rule: testkit.Rule{StatusCode: 429, Code: 20429, RetryAfter: 1, Times: 1}, outcome: "replied", accepted: 1},
		"429 without Retry-After":     {rule: testkit.Rule{StatusCode: 429, Code: 20429, Times: 1}, outcome: "replied", accepted: 1},
		"HTML 502":                    {number: "+15005550102", outcome: "unknown"},
		"HTML 502, accepted":          {number: "+15005550103", outcome: "replied", accepted: 1},
		"held open":                   {number: "+15005550104", outcome: "unknown"},
		"held open, accepted":         {number: "+15005550105", outcome: "replied", accepted: 1},
		"reset":                       {number: "+15005550106", outcome: "unknown"},
		"reset, accepted":             {number: "+15005550107", outcome: "replied", accepted: 1},
		"201 with garbage":            {number: "+15005550108", outcome: "replied", accepted: 1},
		"a slow API":                  {number: "+15005550109", outcome: "replied", accepted: 1},
		"callbacks before the answer": {number: "+15005550110", outcome: "replied", accepted: 1},
		"callbacks lost":              {number: "+15005550111", outcome: "replied", accepted: 1},
		"callbacks doubled":           {number: "+15005550112", outcome: "replied", accepted: 1},
		"callbacks out of order":      {number: "+15005550113", outcome: "replied", accepted: 1},
		"opt-out by callback":         {number: "+15005550114", outcome: "replied", accepted: 1},
		"outside WhatsApp's window":   {number: "+15005550115", outcome: "replied", accepted: 1},
		"the list shows it late":      {number: "+15005550116", outcome: "replied", accepted: 1},
		"a failed twin beside it":     {number: "+15005550117", outcome: "unknown", accepted: 1},
	}
}

func TestEveryFaultOfTwilio(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{PerRole: true, Settings: impatient()})
	for name, fault := range faults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			person := fault.number
			if person == "" {
				person = s.Customer()
				fault.rule.To = person
				s.Script(fault.rule)
			}
			workflowID := s.WorkflowID(s.Say(person, "hello"))
			if fault.outcome == "unknown" {
				park := awaitParked(t, s, workflowID, contract.LookUp.Name)
				if !park.Unknown || !strings.Contains(s.Starter("parked"), workflowID) {
					t.Errorf("parked as %+v", park)
				}
				s.Starter("abandon", workflowID, "--park", park.Name)
			}
			awaitOutcome(t, s, workflowID, fault.outcome)
			if got := s.Accepted(person); got != fault.accepted {
				t.Errorf("Twilio accepted %d messages, want %d", got, fault.accepted)
			}
		})
	}
}
