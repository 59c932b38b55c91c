package workflows

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"parley/contract"
	"parley/internal/domain"
)

// flow is what inbound and outbound messages share: where the flow stands, how a step runs, how it parks and ends.
type flow struct {
	status   contract.StatusResult
	timing   contract.Timing
	stored   contract.Recorded
	within   time.Duration        // how long after its start a message may be claimed: the default until the owner's setting is known
	deadline time.Time            // nothing is claimed after it
	anyway   bool                 // an operator said that the deadline does not count
	unstored *contract.Received   // the inbound message, until it is stored or kept for the operators; nil for one of ours
	parks    int                  // how often the flow has parked; names the next park
	draft    contract.Draft       // what is sent, once that is known
	commands workflow.Channel     // what the present park is told
	taken    bool                 // the present park has been told
	sent     []*sentPart          // what Twilio has accepted
	sought   *contract.AttemptKey // the attempt whose fate is unknown, while the flow looks for it
}

// ending is a way out that is not the intended one. It travels as an error from the step to the end of the flow.
type ending struct {
	outcome contract.Outcome
	reason  string
}

func (e *ending) Error() string { return string(e.outcome) + ": " + e.reason }

// setup makes the flow answer queries and take commands. ours is our end of the message.
func (f *flow) setup(ctx workflow.Context, accountSid, ours string, startedAt time.Time, within time.Duration) error {
	f.within, f.deadline = within, startedAt.Add(within)
	if f.anyway {
		f.extend(ctx)
	}
	f.status = contract.StatusResult{AccountSid: accountSid, OurAddress: ours, Stage: contract.StageReceived}
	err := workflow.SetQueryHandlerWithOptions(ctx, contract.StatusQuery,
		func() (contract.StatusResult, error) { return f.status, nil },
		workflow.QueryHandlerOptions{Description: "Where the message stands: stage, steps, and why it is parked."})
	if err != nil {
		return err
	}
	return errors.Join(
		f.accept(ctx, contract.RetryCommand, "Parked: run the failed step again, after its cause was mended."),
		f.accept(ctx, contract.AbandonCommand, "Parked: end the flow without sending."))
}

// accept makes the flow take a command as an update. The same command as a signal is read while the flow is parked.
func (f *flow) accept(ctx workflow.Context, name, description string) error {
	return workflow.SetUpdateHandlerWithOptions(ctx, name,
		func(ctx workflow.Context, command contract.Command) error { return f.take(ctx, name, command) },
		workflow.UpdateHandlerOptions{
			Validator:   func(ctx workflow.Context, command contract.Command) error { return f.check(ctx, name, command) },
			Description: description,
		})
}

// pending is a step that was started.
type pending[In, Out any] struct {
	flow     *flow
	activity contract.Activity[In, Out]
	part     int // that it is about, where the message has several; else 0
	call     func() (workflow.ActivityOptions, In)
	future   contract.Future[Out]
}

// start starts a step. call yields its options and input, afresh each time the step runs.
func start[In, Out any](ctx workflow.Context, f *flow, activity contract.Activity[In, Out], call func() (workflow.ActivityOptions, In)) *pending[In, Out] {
	return startFor(ctx, f, 0, activity, call)
}

// startFor starts a step that is about one part of the message.
func startFor[In, Out any](
	ctx workflow.Context, f *flow, part int, activity contract.Activity[In, Out], call func() (workflow.ActivityOptions, In),
) *pending[In, Out] {
	p := &pending[In, Out]{flow: f, activity: activity, part: f.several(part), call: call}
	p.run(ctx)
	return p
}

// do runs a step to its end.
func do[In, Out any](ctx workflow.Context, f *flow, activity contract.Activity[In, Out], call func() (workflow.ActivityOptions, In)) (Out, error) {
	return start(ctx, f, activity, call).wait(ctx)
}

func (p *pending[In, Out]) run(ctx workflow.Context) {
	p.mark(ctx, contract.StepRunning, "")
	options, in := p.call()
	p.future = p.activity.Start(ctx, options, in)
}

func (p *pending[In, Out]) mark(ctx workflow.Context, state contract.StepState, note string) {
	p.flow.mark(ctx, contract.StepStatus{Name: p.activity.Name, Part: p.part, State: state, Note: note})
}

// beside has a step that the flow waits for only later marked as done when it is.
func (p *pending[In, Out]) beside(ctx workflow.Context) *pending[In, Out] {
	workflow.Go(ctx, func(ctx workflow.Context) {
		if _, err := p.future.Get(ctx); err == nil {
			p.mark(ctx, contract.StepDone, "")
		}
	})
	return p
}

// wait returns the step's result. A failure that no retry mends parks the flow until an operator has the step run again. Any other
// end of the step is an *ending.
func (p *pending[In, Out]) wait(ctx workflow.Context) (Out, error) {
	for {
		out, err := p.once(ctx)
		if err == nil || isEnding(err) {
			return out, err
		}
		if _, err := p.flow.park(ctx, p.activity.Name, p.part, err); err != nil {
			p.mark(ctx, contract.StepEnded, reasonOf(err))
			return out, err
		}
		p.run(ctx)
	}
}

// once returns the step's result without asking anybody to mend what failed. An end that nobody could mend is an *ending.
func (p *pending[In, Out]) once(ctx workflow.Context) (Out, error) {
	out, err := p.future.Get(ctx)
	if err == nil {
		p.mark(ctx, contract.StepDone, "")
		return out, nil
	}
	if end := endingOf(ctx, p.activity.Name, err); end != nil {
		err = end
	}
	p.mark(ctx, contract.StepEnded, reasonOf(err))
	return out, err
}

// endingOf tells a failure that ends the flow (cancelled, too late) from one that an operator can mend, for which it is nil.
func endingOf(ctx workflow.Context, step string, err error) *ending {
	if temporal.IsCanceledError(err) || ctx.Err() != nil {
		return &ending{domain.OutcomeCancelled, "cancelled during " + step}
	}
	// Attempts are not limited: what comes back although a retry may help has run out of time.
	application, failed := errors.AsType[*temporal.ApplicationError](err)
	if temporal.IsTimeoutError(err) || (failed && !application.NonRetryable()) {
		return &ending{domain.OutcomeExpired, step + " did not succeed in time: " + reasonOf(err)}
	}
	return nil
}

func isEnding(err error) bool {
	_, ok := errors.AsType[*ending](err)
	return ok
}

// kindOf returns the error kind that a step reported.
func kindOf(err error) domain.Kind {
	if application, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		return domain.Kind(application.Type())
	}
	return domain.KindInternal
}

// reasonOf returns what a step reported, without Temporal's envelope.
func reasonOf(err error) string {
	if end, ok := errors.AsType[*ending](err); ok {
		return end.reason
	}
	if application, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		return application.Message()
	}
	if activity, ok := errors.AsType[*temporal.ActivityError](err); ok {
		return activity.Unwrap().Error()
	}
	return err.Error()
}

// know sets what the owner decides: the lengths of all that waits, and with them the deadline.
func (f *flow) know(ctx workflow.Context, owner contract.ResolveAccountResult, startedAt time.Time, within time.Duration) error {
	f.status.OwnerID, f.timing, f.within = owner.OwnerID, owner.Timing, within
	f.deadline = startedAt.Add(within)
	if f.anyway {
		f.extend(ctx)
	}
	return f.enter(ctx, contract.StageWorking, contract.SearchOwner.ValueSet(owner.OwnerID))
}

// turns bounds how long the person waits who keeps writing. The quiet window, in which their messages are only collected, does not count.
func (f *flow) turns() contract.TurnBounds {
	bounds := f.timing.Turns
	bounds.Wait += f.timing.QuietWindow
	return bounds
}

// extend gives a message its whole time again, from now on.
func (f *flow) extend(ctx workflow.Context) { f.deadline = workflow.Now(ctx).Add(f.within) }

// recorder is the step that stores a message, inbound or outbound.
type recorder interface {
	wait(workflow.Context) (contract.Recorded, error)
	once(workflow.Context) (contract.Recorded, error)
}

// keep remembers the message that a recorder stored.
func (f *flow) keep(stored contract.Recorded, err error) error {
	if err == nil {
		f.stored, f.status.MessageID, f.unstored = stored, stored.MessageID, nil
	}
	return err
}

// identify finds the person, beside the recording. Only a message of theirs shows more of them than the address.
func (f *flow) identify(ctx workflow.Context, address, other, profileName string) *pending[contract.ResolveIdentityInput, contract.ResolveIdentityResult] {
	return start(ctx, f, contract.ResolveIdentity, func() (workflow.ActivityOptions, contract.ResolveIdentityInput) {
		return resolving(f.within), contract.ResolveIdentityInput{
			OwnerID: f.status.OwnerID, Address: address, OtherAddress: other, ProfileName: profileName,
		}
	}).beside(ctx)
}

// closedBefore ends a flow whose message an earlier flow has closed, one that Temporal has forgotten; Finish says how it ended.
func (f *flow) closedBefore() error {
	if f.stored.Closed() {
		return &ending{domain.OutcomeFailed, "the message was closed before: " + string(f.stored.ReplyState)}
	}
	return nil
}

// rest is how long a step may take that is of no use past the deadline.
func (f *flow) rest(ctx workflow.Context) time.Duration { return f.deadline.Sub(workflow.Now(ctx)) }

// late ends the flow where its deadline has passed.
func (f *flow) late(ctx workflow.Context) error {
	if f.rest(ctx) > 0 {
		return nil
	}
	return &ending{domain.OutcomeExpired, "the deadline " + clock(f.deadline) + " has passed"}
}

// clock writes a time for people.
func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// enter moves the flow to a stage: one event, with whatever else changes there.
func (f *flow) enter(ctx workflow.Context, stage contract.Stage, more ...temporal.SearchAttributeUpdate) error {
	f.status.Stage = stage
	f.describe(ctx)
	return workflow.UpsertTypedSearchAttributes(ctx, append(more, contract.SearchStage.ValueSet(string(stage)))...)
}

// mark notes how far a step is.
func (f *flow) mark(ctx workflow.Context, step contract.StepStatus) {
	same := func(s contract.StepStatus) bool { return s.Name == step.Name && s.Part == step.Part }
	if i := slices.IndexFunc(f.status.Steps, same); i >= 0 {
		f.status.Steps[i] = step
	} else {
		f.status.Steps = append(f.status.Steps, step)
	}
	f.describe(ctx)
}

// leave marks the steps that did not come to their end: the flow ends without them.
func (f *flow) leave(reason string) {
	for i := range f.status.Steps {
		if step := &f.status.Steps[i]; step.State == contract.StepRunning || step.State == contract.StepParked {
			step.State, step.Note = contract.StepEnded, reason
		}
	}
}

// describe writes the flow's details for a UI that decrypts, in Markdown without tables (they render only in newer UIs). No event.
func (f *flow) describe(ctx workflow.Context) {
	var text []byte
	if park := f.status.Park; park != nil {
		text = fmt.Appendf(text, "**Parked** at `%s` since %s: %s\n\n**What to do:** %s\n\nPark `%s`; gives up at %s.\n\n",
			park.Title(), clock(park.Since), park.Reason, park.Advice, park.Name, clock(park.Until))
		if !park.Deadline.IsZero() {
			text = fmt.Appendf(text, "Deadline of the send: %s\n\n", clock(park.Deadline))
		}
	}
	text = fmt.Appendf(text, "Stage: **%s**\n\n", f.status.Stage)
	if f.status.Outcome != "" {
		text = fmt.Appendf(text, "Outcome: **%s** %s\n\n", f.status.Outcome, f.status.Reason)
	}
	if f.status.MessageID != "" {
		text = fmt.Appendf(text, "Message `%s` of owner `%s`\n\n", f.status.MessageID, f.status.OwnerID)
	}
	for _, step := range f.status.Steps {
		text = fmt.Appendf(text, "- `%s`: %s", step.Title(), step.State)
		if step.Note != "" {
			text = fmt.Appendf(text, ": %s", step.Note)
		}
		text = append(text, '\n')
	}
	workflow.SetCurrentDetails(ctx, string(text))
}

// finish is every flow's last step, whatever came before: it runs on a context of its own, so that a cancelled flow ends properly
// too. A message that is not stored yet is recorded first, or kept for the operators where its owner is not known; nobody is asked to mend
// what fails there. Where the rows say that the reason to end does not hold any more, the flow goes on with again.
func (f *flow) finish(
	running workflow.Context, intended contract.Outcome, problem error, record func(workflow.Context) recorder, again func(workflow.Context) error,
) (contract.MessageResult, error) {
	ctx, _ := workflow.NewDisconnectedContext(running)
	in := ended(intended, problem)
	f.leave(in.Reason)
	if f.status.OwnerID != "" && f.status.MessageID == "" {
		if err := f.keep(record(ctx).once(ctx)); err != nil {
			workflow.GetLogger(ctx).Warn("the message could not be stored at the end", "error", err.Error())
		}
	}
	f.keepUnrouted(ctx, in.Reason)
	finished := f.finishByRows(ctx, in)
	for finished.Void {
		in = ended(intended, again(running))
		f.leave(in.Reason)
		finished = f.finishByRows(ctx, in)
	}
	for workflow.GetSignalChannel(ctx, contract.DeliverySignal).ReceiveAsync(nil) { // the rows have it
		continue
	}
	f.status.Outcome, f.status.Reason = finished.Outcome, in.Reason
	if err := f.enter(ctx, contract.StageClosed, contract.SearchOutcome.ValueSet(string(finished.Outcome))); err != nil {
		return contract.MessageResult{}, err
	}
	if err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }); err != nil {
		return contract.MessageResult{}, err
	}
	return contract.MessageResult{
		MessageID: f.status.MessageID, Outcome: finished.Outcome, Status: finished.Status, ErrorCode: finished.ErrorCode,
	}, nil
}

// ended says how a flow believes that it ended.
func ended(intended contract.Outcome, problem error) contract.NewFinish {
	if end, ok := errors.AsType[*ending](problem); ok {
		return contract.NewFinish{Ending: end.outcome, Reason: end.reason}
	}
	if problem != nil {
		return contract.NewFinish{Ending: domain.OutcomeFailed, Reason: problem.Error()}
	}
	return contract.NewFinish{Ending: intended}
}

// finishByRows closes the message. An attempt that is still begun is looked for first; one that is not found is given up.
func (f *flow) finishByRows(ctx workflow.Context, in contract.NewFinish) contract.Finished {
	if f.status.MessageID == "" {
		return contract.Finished{Outcome: in.Ending}
	}
	in.OwnerID, in.MessageID, in.WorkflowID = f.status.OwnerID, f.status.MessageID, workflow.GetInfo(ctx).WorkflowExecution.ID
	for {
		finished, err := do(ctx, f, contract.Finish, func() (workflow.ActivityOptions, contract.NewFinish) { return closing(), in })
		if err != nil { // an operator abandoned it: it ends as it remembers
			return contract.Finished{Outcome: in.Ending}
		}
		if finished.Unresolved == nil {
			return finished
		}
		in.GiveUp = !f.resolved(ctx, *finished.Unresolved)
	}
}
