// Package upkeep holds the jobs of the upkeep role: what is done again and again, by schedules, for all owners. Each call does one bounded
// batch, and running it twice, or twice at once, is harmless.
//
// A job is added by an activity here, its definition and its schedule in contract/upkeep.go, and what it does to the rows in the store.
// The workflow Upkeep calls it until it says that there is no more.
package upkeep

import (
	"context"
	"time"

	"parley/contract"
	"parley/internal/domain"
)

// Store holds the rows. Each method is one transaction.
type Store interface {
	// Unfinished returns messages that were not looked at for a time, those that wait longest first, and notes that they are looked at now.
	Unfinished(ctx context.Context, after time.Duration, most int) ([]domain.Unfinished, error)
	Finish(context.Context, domain.NewFinish) (domain.Finished, error)
	// LeftUnanswered returns the messages that were superseded for one and that nobody answered.
	LeftUnanswered(ctx context.Context, ownerID, messageID string) ([]string, error)
}

// Flows tells what became of a flow.
type Flows interface {
	State(ctx context.Context, workflowID string) (domain.FlowState, error)
}

// LookUp looks for an attempt in Twilio's list, as the messaging step of this name does.
type LookUp func(context.Context, contract.LookUpInput) (contract.SendResult, error)

// Tell has operators told of what a job did, as it does it.
type Tell func(context.Context, contract.UpkeepNote)

// Activities are the jobs of the upkeep role.
type Activities struct {
	store  Store
	flows  Flows
	lookUp LookUp
	tell   Tell
	after  time.Duration // how long a message is left to its flow before that is asked for, and between two questions
}

// New returns the jobs over what they need.
func New(store Store, flows Flows, lookUp LookUp, tell Tell, after time.Duration) *Activities {
	return &Activities{store, flows, lookUp, tell, after}
}

// A batch is bounded by number, and by time where each may wait for another system.
const (
	batchSize  = 100
	batchLimit = 20 * time.Second
)
