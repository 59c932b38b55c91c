package messaging

import (
	"context"
	"slices"
	"time"

	"parley/contract"
	"parley/internal/domain"
)

const (
	// storeEvery is the wait between two tries to store an answer.
	storeEvery = 250 * time.Millisecond
	// storeWithin is what an answer is given at least: a transaction (8 s), and a moment to begin it. It may come when the step's time
	// has passed, on a worker that stood still.
	storeWithin = 10 * time.Second
)

// Send sends one part of a message. Key: the attempt, of which it makes one POST at most.
//
// It returns a result for what is settled (accepted, refused for good, or the claim's reason why nothing is sent), and an error
// for what is not: KindUnknownOutcome (may have been sent: never repeat it), KindConfiguration (an operator must mend it),
// KindThrottled and KindUnavailable (known not sent: the retry claims afresh).
func (a *Activities) Send(ctx context.Context, in contract.SendInput) (contract.SendResult, error) {
	started := time.Now() // before the claim, so that this clock's limit is never later than the database's
	claim, err := a.store.Claim(ctx, domain.NewClaim{
		AttemptKey: in.AttemptKey, OwnerID: in.OwnerID, DraftID: in.DraftID, Anyway: in.Anyway, PostWithin: in.PostWithin, Timeout: in.SendTimeout,
		Turns: in.Turns,
	})
	if err != nil {
		return contract.SendResult{}, err
	}
	switch claim.State {
	case domain.ClaimGranted:
		answer, refused := a.post(ctx, in, claim, started)
		return a.record(ctx, in, claim, answer, refused)
	case domain.ClaimResolved:
		return result(claim.Resolved, 0)
	case domain.ClaimBegun:
		return result(domain.Attempt{State: domain.AttemptBegun}, 0)
	case domain.ClaimExpired, domain.ClaimSuperseded, domain.ClaimDenied, domain.ClaimOverQuota, domain.ClaimBlocked, domain.ClaimLooping,
		domain.ClaimStale, domain.ClaimOvertaken, domain.ClaimClosed:
		return contract.SendResult{State: contract.SendState(claim.State)}, nil
	default:
		return contract.SendResult{}, domain.Errorf(domain.KindInternal, "no such claim state: %q", claim.State)
	}
}

// post makes the attempt's one POST, unless too much time has passed since the claim. A POST that is under way is not
// aborted when the activity is cancelled: that would make an unknown of it. refused is the token that Twilio did not accept, where there is
// another one to try.
func (a *Activities) post(ctx context.Context, in contract.SendInput, claim domain.Claim, started time.Time) (answer Answer, refused string) {
	credentials, err := a.accounts.Credentials(ctx, claim.AccountSid)
	if err != nil {
		return notPosted(err), ""
	}
	logins := slices.DeleteFunc(slices.Clone(credentials.Logins), func(login domain.Login) bool { return slices.Contains(claim.Refused, login.TokenID) })
	if len(logins) == 0 {
		return notPosted(domain.Errorf(domain.KindConfiguration, "Twilio accepts no token of account %s that is valid", claim.AccountSid)), ""
	}
	now := time.Now() // once: a process that stops right after the check finds its POST's time passed
	if now.Sub(started) > in.PostWithin || ctx.Err() != nil {
		return Answer{State: domain.AttemptNotSent, Error: "not posted: too much time had passed since the claim"}, ""
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), now.Add(in.SendTimeout))
	defer cancel()
	answer = a.twilio.Create(ctx, logins[0], Post{
		From: claim.From, To: claim.To, Body: claim.Body, Media: claim.Media, Key: in.AttemptKey, ValidityPeriod: in.ValidityPeriod,
	})
	if answer.State == domain.AttemptRefused && answer.LoginRefused && len(logins) > 1 {
		answer.State, answer.ErrorKind, answer.RetryAfter = domain.AttemptNotSent, domain.KindThrottled, nextLogin
		answer.Error += "; another one is tried"
		return answer, logins[0].TokenID
	}
	return answer, ""
}

// nextLogin is how soon the next login is tried: Temporal's server fires no timer sooner.
const nextLogin = time.Second

// notPosted is the answer where the credentials could not be had. What an operator must mend ends the attempt; what may
// pass by itself leaves it to be claimed afresh.
func notPosted(err error) Answer {
	if domain.KindOf(err).Retryable() {
		return Answer{State: domain.AttemptNotSent, Error: err.Error()}
	}
	return Answer{State: domain.AttemptRefused, ErrorKind: domain.KindConfiguration, Error: err.Error()}
}

// record stores the answer and returns what the row then says: a callback may have come first.
func (a *Activities) record(ctx context.Context, in contract.SendInput, claim domain.Claim, answer Answer, refused string) (contract.SendResult, error) {
	attempt, err := a.keep(ctx, domain.Resolution{
		AttemptKey: in.AttemptKey, OwnerID: in.OwnerID, BegunAt: claim.BegunAt, State: answer.State, Sid: answer.Sid, Status: answer.Status,
		Segments: answer.Segments, Price: answer.Price, ErrorCode: answer.ErrorCode, ErrorKind: answer.ErrorKind, Error: answer.Error, Refused: refused,
	})
	if err != nil {
		// Whatever the trouble is, the retry finds the attempt begun, and its fate unknown: no other kind may come out of here.
		return contract.SendResult{}, &domain.Error{Kind: domain.KindUnavailable, Message: "Twilio's answer could not be stored: " + err.Error(), Err: err}
	}
	return result(attempt, answer.RetryAfter)
}

// keep stores an answer, and tries again for as long as the step may last: a lost answer makes an unknown of what is known. It does
// not end with a cancelled activity, nor at once where the step's time has passed: nobody else has the answer.
func (a *Activities) keep(ctx context.Context, resolution domain.Resolution) (domain.Attempt, error) {
	deadline, bounded := ctx.Deadline()
	ctx = context.WithoutCancel(ctx)
	if bounded {
		if least := time.Now().Add(storeWithin); deadline.Before(least) {
			deadline = least
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	for {
		attempt, err := a.store.Resolve(ctx, resolution)
		if err == nil || ctx.Err() != nil || !bounded {
			return attempt, err
		}
		select {
		case <-ctx.Done():
			return attempt, err
		case <-time.After(storeEvery):
		}
	}
}

// result turns an attempt's row into what the flow is told.
func result(attempt domain.Attempt, retryAfter time.Duration) (contract.SendResult, error) {
	switch attempt.State {
	case domain.AttemptAccepted:
		return contract.SendResult{State: contract.SendAccepted, Attempt: attempt.Number, Status: attempt.Status, ErrorCode: attempt.ErrorCode}, nil
	case domain.AttemptRefused:
		if attempt.ErrorKind == domain.KindConfiguration {
			return contract.SendResult{}, &domain.Error{Kind: domain.KindConfiguration, Code: attempt.ErrorCode, Message: attempt.Error}
		}
		return contract.SendResult{State: contract.SendRefused, ErrorCode: attempt.ErrorCode}, nil
	case domain.AttemptNotSent:
		return contract.SendResult{}, &domain.Error{Kind: domain.KindThrottled, Code: attempt.ErrorCode, Message: "not sent yet: " + attempt.Error, RetryAfter: retryAfter}
	case domain.AttemptBegun, domain.AttemptUnknown:
		return contract.SendResult{}, domain.Errorf(domain.KindUnknownOutcome, "the message may have been sent: its fate is unknown")
	default:
		return contract.SendResult{}, domain.Errorf(domain.KindInternal, "no such attempt state: %q", attempt.State)
	}
}
