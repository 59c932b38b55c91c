package provision

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/grpc/codes"

	"parley/contract"
	"parley/starter/internal/fault"
)

// Schedules is the part of Temporal's client that this needs.
type Schedules interface {
	Create(context.Context, client.ScheduleOptions) (client.ScheduleHandle, error)
	GetHandle(ctx context.Context, id string) client.ScheduleHandle
}

// Schedule is one of Temporal's schedules that run upkeep.
type Schedule struct {
	Name  string `json:"name"`
	State State  `json:"state"`
}

// catchUp is how late a run may still begin, after an outage. Upkeep looks at what is there: one run makes up for all that were missed.
const catchUp = time.Minute

// MakeSchedules makes the schedules of upkeep, or gives those that are there what this version wants.
func (p Parts) MakeSchedules(ctx context.Context) ([]Schedule, error) {
	var made []Schedule
	for _, wanted := range contract.Schedules() {
		ctx, cancel := context.WithTimeout(ctx, callWithin)
		state, err := p.schedule(ctx, wanted)
		cancel()
		if err != nil {
			return nil, fault.From(err, "schedule %s", wanted.ID())
		}
		made = append(made, Schedule{wanted.ID(), state})
	}
	return made, nil
}

// schedule makes a schedule, or gives the one that is there what this version wants. Whether it is paused stays the operator's choice.
func (p Parts) schedule(ctx context.Context, wanted contract.Schedule) (State, error) {
	spec := client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: wanted.Every}}}
	action := client.ScheduleWorkflowAction{
		ID: wanted.ID(), Workflow: contract.Upkeep.Name, Args: []any{contract.UpkeepInput{Job: wanted.Job.Name}}, TaskQueue: contract.RoleWorkflow.Queue(),
		WorkflowRunTimeout: contract.UpkeepWithin,
	}
	_, err := p.Schedules.Create(ctx, client.ScheduleOptions{
		ID: wanted.ID(), Spec: spec, Action: &action, Overlap: enums.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: catchUp,
	})
	switch {
	case errors.Is(err, temporal.ErrScheduleAlreadyRunning), fault.Is(err, codes.AlreadyExists):
	case forbidden(err):
		return Missing, nil
	default:
		return Created, err
	}
	state := Updated
	err = p.Schedules.GetHandle(ctx, wanted.ID()).Update(ctx, client.ScheduleUpdateOptions{
		DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
			there := in.Description.Schedule
			if p.same(there, spec, action) {
				state = Exists
				return nil, temporal.ErrSkipScheduleUpdate
			}
			there.Spec, there.Action = &spec, &action
			there.Policy = &client.SchedulePolicies{Overlap: enums.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: catchUp}
			return &client.ScheduleUpdate{Schedule: &there}, nil
		},
	})
	if forbidden(err) { // it is there, at least
		return Exists, nil
	}
	return state, err
}

// same reports whether a schedule is as this version wants it. Of its input only how that is encrypted is looked at: what it says follows from
// the schedule's name.
func (p Parts) same(there client.Schedule, spec client.ScheduleSpec, action client.ScheduleWorkflowAction) bool {
	does, ok := there.Action.(*client.ScheduleWorkflowAction)
	return ok && there.Spec != nil && there.Policy != nil && slices.Equal(there.Spec.Intervals, spec.Intervals) &&
		there.Policy.Overlap == enums.SCHEDULE_OVERLAP_POLICY_SKIP && there.Policy.CatchupWindow == catchUp &&
		does.Workflow == action.Workflow && does.TaskQueue == action.TaskQueue && does.WorkflowRunTimeout == action.WorkflowRunTimeout &&
		p.current(does.Args)
}

func (p Parts) current(args []any) bool {
	for _, arg := range args {
		if payload, ok := arg.(*common.Payload); !ok || !p.Current(payload) {
			return false
		}
	}
	return true
}
