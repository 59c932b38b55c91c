package main

import (
	"context"
	"errors"
	"log/slog"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"parley/activities/upkeep"
	"parley/contract"
	"parley/internal/domain"
	"parley/internal/telemetry"
)

// flows lets upkeep ask Temporal for a flow.
type flows struct{ temporal client.Client }

var _ upkeep.Flows = flows{}

// State returns what Temporal says of the flow of an id, of its latest run: one that was reset runs. It is not the visibility list, which
// may lag behind.
func (f flows) State(ctx context.Context, workflowID string) (domain.FlowState, error) {
	description, err := f.temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	if _, missing := errors.AsType[*serviceerror.NotFound](err); missing { // a namespace that is missing is another error
		return domain.FlowUnknown, nil
	}
	if err != nil {
		return "", domain.Errorf(domain.KindUnavailable, "ask Temporal for a flow: %w", err)
	}
	switch description.GetWorkflowExecutionInfo().GetStatus() {
	case enums.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		return domain.FlowCompleted, nil
	case enums.WORKFLOW_EXECUTION_STATUS_FAILED:
		return domain.FlowFailed, nil
	case enums.WORKFLOW_EXECUTION_STATUS_CANCELED:
		return domain.FlowCancelled, nil
	case enums.WORKFLOW_EXECUTION_STATUS_TERMINATED:
		return domain.FlowTerminated, nil
	case enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
		return domain.FlowTimedOut, nil
	default: // whatever else there may come to be: only what is surely over is touched
		return domain.FlowRunning, nil
	}
}

// teller tells operators by the log what a job did.
func teller(logger *slog.Logger) upkeep.Tell {
	return func(ctx context.Context, note contract.UpkeepNote) {
		logger.WarnContext(ctx, "upkeep", "owner_id", note.OwnerID, "message_id", note.MessageID, "workflow_id", note.WorkflowID,
			"what", note.What, "superseded", note.Superseded)
	}
}

// jobs are the names of all jobs.
func jobs() (names []string) {
	for _, schedule := range contract.Schedules() {
		names = append(names, schedule.Job.Name)
	}
	return names
}

// registerJob gives a worker a job, whose batches are counted.
func registerJob(w worker.ActivityRegistry, counters *telemetry.Upkeep, job contract.Job,
	batch func(context.Context, contract.Nothing) (contract.UpkeepResult, error),
) {
	job.Register(w, func(ctx context.Context, in contract.Nothing) (contract.UpkeepResult, error) {
		result, err := batch(ctx, in)
		counters.Count(ctx, job.Name, result.Done, err)
		return result, err
	})
}
