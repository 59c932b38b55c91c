package inbox

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/metric"

	"parley/internal/domain"
)

// counters are the inbox's metrics. The gauges are about what all processes share.
type counters struct {
	startFailures, spooled, drained metric.Int64Counter
	waiting, refused, unrouted      metric.Int64Gauge
	oldest, unroutedOldest          metric.Float64Gauge
}

func newCounters(ctx context.Context, meter metric.Meter) (c counters, err error) {
	var errs [8]error
	c.startFailures, errs[0] = meter.Int64Counter("parley.webhook.start_failures",
		metric.WithDescription("Starts of flows that Temporal did not take, of new messages and of spooled ones."))
	c.spooled, errs[1] = meter.Int64Counter("parley.webhook.spooled",
		metric.WithDescription("Inbound messages that were kept in the spool, to be started later."))
	c.drained, errs[2] = meter.Int64Counter("parley.webhook.drained",
		metric.WithDescription("Spooled messages whose flow was started."))
	c.waiting, errs[3] = meter.Int64Gauge("parley.webhook.spool.messages",
		metric.WithDescription("Messages that wait in the spool; 10000 stands for more, too."))
	c.refused, errs[4] = meter.Int64Gauge("parley.webhook.spool.refused",
		metric.WithDescription("Messages in the spool whose flow cannot be started for a reason of their own."))
	c.oldest, errs[5] = meter.Float64Gauge("parley.webhook.spool.oldest", metric.WithUnit("s"),
		metric.WithDescription("How long the oldest message in the spool has waited, refused ones left out."))
	c.unrouted, errs[6] = meter.Int64Gauge("parley.unrouted.messages",
		metric.WithDescription("Inbound messages that have no owner; 10000 stands for more, too."))
	c.unroutedOldest, errs[7] = meter.Float64Gauge("parley.unrouted.oldest", metric.WithUnit("s"),
		metric.WithDescription("How long the oldest of them has waited."))
	if err := errors.Join(errs[:]...); err != nil {
		return counters{}, domain.Errorf(domain.KindInternal, "metrics: %w", err)
	}
	c.observe(ctx, domain.SpoolState{}) // shown from the start
	c.observeUnrouted(ctx, domain.UnroutedState{})
	for _, counter := range []metric.Int64Counter{c.startFailures, c.spooled, c.drained} {
		counter.Add(ctx, 0)
	}
	return c, nil
}

func (c counters) observe(ctx context.Context, state domain.SpoolState) {
	c.waiting.Record(ctx, int64(state.Waiting))
	c.refused.Record(ctx, int64(state.Refused))
	c.oldest.Record(ctx, state.Oldest.Seconds())
}

func (c counters) observeUnrouted(ctx context.Context, state domain.UnroutedState) {
	c.unrouted.Record(ctx, int64(state.Waiting))
	c.unroutedOldest.Record(ctx, state.Oldest.Seconds())
}
