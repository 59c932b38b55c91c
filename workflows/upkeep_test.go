package workflows_test

import (
	"context"
	"log/slog"
	"reflect"
	"strconv"
	"testing"
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"parley/contract"
	"parley/internal/domain"
	"parley/internal/failure"
	"parley/workflows"
)

// upkeep runs a job whose batches come one after the other, and returns what it came to and how many were run.
func upkeep(t *testing.T, batch func(n int) (contract.UpkeepResult, error)) (result contract.UpkeepResult, batches int, err error) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(time.Minute)
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{failure.Interceptor()}, DeadlockDetectionTimeout: time.Minute})
	contract.Upkeep.Register(env, workflows.Upkeep)
	job := contract.Job{Name: "upkeep.Any", Role: contract.RoleUpkeep}
	job.Register(env, func(context.Context, contract.Nothing) (contract.UpkeepResult, error) {
		batches++
		return batch(batches)
	})
	env.ExecuteWorkflow(contract.Upkeep.Name, contract.UpkeepInput{Job: job.Name})
	if err := env.GetWorkflowError(); err != nil {
		return result, batches, err
	}
	return result, batches, env.GetWorkflowResult(&result)
}

func TestUpkeepGoesOnUntilNothingIsLeft(t *testing.T) {
	t.Parallel()
	note := func(n int) contract.UpkeepNote { return contract.UpkeepNote{MessageID: strconv.Itoa(n)} }
	result, batches, err := upkeep(t, func(n int) (contract.UpkeepResult, error) {
		return contract.UpkeepResult{Seen: 10, Done: n, Notes: []contract.UpkeepNote{note(n)}, More: n < 3}, nil
	})
	want := contract.UpkeepResult{Seen: 30, Done: 6, Notes: []contract.UpkeepNote{note(1), note(2), note(3)}}
	if err != nil || batches != 3 || !reflect.DeepEqual(result, want) {
		t.Errorf("%d batches: got %+v, %v, want %+v", batches, result, err, want)
	}
}

// A run is bounded, and says that it has left something.
func TestUpkeepIsBounded(t *testing.T) {
	t.Parallel()
	result, batches, err := upkeep(t, func(int) (contract.UpkeepResult, error) {
		return contract.UpkeepResult{Seen: 1, Done: 1, Notes: make([]contract.UpkeepNote, 3), More: true}, nil
	})
	if err != nil || batches != 50 || result.Done != 50 || !result.More || len(result.Notes) != 100 {
		t.Errorf("%d batches: got %+v, %v", batches, result, err)
	}
}

// What fails in a way that may pass is tried again, for a while; then the run fails, for everybody to see.
func TestUpkeepThatFails(t *testing.T) {
	t.Parallel()
	result, _, err := upkeep(t, func(n int) (contract.UpkeepResult, error) {
		if n == 1 {
			return contract.UpkeepResult{}, domain.Errorf(domain.KindUnavailable, "away")
		}
		return contract.UpkeepResult{Done: 1}, nil
	})
	if err != nil || result.Done != 1 {
		t.Errorf("once: got %+v, %v", result, err)
	}
	if _, batches, err := upkeep(t, func(int) (contract.UpkeepResult, error) {
		return contract.UpkeepResult{}, domain.Errorf(domain.KindUnavailable, "away")
	}); err == nil || batches < 3 {
		t.Errorf("for good: %d batches, %v", batches, err)
	}
}
