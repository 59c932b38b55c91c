// Package billing holds the steps of the billing role: a reply's unit is reserved before it is written and charged once
// it is accepted. What is not charged persistence.Finish hands back.
package billing

import (
	"context"

	"parley/contract"
)

// Ledger keeps what was reserved and charged. Key: the workflow.
type Ledger interface {
	Reserve(ctx context.Context, ownerID, workflowID, messageID string) error
	Settle(ctx context.Context, ownerID, workflowID, messageID string) (segments int, err error)
}

// Activities are the steps of the billing role.
type Activities struct{ ledger Ledger }

// New returns the steps over a ledger.
func New(ledger Ledger) *Activities { return &Activities{ledger} }

// Reserve takes the unit of one reply. Key: the workflow.
func (a *Activities) Reserve(ctx context.Context, in contract.ReserveInput) (contract.Nothing, error) {
	return contract.Nothing{}, a.ledger.Reserve(ctx, in.OwnerID, in.WorkflowID, in.MessageID)
}

// Settle charges what Twilio accepted for a message. Key: the workflow.
func (a *Activities) Settle(ctx context.Context, in contract.SettleInput) (contract.SettleResult, error) {
	segments, err := a.ledger.Settle(ctx, in.OwnerID, in.WorkflowID, in.MessageID)
	return contract.SettleResult{Segments: segments}, err
}
