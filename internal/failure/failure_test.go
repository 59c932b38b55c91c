package failure_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"parley/internal/domain"
	"parley/internal/failure"
)

func TestToTemporal(t *testing.T) {
	t.Parallel()
	denied := domain.Errorf(domain.KindDenied, "consent withdrawn")
	for _, c := range []struct {
		name      string
		err       error
		kind      domain.Kind
		retryable bool
		wait      time.Duration
	}{
		{"invalid", domain.Errorf(domain.KindInvalid, "x"), domain.KindInvalid, false, 0},
		{"not found", domain.Errorf(domain.KindNotFound, "x"), domain.KindNotFound, false, 0},
		{"denied", denied, domain.KindDenied, false, 0},
		{"conflict", domain.Errorf(domain.KindConflict, "x"), domain.KindConflict, false, 0},
		{"busy", domain.Errorf(domain.KindBusy, "x"), domain.KindBusy, true, 0},
		{"throttled", domain.Errorf(domain.KindThrottled, "x"), domain.KindThrottled, true, 0},
		{"throttled, with a wait", &domain.Error{Kind: domain.KindThrottled, Message: "x", RetryAfter: 7 * time.Second}, domain.KindThrottled, true, 7 * time.Second},
		{"unavailable", domain.Errorf(domain.KindUnavailable, "x"), domain.KindUnavailable, true, 0},
		{"unknown outcome", domain.Errorf(domain.KindUnknownOutcome, "x"), domain.KindUnknownOutcome, false, 0},
		{"configuration", domain.Errorf(domain.KindConfiguration, "x"), domain.KindConfiguration, false, 0},
		{"internal", domain.Errorf(domain.KindInternal, "x"), domain.KindInternal, true, 0},
		{"no kind at all", io.ErrUnexpectedEOF, domain.KindInternal, true, 0},
		{"a step's own deadline", context.DeadlineExceeded, domain.KindInternal, true, 0},
		// Temporal looks at the outermost type only: without the translation a wrapped refusal would be tried for ever.
		{"a refusal, wrapped", fmt.Errorf("claim: %w", denied), domain.KindDenied, false, 0},
		{"a refusal, wrapped twice", fmt.Errorf("send: %w", fmt.Errorf("claim: %w", denied)), domain.KindDenied, false, 0},
		{"a wait, wrapped", fmt.Errorf("send: %w", &domain.Error{Kind: domain.KindBusy, Message: "x", RetryAfter: time.Second}), domain.KindBusy, true, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			//nolint:errorlint // only the outermost type counts for Temporal, so nothing is unwrapped here
			got, ok := failure.ToTemporal(c.err).(*temporal.ApplicationError)
			if !ok {
				t.Fatalf("want an application error, got %T", failure.ToTemporal(c.err))
			}
			if got.Type() != string(c.kind) || got.NonRetryable() == c.retryable || got.NextRetryDelay() != c.wait {
				t.Errorf("want type %s, retryable %v, wait %s; got %s, %v, %s",
					c.kind, c.retryable, c.wait, got.Type(), !got.NonRetryable(), got.NextRetryDelay())
			}
			if got.Message() != c.err.Error() || got.Unwrap() != nil {
				t.Errorf("want its words, and no cause that would travel with them: %v, %v", got, got.Unwrap())
			}
		})
	}
}

func TestToTemporalLeavesAlone(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"no error":                    nil,
		"Temporal's cancellation":     temporal.NewCanceledError(),
		"an error already translated": temporal.NewNonRetryableApplicationError("x", "denied", nil),
	} {
		if got := failure.ToTemporal(err); got != err { //nolint:errorlint // the very same value is wanted
			t.Errorf("%s: it became %T %v", name, got, got)
		}
	}
}

// TestToTemporalUnwraps: a translated error that was wrapped again would be retried, whatever it says.
func TestToTemporalUnwraps(t *testing.T) {
	t.Parallel()
	inner := temporal.NewNonRetryableApplicationError("x", "denied", nil)
	if got := failure.ToTemporal(fmt.Errorf("send: %w", inner)); got != inner { //nolint:errorlint // the very same value is wanted
		t.Errorf("it became %T %v", got, got)
	}
}

// TestInterceptor runs activities behind the interceptor and sees what a workflow would see.
func TestInterceptor(t *testing.T) {
	t.Parallel()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{failure.Interceptor()}})
	refuse := func(context.Context) (string, error) {
		return "", fmt.Errorf("claim: %w", domain.Errorf(domain.KindDenied, "consent withdrawn"))
	}
	succeed := func(context.Context) (string, error) { return "done", nil }
	env.RegisterActivityWithOptions(refuse, activity.RegisterOptions{Name: "refuse"})
	env.RegisterActivityWithOptions(succeed, activity.RegisterOptions{Name: "succeed"})

	_, err := env.ExecuteActivity(refuse)
	var application *temporal.ApplicationError
	if !errors.As(err, &application) || !application.NonRetryable() || application.Type() != string(domain.KindDenied) {
		t.Errorf("want a denial that is not tried again, got %v", err)
	}
	var result string
	if value, err := env.ExecuteActivity(succeed); err != nil || value.Get(&result) != nil || result != "done" {
		t.Errorf("a result is to pass: got %q, %v", result, err)
	}
}
