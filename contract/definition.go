package contract

import (
	"context"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// Activity is the definition of one activity: its name, the role that runs it, and the types of what goes in and comes
// out. A call or an implementation with another type does not compile; through the bare SDK it would run with a zero struct.
type Activity[In, Out any] struct {
	Name string
	Role Role
}

// Future is the typed result of a started activity.
type Future[Out any] struct{ workflow.Future }

// Get waits for the result.
func (f Future[Out]) Get(ctx workflow.Context) (Out, error) {
	var out Out
	err := f.Future.Get(ctx, &out)
	return out, err
}

// Start schedules the activity on its role's queue.
func (a Activity[In, Out]) Start(ctx workflow.Context, options workflow.ActivityOptions, in In) Future[Out] {
	options.TaskQueue = a.Role.Queue()
	return Future[Out]{workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), a.Name, in)}
}

// Do schedules the activity and waits for its result.
func (a Activity[In, Out]) Do(ctx workflow.Context, options workflow.ActivityOptions, in In) (Out, error) {
	return a.Start(ctx, options, in).Get(ctx)
}

// Register gives the worker the activity's implementation under its name.
func (a Activity[In, Out]) Register(r worker.ActivityRegistry, implementation func(context.Context, In) (Out, error)) {
	r.RegisterActivityWithOptions(implementation, activity.RegisterOptions{Name: a.Name})
}

// Workflow is the definition of one workflow.
type Workflow[In, Out any] struct{ Name string }

// Register gives the worker the workflow's implementation under its name.
func (w Workflow[In, Out]) Register(r worker.WorkflowRegistry, implementation func(workflow.Context, In) (Out, error)) {
	r.RegisterWorkflowWithOptions(implementation, workflow.RegisterOptions{Name: w.Name})
}

// Start starts the workflow on the workflow role's queue.
func (w Workflow[In, Out]) Start(ctx context.Context, c client.Client, options client.StartWorkflowOptions, in In) (client.WorkflowRun, error) {
	options.TaskQueue = RoleWorkflow.Queue()
	return c.ExecuteWorkflow(ctx, options, w.Name, in)
}

// StartChild starts the workflow beside the one that calls it, which it outlives, and waits until it is started. One that is started, or
// over, already is the same one.
func (w Workflow[In, Out]) StartChild(ctx workflow.Context, options workflow.ChildWorkflowOptions, in In) error {
	options.TaskQueue = RoleWorkflow.Queue()
	options.ParentClosePolicy = enums.PARENT_CLOSE_POLICY_ABANDON
	options.WorkflowIDReusePolicy = enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
	child := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, options), w.Name, in)
	if err := child.GetChildWorkflowExecution().Get(ctx, nil); !temporal.IsWorkflowExecutionAlreadyStartedError(err) {
		return err
	}
	return nil
}
