package testkit

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"parley/contract"
)

// Upkeep has the schedule of a job run it at once, as an operator would, and returns what it came to.
func (s *Stack) Upkeep(job contract.Job) (result contract.UpkeepResult) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	schedule := s.Temporal.Client.ScheduleClient().GetHandle(ctx, contract.Schedule{Job: job}.ID())
	var run *client.ScheduleWorkflowExecution
	began, asked := time.Now(), time.Time{}
	Eventually(s.t, time.Minute, func() error {
		// A flow that a schedule starts is named by the second: beside one of that second that runs, by the clock or by hand, it is dropped.
		if time.Since(asked) > 2*time.Second {
			asked = time.Now()
			if err := schedule.Trigger(ctx, client.ScheduleTriggerOptions{Overlap: enums.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL}); err != nil {
				return err
			}
		}
		now, err := schedule.Describe(ctx)
		if err != nil {
			return err
		}
		// One of before may have looked before the caller did what it is to see; and what one does, the next one does not tell again.
		first := slices.IndexFunc(now.Info.RecentActions, func(action client.ScheduleActionResult) bool { return action.ActualTime.After(began) })
		if first < 0 {
			return errors.New("the schedule has not started " + job.Name)
		}
		run = now.Info.RecentActions[first].StartWorkflowResult
		return nil
	})
	if err := s.Temporal.Client.GetWorkflow(ctx, run.WorkflowID, run.FirstExecutionRunID).Get(ctx, &result); err != nil {
		s.t.Fatalf("testkit: %s: %v", run.WorkflowID, err)
	}
	return result
}
