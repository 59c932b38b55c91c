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
//	looked for --the last look-up finds nothing--> declared unknown --> parked, or (the owner's choice) the flow ends
//	parked --told by a callback--> as above
//	parked --retry: looked for once more, nothing--> the next attempt
//	parked --abandon, or nobody acts in time--> the flow ends unknown
//
// A look-up that fails is not one that found nothing: it never lets the next attempt begin.

// isUnknown reports whether a step failed since nobody knows whether the message was sent.
func isUnknown(err error) bool { return err != nil && kindOf(err) == domain.KindUnknownOutcome }

// find finds out what became of an attempt. It returns an unknown error where an operator wants the message sent again although it
// was not found.
func (f *flow) find(ctx workflow.Context, key contract.AttemptKey, begun time.Time) (contract.SendResult, error) {
	result, err := f.lookUps(ctx, key, begun)
	for err != nil && !isEnding(err) {
		if f.timing.GiveUpUnknown && isUnknown(err) {
			return result, &ending{domain.OutcomeUnknown, "whether the message was sent could not be found out"}
		}
		word, stop := f.parkUnknown(ctx, key, err)
		if stop != nil {
			return result, stop
		}
		result, err = f.lookUp(ctx, key, true)
		if isUnknown(err) && word == contract.RetryCommand {
			return result, err
		}
	}
	return result, err
}

// lookUps looks for an attempt at the owner's times, and at once when a callback tells of it. Its error is that of the last look-up.
func (f *flow) lookUps(ctx workflow.Context, key contract.AttemptKey, begun time.Time) (result contract.SendResult, err error) {
	last := len(f.timing.LookUps) - 1
	for i, after := range f.timing.LookUps {
		wait := begun.Add(after).Sub(workflow.Now(ctx))
		if wait <= 0 && i < last {
			continue // long past: the POST itself took as long
		}
		if _, err := f.awaitSignal(ctx, workflow.GetSignalChannel(ctx, contract.DeliverySignal), nil, wait, "next look-up"); err != nil {
			return result, err
		}
		result, err = f.lookUp(ctx, key, i == last)
		if isEnding(err) || (err == nil && result.State != contract.SendPending) {
			return result, err
		}
	}
	return result, err
}

// lookUp looks for an attempt once.
func (f *flow) lookUp(ctx workflow.Context, key contract.AttemptKey, last bool) (contract.SendResult, error) {
	return start(ctx, f, contract.LookUp, func() (workflow.ActivityOptions, contract.LookUpInput) {
		return lookingUp(), contract.LookUpInput{AttemptKey: key, OwnerID: f.status.OwnerID, Last: last}
	}).onceAgain(ctx)
}

// onceAgain is once for a step that may run out of time without ending the flow.
func (p *pending[In, Out]) onceAgain(ctx workflow.Context) (Out, error) {
	out, err := p.once(ctx)
	if end, ok := errors.AsType[*ending](err); ok && end.outcome == domain.OutcomeExpired {
		return out, errors.New(end.reason)
	}
	return out, err
}

// parkUnknown parks a flow whose message may have been sent. The name of the park is required of every command, since there an old
// decision could send twice; a callback that tells of the attempt wakes the flow.
func (f *flow) parkUnknown(ctx workflow.Context, key contract.AttemptKey, cause error) (word string, err error) {
	f.awaited = &key
	defer func() { f.awaited = nil }()
	return f.park(ctx, contract.LookUp.Name, cause)
}

// settleFate has an attempt looked for that was under way when the flow ended, and says whether to give up.
func (f *flow) settleFate(ctx workflow.Context, key contract.AttemptKey) (giveUp bool) {
	_, err := f.lookUps(ctx, key, workflow.Now(ctx))
	return err != nil
}
