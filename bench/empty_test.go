package bench_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"parley/internal/testkit"
)

// emptyGraph runs a workflow of the same shape as InboundMessage, whose activities do nothing: the least that Temporal
// needs for such a flow on this server.
type emptyGraph struct {
	client client.Client
	sent   sync.Map // workflow id -> when its send step ran
	number atomic.Int64
}

const (
	emptyQueue  = "bench-empty"
	emptySignal = "delivery"
	starters    = 16 // at once
)

func startEmpty(b *testing.B, namespace testkit.Namespace) *emptyGraph {
	b.Helper()
	e := &emptyGraph{client: namespace.Client}
	w := worker.New(namespace.Client, emptyQueue, worker.Options{
		ActivityTaskPollerBehavior: worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{}),
		WorkflowTaskPollerBehavior: worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{}),
	})
	w.RegisterWorkflowWithOptions(graph, workflow.RegisterOptions{Name: "graph"})
	w.RegisterActivityWithOptions(func(context.Context) error { return nil }, activity.RegisterOptions{Name: "step"})
	w.RegisterActivityWithOptions(e.send, activity.RegisterOptions{Name: "send"})
	if err := w.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(w.Stop)
	return e
}

// graph has the steps of a flow: resolve, record beside identify, reserve, generate, send, settle beside the wait for a
// signal, finish.
func graph(ctx workflow.Context) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
	step := func(name string) workflow.Future { return workflow.ExecuteActivity(ctx, name) }
	together := [][]string{{"step"}, {"step", "step"}, {"step"}, {"step"}, {"send"}}
	for _, names := range together {
		var futures []workflow.Future
		for _, name := range names {
			futures = append(futures, step(name))
		}
		for _, future := range futures {
			if err := future.Get(ctx, nil); err != nil {
				return err
			}
		}
	}
	settled := step("step")
	timerCtx, stop := workflow.WithCancel(ctx)
	workflow.NewSelector(ctx).
		AddReceive(workflow.GetSignalChannel(ctx, emptySignal), func(c workflow.ReceiveChannel, _ bool) { c.Receive(ctx, nil) }).
		AddFuture(workflow.NewTimer(timerCtx, time.Minute), func(workflow.Future) {}).
		Select(ctx)
	stop()
	if err := settled.Get(ctx, nil); err != nil {
		return err
	}
	return step("step").Get(ctx, nil)
}

// send notes when it ran; the signal comes a moment later, as a callback does.
func (e *emptyGraph) send(ctx context.Context) error {
	id := activity.GetInfo(ctx).WorkflowExecution.ID
	e.sent.Store(id, time.Now())
	go func() {
		_ = e.client.SignalWorkflow(context.WithoutCancel(ctx), id, "", emptySignal, nil) // a flow without it ends by its timer, and shows
	}()
	return nil
}

func (e *emptyGraph) options() client.StartWorkflowOptions {
	return client.StartWorkflowOptions{TaskQueue: emptyQueue, ID: "empty-" + time.Now().Format("150405.000000000") + "-" + string(rune('a'+e.number.Add(1)%26))}
}

// run runs one flow and returns the time from before its start to its send step.
func (e *emptyGraph) run(b *testing.B) time.Duration {
	b.Helper()
	started := time.Now()
	run, err := e.client.ExecuteWorkflow(b.Context(), e.options(), "graph")
	if err != nil {
		b.Fatal(err)
	}
	if err := run.Get(b.Context(), nil); err != nil {
		b.Fatal(err)
	}
	sent, _ := e.sent.Load(run.GetID())
	return sent.(time.Time).Sub(started)
}

func (e *emptyGraph) runMany(b *testing.B, many int) {
	b.Helper()
	runs := make(chan client.WorkflowRun, many)
	parallel(many, func() {
		run, err := e.client.ExecuteWorkflow(b.Context(), e.options(), "graph")
		if err != nil {
			b.Error(err)
			return
		}
		runs <- run
	})
	close(runs)
	for run := range runs {
		if err := run.Get(b.Context(), nil); err != nil {
			b.Error(err)
		}
	}
}

// bareHandler answers 200 after it has started a workflow that nobody runs.
func bareHandler(b *testing.B, namespace testkit.Namespace, e *emptyGraph) string {
	b.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		options := e.options()
		options.TaskQueue = "bench-nobody"
		if _, err := namespace.Client.ExecuteWorkflow(r.Context(), options, "graph"); err != nil {
			b.Error(err)
		}
	}))
	b.Cleanup(server.Close)
	return server.URL
}

// parallel does something many times, some at once.
func parallel(many int, do func()) {
	var group sync.WaitGroup
	tickets := make(chan struct{}, starters)
	for range many {
		tickets <- struct{}{}
		group.Go(func() {
			do()
			<-tickets
		})
	}
	group.Wait()
}

func finished(b *testing.B, s *testkit.Stack) (n int) {
	b.Helper()
	if err := s.Database.QueryRow(b.Context(), `SELECT count(*) FROM messages WHERE finished_at IS NOT NULL`).Scan(&n); err != nil {
		b.Fatal(err)
	}
	return n
}
