package messaging

import (
	"context"
	"slices"

	"parley/contract"
	"parley/internal/domain"
)

// LookUp finds out what became of an attempt whose POST had no clear answer. Key: the attempt; running it twice is harmless.
//
// The row is read first: a late answer or a callback may have told already. Then Twilio's list is searched for the one
// message that only this attempt can have made; it is bound. Otherwise the result is pending, or, for the last look-up, the attempt
// is declared unknown: KindUnknownOutcome. A look-up that fails is not one that found nothing: it declares nothing.
func (a *Activities) LookUp(ctx context.Context, in contract.LookUpInput) (contract.SendResult, error) {
	sought, err := a.store.Sought(ctx, in.OwnerID, in.AttemptKey, in.Alone)
	if err != nil {
		return contract.SendResult{}, err
	}
	if sought.State != domain.AttemptBegun && sought.State != domain.AttemptUnknown {
		return fate(sought.Attempt)
	}
	found, err := a.search(ctx, sought)
	if err != nil {
		return contract.SendResult{}, err
	}
	var attempt domain.Attempt
	switch {
	case found != nil:
		attempt, err = a.store.Resolve(ctx, domain.Resolution{
			AttemptKey: in.AttemptKey, OwnerID: in.OwnerID, State: domain.AttemptAccepted, Sid: found.Sid, Status: found.Status, Segments: found.Segments,
			Price: found.Price, ErrorCode: found.ErrorCode,
		})
	case in.Last:
		attempt, err = a.store.DeclareUnknown(ctx, in.OwnerID, in.AttemptKey)
	default:
		return contract.SendResult{State: contract.SendPending}, nil
	}
	if err != nil {
		return contract.SendResult{}, err
	}
	return fate(attempt)
}

// fate turns the row of an attempt that was looked for into what the flow is told.
func fate(attempt domain.Attempt) (contract.SendResult, error) {
	switch attempt.State {
	case domain.AttemptRefused, domain.AttemptNotSent: // a late answer: the same send finds it and says what follows
		return contract.SendResult{State: contract.SendSettled}, nil
	default:
		return result(attempt, 0)
	}
}

// search returns the message that the attempt made, nil where the list does not show exactly one that may be it and that
// belongs to no other attempt.
func (a *Activities) search(ctx context.Context, sought domain.Sought) (*Candidate, error) {
	credentials, err := a.accounts.Credentials(ctx, sought.AccountSid)
	if err != nil {
		return nil, err
	}
	candidates, err := a.twilio.Search(ctx, credentials, sought)
	if err != nil || len(candidates) == 0 {
		return nil, err
	}
	sids := make([]string, len(candidates))
	for i, candidate := range candidates {
		sids[i] = candidate.Sid
	}
	unbound, err := a.store.Unbound(ctx, sought.AccountSid, sids)
	if err != nil || len(unbound) != 1 {
		return nil, err
	}
	return &candidates[slices.Index(sids, unbound[0])], nil
}
