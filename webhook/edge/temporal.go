package edge

import (
	"context"
	"errors"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"parley/contract"
	"parley/internal/domain"
	"parley/webhook/inbox"
)

// Temporal starts and tells flows on a Temporal service.
type Temporal struct{ client client.Client }

var (
	_ Flows       = (*Temporal)(nil)
	_ inbox.Flows = (*Temporal)(nil)
)

// NewTemporal returns the flows of a Temporal service.
func NewTemporal(c client.Client) *Temporal { return &Temporal{c} }

// StartInbound implements inbox.Flows. A message that was ever started, running or closed, is a duplicate for as long as the
// namespace keeps closed flows; after that the unique key in the database holds.
func (t *Temporal) StartInbound(ctx context.Context, received domain.Received) (started bool, err error) {
	_, err = contract.InboundMessage.Start(ctx, t.client, client.StartWorkflowOptions{
		ID: contract.InboundWorkflowID(received.AccountSid, received.MessageSid),
		// The conflict policy stays unset: USE_EXISTING would hide a running duplicate and fail on a closed one.
		WorkflowIDReusePolicy:                    enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		TypedSearchAttributes:                    temporal.NewSearchAttributes(contract.SearchStage.ValueSet(string(contract.StageReceived))),
		StaticSummary:                            summary(received),
	}, contract.InboundMessageInput{Received: received})
	if _, ok := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err); ok {
		return false, nil
	}
	if _, ok := errors.AsType[*serviceerror.InvalidArgument](err); ok { // it would say the same again
		return false, domain.Errorf(domain.KindInvalid, "temporal: %w", err)
	}
	if err != nil {
		return false, domain.Errorf(domain.KindUnavailable, "temporal: %w", err)
	}
	return true, nil
}

// SignalDelivery implements Flows. The flow is named by its workflow id alone: after a reset its run is another one.
func (t *Temporal) SignalDelivery(ctx context.Context, workflowID string, delivery contract.Delivery) error {
	err := t.client.SignalWorkflow(ctx, workflowID, "", contract.DeliverySignal, delivery)
	if _, ok := errors.AsType[*serviceerror.NotFound](err); ok || err == nil {
		return nil
	}
	return domain.Errorf(domain.KindUnavailable, "temporal: %w", err)
}

// summary is a flow's line in the UI. It has no address, not even a masked one: that is personal too.
func summary(received domain.Received) string {
	channel := "message" // on a channel that Parley does not know
	if address, err := domain.ParseAddress(received.To); err == nil {
		channel = string(address.Channel)
	}
	return "inbound " + channel + " " + received.MessageSid
}
