// Package faketemporal is a Temporal client with flows in memory, for the tests of the starter only.
//
// Without a worker it behaves as the server does: queries and updates end with their context, signals are taken.
package faketemporal

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/types/known/timestamppb"

	"parley/contract"
)

// Client is the fake. A method of client.Client that it does not have panics: no test expects that call.
type Client struct {
	client.Client

	mu      sync.Mutex
	flows   map[string]*Flow
	order   []string
	Starts  []client.StartWorkflowOptions
	Inputs  []contract.OutboundMessageInput
	Inbound []contract.InboundMessageInput
	Signals []Signal
	Cancels []string
	Queries []string // of the visibility store
}

var _ client.Client = (*Client)(nil)

// Flow is one flow. Fields are set before the test begins.
type Flow struct {
	ID       string
	Owner    string
	Stage    contract.Stage
	State    enums.WorkflowExecutionStatus
	Started  time.Time
	Pending  []*workflow.PendingActivityInfo
	Decision *workflow.PendingWorkflowTaskInfo

	Answers func() (contract.StatusResult, error)                 // nil: no worker
	Takes   func(name string, command contract.Command) error     // an update; nil: no worker
	Ends    func(context.Context) (contract.MessageResult, error) // nil: never
}

// Signal is a signal that was left.
type Signal struct {
	WorkflowID, RunID, Name string
	Command                 contract.Command
	Delivery                contract.Delivery // of DeliverySignal, instead
}

// New returns a client with flows.
func New(flows ...Flow) *Client {
	c := &Client{flows: map[string]*Flow{}}
	for _, f := range flows {
		c.add(&f)
	}
	return c
}

func (c *Client) add(f *Flow) {
	if f.State == enums.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED {
		f.State = enums.WORKFLOW_EXECUTION_STATUS_RUNNING
	}
	c.flows[f.ID] = f
	c.order = append(c.order, f.ID)
}

func (c *Client) flow(id string) (*Flow, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, ok := c.flows[id]
	if !ok {
		return nil, serviceerror.NewNotFound("workflow not found")
	}
	return f, nil
}

func (f *Flow) kind() string {
	if strings.HasPrefix(f.ID, "inbound:") {
		return contract.InboundMessage.Name
	}
	return contract.OutboundMessage.Name
}

func (f *Flow) info() *workflow.WorkflowExecutionInfo {
	fields := map[string]*common.Payload{}
	for name, value := range map[string]string{contract.SearchOwner.GetName(): f.Owner, contract.SearchStage.GetName(): string(f.Stage)} {
		if value != "" {
			fields[name], _ = converter.GetDefaultDataConverter().ToPayload(value)
		}
	}
	return &workflow.WorkflowExecutionInfo{
		Execution:        &common.WorkflowExecution{WorkflowId: f.ID, RunId: "run-1"},
		Type:             &common.WorkflowType{Name: f.kind()},
		Status:           f.State,
		StartTime:        timestamppb.New(f.Started),
		SearchAttributes: &common.SearchAttributes{IndexedFields: fields},
	}
}

// ExecuteWorkflow starts a flow, or says that there is one.
func (c *Client) ExecuteWorkflow(_ context.Context, options client.StartWorkflowOptions, _ any, args ...any) (client.WorkflowRun, error) {
	again := options.WorkflowIDReusePolicy == enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
	if f, err := c.flow(options.ID); err == nil && (f.State == enums.WORKFLOW_EXECUTION_STATUS_RUNNING || !again) {
		return nil, serviceerror.NewWorkflowExecutionAlreadyStarted("already started", "request", "run-1")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Starts = append(c.Starts, options)
	switch in := args[0].(type) {
	case contract.OutboundMessageInput:
		c.Inputs = append(c.Inputs, in)
		c.add(&Flow{ID: options.ID, Owner: in.OwnerID, Started: in.StartedAt})
	case contract.InboundMessageInput:
		c.Inbound = append(c.Inbound, in)
		c.add(&Flow{ID: options.ID, Started: in.Received.ReceivedAt})
	}
	return &run{c, options.ID}, nil
}

// DescribeWorkflowExecution answers as the server does.
func (c *Client) DescribeWorkflowExecution(_ context.Context, id, _ string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	f, err := c.flow(id)
	if err != nil {
		return nil, err
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{
		WorkflowExecutionInfo: f.info(), PendingActivities: f.Pending, PendingWorkflowTask: f.Decision,
	}, nil
}

// QueryWorkflow answers where the flow has a worker.
func (c *Client) QueryWorkflow(ctx context.Context, id, _ string, _ string, _ ...any) (converter.EncodedValue, error) {
	f, err := c.flow(id)
	if err != nil {
		return nil, err
	}
	if f.Answers == nil {
		<-ctx.Done()
		return nil, serviceerror.NewDeadlineExceeded("no worker")
	}
	status, err := f.Answers()
	if err != nil {
		return nil, err
	}
	payloads, err := converter.GetDefaultDataConverter().ToPayloads(status)
	return client.NewValue(payloads), err
}

// UpdateWorkflow gives the command to the flow where it has a worker.
func (c *Client) UpdateWorkflow(ctx context.Context, options client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	f, err := c.flow(options.WorkflowID)
	if err != nil {
		return nil, err
	}
	if f.Takes == nil {
		<-ctx.Done()
		return nil, client.NewWorkflowUpdateServiceTimeoutOrCanceledError(ctx.Err())
	}
	return &handle{options, f.Takes(options.UpdateName, options.Args[0].(contract.Command))}, nil
}

// SignalWorkflow keeps the signal.
func (c *Client) SignalWorkflow(_ context.Context, id, runID, name string, arg any) error {
	if _, err := c.flow(id); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	signal := Signal{WorkflowID: id, RunID: runID, Name: name}
	if name == contract.DeliverySignal {
		signal.Delivery = arg.(contract.Delivery)
	} else {
		signal.Command = arg.(contract.Command)
	}
	c.Signals = append(c.Signals, signal)
	return nil
}

// CancelWorkflow keeps the request.
func (c *Client) CancelWorkflow(_ context.Context, id, _ string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Cancels = append(c.Cancels, id)
	return nil
}

// ListWorkflow returns the parked flows, two a page.
func (c *Client) ListWorkflow(_ context.Context, request *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Queries = append(c.Queries, request.GetQuery())
	const pageSize = 2
	var parked []*workflow.WorkflowExecutionInfo
	for _, id := range c.order {
		if c.flows[id].Stage == contract.StageParked {
			parked = append(parked, c.flows[id].info())
		}
	}
	from := len(request.GetNextPageToken()) * pageSize // the token's length is the page's number
	response := &workflowservice.ListWorkflowExecutionsResponse{Executions: parked[from:min(from+pageSize, len(parked))]}
	if from+pageSize < len(parked) {
		response.NextPageToken = slices.Concat(request.GetNextPageToken(), []byte{1})
	}
	return response, nil
}

// CountWorkflow counts the parked flows.
func (c *Client) CountWorkflow(_ context.Context, request *workflowservice.CountWorkflowExecutionsRequest) (*workflowservice.CountWorkflowExecutionsResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Queries = append(c.Queries, request.GetQuery())
	response := &workflowservice.CountWorkflowExecutionsResponse{}
	for _, f := range c.flows {
		if f.Stage == contract.StageParked {
			response.Count++
		}
	}
	return response, nil
}

// GetWorkflow returns a run to wait for.
func (c *Client) GetWorkflow(_ context.Context, id, _ string) client.WorkflowRun { return &run{c, id} }

type run struct {
	client *Client
	id     string
}

func (r *run) GetID() string                  { return r.id }
func (r *run) GetRunID() string               { return "run-1" }
func (r *run) GetFirstExecutionRunID() string { return "run-1" }

func (r *run) Get(ctx context.Context, into any) error {
	f, err := r.client.flow(r.id)
	if err != nil {
		return err
	}
	if f.Ends == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	result, err := f.Ends(ctx)
	if err == nil {
		*into.(*contract.MessageResult) = result
	}
	return err
}

func (r *run) GetWithOptions(ctx context.Context, into any, _ client.WorkflowRunGetOptions) error {
	return r.Get(ctx, into)
}

type handle struct {
	options client.UpdateWorkflowOptions
	err     error
}

func (h *handle) WorkflowID() string             { return h.options.WorkflowID }
func (h *handle) RunID() string                  { return "run-1" }
func (h *handle) UpdateID() string               { return "update-1" }
func (h *handle) Get(context.Context, any) error { return h.err }
