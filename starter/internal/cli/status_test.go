package cli_test

import (
	"encoding/json"
	"strings"
	"testing"

	"go.temporal.io/api/enums/v1"

	"parley/contract"
	"parley/internal/domain"
	"parley/internal/twilio"
	"parley/starter/internal/faketemporal"
)

// statusStarter holds a message of which Twilio says something, as queued.
func statusStarter(says twilio.Message) *starter {
	s := newStarter(faketemporal.Flow{ID: "outbound:acme:stopped"})
	s.messages["m-stopped"] = stoppedTrace()
	s.twilio[stoppedSid] = says
	return s
}

// A final status that is news ends the flow's wait, as a callback would; nothing else does.
func TestStatusFetchTellsTheFlow(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		holds, says contract.Status
		moved, told bool
	}{
		"final":          {domain.StatusQueued, domain.StatusUndelivered, true, true},
		"not final":      {domain.StatusQueued, domain.StatusSent, true, false},
		"final and old":  {domain.StatusDelivered, domain.StatusDelivered, false, false},
		"behind ours":    {domain.StatusDelivered, domain.StatusSent, false, false},
		"not understood": {domain.StatusQueued, "partially_delivered", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := statusStarter(twilio.Message{Sid: stoppedSid, Status: test.says, ErrorCode: 30003})
			s.messages["m-stopped"].Attempts[0].Status = test.holds
			out, _ := s.must(t, 0, "status", "m-stopped", "--fetch")
			if strings.Contains(out, "before") != test.moved || !strings.Contains(out, "Twilio said  "+string(test.says)+", error 30003 (fetch") {
				t.Errorf("printed\n%s", out)
			}
			var want []faketemporal.Signal
			if test.told {
				want = []faketemporal.Signal{{WorkflowID: "outbound:acme:stopped", Name: contract.DeliverySignal,
					Delivery: contract.Delivery{Part: 1, Attempt: 1, Status: test.says, ErrorCode: 30003}}}
			}
			if got := s.temporal.Signals; len(got) != len(want) || (test.told && got[0] != want[0]) {
				t.Errorf("signalled %+v, want %+v", got, want)
			}
		})
	}
}

// A flow that is over needs no telling.
func TestStatusFetchOfAFlowThatTemporalForgot(t *testing.T) {
	t.Parallel()
	s := statusStarter(twilio.Message{Sid: stoppedSid, Status: domain.StatusDelivered})
	s.temporal = faketemporal.New()
	if out, _ := s.must(t, 0, "status", "m-stopped", "--fetch"); strings.Contains(out, "could not be told") {
		t.Errorf("printed\n%s", out)
	}
}

// What we hold is shown even where Twilio cannot be asked, and the exit code says that it could not.
func TestStatusFetchThatFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(*starter)
		code  int
		words string
	}{
		"a wrong token":      {func(s *starter) { s.directory.tokens[accountA] = "wrong" }, 5, "auth token"},
		"a removed account":  {func(s *starter) { delete(s.directory.accounts, accountA) }, 3, "account"},
		"deleted at Twilio":  {func(s *starter) { delete(s.twilio, stoppedSid) }, 3, "not found"},
		"no such sid at all": {func(s *starter) { s.messages["m-stopped"].Attempts[0].TwilioSid = "?" }, 2, "not a message's sid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := statusStarter(twilio.Message{Sid: stoppedSid, Status: domain.StatusDelivered})
			test.spoil(s)
			out, err := s.must(t, test.code, "status", "m-stopped", "--fetch")
			if !strings.Contains(out, "we hold      queued") || !strings.Contains(out, "could not be asked: ") || !strings.Contains(err.Error(), test.words) {
				t.Errorf("%v, printed\n%s", err, out)
			}
		})
	}
}

// A sid that is not stored is looked for in every account.
func TestStatusOfAStranger(t *testing.T) {
	t.Parallel()
	s := newStarter()
	s.directory.accounts[accountB] = domain.Account{AccountSid: accountB}
	s.twilio[stranger] = twilio.Message{Sid: stranger, Status: domain.StatusSent}
	if _, err := s.must(t, 3, "status", stranger); !strings.Contains(err.Error(), "--fetch") {
		t.Errorf("got %v", err)
	}
	s.directory.tokens[accountB] = "wrong" // the other account has it, whatever this one says
	var found struct {
		AccountSid string `json:"account_sid"`
		Stored     bool
		Status     string
	}
	out, _ := s.must(t, 0, "status", stranger, "--fetch", "--json")
	if err := json.Unmarshal([]byte(out), &found); err != nil || found.AccountSid != accountA || found.Stored || found.Status != "sent" {
		t.Errorf("got %+v, %v", found, err)
	}
	nobodys := strings.Replace(stranger, "9", "8", 1)
	if _, err := s.must(t, 5, "status", nobodys, "--fetch"); !strings.Contains(err.Error(), accountB) {
		t.Errorf("one account could not be asked, which is not that none has it: %v", err)
	}
	delete(s.directory.tokens, accountB)
	s.must(t, 3, "status", nobodys, "--fetch")
	s.must(t, 3, "status", "inbound:"+accountA+":"+stranger, "--fetch")
}

// Of a flow that was terminated the rows say what was sent, and Temporal how it may go on. Nothing else is claimed of it.
func TestShowOfAStoppedFlow(t *testing.T) {
	t.Parallel()
	for state, words := range map[domain.AttemptState]string{
		domain.AttemptAccepted: "Twilio accepted the message",
		domain.AttemptBegun:    "it is not known whether",
		domain.AttemptUnknown:  "it is not known whether",
		domain.AttemptRefused:  "nothing was sent",
		domain.AttemptNotSent:  "nothing was sent",
	} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			f := parkedFlow(nil)
			f.State = enums.WORKFLOW_EXECUTION_STATUS_TERMINATED
			s := newStarter(f)
			trace := stoppedTrace()
			trace.Message.WorkflowID, trace.Attempts[0].State = parkedID, state
			s.messages["m-stopped"] = trace
			out, _ := s.must(t, 0, "show", "m-stopped")
			flat := strings.Join(strings.Fields(out), " ")
			if !strings.Contains(flat, words) || !strings.Contains(flat, "temporal workflow reset --workflow-id "+parkedID+" --type LastWorkflowTask") {
				t.Errorf("printed\n%s", out)
			}
			if strings.Contains(flat, "gives up") || strings.Contains(flat, "starter retry") {
				t.Errorf("it says what holds no more:\n%s", out)
			}
		})
	}
}
