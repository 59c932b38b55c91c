package main

import (
	"context"

	"parley/activities/messaging"
	"parley/internal/domain"
	"parley/internal/telemetry"
	"parley/internal/twilio"
)

// counted is the messaging steps' store. It counts the error codes that are stored there: the steps know no metrics.
type counted struct {
	messaging.Store
	errors *telemetry.TwilioErrors
}

// Resolve stores the answer to a POST, or what Twilio's list says of a message that it accepted.
func (c counted) Resolve(ctx context.Context, r domain.Resolution) (domain.Attempt, error) {
	attempt, err := c.Store.Resolve(ctx, r)
	if err == nil {
		phase := twilio.PhaseCreate
		if r.State == domain.AttemptAccepted {
			phase = twilio.PhaseDelivery
		}
		about := []any{"message_id", r.MessageID, "owner_id", r.OwnerID}
		if r.Refused != "" {
			about = append(about, "token_id", r.Refused) // it is sent with another one; 'starter account list' shows both
		}
		c.errors.Count(ctx, phase, r.ErrorCode, about...)
	}
	return attempt, err
}

// ApplyStatus stores a status that Twilio was asked for.
func (c counted) ApplyStatus(ctx context.Context, event domain.StatusEvent) (domain.StatusChange, error) {
	change, err := c.Store.ApplyStatus(ctx, event)
	if err == nil && change.NewError {
		c.errors.Count(ctx, twilio.PhaseDelivery, change.ErrorCode, "message_sid", event.Sid, "workflow_id", change.WorkflowID)
	}
	return change, err
}
