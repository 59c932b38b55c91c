package accounts

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"parley/internal/domain"
)

// result says how a look-up was answered.
type result string

const (
	resultHit      result = "hit"      // from memory
	resultMiss     result = "miss"     // by the store, or not at all
	resultStale    result = "stale"    // from memory, since the store is being asked or did not answer
	resultStranger result = "stranger" // not one of ours, by the list
)

// counters are the cache's metrics. They name no account: strangers choose the sids.
type counters struct{ lookups, loads metric.Int64Counter }

func newCounters(ctx context.Context, meter metric.Meter) (counters, error) {
	lookups, err1 := meter.Int64Counter("parley.webhook.account_lookups",
		metric.WithDescription("Look-ups of an account, by result: hit (from memory), miss (the database was asked), stale (from memory, "+
			"since the database is being asked or did not answer), stranger (not one of ours, by the list)."))
	loads, err2 := meter.Int64Counter("parley.webhook.account_loads",
		metric.WithDescription("Questions to the database, by what was asked for (account, list) and whether it answered (true, false)."))
	if err := errors.Join(err1, err2); err != nil {
		return counters{}, domain.Errorf(domain.KindInternal, "metrics: %w", err)
	}
	c := counters{lookups, loads}
	for _, of := range []string{ofAccount, ofList} { // shown from the start, so that an alert sees the first one
		c.add(ctx, of, false, 0)
	}
	return c, nil
}

// What is loaded.
const (
	ofAccount = "account"
	ofList    = "list"
)

func (c counters) lookup(ctx context.Context, r result) {
	c.lookups.Add(ctx, 1, metric.WithAttributes(attribute.String("result", string(r))))
}

func (c counters) load(ctx context.Context, key string, err error) {
	of := ofAccount
	if key == listKey {
		of = ofList
	}
	c.add(ctx, of, err == nil || domain.KindOf(err) == domain.KindNotFound, 1)
}

func (c counters) add(ctx context.Context, of string, answered bool, loads int64) {
	c.loads.Add(ctx, loads, metric.WithAttributes(attribute.String("of", of), attribute.Bool("answered", answered)))
}
