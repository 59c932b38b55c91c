package cli_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"

	"parley/contract"
	"parley/internal/domain"
	"parley/starter/internal/cli"
	"parley/starter/internal/faketemporal"
)

const parkedID = "inbound:" + accountA + ":SM00000000000000000000000000000001"

var park = contract.Park{
	Name: "run-1/1", Step: "account.Resolve", Reason: "nobody has the address that the message was sent to",
	Advice: "add it with 'starter sender add', then retry", Since: created, Until: created.Add(72 * time.Hour), Deadline: created.Add(10 * time.Minute),
}

// parkedFlow is a flow that waits for a person and takes what takes says.
func parkedFlow(takes func(string, contract.Command) error) faketemporal.Flow {
	return faketemporal.Flow{
		ID: parkedID, Stage: contract.StageParked, Started: created, Takes: takes,
		Answers: func() (contract.StatusResult, error) {
			return contract.StatusResult{
				Stage: contract.StageParked, Park: &park, AccountSid: accountA, OurAddress: "+15551230000",
				Steps: []contract.StepStatus{{Name: "account.Resolve", State: contract.StepParked}},
			}, nil
		},
	}
}

func send(more ...string) []string {
	return append([]string{"send", "--from", "+15551230000", "--to", "+15557654321", "--body", "hello"}, more...)
}

func TestSendStartsOneFlowAKey(t *testing.T) {
	t.Parallel()
	s := newStarter()
	out, _ := s.must(t, 0, send("--json")...)
	var first, again struct {
		WorkflowID     string `json:"workflow_id"`
		Key            string `json:"key"`
		AlreadyStarted bool   `json:"already_started"`
	}
	if err := json.Unmarshal([]byte(out), &first); err != nil || first.Key == "" || first.AlreadyStarted {
		t.Fatalf("got %s, %v", out, err)
	}
	synctest.Test(t, func(t *testing.T) { // nobody answers for the flow's status: that takes a while, and is no error
		out, _ = s.must(t, 0, send("--json", "--key", first.Key)...)
	})
	if err := json.Unmarshal([]byte(out), &again); err != nil || again.WorkflowID != first.WorkflowID || !again.AlreadyStarted {
		t.Fatalf("got %s, %v", out, err)
	}
	if len(s.temporal.Inputs) != 1 {
		t.Fatalf("started %d flows", len(s.temporal.Inputs))
	}
	in := s.temporal.Inputs[0]
	if in.OwnerID != "acme" || in.AccountSid != accountA || in.From != "+15551230000" || in.To != "+15557654321" || in.Body != "hello" || in.StartedAt.IsZero() {
		t.Errorf("got %+v", in)
	}
	if summary := s.temporal.Starts[0].StaticSummary; strings.Contains(summary, "hello") || strings.Contains(summary, "+1") {
		t.Errorf("the summary tells %q", summary)
	}
}

func TestSendReadsTheBody(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, []byte("from\na file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]string{"@" + file: "from\na file", "-": "from stdin", "@@home": "@home", "a@b": "a@b"} {
		s := newStarter()
		s.stdin = "from stdin\n"
		s.must(t, 0, "send", "--from", "+15551230000", "--to", "+15557654321", "--body", body, "--media", "https://example.com/a.png")
		if in := s.temporal.Inputs[0]; in.Body != want || len(in.Media) != 1 {
			t.Errorf("%s: got %+v", body, in)
		}
	}
}

func TestSendRefusesATextThatIsAFileByMistake(t *testing.T) {
	t.Parallel()
	s := newStarter()
	s.stdin = strings.Repeat("word ", 40_000)
	s.must(t, 2, "send", "--from", "+15551230000", "--to", "+15557654321", "--body", "-")
	if len(s.temporal.Starts) != 0 {
		t.Error("it was sent")
	}
}

func TestSendRefusesARecipientThatIsNoPerson(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"garbage", "ACME Shop", "54321", "+1999", "whatsapp:ana", "whatsapp:+15557654321", "fax:+15557654321"} {
		s := newStarter()
		_, err := s.must(t, 2, "send", "--from", "+15551230000", "--to", to, "--body", "hello")
		if len(s.temporal.Starts) != 0 || strings.Contains(err.Error(), to) {
			t.Errorf("%s: started %d flows, %v", to, len(s.temporal.Starts), err)
		}
	}
}

func TestSendAsksWhichSenderIsMeant(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		flags []string
		code  int
		owner string
	}{
		{nil, 2, ""},
		{[]string{"--owner", "acme"}, 2, ""},
		{[]string{"--owner", "beta"}, 0, "beta"},
		{[]string{"--account", accountB, "--owner", "acme"}, 0, "acme"},
		{[]string{"--owner", "nobody"}, 3, ""},
	} {
		s := newStarter()
		s.directory.senders = []domain.Sender{
			sms(accountA, "+15551230000", "acme"), sms(accountB, "+15551230000", "acme"), sms("AC3", "+15551230000", "beta"),
		}
		_, err := s.must(t, test.code, send(test.flags...)...)
		if test.code == 0 && s.temporal.Inputs[0].OwnerID != test.owner {
			t.Errorf("%v: got %+v", test.flags, s.temporal.Inputs)
		}
		if test.code != 0 && (len(s.temporal.Inputs) != 0 || !strings.Contains(err.Error(), "--owner beta --account AC3")) {
			t.Errorf("%v: got %v", test.flags, err)
		}
	}
	s := newStarter()
	s.directory.senders = nil
	s.must(t, 3, send()...)
}

func TestSendWaitsAndTellsHowItEnded(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		result contract.MessageResult
		err    error
		code   int
	}{
		"delivered":   {contract.MessageResult{Outcome: domain.OutcomeSent, Status: domain.StatusDelivered}, nil, 0},
		"sent":        {contract.MessageResult{Outcome: domain.OutcomeSent, Status: domain.StatusSent}, nil, 0},
		"undelivered": {contract.MessageResult{Outcome: domain.OutcomeSent, Status: domain.StatusUndelivered, ErrorCode: 30003}, nil, 12},
		"failed":      {contract.MessageResult{Outcome: domain.OutcomeFailed, ErrorCode: 21211}, nil, 10},
		"expired":     {contract.MessageResult{Outcome: domain.OutcomeExpired}, nil, 10},
		"cancelled":   {contract.MessageResult{}, temporal.NewCanceledError(), 10},
		"unknown":     {contract.MessageResult{Outcome: domain.OutcomeUnknown}, nil, 11},
		"terminated":  {contract.MessageResult{}, &temporal.TerminatedError{}, 11},
		"defect":      {contract.MessageResult{}, temporal.NewApplicationError("a defect", "internal"), 1},
	} {
		for _, format := range []string{"--json", "--json=false"} {
			t.Run(name+format, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					began := time.Now()
					s := newStarter(faketemporal.Flow{
						ID: contract.OutboundWorkflowID("acme", "k1"),
						Answers: func() (contract.StatusResult, error) {
							step := contract.StepStatus{Name: "messaging.Send", State: contract.StepRunning}
							if time.Since(began) > time.Second {
								step.State = contract.StepDone
							}
							return contract.StatusResult{Stage: contract.StageWorking, Steps: []contract.StepStatus{step}}, nil
						},
						Ends: func(context.Context) (contract.MessageResult, error) {
							time.Sleep(3 * time.Second)
							return test.result, test.err
						},
					})
					out, err := s.must(t, test.code, send("--key", "k1", "--wait", format)...)
					if format == "--json" {
						if test.err == nil && !json.Valid([]byte(out)) {
							t.Errorf("not one JSON document: %s", out)
						}
						return
					}
					if strings.Count(out, "messaging.Send") != 2 || !strings.Contains(out, "running   messaging.Send") || !strings.Contains(out, "done      messaging.Send") {
						t.Errorf("want one line a state: %s", out)
					}
					if test.result.ErrorCode != 0 && !strings.Contains(out, "the phone cannot be reached") {
						t.Errorf("the error code is not explained: %s, %v", out, err)
					}
				})
			})
		}
	}
}

func TestWaitingOnATerminalDrawsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		f := parkedFlow(nil)
		f.ID = contract.OutboundWorkflowID("acme", "k1")
		parked := f.Answers
		f.Answers = func() (contract.StatusResult, error) {
			if time.Since(began) < 2*time.Second {
				return parked()
			}
			return contract.StatusResult{Steps: []contract.StepStatus{{Name: "account.Resolve", State: contract.StepEnded}}}, nil
		}
		f.Ends = func(context.Context) (contract.MessageResult, error) {
			time.Sleep(3 * time.Second)
			return contract.MessageResult{Outcome: domain.OutcomeAbandoned}, nil
		}
		s := newStarter(f)
		s.terminal = true
		out, _ := s.must(t, 10, send("--key", "k1", "--wait")...)
		if strings.Count(out, "\x1b[8A\x1b[J  ended     account.Resolve\n") != 1 || strings.Count(out, "\x1b") != 2 {
			t.Errorf("want the parked state drawn over once: %q", out)
		}
		for line := range strings.Lines(out) {
			if len(strings.TrimPrefix(line, "\x1b[8A\x1b[J")) > 80 {
				t.Errorf("a line would wrap: %q", line)
			}
		}
	})
}

func TestRetry(t *testing.T) {
	t.Parallel()
	s := newStarter(parkedFlow(func(name string, word contract.Command) error {
		if name != contract.RetryCommand || word != (contract.Command{Park: park.Name, Anyway: true}) {
			t.Errorf("got %s %+v", name, word)
		}
		return nil
	}))
	s.messages["m1"] = domain.Trace{Message: domain.TracedMessage{WorkflowID: parkedID}}
	for _, id := range []string{parkedID, "m1"} {
		if out, _ := s.must(t, 0, "retry", id, "--anyway", "--json"); !strings.Contains(out, `"via": "update"`) {
			t.Errorf("got %s", out)
		}
	}
	s.must(t, 3, "retry", "m2")
	s.must(t, 3, "retry", "inbound:AC:SM")
}

func TestRetryThatTheFlowRefuses(t *testing.T) {
	t.Parallel()
	s := newStarter(parkedFlow(func(string, contract.Command) error {
		return temporal.NewApplicationError("whether it was sent is not known", "denied")
	}))
	if _, err := s.must(t, 4, "retry", parkedID); !strings.Contains(err.Error(), "whether it was sent is not known") {
		t.Errorf("got %v", err)
	}
	if len(s.temporal.Signals) != 0 {
		t.Error("a refused command must not be left as a signal")
	}
}

func TestCommandsWithoutAWorkerAreLeftAsSignals(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		row  bool
		want contract.Command
	}{
		"the park of the row":       {[]string{"abandon", parkedID}, true, contract.Command{Park: "run-1/2"}},
		"no park is known":          {[]string{"abandon", parkedID}, false, contract.Command{}},
		"the park that was typed":   {[]string{"retry", parkedID, "--park", "run-1/1"}, true, contract.Command{Park: "run-1/1"}},
		"past the message's moment": {[]string{"retry", parkedID, "--anyway"}, true, contract.Command{Park: "run-1/2", Anyway: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStarter(faketemporal.Flow{ID: parkedID, Stage: contract.StageParked})
				if test.row {
					s.messages[parkedID] = domain.Trace{Message: domain.TracedMessage{WorkflowID: parkedID, Park: "run-1/2"}}
				}
				out, _ := s.must(t, 0, test.args...)
				want := faketemporal.Signal{WorkflowID: parkedID, Name: test.args[0], Command: test.want}
				if len(s.temporal.Signals) != 1 || s.temporal.Signals[0] != want || !strings.Contains(out, "signal") {
					t.Errorf("got %+v\n%s", s.temporal.Signals, out)
				}
			})
		})
	}
}

// Who has not named the park has not seen it, whether the flow says so or its row.
func TestASendOfUnknownFateIsDecidedByItsParksNameAlone(t *testing.T) {
	t.Parallel()
	for name, answers := range map[string]func() (contract.StatusResult, error){
		"a worker answers": func() (contract.StatusResult, error) {
			return contract.StatusResult{Park: &contract.Park{Name: "run-1/2", Step: contract.LookUp.Name, Unknown: true}}, nil
		},
		"the row alone tells": nil,
	} {
		for _, command := range []string{contract.RetryCommand, contract.AbandonCommand} {
			t.Run(name+", "+command, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := newStarter(faketemporal.Flow{ID: parkedID, Stage: contract.StageParked, Answers: answers, Takes: func(string, contract.Command) error {
						t.Error("the flow was told")
						return nil
					}})
					s.messages[parkedID] = domain.Trace{Message: domain.TracedMessage{WorkflowID: parkedID, Park: "run-1/2", ParkStep: contract.LookUp.Name}}
					if _, err := s.must(t, 4, command, parkedID); !strings.Contains(err.Error(), "--park run-1/2") {
						t.Errorf("got %v", err)
					}
					if len(s.temporal.Signals) != 0 {
						t.Errorf("left as %+v", s.temporal.Signals)
					}
				})
			})
		}
	}
}

// The operator is told whether the deadline is still ahead.
func TestParkedTellsOfTheDeadline(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		passes time.Duration // from now
		words  string
	}{
		"ahead":  {time.Minute, "; past it only retry --anyway"},
		"passed": {-time.Minute, ", which has passed: only retry --anyway"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := parkedFlow(nil)
			f.Answers = func() (contract.StatusResult, error) {
				parked := park
				parked.Deadline = time.Now().Add(test.passes)
				return contract.StatusResult{Stage: contract.StageParked, Park: &parked}, nil
			}
			s := newStarter(f)
			for _, command := range [][]string{{"parked"}, {"show", parkedID}} {
				if out, _ := s.must(t, 0, command...); !strings.Contains(strings.Join(strings.Fields(out), " "), test.words) {
					t.Errorf("%v: %q is missing:\n%s", command, test.words, out)
				}
			}
		})
	}
}

func TestRetryOfAFlowThatIsNotParked(t *testing.T) {
	t.Parallel()
	f := parkedFlow(nil)
	f.Answers = func() (contract.StatusResult, error) {
		return contract.StatusResult{Stage: contract.StageDelivering}, nil
	}
	s := newStarter(f)
	if _, err := s.must(t, 4, "retry", parkedID); !strings.Contains(err.Error(), "delivering") {
		t.Errorf("got %v", err)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	s := newStarter(
		faketemporal.Flow{ID: "outbound:acme:1"},
		faketemporal.Flow{ID: "outbound:acme:2", State: enums.WORKFLOW_EXECUTION_STATUS_COMPLETED},
	)
	s.must(t, 0, "cancel", "outbound:acme:1")
	s.must(t, 4, "cancel", "outbound:acme:2")
	s.must(t, 3, "cancel", "outbound:acme:3")
	if len(s.temporal.Cancels) != 1 || s.temporal.Cancels[0] != "outbound:acme:1" {
		t.Errorf("got %v", s.temporal.Cancels)
	}
}

func TestInterruptedWaitSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStarter(faketemporal.Flow{ID: contract.OutboundWorkflowID("acme", "k1")})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		out, err := s.runWith(ctx, send("--key", "k1", "--wait")...)
		if cli.ExitCode(err) != 130 || !strings.Contains(out, "k1") {
			t.Errorf("got %v\n%s", err, out)
		}
	})
}

func TestShowKnowsOneSideOrTheOther(t *testing.T) {
	t.Parallel()
	down := domain.Errorf(domain.KindUnavailable, "the database does not answer")
	for name, test := range map[string]struct {
		id    string
		store error
		code  int
	}{
		"both":                           {id: "inbound:stored", code: 0},
		"only Temporal":                  {id: parkedID, code: 0},
		"only the database":              {id: "m-forgotten", code: 0},
		"neither, by workflow id":        {id: "inbound:nobody", code: 3},
		"neither, by message id":         {id: "m-nobody", code: 3},
		"Temporal, with no database":     {id: parkedID, store: down, code: 0},
		"a message id, with no database": {id: "m-forgotten", store: down, code: 6},
		"perhaps the database":           {id: "inbound:nobody", store: down, code: 6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStarter(parkedFlow(nil), faketemporal.Flow{ID: "inbound:stored"})
				s.messages["inbound:stored"] = domain.Trace{Message: inboundMessage("m", "inbound:stored")}
				s.messages["m-forgotten"] = domain.Trace{Message: inboundMessage("m-forgotten", "inbound:forgotten")}
				s.noStore = test.store
				s.must(t, test.code, "show", test.id)
			})
		})
	}
}
