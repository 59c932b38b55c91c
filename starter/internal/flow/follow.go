package flow

import (
	"context"
	"time"

	"go.temporal.io/sdk/temporal"

	"parley/contract"
	"parley/internal/domain"
	"parley/starter/internal/fault"
)

// Progress is where a flow stands: what it says itself where a worker answers, and what the server sees it wait for.
type Progress struct {
	Status *contract.StatusResult
	Waits  []Wait
}

// Follow shows where a flow stands, again and again until it closes, and returns its result. It returns
// KindUnknownOutcome for a flow that was terminated or timed out: its end says nothing about what it sent.
func (f *Flows) Follow(ctx context.Context, workflowID string, show func(Progress)) (contract.MessageResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type ending struct {
		result contract.MessageResult
		err    error
	}
	ended := make(chan ending, 1)
	go func() {
		result, err := f.Result(ctx, workflowID)
		ended <- ending{result, err}
	}()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		show(f.progress(ctx, workflowID))
		select {
		case end := <-ended:
			if ctx.Err() == nil {
				show(f.progress(ctx, workflowID))
			}
			return end.result, end.err
		case <-ticker.C:
		}
	}
}

func (f *Flows) progress(ctx context.Context, workflowID string) Progress {
	var progress Progress
	if status, err := f.Status(ctx, workflowID); err == nil {
		progress.Status = &status
	}
	if found, err := f.Describe(ctx, workflowID); err == nil {
		progress.Waits = found.Waits
	}
	return progress
}

// Result waits for a flow's end and returns its result.
func (f *Flows) Result(ctx context.Context, workflowID string) (contract.MessageResult, error) {
	var result contract.MessageResult
	err := f.client.GetWorkflow(ctx, workflowID, "").Get(ctx, &result)
	if err == nil {
		return result, nil
	}
	switch {
	case temporal.IsCanceledError(err):
		return contract.MessageResult{Outcome: domain.OutcomeCancelled}, nil
	case temporal.IsTerminatedError(err), temporal.IsTimeoutError(err):
		return contract.MessageResult{}, domain.Errorf(domain.KindUnknownOutcome,
			"flow %s was stopped from outside, in Temporal; whether its message was sent, 'starter show' tells: %w", workflowID, err)
	case temporal.IsApplicationError(err):
		return contract.MessageResult{}, domain.Errorf(domain.KindInternal, "flow %s failed: %w", workflowID, err)
	default:
		return contract.MessageResult{}, fault.From(err, "wait for flow %s", workflowID)
	}
}
