package edge

import (
	"context"
	"errors"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"parley/internal/domain"
	"parley/internal/twilio"
)

// counters are the edge's metrics. Their attributes have few values: routes, HTTP statuses, accounts that are ours.
type counters struct {
	requests, notTaken, signatureFailures, duplicates, fallbacks metric.Int64Counter
}

func newCounters(ctx context.Context, meter metric.Meter) (counters, error) {
	requests, err1 := meter.Int64Counter("parley.webhook.requests",
		metric.WithDescription("Requests of Twilio, by path and the HTTP status they were answered with."))
	notTaken, err2 := meter.Int64Counter("parley.webhook.not_taken",
		metric.WithDescription("Requests that Twilio signed, or whose signature could not be looked at, and that were not taken, by path."))
	failures, err3 := meter.Int64Counter("parley.webhook.signature_failures",
		metric.WithDescription("Requests for an account of ours whose signature did not match. Any steady rate means that messages are lost."))
	duplicates, err4 := meter.Int64Counter("parley.webhook.duplicates",
		metric.WithDescription("Inbound messages that came again."))
	fallbacks, err5 := meter.Int64Counter("parley.webhook.fallbacks",
		metric.WithDescription("Inbound messages that Twilio delivered by the fallback URL, by its error_code for the other one."))
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return counters{}, domain.Errorf(domain.KindInternal, "metrics: %w", err)
	}
	c := counters{requests, notTaken, failures, duplicates, fallbacks}
	for _, path := range []string{InboundPath, FallbackPath, twilio.StatusPath} { // shown from the start, so that an alert sees the first one
		c.notTaken.Add(ctx, 0, metric.WithAttributes(attribute.String("path", path)))
	}
	return c, nil
}

// request counts a request that was answered. Where Twilio signed it, anything but a success is a loss; where it may have, so is a 5xx.
func (c counters) request(ctx context.Context, path string, status int, verified bool) {
	c.requests.Add(ctx, 1, metric.WithAttributes(attribute.String("path", path), attribute.Int("status", status)))
	if status >= http.StatusInternalServerError || (verified && status >= http.StatusBadRequest) {
		c.notTaken.Add(ctx, 1, metric.WithAttributes(attribute.String("path", path)))
	}
}

func (c counters) signatureFailure(ctx context.Context, accountSid string) {
	c.signatureFailures.Add(ctx, 1, metric.WithAttributes(attribute.String("account_sid", accountSid)))
}

// fallback counts a verified message: the codes are Twilio's, of which there are few for webhooks.
func (c counters) fallback(ctx context.Context, errorCode int) {
	c.fallbacks.Add(ctx, 1, metric.WithAttributes(attribute.Int("error_code", errorCode)))
}

func (c counters) duplicate(ctx context.Context) { c.duplicates.Add(ctx, 1) }
