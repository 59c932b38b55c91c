package main

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// beat runs one activity under a heartbeat time-out, and counts its beats.
func beat(t *testing.T, timeout time.Duration, step func(context.Context, *atomic.Int32) error) (beats *atomic.Int32, err error) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(quiet())
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(time.Minute)
	env.SetWorkerOptions(worker.Options{
		Interceptors: []interceptor.WorkerInterceptor{&heartbeats{}}, DeadlockDetectionTimeout: time.Minute, // compilers run beside this test
	})
	beats = new(atomic.Int32)
	env.SetOnActivityHeartbeatListener(func(*activity.Info, converter.EncodedValues) { beats.Add(1) })
	env.RegisterActivityWithOptions(func(ctx context.Context) error { return step(ctx, beats) }, activity.RegisterOptions{Name: "step"})
	env.RegisterWorkflowWithOptions(func(ctx workflow.Context) error {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			StartToCloseTimeout: time.Minute, HeartbeatTimeout: timeout, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1},
		})
		return workflow.ExecuteActivity(ctx, "step").Get(ctx, nil)
	}, workflow.RegisterOptions{Name: "flow"})
	env.ExecuteWorkflow("flow")
	return beats, env.GetWorkflowError()
}

// A step with a heartbeat time-out outlives it, beating; the step itself knows nothing of it.
func TestHeartbeats(t *testing.T) {
	t.Parallel()
	const timeout = 4 * time.Second // by the clock on the wall
	beats, err := beat(t, timeout, func(ctx context.Context, counted *atomic.Int32) error {
		for counted.Load() < 2 { // the second comes after the time-out
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Millisecond):
			}
		}
		return nil
	})
	if err != nil || beats.Load() < 2 {
		t.Errorf("%d beats, %v", beats.Load(), err)
	}
}

// Nobody beats on for a step that is over.
func TestHeartbeatsEndWithTheStep(t *testing.T) {
	t.Parallel()
	const steps = 500
	_, err := beat(t, time.Minute, func(ctx context.Context, _ *atomic.Int32) error {
		chain, before := (&heartbeats{}).InterceptActivity(ctx, &next{}), runtime.NumGoroutine()
		for range steps {
			if _, err := chain.ExecuteActivity(ctx, &interceptor.ExecuteActivityInput{}); err != nil {
				return err
			}
		}
		if more := runtime.NumGoroutine() - before; more > steps/2 { // other tests have goroutines too
			t.Errorf("%d goroutines were left behind by %d steps", more, steps)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A step without one does not beat.
func TestNoHeartbeats(t *testing.T) {
	t.Parallel()
	beats, err := beat(t, 0, func(context.Context, *atomic.Int32) error {
		time.Sleep(30 * time.Millisecond)
		return nil
	})
	if err != nil || beats.Load() != 0 {
		t.Errorf("%d beats, %v", beats.Load(), err)
	}
}

// next is the rest of the chain: a step that fails.
type next struct {
	interceptor.ActivityInboundInterceptorBase
	err error
}

func (n *next) ExecuteActivity(context.Context, *interceptor.ExecuteActivityInput) (any, error) {
	return "result", n.err
}

// What the step returns passes through.
func TestHeartbeatsPassResultsThrough(t *testing.T) {
	t.Parallel()
	wrong := errors.New("wrong")
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(quiet())
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivityWithOptions(func(ctx context.Context) error {
		chain := (&heartbeats{}).InterceptActivity(ctx, &next{err: wrong})
		result, err := chain.ExecuteActivity(ctx, &interceptor.ExecuteActivityInput{})
		if result != "result" || !errors.Is(err, wrong) {
			t.Errorf("got %v and %v", result, err)
		}
		return nil
	}, activity.RegisterOptions{Name: "step"})
	if _, err := env.ExecuteActivity("step"); err != nil {
		t.Error(err)
	}
}
