package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"parley/internal/domain"
)

// Upkeep counts what the jobs of upkeep do.
type Upkeep struct{ batches, changes metric.Int64Counter }

// NewUpkeep returns the counters of one process. They show every job at 0 from the start: a job that never runs shows too.
func NewUpkeep(ctx context.Context, meter metric.Meter, jobs []string) (*Upkeep, error) {
	batches, err := meter.Int64Counter("parley.upkeep.batches", metric.WithDescription("Batches of upkeep, by job and result (done, failed)."))
	if err != nil {
		return nil, domain.Errorf(domain.KindInternal, "metrics: %w", err)
	}
	changes, err := meter.Int64Counter("parley.upkeep.changes", metric.WithDescription("What upkeep has changed, by job."))
	if err != nil {
		return nil, domain.Errorf(domain.KindInternal, "metrics: %w", err)
	}
	upkeep := &Upkeep{batches, changes}
	for _, job := range jobs {
		upkeep.add(ctx, job, "done", 0, 0)
		upkeep.add(ctx, job, "failed", 0, 0)
	}
	return upkeep, nil
}

// Count counts a batch, with how much it changed.
func (u *Upkeep) Count(ctx context.Context, job string, changes int, err error) {
	result := "done"
	if err != nil {
		result = "failed"
	}
	u.add(ctx, job, result, 1, changes)
}

func (u *Upkeep) add(ctx context.Context, job, result string, batches, changes int) {
	u.batches.Add(ctx, int64(batches), metric.WithAttributes(attribute.String("job", job), attribute.String("result", result)))
	u.changes.Add(ctx, int64(changes), metric.WithAttributes(attribute.String("job", job)))
}
