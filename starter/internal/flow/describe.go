package flow

import (
	"context"
	"strings"
	"time"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/failure/v1"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/types/known/timestamppb"

	"parley/contract"
	"parley/starter/internal/fault"
)

// Flow is what Temporal's server knows about a flow, with or without workers.
type Flow struct {
	WorkflowID string         `json:"workflow_id"`
	RunID      string         `json:"run_id"`
	Type       string         `json:"type"`
	State      string         `json:"state"` // running, completed, failed, canceled, terminated, timedout
	OwnerID    string         `json:"owner_id,omitempty"`
	Stage      contract.Stage `json:"stage,omitempty"`
	StartedAt  time.Time      `json:"started_at"`
	ClosedAt   *time.Time     `json:"closed_at,omitempty"`
	Waits      []Wait         `json:"waits"` // what it waits for at the moment; a parked flow waits for nothing here
}

const (
	running    = "running"
	terminated = "terminated"
	timedOut   = "timedout"
)

// Running reports whether the flow is not over.
func (f Flow) Running() bool { return f.State == running }

// Stopped reports whether Temporal ended the flow from outside: it did not come to an end of its own.
func (f Flow) Stopped() bool { return f.State == terminated || f.State == timedOut }

// WaitState says how far a step is that a flow waits for.
type WaitState string

// The states of a step that a flow waits for.
const (
	WaitQueued   WaitState = "queued"   // no worker has taken it yet
	WaitRunning  WaitState = "running"  // a worker has it, or had it and died
	WaitRetrying WaitState = "retrying" // it failed, and is tried again at NextAt
	WaitPaused   WaitState = "paused"   // by an operator, in Temporal
)

// Wait is a step that a flow waits for.
type Wait struct {
	Step        string        `json:"step"` // the activity's name, or "workflow" for the flow's own decisions
	Role        contract.Role `json:"role"`
	Queue       string        `json:"queue"`
	State       WaitState     `json:"state"`
	Attempt     int           `json:"attempt"` // from 1; of a retrying step the next one
	Since       *time.Time    `json:"since,omitempty"`
	NextAt      *time.Time    `json:"next_at,omitempty"`
	Failure     string        `json:"failure,omitempty"` // of the attempt before
	FailureKind string        `json:"failure_kind,omitempty"`
}

// Describe returns what the server knows about a flow. It returns KindNotFound where it knows none, which is also so for
// a flow that closed longer ago than the namespace keeps them.
func (f *Flows) Describe(ctx context.Context, workflowID string) (Flow, error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	response, err := f.client.DescribeWorkflowExecution(ctx, workflowID, "")
	if err != nil {
		return Flow{}, fault.From(err, "look at flow %s", workflowID)
	}
	info := response.GetWorkflowExecutionInfo()
	found := summary(info)
	found.Waits = []Wait{}
	if task := response.GetPendingWorkflowTask(); noteworthy(task) {
		found.Waits = append(found.Waits, decisionWait(task))
	}
	for _, pending := range response.GetPendingActivities() {
		if last := pending.GetLastFailure(); last != nil {
			converter.DecodeCommonFailureAttributes(f.payloads, last)
		}
		found.Waits = append(found.Waits, stepWait(pending))
	}
	return found, nil
}

func summary(info *workflow.WorkflowExecutionInfo) Flow {
	return Flow{
		WorkflowID: info.GetExecution().GetWorkflowId(),
		RunID:      info.GetExecution().GetRunId(),
		Type:       info.GetType().GetName(),
		State:      strings.ToLower(info.GetStatus().String()),
		OwnerID:    keyword(info.GetSearchAttributes(), contract.SearchOwner),
		Stage:      contract.Stage(keyword(info.GetSearchAttributes(), contract.SearchStage)),
		StartedAt:  info.GetStartTime().AsTime(),
		ClosedAt:   instant(info.GetCloseTime()),
	}
}

// noteworthy leaves out decisions that a worker has just taken up: they take milliseconds.
func noteworthy(task *workflow.PendingWorkflowTaskInfo) bool {
	return task.GetState() == enums.PENDING_WORKFLOW_TASK_STATE_SCHEDULED || task.GetAttempt() > 1
}

func decisionWait(task *workflow.PendingWorkflowTaskInfo) Wait {
	wait := Wait{
		Step:    string(contract.RoleWorkflow),
		Role:    contract.RoleWorkflow,
		Queue:   contract.RoleWorkflow.Queue(),
		State:   WaitQueued,
		Attempt: int(task.GetAttempt()),
		Since:   instant(task.GetScheduledTime()),
	}
	if task.GetState() == enums.PENDING_WORKFLOW_TASK_STATE_STARTED {
		wait.State, wait.Since = WaitRunning, instant(task.GetStartedTime())
	}
	return wait
}

func stepWait(pending *workflow.PendingActivityInfo) Wait {
	role := roleOf(pending.GetActivityType().GetName())
	wait := Wait{
		Step:        pending.GetActivityType().GetName(),
		Role:        role,
		Queue:       role.Queue(),
		State:       WaitQueued,
		Attempt:     int(pending.GetAttempt()),
		Since:       instant(pending.GetScheduledTime()),
		Failure:     pending.GetLastFailure().GetMessage(),
		FailureKind: failureKind(pending.GetLastFailure()),
	}
	switch {
	case pending.GetPaused():
		wait.State = WaitPaused
	case pending.GetState() != enums.PENDING_ACTIVITY_STATE_SCHEDULED:
		wait.State, wait.Since = WaitRunning, instant(pending.GetLastStartedTime())
	case pending.GetNextAttemptScheduleTime() != nil:
		wait.State, wait.NextAt = WaitRetrying, instant(pending.GetNextAttemptScheduleTime())
	}
	return wait
}

// roleOf returns the role that runs an activity: the first half of its name (contract/activities.go).
func roleOf(activity string) contract.Role {
	role, _, _ := strings.Cut(activity, ".")
	return contract.Role(role)
}

// failureKind returns a failure's domain kind, or Temporal's own word for it.
func failureKind(f *failure.Failure) string {
	switch {
	case f.GetApplicationFailureInfo() != nil:
		return f.GetApplicationFailureInfo().GetType()
	case f.GetTimeoutFailureInfo() != nil:
		return "timeout"
	default:
		return ""
	}
}

func keyword(attributes *common.SearchAttributes, key temporal.SearchAttributeKeyKeyword) string {
	var value string
	if payload, ok := attributes.GetIndexedFields()[key.GetName()]; ok {
		_ = converter.GetDefaultDataConverter().FromPayload(payload, &value) // unreadable: shown as unknown
	}
	return value
}

func instant(t *timestamppb.Timestamp) *time.Time {
	if t == nil {
		return nil
	}
	at := t.AsTime()
	return &at
}
