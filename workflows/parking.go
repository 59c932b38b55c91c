package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"parley/contract"
	"parley/internal/domain"
)

// order is a command that a parked flow took.
type order struct {
	name    string
	command contract.Command
}

// park waits for a person: it marks the message, says what is wrong and what to do, and returns the word that has the flow go on (retry,
// or delivery where a callback tells of the attempt that is sought), or an *ending for abandon, for a flow that nobody looked after
// in time, or for one that was cancelled.
func (f *flow) park(ctx workflow.Context, step string, part int, cause error) (word string, err error) {
	f.parks++
	now, stage, part := workflow.Now(ctx), f.status.Stage, f.several(part)
	park := contract.Park{
		// The same on each replay, also by the run that a reset makes of this one, and another when the flow parks anew there. The run's id
		// would not do: after a reset the commands that the history holds would name no park.
		Name: fmt.Sprintf("%s/%d", now.UTC().Format(time.RFC3339Nano), f.parks),
		Step: step, Part: part, Reason: reasonOf(cause), Advice: advice(step, kindOf(cause)),
		Since: now, Until: now.Add(f.parkTimeout()), Unknown: f.sought != nil,
	}
	if !afterSend(step) {
		park.Deadline = f.deadline
		park.Advice += " Past the deadline nothing is sent unless the retry says anyway."
	}
	f.mark(ctx, contract.StepStatus{Name: step, Part: part, State: contract.StepParked, Note: park.Reason})
	f.markMessage(ctx, park)
	workflow.Go(ctx, func(ctx workflow.Context) { f.keepUnrouted(ctx, park.Reason) }) // a database that is away does not hold up the park
	f.commands, f.taken = workflow.NewBufferedChannel(ctx, 1), false                  // of this park: no command outlives it
	f.status.Park = &park
	if err := f.enter(ctx, contract.StageParked); err != nil {
		return "", err
	}
	taken, err := f.awaitOrder(ctx)
	f.status.Park = nil
	if err := errors.Join(f.enter(ctx, stage), err); err != nil {
		return "", err
	}
	switch taken.name {
	case contract.RetryCommand, contract.DeliverySignal:
		if taken.command.Anyway {
			f.anyway = true
			f.extend(ctx)
		}
		return taken.name, nil
	case contract.AbandonCommand:
		return "", &ending{domain.OutcomeAbandoned, "abandoned by an operator at " + step + ": " + park.Reason}
	default:
		return "", &ending{domain.OutcomeFailed, "nobody mended " + step + " in time: " + park.Reason}
	}
}

// parkTimeout is the owner's, or the default while the owner is not known.
func (f *flow) parkTimeout() time.Duration {
	if f.timing.ParkTimeout > 0 {
		return f.timing.ParkTimeout
	}
	return domain.DefaultSettings(domain.English).Timing.ParkTimeout
}

// markMessage notes the park in the message's row. A flow whose message is not stored yet has none, and one whose database is the trouble
// cannot: it is parked all the same.
func (f *flow) markMessage(ctx workflow.Context, park contract.Park) {
	if f.status.MessageID == "" {
		return
	}
	_, err := contract.ParkMessage.Do(ctx, recording(), contract.NewPark{
		OwnerID: f.status.OwnerID, MessageID: f.status.MessageID, Park: park.Name, Step: park.Step, Reason: park.Reason,
	})
	if err != nil {
		workflow.GetLogger(ctx).Warn("the park is not in the message's row", "error", err.Error())
	}
}

// keepUnrouted has an inbound message that is not stored kept in the database, once, from where operators start it again though its flow be gone:
// nobody owns it, or storing it as its owner's failed.
func (f *flow) keepUnrouted(ctx workflow.Context, reason string) {
	if f.unstored == nil {
		return
	}
	_, err := contract.KeepUnrouted.Do(ctx, recording(), contract.KeepUnroutedInput{Received: *f.unstored, Reason: reason})
	if err != nil {
		workflow.GetLogger(ctx).Warn("the message without an owner is not kept", "error", err.Error())
		return
	}
	f.unstored = nil
}

// awaitOrder waits for a command that holds. Signals from before the park, and such as do not hold, are dropped, never kept.
func (f *flow) awaitOrder(ctx workflow.Context) (taken order, err error) {
	timerCtx, stopTimer := workflow.WithCancel(ctx)
	defer stopTimer()
	waiting := true
	selector := workflow.NewSelector(ctx)
	for _, name := range []string{contract.RetryCommand, contract.AbandonCommand} {
		channel := workflow.GetSignalChannel(ctx, name)
		for channel.ReceiveAsync(nil) { // from before this park
			continue
		}
		selector.AddReceive(channel, func(channel workflow.ReceiveChannel, _ bool) {
			var command contract.Command
			if !channel.ReceiveAsync(&command) { // it cannot be read; Receive would wait for one that can
				return
			}
			if refused := f.take(ctx, name, command); refused != nil {
				workflow.GetLogger(ctx).Warn("signal dropped", "signal", name, "reason", refused.Error())
			}
		})
	}
	selector.AddReceive(f.commands, func(channel workflow.ReceiveChannel, _ bool) {
		channel.Receive(ctx, &taken)
		waiting = false
	})
	if f.sought != nil {
		selector.AddReceive(workflow.GetSignalChannel(ctx, contract.DeliverySignal), func(channel workflow.ReceiveChannel, _ bool) {
			if f.seeks(f.hear(channel)) {
				taken, waiting = order{name: contract.DeliverySignal}, false
			}
		})
	}
	// Before the timer, which is ready too when the flow is cancelled.
	selector.AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) {
		err, waiting = &ending{domain.OutcomeCancelled, "cancelled while parked at " + f.status.Park.Step}, false
	})
	selector.AddFuture(workflow.NewTimerWithOptions(timerCtx, f.status.Park.Until.Sub(workflow.Now(ctx)), workflow.TimerOptions{Summary: "gives up"}),
		func(workflow.Future) { waiting = false })
	for waiting {
		selector.Select(ctx)
	}
	if taken.name == "" && f.commands.ReceiveAsync(&taken) { // its operator was told that it is taken
		return taken, nil
	}
	return taken, err
}

// take hands a command, update or signal, to the parked flow: the first one that holds. An update is checked again, since another
// command may have been taken since its validator ran.
func (f *flow) take(ctx workflow.Context, name string, command contract.Command) error {
	if err := f.check(ctx, name, command); err != nil {
		return err
	}
	if f.taken { // the channel does not tell: one that is read already has room again
		return errors.New("another command was taken first")
	}
	f.taken = f.commands.SendAsync(order{name, command})
	return nil
}

// check says why a command does not hold at this moment, nil where it does.
func (f *flow) check(ctx workflow.Context, name string, command contract.Command) error {
	park := f.status.Park
	switch {
	case park == nil:
		return errors.New("the flow is not parked: there is nothing to " + name)
	case command.Park != "" && command.Park != park.Name:
		return fmt.Errorf("park %s is over; the flow is parked as %s: look again before you decide", command.Park, park.Name)
	case park.Unknown && command.Park == "":
		return fmt.Errorf("whether the message was sent is unknown: say which park you mean (%s)", park.Name)
	case name == contract.RetryCommand && !command.Anyway && f.rest(ctx) <= 0 && onlyToSend(park.Step):
		return fmt.Errorf("the deadline %s has passed: retry with anyway to send all the same", clock(f.deadline))
	default:
		return nil
	}
}

// onlyToSend reports whether a step is of use only if the message can still go out. The steps before store the message, however late;
// those after charge and close it; and whether it has been sent may be looked up at any time.
func onlyToSend(step string) bool {
	return step == contract.Reserve.Name || step == contract.Generate.Name || step == contract.Send.Name
}

// afterSend reports whether a step comes when all is sent.
func afterSend(step string) bool { return step == contract.Settle.Name || step == contract.Finish.Name }

// advice says what a person can do about a step that failed.
func advice(step string, kind domain.Kind) string {
	switch {
	case step == contract.LookUp.Name && kind == domain.KindUnknownOutcome:
		return "The message may have reached the person: Parley looked for it at Twilio and did not find it. Look in Twilio's log. " +
			"retry looks once more, and sends it again where it still is not found; abandon ends the flow and sends nothing more."
	case step == contract.LookUp.Name:
		return "The message may have reached the person, and Parley could not look for it at Twilio. Mend the cause, then retry: " +
			"it is looked for, and sent again only where it is not found."
	case step == contract.ResolveAccount.Name && kind == domain.KindNotFound:
		return "Nobody owns the address that was written to. Add it with `starter sender add`, then retry. The message is kept: `starter unrouted list`."
	case step == contract.Generate.Name && kind == domain.KindConfiguration:
		return "Mend the model's key, name or base URL, then retry."
	case step == contract.Send.Name && kind == domain.KindConfiguration:
		return "Mend the account at Twilio, or give its right token with `starter account rotate`, then retry."
	default:
		return "Mend the cause, then retry; or abandon the message."
	}
}
