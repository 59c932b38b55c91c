package telemetry

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"parley/internal/domain"
	"parley/internal/twilio"
)

// TwilioErrors counts the error codes that Twilio gives for messages of ours, by the phase in which they come and by class. The codes
// themselves, of which there are many, stand on the attempts and, where somebody has to act on them, in the log.
type TwilioErrors struct {
	counter metric.Int64Counter
	logger  *slog.Logger
}

// NewTwilioErrors returns the counter of one process. It shows every class at 0 from the start: the first error of a class is an
// increase too, or no alert would see it.
func NewTwilioErrors(ctx context.Context, meter metric.Meter, logger *slog.Logger) (*TwilioErrors, error) {
	counter, err := meter.Int64Counter("parley.twilio.errors",
		metric.WithDescription("Error codes of Twilio that were stored, by phase (create, delivery) and class."))
	if err != nil {
		return nil, domain.Errorf(domain.KindInternal, "metrics: %w", err)
	}
	errors := &TwilioErrors{counter, logger}
	for _, class := range twilio.Classes() {
		errors.add(ctx, 0, twilio.PhaseCreate, class)
		errors.add(ctx, 0, twilio.PhaseDelivery, class)
	}
	return errors, nil
}

// Count counts a code, unless it is 0. One that an operator has to act on is logged, as is one that our table does not know; about
// names the message in the log, in keys and values.
func (e *TwilioErrors) Count(ctx context.Context, phase twilio.Phase, code int, about ...any) {
	if code == 0 {
		return
	}
	explained := twilio.Explain(code)
	e.add(ctx, 1, phase, explained.Class)
	if explained.Class == twilio.ClassConfiguration || explained.Class == twilio.ClassUnknown {
		e.logger.With(about...).WarnContext(ctx, "error of Twilio", "error_code", code, "phase", string(phase), "class", string(explained.Class),
			"meaning", explained.Meaning)
	}
}

func (e *TwilioErrors) add(ctx context.Context, n int64, phase twilio.Phase, class twilio.Class) {
	e.counter.Add(ctx, n, metric.WithAttributes(attribute.String("phase", string(phase)), attribute.String("class", string(class))))
}
