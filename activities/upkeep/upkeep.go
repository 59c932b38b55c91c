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
	// Doubtful returns attempts of unknown fate whose flow is over and that are to be looked for by now. They are the caller's for a while.
	Doubtful(ctx context.Context, lease time.Duration, most int) ([]domain.Doubtful, error)
	// LookedInVain notes that one was not found: it is looked for again after a while, and then counts as not sent.
	LookedInVain(ctx context.Context, ownerID string, key domain.AttemptKey, again time.Duration) (missing bool, err error)
	// CloseIdleConversations closes conversations that were quiet for their owner's time, and returns how many.
	CloseIdleConversations(ctx context.Context, most int) (int, error)
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

// Patience is how long the jobs wait.
type Patience struct {
	After time.Duration // a message is left to its flow for so long before that is asked for, and between two questions
	Again time.Duration // an attempt of unknown fate that was not found is looked for a second time after so long
	Price time.Duration // a message that Twilio accepted is so old before Twilio is asked for its price, and between two questions
}

// New returns the jobs over what they need.
func New(store Store, flows Flows, lookUp LookUp, fetch Fetch, tell Tell, wait Patience) *Activities {
	return &Activities{store, flows, lookUp, fetch, tell, wait}
}

// A batch is bounded by number, and by time where each row may wait for another system.
const (
	batchSize  = 100
	batchLimit = 20 * time.Second
	idleBatch  = 500 // one statement closes them all
)

// batch does something to each row of a batch, until its time is over: the rest has its turn later. What fails for one row does not hold
// up the others, unless a system is away that all of them need. A row's note says that something was done.
func batch[T any](rows []T, do func(T) (*contract.UpkeepNote, error), failed func(T, error) *contract.UpkeepNote) (result contract.UpkeepResult, err error) {
	began := time.Now()
	result.More = len(rows) == batchSize
	for _, row := range rows {
		if time.Since(began) > batchLimit {
			break
		}
		result.Seen++
		note, err := do(row)
		switch {
		case err != nil && domain.KindOf(err) == domain.KindUnavailable:
			return result, err
		case err != nil:
			note = failed(row, err)
		case note != nil:
			result.Done++
		}
		if note != nil {
			result.Notes = append(result.Notes, *note)
		}
	}
	return result, nil
}
