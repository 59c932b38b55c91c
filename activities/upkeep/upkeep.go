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
	// Unpriced returns accepted attempts for whose price Twilio was not asked for a time, and notes that it is asked now.
	Unpriced(ctx context.Context, after time.Duration, most int) ([]domain.Unpriced, error)
}

// Flows tells what became of a flow.
type Flows interface {
	State(ctx context.Context, workflowID string) (domain.FlowState, error)
}

// LookUp looks for an attempt in Twilio's list, as the messaging step of this name does.
type LookUp func(context.Context, contract.LookUpInput) (contract.SendResult, error)

// Fetch asks Twilio for a message's status and price and stores them, as the messaging step FetchStatus does.
type Fetch func(context.Context, contract.FetchStatusInput) (contract.FetchStatusResult, error)

// Tell has operators told of what a job did, as it does it.
type Tell func(context.Context, contract.UpkeepNote)

// Activities are the jobs of the upkeep role.
type Activities struct {
	store  Store
	flows  Flows
	lookUp LookUp
	fetch  Fetch
	tell   Tell
	wait   Patience
}

// Patience is how long the jobs leave things alone, and how long they wait between two questions.
type Patience struct {
	Sweep time.Duration // a message, before Temporal is asked for its flow
	Price time.Duration // a message that Twilio accepted, before Twilio is asked for its price
}

// New returns the jobs over what they need.
func New(store Store, flows Flows, lookUp LookUp, fetch Fetch, tell Tell, wait Patience) *Activities {
	return &Activities{store, flows, lookUp, fetch, tell, wait}
}

// A batch is bounded by number, and by time where each may wait for another system.
const (
	batchSize  = 100
	batchLimit = 20 * time.Second
)
