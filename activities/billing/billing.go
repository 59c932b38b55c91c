// Package billing holds the steps of the billing role: a reply's unit is reserved before it is written and charged once
// it is accepted. What is not charged persistence.Finish hands back.
package billing

import (
	"context"

	"parley/contract"
	"parley/internal/domain"
)

// Ledger keeps what was reserved and charged. Key: the message.
type Ledger interface {
	Reserve(ctx context.Context, in domain.NewReservation) (domain.QuotaState, error)
	Settle(ctx context.Context, ownerID, workflowID, messageID string) (segments int, err error)
}

// Activities are the steps of the billing role.
type Activities struct{ ledger Ledger }

// New returns the steps over a ledger.
func New(ledger Ledger) *Activities { return &Activities{ledger} }

// Reserve has the message share the unit of its turn, which is taken where there is none. Key: the message. A plan without room is a
// result, as is a newer message that answers for both; a failure says nothing about the plan, and is tried again.
func (a *Activities) Reserve(ctx context.Context, in contract.NewReservation) (contract.ReserveResult, error) {
	state, err := a.ledger.Reserve(ctx, in)
	return contract.ReserveResult{State: state}, err
}

// Settle charges what Twilio accepted for a message. Key: the message.
func (a *Activities) Settle(ctx context.Context, in contract.SettleInput) (contract.SettleResult, error) {
	segments, err := a.ledger.Settle(ctx, in.OwnerID, in.WorkflowID, in.MessageID)
	return contract.SettleResult{Segments: segments}, err
}
