package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/workflow"

	"parley/contract"
	"parley/internal/domain"
)

// A send whose POST had no clear answer is of unknown fate. It goes through these states:
//
//	looked for --found in Twilio's list, or told by a callback--> as if it had been answered at once
//	looked for --its row says that it was not accepted--> the same send again, whose row says what follows
//	looked for --the last look-up finds nothing--> declared unknown --> parked, or (the owner's choice) the flow ends
//	parked --told by a callback--> as above
//	parked --retry: looked for once more, nothing--> the next attempt; past the deadline, without anyway, parked again
//	parked --abandon, or nobody acts in time--> the flow ends unknown
//
// A look-up that fails is not one that found nothing: it never lets the next attempt begin. Looking is always allowed: past the
// deadline a retry without anyway looks, and asks again where it finds nothing, since only a person knows whether a late message helps.

// isUnknown reports whether a step failed since nobody knows whether the message was sent.
func isUnknown(err error) bool { return err != nil && kindOf(err) == domain.KindUnknownOutcome }

// find finds out what became of an attempt. It returns an unknown error where an operator wants the message sent again although it
// was not found.
func (f *flow) find(ctx workflow.Context, key contract.AttemptKey, scheduled time.Time) (contract.SendResult, error) {
	f.sought = &key
	defer func() { f.sought = nil }()
	result, err := f.lookUps(ctx, f.begun(ctx, scheduled))
	for err != nil && !isEnding(err) {
		if f.timing.GiveUpUnknown && isUnknown(err) {
			return result, &ending{domain.OutcomeUnknown, "whether the message was sent could not be found out"}
		}
		// The name of this park is required of every command: an old decision could send twice.
		word, stop := f.park(ctx, contract.LookUp.Name, key.Part, err)
		if stop != nil {
			return result, stop
		}
		if result, err = f.lookUp(ctx, true); isUnknown(err) && word == contract.RetryCommand && f.rest(ctx) > 0 {
			break
		}
	}
	return result, err
}

// begun is when the attempt was begun, as far as the flow knows: a send may have waited for its turn, but a POST takes only so long.
func (f *flow) begun(ctx workflow.Context, scheduled time.Time) time.Time {
	if earliest := workflow.Now(ctx).Add(-f.timing.PostWithin - f.timing.SendTimeout); earliest.After(scheduled) {
		return earliest
	}
	return scheduled
}

// lookUps looks for the attempt at the owner's times, of which only the last may declare it unknown, and at once when a callback tells of
// it. Its error is that of the last look-up.
func (f *flow) lookUps(ctx workflow.Context, begun time.Time) (result contract.SendResult, err error) {
	for i, after := range f.timing.LookUps {
		last, due := i == len(f.timing.LookUps)-1, begun.Add(after)
		if !last && !due.After(workflow.Now(ctx)) {
			continue // the POST itself took as long
		}
		for told := true; told; {
			if told, err = f.awaitTold(ctx, due); err != nil {
				return result, err
			}
			result, err = f.lookUp(ctx, last && !told)
			if isEnding(err) || (err == nil && result.State != contract.SendPending) {
				return result, err
			}
		}
	}
	return result, err
}

// awaitTold waits until a callback tells of the attempt, or until a time.
func (f *flow) awaitTold(ctx workflow.Context, due time.Time) (told bool, err error) {
	for wait := due.Sub(workflow.Now(ctx)); wait > 0 && !told; wait = due.Sub(workflow.Now(ctx)) {
		news, err := f.awaitNews(ctx, contract.LookUp.Name, wait, "next look-up")
		if err != nil {
			return false, err
		}
		told = f.seeks(news)
	}
	return told, nil
}

// seeks reports whether news are worth a look-up: they tell of the part that is sought. An earlier attempt of it may have got through
// after all.
func (f *flow) seeks(news *contract.Delivery) bool {
	return news != nil && news.Part == f.sought.Part
}

// lookUp looks for the attempt once. Where it runs out of time the flow does not end: it may be looked for again.
func (f *flow) lookUp(ctx workflow.Context, last bool) (contract.SendResult, error) {
	result, err := startFor(ctx, f, f.sought.Part, contract.LookUp, func() (workflow.ActivityOptions, contract.LookUpInput) {
		return lookingUp(), contract.LookUpInput{AttemptKey: *f.sought, OwnerID: f.status.OwnerID, Last: last}
	}).once(ctx)
	if end, ok := errors.AsType[*ending](err); ok && end.outcome == domain.OutcomeExpired {
		return result, errors.New(end.reason)
	}
	return result, err
}

// resolved looks for an attempt that was still begun when the flow ended, and reports whether its row now says what became of it.
func (f *flow) resolved(ctx workflow.Context, key contract.AttemptKey) bool {
	f.sought = &key
	defer func() { f.sought = nil }()
	_, err := f.lookUps(ctx, workflow.Now(ctx))
	return err == nil
}
