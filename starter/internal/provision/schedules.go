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

// scheduleTries is how often each schedule is asked for.
const scheduleTries = 3

// MakeSchedules makes the schedules of upkeep, or gives those that are there what this version wants.
func (p Parts) MakeSchedules(ctx context.Context) ([]Schedule, error) {
	var made []Schedule
	for _, wanted := range contract.Schedules() {
		var state State
		if err := patiently(ctx, func(call context.Context) (err error) {
			state, err = p.schedule(call, wanted)
			return err
		}); err != nil {
			return nil, fault.From(err, "schedule %s", wanted.ID())
		}
		made = append(made, Schedule{wanted.ID(), state})
	}
	return made, nil
}

// patiently asks about a schedule, and again where a busy server did not get to it. What is asked may have been done all the same.
func patiently(ctx context.Context, ask func(context.Context) error) (err error) {
	for range scheduleTries {
		call, cancel := context.WithTimeout(ctx, callWithin)
		err = ask(call)
		cancel()
		if !busy(err) || ctx.Err() != nil {
			break
		}
	}
	return err
}

// schedule makes a schedule, or gives the one that is there what this version wants. Whether it is paused stays the operator's choice.
func (p Parts) schedule(ctx context.Context, wanted contract.Schedule) (State, error) {
	spec, action := definition(wanted)
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
	state := Exists
	err = p.Schedules.GetHandle(ctx, wanted.ID()).Update(ctx, client.ScheduleUpdateOptions{
		DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
			there := in.Description.Schedule
			if same(there, spec, action) && p.current(there) {
				return nil, temporal.ErrSkipScheduleUpdate
			}
			state = Updated
			there.Spec, there.Action = &spec, &action
			there.Policy = &client.SchedulePolicies{Overlap: enums.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: catchUp}
			return &client.ScheduleUpdate{Schedule: &there}, nil
		},
	})
	switch {
	case forbidden(err) && state == Updated:
		return Outdated, nil
	case forbidden(err): // nobody may even look: it is there, at least
		return Exists, nil
	default:
		return state, err
	}
}

// definition is when a schedule runs, and what.
func definition(wanted contract.Schedule) (client.ScheduleSpec, client.ScheduleWorkflowAction) {
	return client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: wanted.Every}}}, client.ScheduleWorkflowAction{
		ID: wanted.ID(), Workflow: contract.Upkeep.Name, Args: []any{contract.UpkeepInput{Job: wanted.Job.Name}}, TaskQueue: contract.RoleWorkflow.Queue(),
		WorkflowRunTimeout: contract.UpkeepWithin,
	}
}

// same reports whether a schedule is as this version wants it. Its input is not looked at: what it says follows from the schedule's name.
func same(there client.Schedule, spec client.ScheduleSpec, action client.ScheduleWorkflowAction) bool {
	does, ok := there.Action.(*client.ScheduleWorkflowAction)
	return ok && there.Spec != nil && there.Policy != nil && slices.Equal(there.Spec.Intervals, spec.Intervals) &&
		there.Policy.Overlap == enums.SCHEDULE_OVERLAP_POLICY_SKIP && there.Policy.CatchupWindow == catchUp &&
		does.Workflow == action.Workflow && does.TaskQueue == action.TaskQueue && does.WorkflowRunTimeout == action.WorkflowRunTimeout
}

// current reports whether a schedule's input is encrypted as payloads are now.
func (p Parts) current(there client.Schedule) bool {
	for _, arg := range there.Action.(*client.ScheduleWorkflowAction).Args { // same looked at the type
		if payload, ok := arg.(*common.Payload); !ok || !p.Current(payload) {
			return false
		}
	}
	return true
}

// Found is a schedule as it is.
type Found struct {
	contract.Schedule
	Missing bool // there is none: nothing else is told
	Other   bool // it is not as this version wants it
	Paused  bool
	Since   time.Time // it began its latest run, or was made or changed where that is later
}

// FindSchedules looks for the schedules of upkeep, and makes none.
func (p Parts) FindSchedules(ctx context.Context) ([]Found, error) {
	var list []Found
	for _, wanted := range contract.Schedules() {
		var there *client.ScheduleDescription
		err := patiently(ctx, func(call context.Context) (err error) {
			there, err = p.Schedules.GetHandle(call, wanted.ID()).Describe(call)
			return err
		})
		found := Found{Schedule: wanted}
		switch {
		case fault.Is(err, codes.NotFound):
			found.Missing = true
		case err != nil:
			return nil, fault.From(err, "schedule %s", wanted.ID())
		default:
			spec, action := definition(wanted)
			found.Other = !same(there.Schedule, spec, action)
			found.Paused = there.Schedule.State != nil && there.Schedule.State.Paused
			found.Since = since(there.Info)
		}
		list = append(list, found)
	}
	return list, nil
}

func since(info client.ScheduleInfo) time.Time {
	latest := info.CreatedAt
	if info.LastUpdateAt.After(latest) {
		latest = info.LastUpdateAt
	}
	for _, run := range info.RecentActions {
		if run.ActualTime.After(latest) {
			latest = run.ActualTime
		}
	}
	return latest
}
