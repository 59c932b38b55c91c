package flow_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/failure/v1"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/types/known/timestamppb"

	"parley/contract"
	"parley/internal/domain"
	"parley/starter/internal/faketemporal"
	"parley/starter/internal/flow"
)

const id = "outbound:acme:1"

func flowsOf(temporal *faketemporal.Client) *flow.Flows {
	return flow.New(temporal, converter.GetDefaultDataConverter())
}

func message() contract.OutboundMessageInput {
	return contract.OutboundMessageInput{
		OwnerID: "acme", AccountSid: "AC1", From: "+15551230000", To: "+15557654321", Body: "hello", Key: "k1",
	}
}

func TestStartIsOncePerKey(t *testing.T) {
	t.Parallel()
	fake := faketemporal.New()
	flows := flowsOf(fake)
	first, err := flows.Start(t.Context(), message())
	if err != nil || first.AlreadyStarted || first.WorkflowID != contract.OutboundWorkflowID("acme", "k1") {
		t.Fatalf("got %+v, %v", first, err)
	}
	again, err := flows.Start(t.Context(), message())
	if err != nil || !again.AlreadyStarted || again.RunID != first.RunID {
		t.Fatalf("got %+v, %v", again, err)
	}
	if len(fake.Starts) != 1 {
		t.Fatalf("started %d times", len(fake.Starts))
	}
	options := fake.Starts[0]
	if options.TaskQueue != contract.RoleWorkflow.Queue() ||
		options.WorkflowIDReusePolicy != enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE ||
		!options.WorkflowExecutionErrorWhenAlreadyStarted || options.WorkflowExecutionTimeout != 0 {
		t.Errorf("got %+v", options)
	}
	if owner, _ := options.TypedSearchAttributes.GetKeyword(contract.SearchOwner); owner != "acme" {
		t.Errorf("search attribute of the owner: %q", owner)
	}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	word := contract.Command{Park: "run/1", Anyway: true}
	for name, test := range map[string]struct {
		flow    faketemporal.Flow
		via     flow.Via
		kind    domain.Kind
		signals int
	}{
		"accepted": {
			flow: faketemporal.Flow{ID: id, Takes: func(string, contract.Command) error { return nil }},
			via:  flow.ViaUpdate,
		},
		"accepted, and its handler did not end in time": {
			flow: faketemporal.Flow{ID: id, Takes: func(string, contract.Command) error { return context.DeadlineExceeded }},
			via:  flow.ViaUpdate,
		},
		"refused": {
			flow: faketemporal.Flow{ID: id, Takes: func(string, contract.Command) error {
				return temporal.NewApplicationError("the send's fate is unknown", "denied")
			}},
			kind: domain.KindConflict,
		},
		"no worker": {flow: faketemporal.Flow{ID: id}, via: flow.ViaSignal, signals: 1},
		"over":      {flow: faketemporal.Flow{ID: id, State: enums.WORKFLOW_EXECUTION_STATUS_COMPLETED}, kind: domain.KindConflict},
		"not known": {flow: faketemporal.Flow{ID: "another"}, kind: domain.KindNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				fake := faketemporal.New(test.flow)
				began := time.Now()
				via, err := flowsOf(fake).Command(t.Context(), id, contract.RetryCommand, word)
				if via != test.via || (test.kind == "") != (err == nil) || (err != nil && domain.KindOf(err) != test.kind) {
					t.Fatalf("got %q, %v", via, err)
				}
				if len(fake.Signals) != test.signals {
					t.Fatalf("signals: %v", fake.Signals)
				}
				if test.signals == 1 {
					want := faketemporal.Signal{WorkflowID: id, Name: contract.RetryCommand, Command: word}
					if fake.Signals[0] != want || time.Since(began) != 10*time.Second {
						t.Errorf("got %+v after %s", fake.Signals[0], time.Since(began))
					}
				}
			})
		})
	}
}

func TestCommandGivenUpByItsCallerLeavesNoSignal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := faketemporal.New(faketemporal.Flow{ID: id})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := flowsOf(fake).Command(ctx, id, contract.AbandonCommand, contract.Command{}); err == nil {
			t.Error("want an error")
		}
		if len(fake.Signals) != 0 {
			t.Errorf("signals: %v", fake.Signals)
		}
	})
}

func TestDescribeSaysWhatAFlowWaitsFor(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	stamp := timestamppb.New(now)
	activity := func(state enums.PendingActivityState, attempt int32, change func(*workflow.PendingActivityInfo)) *workflow.PendingActivityInfo {
		info := &workflow.PendingActivityInfo{
			ActivityType: &common.ActivityType{Name: contract.Reserve.Name}, State: state, Attempt: attempt, ScheduledTime: stamp,
		}
		if change != nil {
			change(info)
		}
		return info
	}
	fake := faketemporal.New(faketemporal.Flow{
		ID: id, Owner: "acme", Stage: contract.StageWorking, Started: now,
		Decision: &workflow.PendingWorkflowTaskInfo{State: enums.PENDING_WORKFLOW_TASK_STATE_SCHEDULED, Attempt: 1, ScheduledTime: stamp},
		Pending: []*workflow.PendingActivityInfo{
			activity(enums.PENDING_ACTIVITY_STATE_SCHEDULED, 1, nil),
			activity(enums.PENDING_ACTIVITY_STATE_STARTED, 2, func(a *workflow.PendingActivityInfo) { a.LastStartedTime = stamp }),
			activity(enums.PENDING_ACTIVITY_STATE_SCHEDULED, 3, func(a *workflow.PendingActivityInfo) {
				a.NextAttemptScheduleTime = stamp
				a.LastFailure = &failure.Failure{Message: "the database does not answer", FailureInfo: &failure.Failure_ApplicationFailureInfo{
					ApplicationFailureInfo: &failure.ApplicationFailureInfo{Type: "unavailable"},
				}}
				if err := converter.EncodeCommonFailureAttributes(converter.GetDefaultDataConverter(), a.LastFailure); err != nil { // as the workers do
					t.Error(err)
				}
			}),
			activity(enums.PENDING_ACTIVITY_STATE_SCHEDULED, 1, func(a *workflow.PendingActivityInfo) { a.Paused = true }),
		},
	})
	found, err := flowsOf(fake).Describe(t.Context(), id)
	if err != nil || found.OwnerID != "acme" || found.Stage != contract.StageWorking || !found.Running() {
		t.Fatalf("got %+v, %v", found, err)
	}
	var states []flow.WaitState
	for _, wait := range found.Waits {
		states = append(states, wait.State)
	}
	want := []flow.WaitState{flow.WaitQueued, flow.WaitQueued, flow.WaitRunning, flow.WaitRetrying, flow.WaitPaused}
	if !slices.Equal(states, want) {
		t.Fatalf("got %v", states)
	}
	if w := found.Waits[1]; w.Role != contract.RoleBilling || w.Queue != contract.RoleBilling.Queue() || !w.Since.Equal(now) {
		t.Errorf("got %+v", w)
	}
	if w := found.Waits[3]; w.Failure != "the database does not answer" || w.FailureKind != "unavailable" || !w.NextAt.Equal(now) {
		t.Errorf("got %+v", w)
	}
}

// The role of an activity is read from its name; this keeps the two equal.
func TestActivityNamesBeginWithTheirRole(t *testing.T) {
	t.Parallel()
	for name, role := range map[string]contract.Role{
		contract.ResolveAccount.Name: contract.ResolveAccount.Role, contract.RecordInbound.Name: contract.RecordInbound.Role,
		contract.ResolveIdentity.Name: contract.ResolveIdentity.Role, contract.Reserve.Name: contract.Reserve.Role,
		contract.Generate.Name: contract.Generate.Role, contract.Send.Name: contract.Send.Role,
	} {
		fake := faketemporal.New(faketemporal.Flow{ID: id, Pending: []*workflow.PendingActivityInfo{
			{ActivityType: &common.ActivityType{Name: name}, State: enums.PENDING_ACTIVITY_STATE_SCHEDULED, Attempt: 1},
		}})
		found, err := flowsOf(fake).Describe(t.Context(), id)
		if err != nil || found.Waits[0].Role != role || found.Waits[0].Queue != role.Queue() {
			t.Errorf("%s: got %+v, %v", name, found.Waits, err)
		}
	}
}

func TestParked(t *testing.T) {
	t.Parallel()
	park := contract.Park{Name: "run/1", Reason: "no sender", Advice: "add it"}
	parked := func(id string, answers func() (contract.StatusResult, error)) faketemporal.Flow {
		return faketemporal.Flow{ID: id, Stage: contract.StageParked, Answers: answers}
	}
	yes := func() (contract.StatusResult, error) {
		return contract.StatusResult{Stage: contract.StageParked, Park: &park}, nil
	}
	no := func() (contract.StatusResult, error) {
		return contract.StatusResult{Stage: contract.StageWorking}, nil
	}
	synctest.Test(t, func(t *testing.T) {
		fake := faketemporal.New(parked("a:1", yes), parked("a:2", no), parked("a:3", nil), parked("a:4", yes))
		found, more, err := flowsOf(fake).Parked(t.Context(), "acme", 3)
		if err != nil || !more || len(found) != 2 {
			t.Fatalf("got %+v, %v, %v", found, more, err)
		}
		if found[0].WorkflowID != "a:1" || *found[0].Park != park {
			t.Errorf("got %+v", found[0])
		}
		if found[1].WorkflowID != "a:3" || found[1].Park != nil || found[1].Problem == "" {
			t.Errorf("a flow without a worker must stay in the list: %+v", found[1])
		}
		const query = "ExecutionStatus = 'Running' AND ParleyStage = 'parked' AND ParleyOwner = 'acme'"
		if fake.Queries[0] != query {
			t.Errorf("asked for %s", fake.Queries[0])
		}
	})
}

func TestFollowShowsStatesUntilTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		fake := faketemporal.New(faketemporal.Flow{
			ID: id,
			Answers: func() (contract.StatusResult, error) {
				if time.Since(began) < time.Second {
					return contract.StatusResult{Stage: contract.StageWorking}, nil
				}
				return contract.StatusResult{Stage: contract.StageClosed}, nil
			},
			Ends: func(context.Context) (contract.MessageResult, error) {
				time.Sleep(1200 * time.Millisecond)
				return contract.MessageResult{Outcome: domain.OutcomeSent, Status: domain.StatusDelivered}, nil
			},
		})
		var stages []contract.Stage
		result, err := flowsOf(fake).Follow(t.Context(), id, func(p flow.Progress) { stages = append(stages, p.Status.Stage) })
		if err != nil || result.Status != domain.StatusDelivered {
			t.Fatalf("got %+v, %v", result, err)
		}
		if !slices.Equal(slices.Compact(stages), []contract.Stage{contract.StageWorking, contract.StageClosed}) {
			t.Errorf("got %v", stages)
		}
	})
}

func TestFollowEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		fake := faketemporal.New(faketemporal.Flow{ID: id})
		if _, err := flowsOf(fake).Follow(ctx, id, func(flow.Progress) {}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestResultOfFlowsThatEndedBadly(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err     error
		outcome domain.Outcome
		kind    domain.Kind
	}{
		"cancelled":  {err: temporal.NewCanceledError(), outcome: domain.OutcomeCancelled},
		"terminated": {err: &temporal.TerminatedError{}, kind: domain.KindUnknownOutcome},
		"timed out":  {err: temporal.NewTimeoutError(enums.TIMEOUT_TYPE_START_TO_CLOSE, nil), kind: domain.KindUnknownOutcome},
		"failed":     {err: temporal.NewApplicationError("a defect", "internal"), kind: domain.KindInternal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := faketemporal.New(faketemporal.Flow{ID: id, Ends: func(context.Context) (contract.MessageResult, error) {
				return contract.MessageResult{}, test.err
			}})
			result, err := flowsOf(fake).Result(t.Context(), id)
			if result.Outcome != test.outcome || (test.kind == "") != (err == nil) || (err != nil && domain.KindOf(err) != test.kind) {
				t.Errorf("got %+v, %v", result, err)
			}
		})
	}
}

func TestCountParked(t *testing.T) {
	t.Parallel()
	fake := faketemporal.New(
		faketemporal.Flow{ID: "inbound:a", Stage: contract.StageParked}, faketemporal.Flow{ID: "inbound:b", Stage: contract.StageWorking},
		faketemporal.Flow{ID: "inbound:c", Stage: contract.StageParked},
	)
	n, err := flowsOf(fake).CountParked(t.Context())
	if err != nil || n != 2 || fake.Queries[0] != "ExecutionStatus = 'Running' AND ParleyStage = 'parked'" {
		t.Errorf("%d, %v, asked %q", n, err, fake.Queries)
	}
}
