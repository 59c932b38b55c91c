package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"parley/contract"
	"parley/internal/testkit"
)

func TestFiftyPeopleParkedByAWrongTokenAreEachSentOneMessageOnceItIsMended(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{PerRole: true})
	s.SetAPIToken("another")
	people, flows := make([]string, 50), make([]string, 50)
	for i := range people {
		people[i] = s.Customer()
		flows[i] = s.WorkflowID(s.Say(people[i], "hello"))
	}
	var list struct {
		Parked []struct {
			WorkflowID string         `json:"workflow_id"`
			Park       *contract.Park `json:"park"`
		}
	}
	testkit.Eventually(t, settledWithin, func() error {
		if err := json.Unmarshal([]byte(s.Starter("parked", "--json")), &list); err != nil {
			return err
		}
		if len(list.Parked) != len(people) {
			return fmt.Errorf("%d flows are parked, want %d", len(list.Parked), len(people))
		}
		for _, parked := range list.Parked {
			if parked.Park == nil { // a busy worker did not say in time
				return fmt.Errorf("it is not told why %s is parked", parked.WorkflowID)
			}
		}
		return nil
	})
	for _, parked := range list.Parked {
		if !slices.Contains(flows, parked.WorkflowID) || parked.Park.Step != contract.Send.Name || parked.Park.Unknown {
			t.Errorf("%s is parked as %+v", parked.WorkflowID, *parked.Park)
		}
	}
	s.SetAPIToken(s.AuthToken)
	for _, flow := range flows {
		s.Starter("retry", flow)
	}
	for i, flow := range flows {
		if result := awaitClosed(t, s, flow); result.Outcome != "replied" {
			t.Errorf("%s ended %+v", flow, result)
		}
		if accepted := s.Accepted(people[i]); accepted != 1 {
			t.Errorf("Twilio accepted %d messages for %s, want 1", accepted, people[i])
		}
	}
	for what, query := range map[string]string{
		"answered messages":        `SELECT count(*) FROM messages WHERE direction = 'inbound' AND outcome = 'replied' AND reply_state = 'answered'`,
		"attempts that were sent":  `SELECT count(*) FROM send_attempts WHERE state = 'accepted' AND attempt = 2`,
		"attempts that were not":   `SELECT count(*) FROM send_attempts WHERE state = 'refused' AND error_kind = 'configuration' AND attempt = 1`,
		"units reserved":           `SELECT count(*) FROM ledger WHERE kind = 'reserve' AND meter = 'ai_replies' AND quantity = 1`,
		"units charged":            `SELECT count(*) FROM ledger WHERE kind = 'settle' AND meter = 'ai_replies' AND quantity = 1`,
		"replies whose parts cost": `SELECT count(*) FROM ledger WHERE kind = 'settle' AND meter = 'message_segments' AND quantity > 0`,
	} {
		if n := count(t, s, query); n != len(people) {
			t.Errorf("%d %s, want %d", n, what, len(people))
		}
	}
	if n := count(t, s, `SELECT count(*) FROM ledger WHERE kind = 'release'`); n != 0 {
		t.Errorf("%d units were handed back", n)
	}
}

func TestACommandForAParkOfThePastIsRefusedAfterAResetToo(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{PerRole: true, Settings: roomy()})
	for name, c := range map[string]struct {
		trouble testkit.Rule
		step    string
	}{
		"configuration": {testkit.Rule{StatusCode: 401, Code: 20003}, contract.Send.Name},
		"unknown":       {testkit.Rule{Answer: "reset"}, contract.LookUp.Name},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.trouble.To = s.Customer()
			s.Script(c.trouble)
			workflowID := s.WorkflowID(s.Say(c.trouble.To, "hello"))
			first := awaitPark(t, s, workflowID, c.step)
			s.Starter("retry", workflowID, "--park", first.Name)
			second := awaitPark(t, s, workflowID, c.step, first)
			posted(t, s, c.trouble.To, 2)
			dropped(t, s, workflowID, first)

			reset(t, s, workflowID)
			third := awaitPark(t, s, workflowID, c.step, first, second)
			if !strings.HasSuffix(third.Name, "/1") || strings.HasPrefix(third.Name, strings.TrimSuffix(first.Name, "/1")) {
				t.Errorf("after the reset the flow is parked as %s, after %s", third.Name, first.Name)
			}
			dropped(t, s, workflowID, first)
			dropped(t, s, workflowID, second)
			posted(t, s, c.trouble.To, 2)

			// The new run comes by each attempt of the old one, and asks before each further one.
			s.Script(testkit.Rule{To: c.trouble.To})
			s.Starter("retry", workflowID, "--park", third.Name)
			last := awaitPark(t, s, workflowID, c.step, third)
			posted(t, s, c.trouble.To, 2)
			s.Starter("retry", workflowID, "--park", last.Name)
			ended(t, s, c.trouble.To, workflowID, "replied", 1)
			posted(t, s, c.trouble.To, 3)
		})
	}
}

// dropped fails the test unless commands that name a park of the past come to nothing: as an update they are refused, as a signal they
// are dropped. The flow is parked.
func dropped(t *testing.T, s *testkit.Stack, workflowID string, past contract.Park) {
	t.Helper()
	for _, command := range []string{contract.RetryCommand, contract.AbandonCommand} {
		drops := func() (n int) {
			for _, line := range s.Worker(contract.RoleWorkflow).Logs() {
				if strings.Contains(line, "signal dropped") && strings.Contains(line, `"signal":"`+command+`"`) && strings.Contains(line, past.Name) {
					n++
				}
			}
			return n
		}
		want := drops() + 1
		testkit.Eventually(t, soon, func() error {
			refused := s.TryStarter(command, workflowID, "--park", past.Name)
			if refused.ExitCode == 0 && strings.Contains(refused.Stdout, "left as a signal") { // which is dropped too
				want++
				return errors.New("no worker answered in time")
			}
			if refused.ExitCode != 4 || !strings.Contains(refused.Stderr, "park "+past.Name+" is over") {
				t.Errorf("%s of a park of the past: exit code %d: %s%s", command, refused.ExitCode, refused.Stdout, refused.Stderr)
			}
			return nil
		})
		if err := s.Temporal.Client.SignalWorkflow(t.Context(), workflowID, "", command, contract.Command{Park: past.Name}); err != nil {
			t.Fatal(err)
		}
		testkit.EventuallyTrue(t, soon, "the signal is dropped", func() bool { return drops() == want })
	}
}

// reset starts a flow anew from its first task, as `temporal workflow reset` does: what was signalled and updated since is told again.
func reset(t *testing.T, s *testkit.Stack, workflowID string) {
	t.Helper()
	resetTo(t, s, workflowID, func(tasks []int64) int64 { return tasks[0] })
}

// resetTo starts a flow anew from one of the tasks that it has completed.
func resetTo(t *testing.T, s *testkit.Stack, workflowID string, which func(tasks []int64) int64) {
	t.Helper()
	var tasks []int64
	history := s.Temporal.Client.GetWorkflowHistory(t.Context(), workflowID, "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for history.HasNext() {
		event, err := history.Next()
		if err != nil {
			t.Fatal(err)
		}
		if event.GetEventType() == enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			tasks = append(tasks, event.GetEventId())
		}
	}
	if tasks == nil {
		t.Fatalf("%s has had no task yet", workflowID)
	}
	task := which(tasks)
	_, err := s.Temporal.Client.ResetWorkflowExecution(t.Context(), &workflowservice.ResetWorkflowExecutionRequest{
		Namespace: s.Temporal.Name, WorkflowExecution: &common.WorkflowExecution{WorkflowId: workflowID},
		Reason: "a test", WorkflowTaskFinishEventId: task, RequestId: fmt.Sprintf("%s/%d", workflowID, task),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A retry names the park that it is for. A run that a reset makes of a flow with one behind it comes by it again, and goes on.
func TestAFlowIsResetPastARetry(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{})
	person := s.Customer()
	s.Script(testkit.Rule{To: person, StatusCode: http.StatusUnauthorized, Code: 20003})
	workflowID := s.WorkflowID(s.Say(person, "hello"))
	first := awaitPark(t, s, workflowID, contract.Send.Name)
	s.Starter("retry", workflowID)
	awaitPark(t, s, workflowID, contract.Send.Name, first)
	resetTo(t, s, workflowID, func(tasks []int64) int64 { return tasks[len(tasks)-1] })
	again := awaitPark(t, s, workflowID, contract.Send.Name, first)
	s.Script(testkit.Rule{To: person})
	s.Starter("retry", workflowID, "--park", again.Name)
	ended(t, s, person, workflowID, "replied", 1)
}

func TestTwoOperatorsAndACallbackAtOnceAreOneMessage(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{PerRole: true, Settings: roomy()})
	const listedAfter = 40 * time.Second // by then the flows are parked
	for name, c := range map[string]struct {
		trouble testkit.Rule
		listed  bool // Twilio's list shows the message by now
		first   bool // the callback is answered before the operators decide, else it comes beside them
		posts   int
	}{
		"never accepted":                      {testkit.Rule{Answer: "reset"}, false, false, 2},
		"accepted, and listed by now":         {testkit.Rule{Answer: "reset", Accepted: true}, true, false, 1},
		"accepted, told of, and never listed": {testkit.Rule{Answer: "reset", Accepted: true}, false, true, 1},
	} {
		for round := range 3 {
			t.Run(fmt.Sprintf("%s %d", name, round), func(t *testing.T) {
				t.Parallel()
				rule := c.trouble
				rule.To, rule.Callbacks, rule.ListDelayMS = s.Customer(), "none", int(time.Hour.Milliseconds())
				if c.listed {
					rule.ListDelayMS = int(listedAfter.Milliseconds())
				}
				if !rule.Accepted {
					rule.ListDelayMS = 0
				}
				s.Script(rule)
				workflowID := s.WorkflowID(s.Say(rule.To, "hello"))
				park := awaitPark(t, s, workflowID, contract.LookUp.Name)
				var callback sync.WaitGroup
				if rule.Accepted {
					sent := s.SentTo(rule.To)[0]
					testkit.EventuallyTrue(t, soon, "the list shows the message", func() bool {
						return !c.listed || time.Since(sent.CreatedAt) > listedAfter
					})
					callback.Go(func() { tell(t, s, workflowID, sent.Sid) })
				}
				s.Script(testkit.Rule{To: rule.To})
				if c.first {
					callback.Wait()
				}
				var taken int
				var results [2]testkit.Result
				var operators sync.WaitGroup
				for i := range results {
					operators.Go(func() { results[i] = s.TryStarter("retry", workflowID, "--park", park.Name) })
				}
				operators.Wait()
				callback.Wait()
				for _, result := range results {
					if result.ExitCode == 0 {
						taken++
					}
				}
				if taken > 1 || (taken == 0 && !rule.Accepted) {
					t.Errorf("%d commands were taken: %+v", taken, results)
				}
				ended(t, s, rule.To, workflowID, "replied", 1)
				posted(t, s, rule.To, c.posts)
			})
		}
	}
}

// tell posts Twilio's callback for the first attempt of a flow's reply.
func tell(t *testing.T, s *testkit.Stack, workflowID, sid string) {
	t.Helper()
	status, err := statusOf(t, s, workflowID)
	if err != nil {
		t.Error(err)
		return
	}
	key := contract.AttemptKey{MessageID: status.MessageID, Part: 1, Attempt: 1}
	if code := s.Callback(key, sid, "delivered"); code != 204 {
		t.Errorf("the callback about %s was answered %d", workflowID, code)
	}
}

// The flow reads what came while its worker was away in one go.
func TestOfTwoCommandsReadAtOnceOneIsTakenAndTheOtherIsTold(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{PerRole: true})
	flows := make([]string, 4)
	parks := make([]contract.Park, len(flows))
	for i := range flows {
		person := s.Customer()
		s.Script(testkit.Rule{To: person, StatusCode: 401, Code: 20003})
		flows[i] = s.WorkflowID(s.Say(person, "hello"))
		parks[i] = awaitPark(t, s, flows[i], contract.Send.Name)
	}
	s.Worker(contract.RoleWorkflow).Stop()
	var operators sync.WaitGroup
	commands := []string{contract.RetryCommand, contract.AbandonCommand}
	answers := make([][2]error, len(flows))
	for i, flow := range flows {
		for j, command := range commands {
			operators.Go(func() {
				handle, err := s.Temporal.Client.UpdateWorkflow(t.Context(), client.UpdateWorkflowOptions{
					WorkflowID: flow, UpdateName: command, Args: []any{contract.Command{}}, WaitForStage: client.WorkflowUpdateStageCompleted,
				})
				if err == nil {
					err = handle.Get(t.Context(), nil)
				}
				answers[i][j] = err
			})
		}
	}
	s.Worker(contract.RoleWorkflow).Restart()
	operators.Wait()
	for i, flow := range flows {
		retried, abandoned := answers[i][0] == nil, answers[i][1] == nil
		if retried == abandoned {
			t.Errorf("the operators of %s were told %v", flow, answers[i])
		}
		if abandoned {
			if result := awaitClosed(t, s, flow); result.Outcome != "abandoned" {
				t.Errorf("%s was to be abandoned and ended %+v", flow, result)
			}
			continue
		}
		awaitPark(t, s, flow, contract.Send.Name, parks[i])
	}
}
