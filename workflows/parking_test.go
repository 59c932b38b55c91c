package workflows_test

import (
	"strings"
	"testing"
	"time"

	"parley/contract"
	"parley/internal/domain"
)

func TestUnroutableParksUntilTheSenderIsAdded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.resolveAccount.fails(domain.Errorf(domain.KindNotFound, "no owner has this address"))
	r.after(5*time.Minute, func() {
		if status := r.status(); status.Park == nil || status.Stage != contract.StageParked || status.OwnerID != "" ||
			status.OurAddress != company || status.AccountSid != accountSid { // which to add is what the operator has to know
			t.Errorf("the status is %+v", status)
			return
		}
		park := r.status().Park
		if park.Step != "account.Resolve" || park.Reason != "no owner has this address" || !strings.Contains(park.Advice, "starter sender add") ||
			park.Unknown || !park.Since.Equal(start) || !park.Until.Equal(start.Add(72*time.Hour)) ||
			!park.Deadline.Equal(start.Add(10*time.Minute)) || !strings.Contains(park.Advice, "unless the retry says anyway") {
			t.Errorf("the park is %+v", park)
		}
		r.wantTaken(r.update(contract.RetryCommand, contract.Command{}))
	})
	r.deliver(6*time.Minute, 1, 1, domain.StatusDelivered)

	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied})
	r.wantCalls(append([]string{"account.Resolve", "account.KeepUnrouted"}, append(answered, "persistence.Finish")...)...) // no row yet, so no Park
	if got := one(t, &r.keepUnrouted); got.Received.MessageSid != messageSid || got.Received.Body != "hello" || got.Reason != "no owner has this address" {
		t.Errorf("KeepUnrouted got %+v", got)
	}
	if want := "parked received working delivering closed"; strings.Join(r.stages(), " ") != want {
		t.Errorf("stages %v, want %s", r.stages(), want)
	}
}

func TestConfigurationAtSendParks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.send.fails(configuration("Twilio answered 20003: authenticate"))
	var name string
	r.after(time.Minute, func() {
		name = r.parkedAs()
		if park := r.status().Park; park.Step != "messaging.Send" || !strings.Contains(park.Advice, "starter account rotate") ||
			!park.Until.Equal(park.Since.Add(timing().ParkTimeout)) {
			t.Errorf("the park is %+v", park)
		}
		r.wantTaken(r.update(contract.RetryCommand, contract.Command{Park: name}))
	})
	r.deliver(2*time.Minute, 1, 2, domain.StatusDelivered)

	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied})

	r.wantCalls("account.Resolve", "identity.Resolve persistence.RecordInbound", "billing.Reserve", "reply.Generate",
		"messaging.Send", "persistence.Park", "messaging.Send", "billing.Settle", "persistence.Finish")
	if len(r.send.inputs) != 2 || r.send.inputs[0] != sendInput(draftID, 1, 1) || r.send.inputs[1] != sendInput(draftID, 1, 2) {
		t.Errorf("Send got %+v, want attempts 1 and 2", r.send.inputs)
	}
	want := contract.NewPark{
		OwnerID: ownerID, MessageID: messageID, Park: name, Step: "messaging.Send", Reason: "Twilio answered 20003: authenticate",
	}
	if got := one(t, &r.park); got != want {
		t.Errorf("Park got %+v, want %+v", got, want)
	}
	if want := "working parked working delivering closed"; strings.Join(r.stages(), " ") != want {
		t.Errorf("stages %v, want %s", r.stages(), want)
	}
}

// Every step parks when it fails for good, and a retry runs that step alone again.
func TestEveryStepParksAndIsRetried(t *testing.T) {
	t.Parallel()
	wrong := domain.Errorf(domain.KindInvalid, "wrong")
	for name, breakStep := range map[string]func(*rig){
		"account.Resolve":           func(r *rig) { r.resolveAccount.fails(wrong) },
		"persistence.RecordInbound": func(r *rig) { r.recordInbound.fails(wrong) },
		"identity.Resolve":          func(r *rig) { r.resolveIdentity.fails(wrong) },
		"billing.Reserve":           func(r *rig) { r.reserve.fails(wrong) },
		"reply.Generate":            func(r *rig) { r.generate.fails(wrong) },
		"messaging.Send":            func(r *rig) { r.send.fails(wrong) },
		"billing.Settle":            func(r *rig) { r.settle.fails(wrong) },
		"persistence.Finish":        func(r *rig) { r.finish.fails(wrong) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			breakStep(r)
			r.deliver(time.Minute, 1, 1, domain.StatusDelivered)
			r.deliver(time.Minute, 1, 2, domain.StatusDelivered)
			r.after(9*time.Minute, func() {
				park := r.status().Park
				if park == nil || park.Step != name || park.Reason != "wrong" || park.Advice == "" {
					t.Errorf("the park is %+v", park)
				}
				sent := name == "billing.Settle" || name == "persistence.Finish"
				if park.Deadline.IsZero() != sent || strings.Contains(park.Advice, "anyway") == sent {
					t.Errorf("the park is %+v, want a deadline only where something is still to be sent", park)
				}
				r.wantTaken(r.update(contract.RetryCommand, contract.Command{}))
			})
			r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied})
			counts := map[string]int{}
			for _, call := range r.calls {
				counts[call]++
			}
			for step, count := range counts {
				want := 1
				if step == name {
					want = 2
				}
				if step != "persistence.Park" && step != "messaging.FetchStatus" && count != want {
					t.Errorf("%s ran %d times, want %d", step, count, want)
				}
			}
		})
	}
}

func TestNobodyMendsInTime(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.generate.fails(configuration("no key"))
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeFailed})
	r.wantFinish(domain.OutcomeFailed, "nobody mended reply.Generate in time: no key")
	if took := r.env.Now().Sub(start); took != timing().ParkTimeout {
		t.Errorf("gave up after %s, want %s", took, timing().ParkTimeout)
	}
}

func TestNobodyRoutesInTime(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.resolveAccount.fails(domain.Errorf(domain.KindNotFound, "no owner has this address"))
	r.wantResult(r.inbound(), contract.MessageResult{Outcome: domain.OutcomeFailed})
	r.wantCalls("account.Resolve", "account.KeepUnrouted")
	if took := r.env.Now().Sub(start); took != 72*time.Hour {
		t.Errorf("gave up after %s, want the default of 72 h", took)
	}
}

// A database that is away holds up neither the park nor the retry. The end of a flow waits for it: afterwards the message would be nowhere.
func TestAnUnroutableMessageThatCannotBeKept(t *testing.T) {
	t.Parallel()
	away := &domain.Error{Kind: domain.KindUnavailable, Message: "no database", RetryAfter: time.Hour}
	t.Run("retried", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.resolveAccount.fails(domain.Errorf(domain.KindNotFound, "no owner has this address"))
		r.keepUnrouted.fails(away)
		r.after(5*time.Minute, func() { r.wantTaken(r.update(contract.RetryCommand, contract.Command{})) })
		r.deliver(6*time.Minute, 1, 1, domain.StatusDelivered)
		r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied})
		one(t, &r.keepUnrouted)
	})
	for name, end := range map[string]func(*rig){
		"abandoned": func(r *rig) { r.wantTaken(r.update(contract.AbandonCommand, contract.Command{})) },
		"cancelled": func(r *rig) { r.env.CancelWorkflow() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.resolveAccount.fails(domain.Errorf(domain.KindNotFound, "no owner has this address"))
			r.keepUnrouted.fails(away, away, away)
			kept := times(r, &r.keepUnrouted)
			r.after(5*time.Minute, func() { end(r) })
			if result := r.inbound(); string(result.Outcome) != name {
				t.Errorf("ended as %+v", result)
			}
			if last := (*kept)[len(*kept)-1]; last < time.Hour || r.env.Now().Sub(start) < last {
				t.Errorf("kept after %v, ended after %s", *kept, r.env.Now().Sub(start))
			}
		})
	}
	t.Run("for good", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.resolveAccount.fails(domain.Errorf(domain.KindNotFound, "no owner has this address"))
		wrong := configuration("no such table")
		r.keepUnrouted.fails(wrong, wrong)
		r.after(5*time.Minute, func() { r.wantTaken(r.update(contract.AbandonCommand, contract.Command{})) })
		r.wantResult(r.inbound(), contract.MessageResult{Outcome: domain.OutcomeAbandoned})
	})
}

// A message that waited for an owner is answered however late where an operator has its flow started again, and has its whole time.
func TestUnroutableStartedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.resolveAccount.fails(&domain.Error{Kind: domain.KindUnavailable, Message: "no database", RetryAfter: time.Minute})
	r.deliver(5*time.Minute, 1, 1, domain.StatusDelivered)
	in := contract.InboundMessageInput{Received: received(), Anyway: true}
	in.Received.ReceivedAt = start.Add(-100 * time.Hour)
	r.wantResult(r.execute(contract.InboundMessage.Name, in), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied})
	if !one(t, &r.send).Anyway {
		t.Error("Send is not told that the deadline does not count")
	}
	if got, want := one(t, &r.recordInbound).Deadline, start.Add(time.Minute+timing().ReplyDeadline); !got.Equal(want) {
		t.Errorf("the stored deadline is %s, want %s", got, want)
	}
}

// Past the deadline a message goes out only where the operator says so, and then it has its whole time again.
func TestRetryAfterTheDeadline(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		deadline time.Duration
		run      func(*rig) contract.MessageResult
		outcome  contract.Outcome
	}{
		{"inbound", timing().ReplyDeadline, (*rig).inbound, domain.OutcomeReplied},
		{"outbound", timing().OutboundDeadline, (*rig).outbound, domain.OutcomeSent},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.send.fails(configuration("no token"))
			late := test.deadline + time.Hour
			r.after(late, func() {
				r.wantRefused(r.update(contract.RetryCommand, contract.Command{}), "the deadline "+clock(start.Add(test.deadline))+" has passed")
				r.env.SignalWorkflow(contract.RetryCommand, contract.Command{}) // dropped
			})
			r.after(late+time.Minute, func() {
				r.wantTaken(r.update(contract.RetryCommand, contract.Command{Park: r.parkedAs(), Anyway: true}))
			})
			r.deliver(late+2*time.Minute, 1, 2, domain.StatusDelivered)

			r.wantResult(test.run(r), contract.MessageResult{MessageID: messageID, Outcome: test.outcome})

			if len(r.send.inputs) != 2 || r.send.inputs[0].Anyway || !r.send.inputs[1].Anyway || r.send.inputs[1].Attempt != 2 {
				t.Errorf("Send got %+v, want Anyway in the second alone", r.send.inputs)
			}
			if got, want := r.infos["messaging.Send"].ScheduleToCloseTimeout, test.deadline+time.Minute; got != want {
				t.Errorf("Send's total is %s, want %s", got, want)
			}
		})
	}
}

// The same where the owner was not known in time: with anyway the steps that follow have time again.
func TestUnroutableSentAnyway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	nobody := domain.Errorf(domain.KindNotFound, "no owner has this address")
	r.resolveAccount.fails(nobody, nobody)
	r.after(30*time.Minute, func() { r.wantTaken(r.update(contract.RetryCommand, contract.Command{Anyway: true})) })
	r.after(31*time.Minute, func() { r.wantTaken(r.update(contract.RetryCommand, contract.Command{})) }) // within the time it was given
	r.deliver(40*time.Minute, 1, 1, domain.StatusDelivered)
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied})
	if !one(t, &r.send).Anyway {
		t.Error("Send is not told that the deadline does not count")
	}
	if got, want := one(t, &r.recordInbound).Deadline, start.Add(31*time.Minute+timing().ReplyDeadline); !got.Equal(want) {
		t.Errorf("the stored deadline is %s, want %s", got, want)
	}
}

// Without anyway a message whose owner is found too late is stored, and not answered.
func TestUnroutableStoredLate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.resolveAccount.fails(domain.Errorf(domain.KindNotFound, "no owner has this address"))
	r.finish.returns(contract.Finished{Outcome: domain.OutcomeExpired})
	r.after(30*time.Minute, func() { r.wantTaken(r.update(contract.RetryCommand, contract.Command{})) })
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeExpired})
	one(t, &r.recordInbound)
	r.wantFinish(domain.OutcomeExpired, "has passed")
}

// A signal that cannot be read is dropped; the flow still hears of everything else.
func TestAGarbledSignalIsDropped(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.generate.fails(configuration("no key"))
	r.after(time.Minute, func() {
		r.env.SignalWorkflow(contract.RetryCommand, "yes")
		r.env.SignalWorkflow(contract.DeliverySignal, "yes")
	})
	r.after(2*time.Minute, func() { r.wantTaken(r.update(contract.RetryCommand, contract.Command{})) })
	r.after(3*time.Minute, func() { r.env.SignalWorkflow(contract.DeliverySignal, []int{1}) })
	r.deliver(4*time.Minute, 1, 1, domain.StatusDelivered)
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied})
	if calls := len(r.generate.inputs); calls != 2 {
		t.Errorf("the model was asked %d times, want 2", calls)
	}
}

// A signal works like an update, so that a batch can retry many flows.
func TestCommandsAsSignals(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		outcome contract.Outcome
		sends   int
	}{
		contract.RetryCommand:   {domain.OutcomeReplied, 2},
		contract.AbandonCommand: {domain.OutcomeAbandoned, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.send.fails(configuration("no token"))
			r.after(time.Minute, func() { r.env.SignalWorkflow(name, contract.Command{}) })
			r.deliver(2*time.Minute, 1, 2, domain.StatusDelivered)
			r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: test.outcome})
			if len(r.send.inputs) != test.sends {
				t.Errorf("Send ran %d times, want %d", len(r.send.inputs), test.sends)
			}
		})
	}
}

// A command for a flow that is not parked is never kept for a later park.
func TestCommandsWhileNotParked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.generate.interrupts(func() { // well before the park
		r.env.SignalWorkflow(contract.RetryCommand, contract.Command{})
		r.env.SignalWorkflow(contract.AbandonCommand, contract.Command{})
	})
	r.send.fails(configuration("no token"), configuration("no token"))
	r.after(time.Minute, func() { r.wantTaken(r.update(contract.RetryCommand, contract.Command{})) })
	r.after(2*time.Minute, func() {
		if len(r.send.inputs) != 2 {
			t.Errorf("Send ran %d times by now, want 2", len(r.send.inputs))
		}
		r.wantTaken(r.update(contract.RetryCommand, contract.Command{}))
	})
	r.after(3*time.Minute, func() {
		r.wantRefused(r.update(contract.RetryCommand, contract.Command{}), "not parked")
		r.wantRefused(r.update(contract.AbandonCommand, contract.Command{}), "not parked")
	})
	r.deliver(4*time.Minute, 1, 3, domain.StatusDelivered)
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied})
}

func TestCommandForAParkThatIsOver(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.send.fails(configuration("no token"), configuration("no token"))
	var first string
	r.after(time.Minute, func() {
		first = r.parkedAs()
		r.wantTaken(r.update(contract.RetryCommand, contract.Command{Park: first}))
	})
	r.after(2*time.Minute, func() {
		second := r.parkedAs()
		if second == first {
			t.Errorf("both parks are called %s", first)
		}
		r.wantRefused(r.update(contract.AbandonCommand, contract.Command{Park: first}), "park "+first+" is over; the flow is parked as "+second)
		r.env.SignalWorkflow(contract.AbandonCommand, contract.Command{Park: first}) // dropped
	})
	r.after(3*time.Minute, func() { r.wantTaken(r.update(contract.RetryCommand, contract.Command{Park: r.parkedAs()})) })
	r.deliver(4*time.Minute, 1, 3, domain.StatusDelivered)
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied})
}

// Of commands that come at once the first is taken, and the operators of the others are told. None is kept for the next park.
func TestTwoCommandsAtOnce(t *testing.T) {
	t.Parallel()
	update := func(r *rig, name string) *verdict { return r.update(name, contract.Command{}) }
	signal := func(r *rig, name string) *verdict {
		r.env.SignalWorkflow(name, contract.Command{})
		return nil
	}
	early := func(r *rig, name string) *verdict { // seen by the flow in the same workflow task as what follows
		r.env.SignalWorkflowSkippingWorkflowTask(name, contract.Command{})
		return nil
	}
	for name, test := range map[string]struct{ first, second func(*rig, string) *verdict }{
		"two updates":         {update, update},
		"a signal, an update": {early, update},
		"an update, a signal": {update, signal},
		"two signals":         {early, signal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.send.fails(configuration("no token"), configuration("no token"))
			var commands []*verdict
			r.after(time.Minute, func() {
				commands = append(commands, test.first(r, contract.RetryCommand), test.second(r, contract.RetryCommand))
			})
			r.after(2*time.Minute, func() {
				if len(r.send.inputs) != 2 || r.status().Stage != contract.StageParked {
					t.Errorf("Send ran %d times, want 2 and the flow parked again", len(r.send.inputs))
				}
				r.wantTaken(r.update(contract.AbandonCommand, contract.Command{}))
			})
			r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeAbandoned})
			taken := 0
			for _, command := range commands {
				if command != nil && command.answer == nil {
					taken++
				}
			}
			if taken > 1 {
				t.Error("both updates were told that they were taken")
			}
		})
	}
}

// A park that cannot be written to the row is a park all the same.
func TestParkFails(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.send.fails(configuration("no token"))
	r.park.fails(domain.Errorf(domain.KindNotFound, "no such message"))
	r.after(time.Minute, func() { r.wantTaken(r.update(contract.RetryCommand, contract.Command{Park: r.parkedAs()})) })
	r.deliver(2*time.Minute, 1, 2, domain.StatusDelivered)
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied})
}

// A Finish that fails for good parks the flow too. Who abandons it there lets it end as it remembers.
func TestFinishFails(t *testing.T) {
	t.Parallel()
	for name, outcome := range map[string]contract.Outcome{
		contract.RetryCommand:   domain.OutcomeUnknown, // what the rows say, below
		contract.AbandonCommand: domain.OutcomeReplied,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.finish.returns(contract.Finished{Outcome: domain.OutcomeUnknown})
			r.finish.fails(domain.Errorf(domain.KindInvalid, "the rows are broken"))
			r.deliver(time.Minute, 1, 1, domain.StatusDelivered)
			r.after(40*time.Hour, func() { r.wantTaken(r.update(name, contract.Command{})) }) // no deadline for this step
			r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: outcome})
		})
	}
}
