package edge_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"parley/contract"
	"parley/internal/domain"
	"parley/webhook/edge"
)

// fakeClient is a Temporal client that starts and signals; any other call panics.
type fakeClient struct {
	client.Client
	err     error
	options client.StartWorkflowOptions
	name    any
	args    []any
	signal  []any
}

func (f *fakeClient) ExecuteWorkflow(_ context.Context, options client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error) {
	f.options, f.name, f.args = options, workflow, args
	return nil, f.err
}

func (f *fakeClient) SignalWorkflow(_ context.Context, workflowID, runID, name string, arg any) error {
	f.signal = []any{workflowID, runID, name, arg}
	return f.err
}

func TestStartInboundStartsTheFlowOfTheMessage(t *testing.T) {
	t.Parallel()
	for to, summary := range map[string]string{
		"+15005550006":          "inbound sms " + messageSid,
		"whatsapp:+15005550006": "inbound whatsapp " + messageSid,
		"newchannel:odd":        "inbound message " + messageSid,
	} {
		t.Run(summary, func(t *testing.T) {
			t.Parallel()
			c, received := &fakeClient{}, domain.Received{AccountSid: accountSid, MessageSid: messageSid, From: "+15005550100", To: to}
			started, err := edge.NewTemporal(c).StartInbound(t.Context(), received)
			if !started || err != nil {
				t.Fatalf("got %t, %v", started, err)
			}
			if c.options.ID != "inbound:"+accountSid+":"+messageSid || c.options.TaskQueue != contract.RoleWorkflow.Queue() {
				t.Errorf("started %s on %s", c.options.ID, c.options.TaskQueue)
			}
			if c.options.WorkflowIDReusePolicy != enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE ||
				c.options.WorkflowIDConflictPolicy != enums.WORKFLOW_ID_CONFLICT_POLICY_UNSPECIFIED ||
				!c.options.WorkflowExecutionErrorWhenAlreadyStarted {
				t.Errorf("a duplicate would not be told apart: %+v", c.options)
			}
			if stage, ok := c.options.TypedSearchAttributes.GetKeyword(contract.SearchStage); !ok || stage != "received" || c.options.TypedSearchAttributes.Size() != 1 {
				t.Errorf("search attributes %+v", c.options.TypedSearchAttributes)
			}
			if c.options.StaticSummary != summary || strings.Contains(c.options.StaticSummary, "5005550") {
				t.Errorf("summary %q, want %q", c.options.StaticSummary, summary)
			}
			if c.name != contract.InboundMessage.Name || !reflect.DeepEqual(c.args, []any{contract.InboundMessageInput{Received: received}}) {
				t.Errorf("started %v with %+v", c.name, c.args)
			}
		})
	}
}

func TestStartInboundTellsADuplicateFromAFailure(t *testing.T) {
	t.Parallel()
	duplicate := serviceerror.NewWorkflowExecutionAlreadyStarted("already", "request", "run")
	if started, err := edge.NewTemporal(&fakeClient{err: duplicate}).StartInbound(t.Context(), domain.Received{}); started || err != nil {
		t.Errorf("a duplicate: got %t, %v", started, err)
	}
	for _, failure := range []error{serviceerror.NewDeadlineExceeded("late"), serviceerror.NewNamespaceNotFound("parley"), context.DeadlineExceeded} {
		started, err := edge.NewTemporal(&fakeClient{err: failure}).StartInbound(t.Context(), domain.Received{})
		if started || domain.KindOf(err) != domain.KindUnavailable || !errors.Is(err, failure) {
			t.Errorf("%T: got %t, %v, want KindUnavailable", failure, started, err)
		}
	}
	refused := serviceerror.NewInvalidArgument("blob size exceeds limit")
	if started, err := edge.NewTemporal(&fakeClient{err: refused}).StartInbound(t.Context(), domain.Received{}); started || domain.KindOf(err) != domain.KindInvalid {
		t.Errorf("what Temporal refuses for good: got %t, %v, want KindInvalid", started, err)
	}
}

func TestSignalDeliveryNamesTheFlowNotItsRun(t *testing.T) {
	t.Parallel()
	delivery := contract.Delivery{Part: 1, Attempt: 1, Status: domain.StatusDelivered}
	for name, test := range map[string]struct {
		err  error
		want domain.Kind
	}{
		"told":             {},
		"closed or absent": {err: serviceerror.NewNotFound("workflow execution already completed")},
		"Temporal is away": {serviceerror.NewUnavailable("away"), domain.KindUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &fakeClient{err: test.err}
			err := edge.NewTemporal(c).SignalDelivery(t.Context(), "w", delivery)
			if (err == nil) != (test.want == "") || (err != nil && domain.KindOf(err) != test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if !reflect.DeepEqual(c.signal, []any{"w", "", contract.DeliverySignal, delivery}) {
				t.Errorf("signalled %v", c.signal)
			}
		})
	}
}
