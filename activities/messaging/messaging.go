// Package messaging holds the steps of the messaging role: one part of a message is sent through Twilio, and its status is
// asked for.
//
// Send makes at most one POST an attempt. Its states, as rows of send_attempts:
//
//	(none) --claim--> begun --POST--> accepted | refused | not_sent | unknown
//	not_sent --claim--> begun
//
// What can go wrong, and what then happens:
//   - The worker dies before the claim commits: nothing happened; the next execution claims.
//   - It dies after the claim: the next execution finds the attempt begun and does not POST: KindUnknownOutcome. The flow then has
//     it looked for, by LookUp.
//   - It stalls after the claim: nothing is posted later than PostWithin after it, by this machine's monotonic clock.
//   - Twilio was not reached, or asks for patience: not_sent; a retry claims afresh, with every check.
//   - Twilio did not accept the account's token, and there is another one: not_sent too; the row remembers the token, and the retry takes
//     the other. Each is tried once an attempt.
//   - The POST was written and no clear answer came: unknown; never repeated.
//   - The worker dies before it records the answer: as after the claim.
//   - It records "not sent", does not hear that it has, and records it again when the attempt was claimed anew meanwhile: the row keeps what
//     the later claim made of it.
package messaging

import (
	"context"
	"time"

	"parley/contract"
	"parley/internal/domain"
)

// Store keeps the attempts. Each method is one transaction.
type Store interface {
	Claim(context.Context, domain.NewClaim) (domain.Claim, error)
	Resolve(context.Context, domain.Resolution) (domain.Attempt, error)
	Sought(ctx context.Context, ownerID string, key domain.AttemptKey, alone bool) (domain.Sought, error)
	Unbound(ctx context.Context, accountSid string, sids []string) ([]string, error)
	DeclareUnknown(ctx context.Context, ownerID string, key domain.AttemptKey) (domain.Attempt, error)
	Accepted(ctx context.Context, ownerID string, key domain.AttemptKey) (accountSid, sid string, err error)
	ApplyStatus(context.Context, domain.StatusEvent) (domain.StatusChange, error)
}

// Accounts knows Twilio's credentials.
type Accounts interface {
	Credentials(ctx context.Context, accountSid string) (domain.Credentials, error)
}

// Post is one message to be created at Twilio.
type Post struct {
	From, To, Body string
	Media          []domain.Media
	Key            domain.AttemptKey // stands in the status callback's URL
	ValidityPeriod time.Duration
}

// Answer is what one POST came to. State is never begun.
type Answer struct {
	State      domain.AttemptState
	Sid        string
	Status     domain.Status
	Segments   int
	Price      *domain.Money // nil where Twilio does not know yet
	ErrorCode  int
	ErrorKind  domain.Kind // of a refusal: configuration or denied
	Error      string
	RetryAfter time.Duration

	// LoginRefused says of a refusal that Twilio did not accept the login, and looked at nothing else.
	LoginRefused bool
}

// Delivery is what Twilio says of a message that it accepted.
type Delivery struct {
	Status    domain.Status
	ErrorCode int
	Price     *domain.Money // nil where Twilio does not know yet
}

// Candidate is a message in Twilio's list that an attempt may have made.
type Candidate struct {
	Sid       string
	Status    domain.Status
	Segments  int
	Price     *domain.Money // nil where Twilio does not know yet
	ErrorCode int           // why it was not delivered
}

// Twilio creates and reads messages. Search returns those of its list that an attempt may have made, bound ones too.
type Twilio interface {
	Search(context.Context, domain.Credentials, domain.Sought) ([]Candidate, error)
	Create(context.Context, domain.Login, Post) Answer
	Fetch(ctx context.Context, credentials domain.Credentials, sid string) (Delivery, error)
}

// Activities are the steps of the messaging role.
type Activities struct {
	store    Store
	accounts Accounts
	twilio   Twilio
}

// New returns the steps over a store, the accounts and Twilio.
func New(store Store, accounts Accounts, twilio Twilio) *Activities {
	return &Activities{store, accounts, twilio}
}

// FetchStatus asks Twilio for the status of an accepted attempt and moves the row forward. It reads; running it twice is harmless.
func (a *Activities) FetchStatus(ctx context.Context, in contract.FetchStatusInput) (contract.FetchStatusResult, error) {
	accountSid, sid, err := a.store.Accepted(ctx, in.OwnerID, in.AttemptKey)
	if err != nil {
		return contract.FetchStatusResult{}, err
	}
	credentials, err := a.accounts.Credentials(ctx, accountSid)
	if err != nil {
		return contract.FetchStatusResult{}, err
	}
	delivery, err := a.twilio.Fetch(ctx, credentials, sid)
	if err != nil {
		return contract.FetchStatusResult{}, err
	}
	change, err := a.store.ApplyStatus(ctx, domain.StatusEvent{
		AttemptKey: in.AttemptKey, AccountSid: accountSid, Sid: sid,
		Status: delivery.Status, ErrorCode: delivery.ErrorCode, Price: delivery.Price, Source: domain.SourceFetch,
	})
	return contract.FetchStatusResult{Status: change.Status, ErrorCode: change.ErrorCode}, err
}
