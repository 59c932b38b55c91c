package e2e_test

import (
	"strings"
	"testing"

	"parley/contract"
	"parley/internal/testkit"
)

// roomy are an owner's settings under which the fate of a send is looked for at once, and given up within seconds. A POST is left more time,
// so that on a busy machine too only what a test does to it makes its fate unknown.
func roomy() []string {
	return []string{"post_within=8s", "send_timeout=5s", "look_ups=100ms,300ms,1s,2s,5s", "delivery_check=500ms", "delivery_grace=1s", "validity_period=5s"}
}

// fault is something that goes wrong at Twilio, with what must become of a message that meets it.
type fault struct {
	number   string           // of the simulator's, that always meets it; empty: there is none
	rule     testkit.Rule     // what a create meets
	outcome  contract.Outcome // of the flow; unknown: it parks first
	accepted int
}

func faults() map[string]fault {
	return map[string]fault{
		"429":                         {rule: testkit.Rule{StatusCode: 429, Code: 20429, RetryAfter: 1, Times: 1}, outcome: "replied", accepted: 1},
		"429 without Retry-After":     {rule: testkit.Rule{StatusCode: 429, Code: 20429, Times: 1}, outcome: "replied", accepted: 1},
		"HTML 502":                    {number: "+15005550102", rule: testkit.Rule{StatusCode: 502}, outcome: "unknown"},
		"HTML 502, accepted":          {number: "+15005550103", rule: testkit.Rule{StatusCode: 502, Accepted: true}, outcome: "replied", accepted: 1},
		"held open":                   {number: "+15005550104", rule: testkit.Rule{Answer: "hold"}, outcome: "unknown"},
		"held open, accepted":         {number: "+15005550105", rule: testkit.Rule{Answer: "hold", Accepted: true}, outcome: "replied", accepted: 1},
		"reset":                       {number: "+15005550106", rule: testkit.Rule{Answer: "reset"}, outcome: "unknown"},
		"reset, accepted":             {number: "+15005550107", rule: testkit.Rule{Answer: "reset", Accepted: true}, outcome: "replied", accepted: 1},
		"201 with garbage":            {number: "+15005550108", rule: testkit.Rule{Answer: "garbage", Accepted: true}, outcome: "replied", accepted: 1},
		"a slow API":                  {number: "+15005550109", rule: testkit.Rule{ResponseDelayMS: 2000}, outcome: "replied", accepted: 1},
		"callbacks before the answer": {number: "+15005550110", rule: testkit.Rule{Callbacks: "early"}, outcome: "replied", accepted: 1},
		"callbacks lost":              {number: "+15005550111", rule: testkit.Rule{Callbacks: "none"}, outcome: "replied", accepted: 1},
		"callbacks doubled":           {number: "+15005550112", rule: testkit.Rule{Callbacks: "twice"}, outcome: "replied", accepted: 1},
		"callbacks out of order":      {number: "+15005550113", rule: testkit.Rule{Callbacks: "reversed"}, outcome: "replied", accepted: 1},
		"opt-out by callback":         {number: "+15005550114", rule: testkit.Rule{Status: "failed", ErrorCode: 21610}, outcome: "replied", accepted: 1},
		"outside WhatsApp's window":   {number: "+15005550115", rule: testkit.Rule{Status: "undelivered", ErrorCode: 63016}, outcome: "replied", accepted: 1},
		"the list shows it late": {
			number: "+15005550116", rule: testkit.Rule{Answer: "reset", Accepted: true, Callbacks: "none", ListDelayMS: 3000},
			outcome: "replied", accepted: 1,
		},
		"a failed twin beside it": {
			number: "+15005550117", rule: testkit.Rule{Answer: "reset", Accepted: true, Callbacks: "none", Twin: true},
			outcome: "unknown", accepted: 1,
		},
	}
}

// accepts reports whether a create that meets the fault becomes a message.
func (f fault) accepts() bool {
	return f.rule.Accepted || (f.rule.StatusCode == 0 && f.rule.Answer == "")
}

func TestEveryFaultOfTwilio(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{PerRole: true, Settings: roomy()})
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
				if !park.Unknown {
					t.Errorf("parked as %+v", park)
				}
				testkit.EventuallyTrue(t, soon, "starter parked lists it", func() bool { return strings.Contains(s.Starter("parked"), workflowID) })
				s.Starter("abandon", workflowID, "--park", park.Name)
			}
			awaitOutcome(t, s, workflowID, fault.outcome)
			if got := s.Accepted(person); got != fault.accepted {
				t.Errorf("Twilio accepted %d messages, want %d", got, fault.accepted)
			}
		})
	}
}

// What never reached Twilio is not of unknown fate: it is claimed afresh, the same attempt, until it gets through.
func TestAConnectionThatFailsBeforeTheWriteIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{PerRole: true, Settings: roomy()})
	s.Worker(contract.RoleMessaging).Stop()
	for name, c := range map[string]struct {
		state  testkit.DoorState
		scheme string
	}{
		"a closed port":           {testkit.DoorClosed, "http"},
		"a handshake that stalls": {testkit.DoorStalled, "https"},
	} {
		t.Run(name, func(t *testing.T) { // one after another: there is one door
			atDoor := s.AddWorker(contract.RoleMessaging, "PARLEY_TWILIO_BASE_URL="+c.scheme+"://"+s.Door(c.state))
			person := s.Customer()
			workflowID := s.WorkflowID(s.Say(person, "hello"))
			testkit.EventuallyTrue(t, soon, "the attempt is known not to have been sent", func() bool {
				return count(t, s, `SELECT count(*) FROM send_attempts a JOIN messages m USING (message_id) WHERE m.workflow_id = $1 AND a.state = 'not_sent'`,
					workflowID) == 1
			})
			atDoor.Stop()
			if creates := s.Creates(person); creates != 0 {
				t.Errorf("%d POSTs got through", creates)
			}
			s.Worker(contract.RoleMessaging).Restart()
			awaitOutcome(t, s, workflowID, "replied")
			s.Worker(contract.RoleMessaging).Stop()
			if creates, attempts := s.Creates(person), count(t, s, `
				SELECT count(*) FROM send_attempts a JOIN messages m USING (message_id) WHERE m.workflow_id = $1`, workflowID); creates != 1 || attempts != 1 {
				t.Errorf("%d POSTs in %d attempts, want 1 in 1", creates, attempts)
			}
		})
	}
}
