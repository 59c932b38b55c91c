// Package persistence holds the steps of the persistence role: a message is stored, waits for a person, is closed.
package persistence

import (
	"context"

	"parley/contract"
)

// Store keeps messages. Each method is one transaction and may run twice; its doc comment there names the key.
type Store interface {
	RecordInbound(context.Context, contract.NewInbound) (contract.Recorded, error)
	RecordOutbound(context.Context, contract.NewOutbound) (contract.Recorded, error)
	Park(context.Context, contract.NewPark) error
	Finish(context.Context, contract.NewFinish) (contract.Finished, error)
}

// Activities are the steps of the persistence role.
type Activities struct{ store Store }

// New returns the steps over a store.
func New(store Store) *Activities { return &Activities{store} }

// RecordInbound stores an inbound message. Key: (account, message sid).
func (a *Activities) RecordInbound(ctx context.Context, in contract.NewInbound) (contract.Recorded, error) {
	return a.store.RecordInbound(ctx, in)
}

// RecordOutbound stores a message of ours. Key: (owner, idempotency key).
func (a *Activities) RecordOutbound(ctx context.Context, in contract.NewOutbound) (contract.Recorded, error) {
	return a.store.RecordOutbound(ctx, in)
}

// Park marks a message as waiting for a person. Key: the park.
func (a *Activities) Park(ctx context.Context, in contract.NewPark) (contract.Nothing, error) {
	return contract.Nothing{}, a.store.Park(ctx, in)
}

// Finish closes a message's flow, by the rows. Key: the message.
func (a *Activities) Finish(ctx context.Context, in contract.NewFinish) (contract.Finished, error) {
	return a.store.Finish(ctx, in)
}
