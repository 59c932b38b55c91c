package workflows_test

import (
	"slices"
	"testing"
	"time"

	"parley/contract"
	"parley/internal/domain"
)

// A callback may overtake the answer to the POST: its signal waits in the flow.
func TestDeliverySignalBeforeSendReturns(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.send.interrupts(func() {
		r.env.SignalWorkflow(contract.DeliverySignal, contract.Delivery{Part: 1, Attempt: 1, Status: domain.StatusDelivered})
	})
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied})
	r.wantCalls(append(answered, "persistence.Finish")...)
	if took := r.env.Now().Sub(start); took > time.Second {
		t.Errorf("the flow took %s, want it to wait for nothing", took)
	}
}

// An answer that is final at once needs no signal.
func TestDeliveryFinalInTheAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.send.returns(contract.SendResult{State: contract.SendAccepted, Attempt: 1, Status: domain.StatusDelivered})
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied})
	r.wantCalls(append(answered, "persistence.Finish")...)
}

// Signals of another part or attempt, repeated ones, late ones and such with a status that is not known move nothing.
func TestDeliverySignalsThatMoveNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.deliver(10*time.Second, 2, 1, domain.StatusDelivered)
	r.deliver(20*time.Second, 1, 2, domain.StatusDelivered)
	r.deliver(30*time.Second, 1, 1, "partially_delivered")
	r.deliver(40*time.Second, 1, 1, domain.StatusQueued)
	r.deliver(time.Minute, 1, 1, domain.StatusUndelivered)
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied})
	if took := r.env.Now().Sub(start); took != time.Minute {
		t.Errorf("the flow closed after %s, want it with the signal that counts", took)
	}
}

// The attempt that counts is the one that Send names: another attempt of the part may have got through after all.
func TestDeliveryOfAnEarlierAttempt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.send.returns(contract.SendResult{State: contract.SendAccepted, Attempt: 7, Status: domain.StatusQueued})
	r.deliver(time.Minute, 1, 7, domain.StatusDelivered)
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied})
	if took := r.env.Now().Sub(start); took != time.Minute {
		t.Errorf("the flow closed after %s, want it with the signal", took)
	}
}

// Without a signal Twilio is asked, at intervals that double, about the attempt that was accepted.
func TestDeliveryByFetching(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fetchStatus.answers = func(n int, _ contract.FetchStatusInput) (contract.FetchStatusResult, error) {
		return contract.FetchStatusResult{Status: []contract.Status{domain.StatusQueued, domain.StatusSending, domain.StatusDelivered}[n-1]}, nil
	}
	asked := times(r, &r.fetchStatus)
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied})
	r.wantCalls(append(answered, "messaging.FetchStatus", "messaging.FetchStatus", "messaging.FetchStatus", "persistence.Finish")...)
	if want := []time.Duration{2 * time.Minute, 6 * time.Minute, 14 * time.Minute}; !slices.Equal(*asked, want) {
		t.Errorf("asked at %v, want %v", *asked, want)
	}
	want := contract.FetchStatusInput{AttemptKey: contract.AttemptKey{MessageID: messageID, Part: 1, Attempt: 1}, OwnerID: ownerID}
	if r.fetchStatus.inputs[0] != want {
		t.Errorf("FetchStatus got %+v, want %+v", r.fetchStatus.inputs[0], want)
	}
}

// Only parts without a final status are asked about.
func TestDeliveryFetchesOpenPartsOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.generate.returns(contract.Draft{DraftID: draftID, Parts: 2})
	r.deliver(time.Minute, 1, 1, domain.StatusDelivered)
	r.fetchStatus.returns(contract.FetchStatusResult{Status: domain.StatusDelivered})
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied})
	if got := one(t, &r.fetchStatus).AttemptKey; got != (contract.AttemptKey{MessageID: messageID, Part: 2, Attempt: 1}) {
		t.Errorf("FetchStatus got %+v, want part 2 alone", got)
	}
}

// Some carriers never say more than sent: the flow closes the grace after it.
func TestDeliveryClosesAfterSent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fetchStatus.returns(contract.FetchStatusResult{Status: domain.StatusSent})
	asked := times(r, &r.fetchStatus)
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied})
	// Known as sent at 2 m, so it closes at 17 m, with a last question then.
	if want := []time.Duration{2 * time.Minute, 6 * time.Minute, 14 * time.Minute, 17 * time.Minute}; !slices.Equal(*asked, want) {
		t.Errorf("asked at %v, want %v", *asked, want)
	}
	if took := r.env.Now().Sub(start); took != 2*time.Minute+timing().DeliveryGrace {
		t.Errorf("the flow closed after %s", took)
	}
	r.wantFinish(domain.OutcomeReplied, "")
}

// Without even that it closes the grace after Twilio itself gives up; the intervals stop growing at an hour.
func TestDeliveryClosesAfterValidity(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	validity := 4 * time.Hour
	r.settings(func(t *contract.Timing) { t.ValidityPeriod = validity })
	asked := times(r, &r.fetchStatus)
	var delivery contract.StepStatus
	r.finish.interrupts(func() { delivery = stepNamed(r.status(), "delivery") })

	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied})

	minutes := func(list ...int) (want []time.Duration) {
		for _, n := range list {
			want = append(want, time.Duration(n)*time.Minute)
		}
		return want
	}
	if want := minutes(2, 6, 14, 30, 62, 122, 182, 242, 255); !slices.Equal(*asked, want) {
		t.Errorf("asked at %v, want %v", *asked, want)
	}
	if took := r.env.Now().Sub(start); took != validity+timing().DeliveryGrace {
		t.Errorf("the flow closed after %s", took)
	}
	if delivery.State != contract.StepEnded {
		t.Errorf("the delivery stands as %+v, want it ended", delivery)
	}
}

// A question that fails never parks the flow: it is asked again.
func TestDeliveryFetchFails(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fetchStatus.fails(configuration("the account is suspended"))
	r.deliver(3*time.Minute, 1, 1, domain.StatusDelivered)
	var note string
	r.after(150*time.Second, func() { note = stepNamed(r.status(), "delivery").Note })
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied})
	if len(r.park.inputs) > 0 || note != "Twilio could not be asked: the account is suspended" {
		t.Errorf("parked %d times, note %q", len(r.park.inputs), note)
	}
}

// What cannot be charged parks the flow once the delivery is known; the retry charges it, deadline or not.
func TestSettleParks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.settle.fails(domain.Errorf(domain.KindConflict, "the ledger disagrees"))
	r.deliver(time.Minute, 1, 1, domain.StatusDelivered)
	r.after(2*time.Minute, func() {
		if park := r.status().Park; park == nil || park.Step != "billing.Settle" {
			t.Errorf("parked as %+v", park)
		}
	})
	r.after(5*time.Hour, func() { r.wantTaken(r.update(contract.RetryCommand, contract.Command{})) })
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied})
	r.wantCalls(append(answered, "persistence.Park", "billing.Settle", "persistence.Finish")...)
}

// stepNamed returns a step of a status, empty where it has none of the name.
func stepNamed(status contract.StatusResult, name string) contract.StepStatus {
	for _, step := range status.Steps {
		if step.Name == name {
			return step
		}
	}
	return contract.StepStatus{}
}
