// Package failure is the one bridge from Parley's error kinds to Temporal's failures.
//
// Activities return domain errors; the worker's interceptor passes each through ToTemporal, once, at the edge: nothing else makes an
// application error. Workflows, which may not import this, read the kind back from its type.
package failure

import (
	"context"
	"errors"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"

	"parley/internal/domain"
)

// ToTemporal turns a domain error into the application error that Temporal retries, or does not: its type is the kind,
// its wait the one the other side asked for. Errors that Temporal understands itself (cancelled, already an application
// error) pass. The cause stays behind: its text is somebody else's, and a history is kept for weeks in clear.
func ToTemporal(err error) error {
	if err == nil || temporal.IsCanceledError(err) {
		return err
	}
	if translated, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		return translated // without what was wrapped around it: the outermost type alone decides
	}
	options := temporal.ApplicationErrorOptions{NonRetryable: !domain.KindOf(err).Retryable()}
	if e, ok := errors.AsType[*domain.Error](err); ok {
		options.NextRetryDelay = e.RetryAfter
	}
	return temporal.NewApplicationErrorWithOptions(err.Error(), string(domain.KindOf(err)), options)
}

// Interceptor returns the worker interceptor that translates what activities return.
func Interceptor() interceptor.WorkerInterceptor { return &translator{} }

type translator struct {
	interceptor.WorkerInterceptorBase
}

func (t *translator) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &activityTranslator{interceptor.ActivityInboundInterceptorBase{Next: next}}
}

type activityTranslator struct {
	interceptor.ActivityInboundInterceptorBase
}

func (t *activityTranslator) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	result, err := t.Next.ExecuteActivity(ctx, in)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) { // the flow was cancelled, and the step stopped for it
		return result, context.Canceled
	}
	return result, ToTemporal(err)
}
