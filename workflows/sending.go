package workflows

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"parley/contract"
	"parley/internal/domain"
)

// deliveryStep is the name under which the wait for Twilio's status stands among the steps.
const deliveryStep = "delivery"

// sentPart is one part that Twilio accepted.
type sentPart struct {
	part, attempt int
	status        contract.Status
}

// composer yields what is to be sent; without a DraftID it is the message's own body.
type composer func(workflow.Context) (contract.Draft, error)

// sendAndFollow sends a stored message part by part, charges it, and follows the delivery.
func (f *flow) sendAndFollow(ctx workflow.Context, compose composer) error {
	if err := f.compose(ctx, compose); err != nil {
		return err
	}
	for part := 1; part <= f.draft.Parts; part++ {
		accepted, err := f.sendPart(ctx, compose, part)
		if err != nil {
			return err
		}
		f.sent = append(f.sent, accepted)
	}
	charged := start(ctx, f, contract.Settle, func() (workflow.ActivityOptions, contract.SettleInput) {
		return closing(), contract.SettleInput{OwnerID: f.status.OwnerID, WorkflowID: workflow.GetInfo(ctx).WorkflowExecution.ID, MessageID: f.status.MessageID}
	}).beside(ctx)
	if err := f.enter(ctx, contract.StageDelivering); err != nil {
		return err
	}
	if err := f.awaitDelivery(ctx); err != nil {
		return err
	}
	_, err := charged.wait(ctx)
	return err
}

// compose has what is to be sent composed.
func (f *flow) compose(ctx workflow.Context, compose composer) (err error) {
	if f.draft, err = compose(ctx); err == nil && f.draft.Parts < 1 {
		err = &ending{domain.OutcomeFailed, "there is nothing to send"}
	}
	return err
}

// sendPart sends one part. What Twilio refused and an operator mended, and what an operator has sent again, is a new attempt; what is known
// not to have been sent stays the same one. A draft that does not answer what is to be answered by now is composed anew.
func (f *flow) sendPart(ctx workflow.Context, compose composer, part int) (*sentPart, error) {
	if err := f.late(ctx); err != nil && part == 1 {
		return nil, err
	}
	doubt := false // whether an attempt may have got through all the same
	for attempt := 1; ; attempt++ {
		key, scheduled := contract.AttemptKey{MessageID: f.status.MessageID, Part: part, Attempt: attempt}, workflow.Now(ctx)
		result, err := startFor(ctx, f, part, contract.Send, func() (workflow.ActivityOptions, contract.SendInput) {
			return sending(f.rest(ctx), fmt.Sprintf("part %d, attempt %d", part, attempt)), contract.SendInput{
				AttemptKey: key, OwnerID: f.status.OwnerID, DraftID: f.draft.DraftID, Anyway: f.anyway,
				PostWithin: f.timing.PostWithin, SendTimeout: f.timing.SendTimeout, ValidityPeriod: f.timing.ValidityPeriod,
				Turns: f.timing.Turns,
			}
		}).once(ctx)
		if isUnknown(err) {
			result, err = f.find(ctx, key, scheduled)
			doubt = doubt || err != nil
		}
		switch {
		case err == nil && result.State == contract.SendSettled:
			attempt-- // the same again: its row says what follows
		case err == nil && result.State == contract.SendStale:
			attempt--
			if err := f.compose(ctx, compose); err != nil {
				return nil, err
			}
		case err == nil:
			accepted, err := sentOf(part, result)
			return accepted, f.cut(part, doubt, err)
		case isEnding(err): // in the middle of the send, or of the search for it
			return nil, f.cut(part, true, err)
		case isUnknown(err): // an operator has it sent again, although nobody knows
		default:
			if _, err := f.park(ctx, contract.Send.Name, part, err); err != nil {
				return nil, f.cut(part, doubt, err)
			}
		}
	}
}

// several is a part's number where the message has several, else 0.
func (f *flow) several(part int) int {
	if f.draft.Parts > 1 {
		return part
	}
	return 0
}

// cut says of an ending which part of several it is about: those before were sent, those after were not.
func (f *flow) cut(part int, doubt bool, err error) error {
	end, ok := errors.AsType[*ending](err)
	if !ok || f.several(part) == 0 {
		return err
	}
	fate := "was not sent"
	if doubt {
		fate = "may not have been sent"
	}
	return &ending{end.outcome, fmt.Sprintf("part %d of %d %s: %s", part, f.draft.Parts, fate, end.reason)}
}

// sentOf tells a part that was accepted from a send that ends the flow.
func sentOf(part int, result contract.SendResult) (*sentPart, error) {
	switch result.State {
	case contract.SendAccepted:
		return &sentPart{part, result.Attempt, result.Status}, nil
	case contract.SendRefused:
		return nil, &ending{domain.OutcomeFailed, fmt.Sprintf("Twilio refused the message with code %d", result.ErrorCode)}
	case contract.SendExpired:
		return nil, &ending{domain.OutcomeExpired, "the deadline passed before the message could be sent"}
	case contract.SendSuperseded:
		return nil, superseded()
	case contract.SendDenied:
		return nil, &ending{domain.OutcomeDenied, "the person does not want to be written to"}
	case contract.SendOverQuota:
		return nil, &ending{domain.OutcomeOverQuota, "the owner's plan has nothing left this month"}
	case contract.SendBlocked:
		return nil, &ending{domain.OutcomeBlocked, "the owner's plan is not active"}
	case contract.SendLooping:
		return nil, looping()
	case contract.SendOvertaken:
		return nil, &ending{domain.OutcomeFailed, "another reply went out between two parts"}
	case contract.SendClosed:
		return nil, &ending{domain.OutcomeFailed, "the message was closed meanwhile"}
	default:
		return nil, fmt.Errorf("no such send state: %q", result.State)
	}
}

func superseded() *ending {
	return &ending{domain.OutcomeSuperseded, "a newer message of the person is answered instead, and this one with it"}
}

func looping() *ending {
	return &ending{domain.OutcomeLooping, "the conversation looks like two machines talking: starter conversation resume lets it go on"}
}

// awaitDelivery waits for the final status of every part: told by signal, or asked for at growing intervals. It gives up a while after
// sent, which some carriers never follow by anything, and a while after Twilio itself gives up. What comes later moves only the rows.
func (f *flow) awaitDelivery(ctx workflow.Context) error {
	f.markDelivery(ctx, contract.StepRunning, "")
	interval, until := f.timing.DeliveryCheck, workflow.Now(ctx).Add(f.timing.ValidityPeriod+f.timing.DeliveryGrace)
	wasSent := false
	for {
		if !wasSent && all(f.sent, func(p *sentPart) bool { return p.status.Rank() >= domain.StatusSent.Rank() }) {
			wasSent, until = true, workflow.Now(ctx).Add(f.timing.DeliveryGrace)
		}
		if all(f.sent, func(p *sentPart) bool { return p.status.Final() }) {
			f.markDelivery(ctx, contract.StepDone, f.delivered())
			return nil
		}
		left := until.Sub(workflow.Now(ctx))
		if left <= 0 {
			f.markDelivery(ctx, contract.StepEnded, "no final status in time; a later one still moves the row")
			return nil
		}
		news, err := f.awaitNews(ctx, deliveryStep, min(interval, left), "next status check")
		if err != nil {
			return err
		}
		if news == nil {
			f.fetch(ctx)
			interval = min(2*interval, longestCheck)
		}
	}
}

func (f *flow) markDelivery(ctx workflow.Context, state contract.StepState, note string) {
	f.mark(ctx, contract.StepStatus{Name: deliveryStep, State: state, Note: note})
}

// delivered says what became of the parts: once, where it is the same of all.
func (f *flow) delivered() string {
	first := f.sent[0].status
	if all(f.sent, func(p *sentPart) bool { return p.status == first }) {
		return string(first)
	}
	var each []string
	for _, p := range f.sent {
		each = append(each, fmt.Sprintf("part %d %s", p.part, p.status))
	}
	return strings.Join(each, ", ")
}

// awaitNews waits for a callback's news, or for a time to pass: then there are none.
func (f *flow) awaitNews(ctx workflow.Context, step string, wait time.Duration, why string) (news *contract.Delivery, err error) {
	timerCtx, stopTimer := workflow.WithCancel(ctx)
	defer stopTimer()
	workflow.NewSelector(ctx).
		AddReceive(workflow.GetSignalChannel(ctx, contract.DeliverySignal), func(channel workflow.ReceiveChannel, _ bool) {
			news = f.hear(channel)
		}).
		// Before the timer, which is ready too when the flow is cancelled.
		AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) {
			err = &ending{domain.OutcomeCancelled, "cancelled during " + step}
		}).
		AddFuture(workflow.NewTimerWithOptions(timerCtx, wait, workflow.TimerOptions{Summary: why}), func(workflow.Future) {}).
		Select(ctx)
	return news, err
}

// hear takes a callback's news, and moves the part that they are about. News that cannot be read tell of no part; Receive would wait for
// some that can.
func (f *flow) hear(channel workflow.ReceiveChannel) *contract.Delivery {
	var news contract.Delivery
	channel.ReceiveAsync(&news)
	for _, p := range f.sent {
		if p.part == news.Part && p.attempt == news.Attempt {
			p.advance(news.Status)
		}
	}
	return &news
}

// fetch asks Twilio for the status of each part that has no final one. A question that fails is asked again at the next check: the
// message is sent, and nobody has to act.
func (f *flow) fetch(ctx workflow.Context) {
	for _, p := range f.sent {
		if p.status.Final() {
			continue
		}
		result, err := contract.FetchStatus.Do(ctx, fetching(), contract.FetchStatusInput{
			AttemptKey: contract.AttemptKey{MessageID: f.status.MessageID, Part: p.part, Attempt: p.attempt}, OwnerID: f.status.OwnerID,
		})
		if err != nil {
			f.markDelivery(ctx, contract.StepRunning, "Twilio could not be asked: "+reasonOf(err))
			continue
		}
		p.advance(result.Status)
	}
}

// advance moves a part's status forward, never back.
func (p *sentPart) advance(status contract.Status) {
	if status.Rank() > p.status.Rank() {
		p.status = status
	}
}

func all(sent []*sentPart, holds func(*sentPart) bool) bool {
	for _, p := range sent {
		if !holds(p) {
			return false
		}
	}
	return true
}
