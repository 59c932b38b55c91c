// Package flow starts, follows and steers Parley's flows over a Temporal client.
//
// Everything here is by workflow id, never by run id: a flow that was reset goes on under the same id. What needs a live
// workflow worker (queries, updates) is bounded and never the only way: a flow can be seen and told while its workers
// are away.
package flow

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/grpc/codes"

	"parley/contract"
	"parley/internal/domain"
	"parley/starter/internal/fault"
)

const (
	callWithin   = 10 * time.Second // one call of the server; the SDK tries again within it
	answerWithin = 3 * time.Second  // a query: a live workflow worker answers in milliseconds
	updateWithin = 10 * time.Second // an update: longer than a worker that just started takes
	pollEvery    = 500 * time.Millisecond
)

// Flows starts, follows and steers flows.
type Flows struct {
	client   client.Client
	payloads converter.DataConverter
}

// New returns the flows of a client's namespace. payloads reads what the client itself does not: the texts of failures.
func New(c client.Client, payloads converter.DataConverter) *Flows { return &Flows{c, payloads} }

// Started is a flow that runs, or ran, for a message of ours.
type Started struct {
	WorkflowID     string `json:"workflow_id"`
	RunID          string `json:"run_id"`
	AlreadyStarted bool   `json:"already_started"` // by an earlier command with the same key: nothing was started now
}

// Start starts the flow of a message of ours. Key: (OwnerID, Key); a flow of that key, running or closed, is returned
// as it is, whatever it sends.
func (f *Flows) Start(ctx context.Context, in contract.OutboundMessageInput) (Started, error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	started := Started{WorkflowID: contract.OutboundWorkflowID(in.OwnerID, in.Key)}
	run, err := contract.OutboundMessage.Start(ctx, f.client, client.StartWorkflowOptions{
		ID:                    started.WorkflowID,
		WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		// The flow of a key that was used before is an answer, not a second message.
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		TypedSearchAttributes: temporal.NewSearchAttributes(
			contract.SearchOwner.ValueSet(in.OwnerID),
			contract.SearchStage.ValueSet(string(contract.StageWorking)),
		),
		StaticSummary: "A message of ours, from the command line",
	}, in)
	if earlier, ok := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err); ok {
		started.RunID, started.AlreadyStarted = earlier.RunId, true
		return started, nil
	}
	if err != nil {
		return Started{}, notSetUp(err, "start flow "+started.WorkflowID)
	}
	started.RunID = run.GetRunID()
	return started, nil
}

// StartInbound starts the flow of an inbound message again that had no owner. It returns KindConflict where its flow still runs.
func (f *Flows) StartInbound(ctx context.Context, received domain.Received) (Started, error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	started := Started{WorkflowID: contract.InboundWorkflowID(received.AccountSid, received.MessageSid)}
	run, err := contract.InboundMessage.Start(ctx, f.client, client.StartWorkflowOptions{
		ID: started.WorkflowID,
		// The flow before may be over and still be kept.
		WorkflowIDReusePolicy:                    enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		TypedSearchAttributes:                    temporal.NewSearchAttributes(contract.SearchStage.ValueSet(string(contract.StageReceived))),
		StaticSummary:                            "An inbound message that had no owner, started again",
	}, contract.InboundMessageInput{Received: received, Anyway: true})
	if _, ok := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err); ok {
		return Started{}, domain.Errorf(domain.KindConflict, "its flow is not over: 'starter retry %s --anyway' has it look for the owner again", started.WorkflowID)
	}
	if err != nil {
		return Started{}, notSetUp(err, "start flow "+started.WorkflowID)
	}
	started.RunID = run.GetRunID()
	return started, nil
}

// notSetUp reads Temporal's "invalid argument" about a request that only a namespace without our search attributes
// refuses.
func notSetUp(err error, what string) error {
	if fault.Is(err, codes.InvalidArgument) {
		return domain.Errorf(domain.KindConfiguration, "%s: has 'starter setup' been run for this namespace? %w", what, err)
	}
	return fault.From(err, "%s", what)
}

// Status asks a flow where it stands. It returns KindUnavailable where no workflow worker answers in time, and
// KindNotFound where Temporal does not know the flow.
func (f *Flows) Status(ctx context.Context, workflowID string) (contract.StatusResult, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	value, err := f.client.QueryWorkflow(ctx, workflowID, "", contract.StatusQuery)
	switch {
	case fault.Is(err, codes.DeadlineExceeded, codes.Unavailable, codes.FailedPrecondition, codes.Canceled):
		return contract.StatusResult{}, domain.Errorf(domain.KindUnavailable,
			"no worker of role %s answered within %s", contract.RoleWorkflow, answerWithin)
	case err != nil:
		return contract.StatusResult{}, fault.From(err, "ask flow %s", workflowID)
	}
	var status contract.StatusResult
	if err := value.Get(&status); err != nil {
		return contract.StatusResult{}, domain.Errorf(domain.KindInternal, "read the status of flow %s: %w", workflowID, err)
	}
	return status, nil
}

// Cancel asks a running flow to end. It returns KindNotFound for a flow that Temporal does not know, and KindConflict
// for one that is over.
func (f *Flows) Cancel(ctx context.Context, workflowID string) error {
	if err := f.mustRun(ctx, workflowID); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	return closedMeanwhile(workflowID, f.client.CancelWorkflow(ctx, workflowID, ""))
}

// Deliver tells a flow of a status, as the webhook does. A flow that is over needs no telling: the row has it.
func (f *Flows) Deliver(ctx context.Context, workflowID string, delivery contract.Delivery) error {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	err := f.client.SignalWorkflow(ctx, workflowID, "", contract.DeliverySignal, delivery)
	if fault.Is(err, codes.NotFound) {
		return nil
	}
	return fault.From(err, "tell flow %s", workflowID)
}

// Via is the way that a command took.
type Via string

// The ways of a command.
const (
	ViaUpdate Via = "update" // the flow took it
	ViaSignal Via = "signal" // no workflow worker answered: it stands in the flow's history, for when one is back
)

// Command gives an operator's word (contract.RetryCommand, contract.AbandonCommand) to a parked flow. An update tells
// whether the flow took it, but needs a live workflow worker: without one the signal of the same name is left instead,
// which the flow drops if it is parked for something else by then. It returns KindNotFound for a flow that Temporal does
// not know, and KindConflict where the flow is over or refuses.
func (f *Flows) Command(ctx context.Context, workflowID, name string, command contract.Command) (Via, error) {
	if err := f.mustRun(ctx, workflowID); err != nil {
		return "", err
	}
	err := f.update(ctx, workflowID, name, command)
	if _, ok := errors.AsType[*client.WorkflowUpdateServiceTimeoutOrCanceledError](err); ok && ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(ctx, callWithin)
		defer cancel()
		return ViaSignal, closedMeanwhile(workflowID, f.client.SignalWorkflow(ctx, workflowID, "", name, command))
	}
	if refusal, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		return "", domain.Errorf(domain.KindConflict, "refused by the flow: %s", refusal.Message())
	}
	return ViaUpdate, closedMeanwhile(workflowID, err)
}

// update returns nil once the flow has accepted the command, and its *temporal.ApplicationError where it refused.
func (f *Flows) update(ctx context.Context, workflowID, name string, command contract.Command) error {
	ctx, cancel := context.WithTimeout(ctx, updateWithin)
	defer cancel()
	handle, err := f.client.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID:   workflowID,
		UpdateName:   name,
		Args:         []any{command},
		WaitForStage: client.WorkflowUpdateStageAccepted,
	})
	if err != nil {
		return err
	}
	// A refusal arrives here. Any other error comes after the flow has accepted, and accepted is all that is asked.
	if err := handle.Get(ctx, nil); temporal.IsApplicationError(err) {
		return err
	}
	return nil
}

func (f *Flows) mustRun(ctx context.Context, workflowID string) error {
	found, err := f.Describe(ctx, workflowID)
	if err == nil && !found.Running() {
		return domain.Errorf(domain.KindConflict, "flow %s is over: %s", workflowID, found.State)
	}
	return err
}

// closedMeanwhile reads Temporal's "not found" about a flow that was running a moment ago.
func closedMeanwhile(workflowID string, err error) error {
	if fault.Is(err, codes.NotFound) {
		return domain.Errorf(domain.KindConflict, "flow %s is over", workflowID)
	}
	return fault.From(err, "flow %s", workflowID)
}
