package workflows_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	sdkpb "go.temporal.io/api/sdk/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"parley/contract"
	"parley/internal/domain"
	"parley/internal/failure"
	"parley/workflows"
)

const (
	ownerID    = "owner-1"
	messageID  = "message-1"
	draftID    = "draft-1"
	accountSid = "AC00000000000000000000000000000001"
	messageSid = "SM00000000000000000000000000000001"
	company    = "+15550100001"
	customer   = "+15550100002"
	workflowID = "inbound:" + accountSid + ":" + messageSid
)

// metadataQuery is the query by which the UI reads a flow's details.
const metadataQuery = "__temporal_workflow_metadata"

// start is when every flow of these tests begins.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// timing are an owner's settings, each different from the default so that a mix-up shows.
func timing() contract.Timing {
	return contract.Timing{
		ReplyDeadline:    20 * time.Minute,
		OutboundDeadline: 12 * time.Hour,
		ParkTimeout:      48 * time.Hour,
		ModelTimeout:     40 * time.Second,
		PostWithin:       7 * time.Second,
		SendTimeout:      30 * time.Second,
		ValidityPeriod:   2 * time.Hour,
		DeliveryCheck:    2 * time.Minute,
		DeliveryGrace:    15 * time.Minute,
		Turns:            contract.TurnBounds{Wait: 25 * time.Second, Messages: 4},
		LookUps:          domain.LookUps{3 * time.Second, 8 * time.Second, 20 * time.Second, 50 * time.Second, 150 * time.Second},
	}
}

func received() contract.Received {
	return contract.Received{
		AccountSid: accountSid, MessageSid: messageSid, From: customer, To: company, Body: "hello", ProfileName: "Ada", ReceivedAt: start,
	}
}

func outboundInput() contract.OutboundMessageInput {
	return contract.OutboundMessageInput{
		OwnerID: ownerID, AccountSid: accountSid, From: company, To: customer, Body: "your parcel is here", Key: "key-1", StartedAt: start,
	}
}

// rig runs one flow in Temporal's test environment, where time skips to the next thing that happens.
type rig struct {
	*steps
	t       *testing.T
	env     *testsuite.TestWorkflowEnvironment
	upserts []temporal.SearchAttributes
}

func newRig(t *testing.T) *rig {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	r := &rig{steps: newSteps(timing()), t: t, env: suite.NewTestWorkflowEnvironment()}
	r.env.SetStartTime(start)
	r.env.SetTestTimeout(time.Minute)
	r.env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: workflowID})
	r.env.SetWorkerOptions(worker.Options{
		Interceptors:             []interceptor.WorkerInterceptor{failure.Interceptor(), &upsertWatch{rig: r}},
		DeadlockDetectionTimeout: time.Minute, // a busy machine may keep a flow from running for longer than the usual second
	})
	contract.InboundMessage.Register(r.env, workflows.InboundMessage)
	contract.OutboundMessage.Register(r.env, workflows.OutboundMessage)
	r.register(r.env)
	return r
}

// inbound runs the flow of an inbound message to its end.
func (r *rig) inbound() contract.MessageResult {
	r.t.Helper()
	return r.execute(contract.InboundMessage.Name, contract.InboundMessageInput{Received: received()})
}

// outbound runs the flow of a message of ours to its end.
func (r *rig) outbound() contract.MessageResult {
	r.t.Helper()
	return r.execute(contract.OutboundMessage.Name, outboundInput())
}

func (r *rig) execute(name string, in any) (result contract.MessageResult) {
	r.t.Helper()
	r.env.ExecuteWorkflow(name, in)
	if !r.env.IsWorkflowCompleted() {
		r.t.Fatal("the flow did not end")
	}
	if err := r.env.GetWorkflowError(); err != nil {
		r.t.Fatalf("the flow failed: %v", err)
	}
	if err := r.env.GetWorkflowResult(&result); err != nil {
		r.t.Fatal(err)
	}
	return result
}

// times notes when each call of a step was made, since the start.
func times[In, Out any](r *rig, s *step[In, Out]) *[]time.Duration {
	var noted []time.Duration
	s.interrupts(func() { noted = append(noted, r.env.Now().Sub(start)) })
	return &noted
}

// after has something happen at a time after the flow's start.
func (r *rig) after(wait time.Duration, what func()) { r.env.RegisterDelayedCallback(what, wait) }

// deliver tells the flow a final status of one attempt, as the webhook does.
func (r *rig) deliver(wait time.Duration, part, attempt int, status contract.Status) {
	r.after(wait, func() {
		r.env.SignalWorkflow(contract.DeliverySignal, contract.Delivery{Part: part, Attempt: attempt, Status: status})
	})
}

// status is what the flow answers to the status query at this moment.
func (r *rig) status() (status contract.StatusResult) {
	r.t.Helper()
	answer, err := r.env.QueryWorkflow(contract.StatusQuery)
	if err == nil {
		err = answer.Get(&status)
	}
	if err != nil {
		r.t.Errorf("status query: %v", err)
	}
	return status
}

// details is what the UI shows of the flow at this moment.
func (r *rig) details() string {
	r.t.Helper()
	var metadata sdkpb.WorkflowMetadata
	answer, err := r.env.QueryWorkflow(metadataQuery)
	if err == nil {
		err = answer.Get(&metadata)
	}
	if err != nil {
		r.t.Errorf("metadata query: %v", err)
	}
	return metadata.GetCurrentDetails()
}

// parkedAs is the name of the park that the flow is in.
func (r *rig) parkedAs() string {
	r.t.Helper()
	if park := r.status().Park; park != nil {
		return park.Name
	}
	r.t.Error("the flow is not parked")
	return ""
}

// verdict is what becomes of an update, known once the flow has run on.
type verdict struct {
	command string
	answer  error
}

var errUnanswered = errors.New("no answer")

// update sends a command as an update, now.
func (r *rig) update(name string, command contract.Command) *verdict {
	v := &verdict{fmt.Sprintf("%s %+v at %s", name, command, r.env.Now().Sub(start)), errUnanswered}
	r.env.UpdateWorkflow(name, "", &testsuite.TestUpdateCallback{
		OnAccept:   func() {},
		OnReject:   func(err error) { v.answer = err },
		OnComplete: func(_ any, err error) { v.answer = err },
	}, command)
	return v
}

// wantTaken fails the test, once the flow has ended, unless it took a command.
func (r *rig) wantTaken(v *verdict) {
	r.t.Cleanup(func() {
		if v.answer != nil {
			r.t.Errorf("%s: not taken: %v", v.command, v.answer)
		}
	})
}

// wantRefused fails the test, once the flow has ended, unless it refused a command with these words.
func (r *rig) wantRefused(v *verdict, words string) {
	r.t.Cleanup(func() {
		if v.answer == nil || !strings.Contains(v.answer.Error(), words) {
			r.t.Errorf("%s: answered %v, want it refused with %q", v.command, v.answer, words)
		}
	})
}

// wantCalls fails the test unless the steps ran in this order. Steps that run beside each other stand in one string, sorted, with a
// space between.
func (r *rig) wantCalls(want ...string) {
	r.t.Helper()
	var flat []string
	calls, at := slices.Clone(r.calls), 0
	for _, group := range want {
		names := strings.Fields(group)
		if end := at + len(names); end <= len(calls) {
			slices.Sort(calls[at:end])
			at = end
		}
		flat = append(flat, names...)
	}
	if !slices.Equal(calls, flat) {
		r.t.Errorf("the steps that ran are\n  %s\nwant\n  %s", strings.Join(calls, " "), strings.Join(flat, " "))
	}
}

func (r *rig) wantResult(got, want contract.MessageResult) {
	r.t.Helper()
	if got != want {
		r.t.Errorf("the flow ended as %+v, want %+v", got, want)
	}
}

// wantFinish fails the test unless Finish ran once, for this message, with this ending and a reason that holds these words.
func (r *rig) wantFinish(ending contract.Outcome, words string) {
	r.t.Helper()
	got := one(r.t, &r.finish)
	if got.OwnerID != ownerID || got.MessageID != messageID || got.WorkflowID != workflowID || got.Ending != ending || !strings.Contains(got.Reason, words) {
		r.t.Errorf("Finish got %+v, want the ending %s because of %q", got, ending, words)
	}
}

// stages are the values that ParleyStage took, in order.
func (r *rig) stages() []string {
	var stages []string
	for _, upsert := range r.upserts {
		if stage, ok := upsert.GetKeyword(contract.SearchStage); ok {
			stages = append(stages, stage)
		}
	}
	return stages
}

// upsertWatch notes every upsert of search attributes.
type upsertWatch struct {
	interceptor.WorkerInterceptorBase
	rig *rig
}

func (w *upsertWatch) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	in := &upsertInbound{rig: w.rig}
	in.Next = next
	return in
}

type upsertInbound struct {
	interceptor.WorkflowInboundInterceptorBase
	rig *rig
}

func (i *upsertInbound) Init(outbound interceptor.WorkflowOutboundInterceptor) error {
	out := &upsertOutbound{rig: i.rig}
	out.Next = outbound
	return i.Next.Init(out)
}

type upsertOutbound struct {
	interceptor.WorkflowOutboundInterceptorBase
	rig *rig
}

func (o *upsertOutbound) UpsertTypedSearchAttributes(ctx workflow.Context, attributes ...temporal.SearchAttributeUpdate) error {
	o.rig.upserts = append(o.rig.upserts, temporal.NewSearchAttributes(attributes...))
	return o.Next.UpsertTypedSearchAttributes(ctx, attributes...)
}

// clock is a time as the flow's reasons have it.
func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func configuration(message string) error {
	return domain.Errorf(domain.KindConfiguration, "%s", message)
}

func unknown() error {
	return domain.Errorf(domain.KindUnknownOutcome, "the message may have been sent: its fate is unknown")
}
