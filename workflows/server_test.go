package workflows_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"

	"parley/contract"
	"parley/internal/domain"
	"parley/internal/failure"
	"parley/internal/testkit"
	"parley/workflows"
)

// saveHistories is how the replay test's histories are made anew: go test ./workflows -run TestOnServer -save
var saveHistories = flag.Bool("save", false, "write the histories of TestOnServer to "+historyFolder)

const (
	historyFolder = "testdata/histories"
	// mostEvents is design §5's limit for a flow with one part and one delivery signal.
	mostEvents = 64
)

// scenario is one flow on a real server.
type scenario struct {
	prepare func(*live)
	start   func(*live) client.WorkflowRun
	drive   func(*live)
	want    contract.MessageResult
}

// scenarios are the flows whose histories the replay test keeps.
func scenarios() map[string]scenario {
	return map[string]scenario{
		"replied": {
			start: (*live).inbound, drive: func(l *live) { l.await(contract.StageDelivering); l.deliver(1, 1) }, want: replied(),
		},
		"attachment": {
			prepare: func(l *live) {
				l.recordInbound.returns(contract.Recorded{MessageID: messageID, ReplyState: domain.ReplyPending, DraftID: "fixed", Parts: 1})
			},
			start: (*live).inbound, drive: func(l *live) { l.await(contract.StageDelivering); l.deliver(1, 1) }, want: replied(),
		},
		"outbound": {
			prepare: func(l *live) {
				l.recordOutbound.returns(contract.Recorded{MessageID: messageID, ReplyState: domain.ReplyPending, Parts: 2})
			},
			start: (*live).outbound, drive: func(l *live) { l.await(contract.StageDelivering); l.deliver(2, 1); l.deliver(1, 1) },
			want: contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeSent},
		},
		"fetched": {
			prepare: func(l *live) {
				l.settings(func(t *contract.Timing) { t.DeliveryCheck = 100 * time.Millisecond })
				l.fetchStatus.answers = func(n int, _ contract.FetchStatusInput) (contract.FetchStatusResult, error) {
					return contract.FetchStatusResult{Status: []contract.Status{domain.StatusSent, domain.StatusDelivered}[min(n, 2)-1]}, nil
				}
			},
			start: (*live).inbound, drive: func(*live) {}, want: replied(),
		},
		"parked": {
			prepare: func(l *live) { l.send.fails(configuration("no token")) },
			start:   (*live).inbound,
			drive: func(l *live) {
				parked := l.await(contract.StageParked)
				l.update(contract.RetryCommand, contract.Command{Park: parked.Park.Name})
				l.await(contract.StageDelivering)
				l.deliver(1, 2)
			},
			want: replied(),
		},
		"unroutable": {
			prepare: func(l *live) { l.resolveAccount.fails(domain.Errorf(domain.KindNotFound, "no owner has this address")) },
			start:   (*live).inbound,
			drive: func(l *live) {
				l.await(contract.StageParked)
				l.signal(contract.RetryCommand, contract.Command{Anyway: true})
				l.await(contract.StageDelivering)
				l.deliver(1, 1)
			},
			want: replied(),
		},
		"unknown": {
			prepare: func(l *live) {
				l.unknown()
				l.finish.returns(contract.Finished{Outcome: domain.OutcomeUnknown})
			},
			start: (*live).inbound,
			drive: func(l *live) {
				parked := l.await(contract.StageParked)
				l.signal(contract.AbandonCommand, contract.Command{}) // dropped: it does not say which park
				l.update(contract.AbandonCommand, contract.Command{Park: parked.Park.Name})
			},
			want: contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeUnknown},
		},
		"unknown and found": {
			prepare: func(l *live) {
				l.unknown()
				l.foundAtLast(1)
			},
			start: (*live).inbound, drive: func(l *live) { l.await(contract.StageDelivering); l.deliver(1, 1) }, want: replied(),
		},
		"unknown and retried": {
			prepare: (*live).unknown,
			start:   (*live).inbound,
			drive: func(l *live) {
				parked := l.await(contract.StageParked)
				l.update(contract.RetryCommand, contract.Command{Park: parked.Park.Name})
				l.await(contract.StageDelivering)
				l.deliver(1, 2)
			},
			want: replied(),
		},
		"unknown and told by a callback": {
			prepare: func(l *live) {
				l.unknown()
				l.foundAtLast(2)
			},
			start: (*live).inbound,
			drive: func(l *live) {
				l.await(contract.StageParked)
				l.deliver(1, 1)
				l.await(contract.StageDelivering)
				l.deliver(1, 1)
			},
			want: replied(),
		},
		"expired": {
			prepare: func(l *live) {
				l.settings(func(t *contract.Timing) { t.ReplyDeadline = 1500 * time.Millisecond })
				l.generate.answers = func(int, contract.GenerateInput) (contract.Draft, error) {
					return contract.Draft{}, domain.Errorf(domain.KindUnavailable, "the model does not answer")
				}
			},
			start: (*live).inbound, drive: func(*live) {}, want: contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeExpired},
		},
		"cancelled": {
			start: (*live).inbound, drive: func(l *live) { l.await(contract.StageDelivering); l.cancel() },
			want: contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeCancelled},
		},
		"cancelled while it parks": {
			prepare: func(l *live) {
				l.send.fails(configuration("no token"))
				l.park.held = l.hold
			},
			start: (*live).inbound,
			drive: func(l *live) { <-l.begun; l.cancel() },
			want:  contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeCancelled},
		},
		// A POST under way is waited for; the rows then say that the message was answered.
		"cancelled in the POST": {
			prepare: func(l *live) {
				l.send.held = l.hold
				l.finish.returns(contract.Finished{Outcome: domain.OutcomeReplied})
			},
			start: (*live).inbound, drive: cancelInPost, want: replied(),
		},
		// The same where the answer never comes: the attempt is looked for, but nobody is asked, since the flow is over.
		"cancelled in a lost POST": {
			prepare: func(l *live) {
				l.unknown()
				l.send.held = l.hold
				l.finish.answers = func(n int, in contract.NewFinish) (contract.Finished, error) {
					if n == 1 {
						return contract.Finished{Unresolved: &contract.AttemptKey{MessageID: messageID, Part: 1, Attempt: 1}}, nil
					}
					return contract.Finished{Outcome: domain.OutcomeUnknown}, nil
				}
			},
			start: (*live).inbound, drive: cancelInPost, want: contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeUnknown},
		},
	}
}

// cancelInPost cancels the flow while Send runs, and lets Send end once the flow has taken notice.
func cancelInPost(l *live) {
	<-l.begun
	l.cancel()
	l.awaitEvent(enums.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)
	if calls := l.order(); slices.Contains(calls, "persistence.Finish") {
		l.t.Errorf("Finish ran while a POST was under way: %v", calls)
	}
	l.release()
}

// The branch table's main ways, on a real server and a real worker; each history replays, and fits the budget.
func TestOnServer(t *testing.T) {
	t.Parallel()
	for name, test := range scenarios() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLive(t)
			if test.prepare != nil {
				test.prepare(l)
			}
			l.serve()
			l.run = test.start(l)
			test.drive(l)
			var result contract.MessageResult
			l.ask("how the flow ended", func() error { return l.run.Get(l.ctx, &result) })
			if result != test.want {
				t.Errorf("the flow ended as %+v, want %+v", result, test.want)
			}
			var events []*history.HistoryEvent
			l.ask("the history", func() (err error) { events, err = l.history(); return err })
			if err := replayer().ReplayWorkflowHistory(quiet(), &history.History{Events: events}); err != nil {
				t.Errorf("the history does not replay: %v", err)
			}
			if n := inTime(events); name == "replied" && n > mostEvents {
				t.Errorf("%d events, the limit is %d", n, mostEvents)
			}
			t.Logf("%d events", len(events))
			if *saveHistories && !t.Failed() {
				save(t, name, events)
			}
		})
	}
}

// inTime counts the events of a history without those of decisions that a busy machine did not make in time, which were made anew.
func inTime(events []*history.HistoryEvent) int {
	n := len(events)
	for _, event := range events {
		if late := event.GetWorkflowTaskTimedOutEventAttributes(); late != nil {
			n -= 2
			if late.GetStartedEventId() > 0 {
				n--
			}
		}
	}
	return n
}

// live is one flow on a real server.
type live struct {
	*steps
	t       *testing.T
	ctx     context.Context
	client  client.Client
	run     client.WorkflowRun
	begun   chan struct{} // closed when the step that is held has begun
	begin   func()
	going   chan struct{} // closed when it may go on
	release func()
}

func newLive(t *testing.T) *live {
	t.Helper()
	namespace := testkit.Temporal(t)
	// A client of our own: the default identity, which a history keeps, names this machine.
	c, err := client.NewLazyClient(client.Options{HostPort: namespace.Address, Namespace: namespace.Name, Identity: "test", Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	l := &live{steps: newSteps(timing()), t: t, ctx: ctx, client: c, begun: make(chan struct{}), going: make(chan struct{})}
	l.begin = sync.OnceFunc(func() { close(l.begun) })
	l.release = sync.OnceFunc(func() { close(l.going) })
	t.Cleanup(l.release)
	return l
}

// unknown makes the first send one of unknown fate, whose look-ups come soon.
func (l *live) unknown() {
	l.send.fails(unknown())
	l.settings(func(t *contract.Timing) {
		for i := range t.LookUps {
			t.LookUps[i] = time.Duration(i+1) * 200 * time.Millisecond
		}
	})
}

// foundAtLast makes the n-th of the look-ups that could declare the attempt unknown find it. How many came before depends on the machine.
func (l *live) foundAtLast(n int) {
	before := l.lookUp.answers
	l.lookUp.answers = func(call int, in contract.LookUpInput) (contract.SendResult, error) {
		if in.Last {
			n--
		}
		if n == 0 {
			return found(1), nil
		}
		return before(call, in)
	}
}

// hold keeps a step from ending until it is released. It beats meanwhile, as every step does in a worker of ours.
func (l *live) hold(ctx context.Context) {
	l.begin()
	for {
		select {
		case <-l.going:
			return
		case <-time.After(time.Second):
			activity.RecordHeartbeat(ctx)
		}
	}
}

// serve runs a worker of every role until the test ends.
func (l *live) serve() {
	for _, role := range contract.Roles() {
		w := worker.New(l.client, role.Queue(), worker.Options{
			DisableWorkflowWorker:            role != contract.RoleWorkflow,
			LocalActivityWorkerOnly:          role == contract.RoleWorkflow,
			MaxConcurrentActivityTaskPollers: 1, MaxConcurrentWorkflowTaskPollers: 2,
			Interceptors:             []interceptor.WorkerInterceptor{failure.Interceptor()},
			DeadlockDetectionTimeout: time.Minute, // compilers run beside this test
		})
		if role == contract.RoleWorkflow {
			contract.InboundMessage.Register(w, workflows.InboundMessage)
			contract.OutboundMessage.Register(w, workflows.OutboundMessage)
		} else {
			l.register(w)
		}
		if err := w.Start(); err != nil {
			l.t.Fatal(err)
		}
		l.t.Cleanup(w.Stop)
	}
}

// ask asks the server until it answers. A busy one breaks off, and may have done what it was asked for all the same: the flow may be over by
// then, and not be found when it is asked again.
func (l *live) ask(what string, call func() error) {
	l.t.Helper()
	brokenOff := false
	testkit.Eventually(l.t, 2*time.Minute, func() error {
		err := call()
		switch code := serviceerror.ToStatus(err).Code(); {
		case code == codes.Canceled, code == codes.DeadlineExceeded:
			brokenOff = true
			return err
		case code == codes.OK, code == codes.NotFound && brokenOff:
			return nil
		default:
			l.t.Fatalf("%s: %v", what, err)
			return err
		}
	})
}

// once makes a start that is repeated find the flow that it started before, even where that is over.
func once(id string) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{ID: id, WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE}
}

func (l *live) inbound() (run client.WorkflowRun) {
	l.t.Helper()
	in := contract.InboundMessageInput{Received: received()}
	in.Received.ReceivedAt = time.Now()
	l.ask("start", func() (err error) {
		run, err = contract.InboundMessage.Start(l.ctx, l.client, once(workflowID), in)
		return err
	})
	return run
}

func (l *live) outbound() (run client.WorkflowRun) {
	l.t.Helper()
	in := outboundInput()
	in.StartedAt = time.Now()
	l.ask("start", func() (err error) {
		run, err = contract.OutboundMessage.Start(l.ctx, l.client, once(contract.OutboundWorkflowID(in.OwnerID, in.Key)), in)
		return err
	})
	return run
}

func (l *live) query() (status contract.StatusResult, err error) {
	answer, err := l.client.QueryWorkflow(l.ctx, l.run.GetID(), "", contract.StatusQuery)
	if err == nil {
		err = answer.Get(&status)
	}
	return status, err
}

// await waits until the flow is at a stage, and returns its status. A busy machine may let a query time out.
func (l *live) await(stage contract.Stage) (status contract.StatusResult) {
	l.t.Helper()
	testkit.EventuallyTrue(l.t, time.Minute, "stage "+string(stage), func() bool {
		var err error
		status, err = l.query()
		return err == nil && status.Stage == stage
	})
	return status
}

// awaitEvent waits until the flow's history has an event.
func (l *live) awaitEvent(wanted enums.EventType) {
	l.t.Helper()
	testkit.EventuallyTrue(l.t, time.Minute, wanted.String(), func() bool {
		events, _ := l.history() // as far as it was read
		return slices.ContainsFunc(events, func(event *history.HistoryEvent) bool { return event.GetEventType() == wanted })
	})
}

func (l *live) signal(name string, payload any) {
	l.t.Helper()
	l.ask(name, func() error { return l.client.SignalWorkflow(l.ctx, l.run.GetID(), "", name, payload) })
}

func (l *live) deliver(part, attempt int) {
	l.t.Helper()
	l.signal(contract.DeliverySignal, contract.Delivery{Part: part, Attempt: attempt, Status: domain.StatusDelivered})
}

// update sends a command that the flow must take.
func (l *live) update(name string, command contract.Command) {
	l.t.Helper()
	options := client.UpdateWorkflowOptions{
		UpdateID:   rand.Text(), // one that is repeated is the same one
		WorkflowID: l.run.GetID(), UpdateName: name, Args: []any{command}, WaitForStage: client.WorkflowUpdateStageCompleted,
	}
	l.ask(name, func() error {
		handle, err := l.client.UpdateWorkflow(l.ctx, options)
		if err == nil {
			err = handle.Get(l.ctx, nil)
		}
		return err
	})
}

func (l *live) cancel() {
	l.t.Helper()
	l.ask("cancel", func() error { return l.client.CancelWorkflow(l.ctx, l.run.GetID(), "") })
}

// history is what the server has of the flow so far.
func (l *live) history() (events []*history.HistoryEvent, err error) {
	pages := l.client.GetWorkflowHistory(l.ctx, l.run.GetID(), "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for pages.HasNext() {
		event, err := pages.Next()
		if err != nil {
			return events, err
		}
		events = append(events, event)
	}
	return events, nil
}

// save writes a history in the form that the SDK's replayer and the CLI read, one event a line.
func save(t *testing.T, name string, events []*history.HistoryEvent) {
	t.Helper()
	text := bytes.NewBufferString("{\"events\":[\n")
	for i, event := range events {
		if i > 0 {
			text.WriteString(",\n")
		}
		if queue := event.GetWorkflowTaskScheduledEventAttributes().GetTaskQueue(); queue.GetKind() == enums.TASK_QUEUE_KIND_STICKY {
			queue.Name = "sticky" // it began with this machine's name
		}
		line, err := protojson.Marshal(event)
		if err == nil {
			err = json.Compact(text, line)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	text.WriteString("\n]}\n")
	if err := os.WriteFile(historyFile(name), text.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func historyFile(scenario string) string {
	return filepath.Join(historyFolder, strings.ReplaceAll(scenario, " ", "_")+".json")
}

func quiet() log.Logger { return log.NewStructuredLogger(slog.New(slog.DiscardHandler)) }
