package workflows_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/contract"
	"parley/internal/domain"
)

// replied is how a flow ends whose message was sent after all.
func replied() contract.MessageResult {
	return contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeReplied}
}

// found is a look-up's answer that shows an attempt to be accepted.
func found(attempt int) contract.SendResult {
	return contract.SendResult{State: contract.SendAccepted, Attempt: attempt, Status: domain.StatusQueued}
}

// wantLookUps fails the test unless the attempt was looked for at these times, given in seconds since the start.
func (r *rig) wantLookUps(got *[]time.Duration, seconds ...int) {
	r.t.Helper()
	var want []time.Duration
	for _, s := range seconds {
		want = append(want, time.Duration(s)*time.Second)
	}
	if !slices.Equal(*got, want) {
		r.t.Errorf("looked for at %v, want %v", *got, want)
	}
}

// wantAttempts fails the test unless these attempts of the first part were sent.
func (r *rig) wantAttempts(want ...int) {
	r.t.Helper()
	var got []int
	for _, in := range r.send.inputs {
		got = append(got, in.Attempt)
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("the attempts %v were sent, want %v", got, want)
	}
}

// What a look-up finds is as if the POST had been answered at once.
func TestUnknownFound(t *testing.T) {
	t.Parallel()
	seconds := []int{3, 8, 20, 50, 150}
	for _, n := range []int{1, 3, 5} {
		t.Run(fmt.Sprint("at look-up ", n), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.settings(func(t *contract.Timing) { t.DeliveryCheck = time.Hour })
			r.send.fails(unknown())
			r.foundFrom(n)
			looked := times(r, &r.lookUp)
			r.deliver(4*time.Minute, 1, 1, domain.StatusDelivered)
			r.wantResult(r.inbound(), replied())
			r.wantLookUps(looked, seconds[:n]...)
			r.wantAttempts(1)
			for i, in := range r.lookUp.inputs {
				want := contract.LookUpInput{AttemptKey: contract.AttemptKey{MessageID: messageID, Part: 1, Attempt: 1}, OwnerID: ownerID, Last: i == 4}
				if in != want {
					t.Errorf("LookUp got %+v, want %+v", in, want)
				}
			}
			calls := []string{"account.Resolve", "identity.Resolve persistence.RecordInbound", "billing.Reserve", "reply.Generate", "messaging.Send"}
			calls = append(calls, slices.Repeat([]string{"messaging.LookUp"}, n)...)
			r.wantCalls(append(calls, "billing.Settle", "persistence.Finish")...)
			r.wantFinish(domain.OutcomeReplied, "")
			if took := r.env.Now().Sub(start); took != 4*time.Minute {
				t.Errorf("the flow closed after %s, want it with the delivery of what was found", took)
			}
		})
	}
}

// The times count from the attempt. Those that passed while the POST was under way are left out, but the last. A send that waited for
// its turn for long is not older than a POST can be: its look-ups are not over before they begin.
func TestUnknownLookUpTimes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		waited  time.Duration
		seconds []int
	}{
		"answered at once":      {0, []int{3, 8, 20, 50, 150}},
		"a POST that took 35 s": {35 * time.Second, []int{50, 150}},
		"a wait of 10 minutes":  {10 * time.Minute, []int{600 - 37 + 50, 600 - 37 + 150}}, // 7 s until the POST, 30 s for it
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			if r.send.fails(unknown()); test.waited > 0 {
				r.send.fails(&domain.Error{Kind: domain.KindThrottled, Message: "later", RetryAfter: test.waited}, unknown())
			}
			r.settings(func(t *contract.Timing) { t.GiveUpUnknown = true })
			looked := times(r, &r.lookUp)
			r.inbound()
			r.wantLookUps(looked, test.seconds...)
		})
	}
	t.Run("all are past", func(t *testing.T) { // a look-up takes as long as it takes; the last one is always made
		t.Parallel()
		r := newRig(t)
		r.send.fails(&domain.Error{Kind: domain.KindThrottled, Message: "later", RetryAfter: 30 * time.Second}, unknown())
		r.settings(func(t *contract.Timing) {
			t.GiveUpUnknown = true
			t.LookUps = domain.LookUps{time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second, 5 * time.Second}
		})
		looked := times(r, &r.lookUp)
		r.inbound()
		r.wantLookUps(looked, 30)
		if !one(t, &r.lookUp).Last {
			t.Error("the only look-up is not the last one")
		}
	})
}

// A send that is not found parks the flow, and every command has to name that park.
func TestUnknownParks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.send.fails(unknown())
	r.finish.returns(contract.Finished{Outcome: domain.OutcomeUnknown})
	r.after(5*time.Minute, func() {
		park := r.status().Park
		if park == nil || !park.Unknown || park.Step != "messaging.LookUp" || !strings.Contains(park.Advice, "did not find it") ||
			!park.Since.Equal(start.Add(timing().LookUps[4])) {
			t.Errorf("the park is %+v, want it marked as unknown since the last look-up", park)
			return
		}
		r.wantRefused(r.update(contract.RetryCommand, contract.Command{}), "say which park you mean")
		r.wantRefused(r.update(contract.RetryCommand, contract.Command{Park: "run/7"}), "is over")
		r.wantRefused(r.update(contract.AbandonCommand, contract.Command{}), "say which park you mean")
		r.env.SignalWorkflow(contract.RetryCommand, contract.Command{})
		r.env.SignalWorkflow(contract.RetryCommand, contract.Command{Park: "run/7"})
		r.env.SignalWorkflow(contract.AbandonCommand, contract.Command{})
	})
	r.after(timing().ReplyDeadline+time.Minute, func() {
		r.wantTaken(r.update(contract.AbandonCommand, contract.Command{Park: r.parkedAs()}))
	})
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeUnknown})
	r.wantFinish(domain.OutcomeAbandoned, "by an operator at messaging.LookUp: the message may have been sent")
	r.wantAttempts(1)
	if got := one(t, &r.park); got.Step != "messaging.LookUp" || got.MessageID != messageID {
		t.Errorf("Park got %+v", got)
	}
}

// Where the owner wants no park, the flow ends with the last look-up.
func TestUnknownGivenUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.settings(func(t *contract.Timing) { t.GiveUpUnknown = true })
	r.send.fails(unknown())
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeUnknown})
	r.wantFinish(domain.OutcomeUnknown, "could not be found out")
	r.wantAttempts(1)
	if took := r.env.Now().Sub(start); took != timing().LookUps[4] || len(r.park.inputs) > 0 {
		t.Errorf("the flow took %s and parked %d times", took, len(r.park.inputs))
	}
}

// retry has the message looked for once more. Only where it is not found it is sent again, as the next attempt.
func TestUnknownRetried(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		foundFrom int
		attempts  []int
	}{
		"found":     {6, []int{1}},
		"not found": {7, []int{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.send.fails(unknown())
			r.foundFrom(test.foundFrom)
			r.after(5*time.Minute, func() { r.wantTaken(r.update(contract.RetryCommand, contract.Command{Park: r.parkedAs()})) })
			r.deliver(6*time.Minute, 1, len(test.attempts), domain.StatusDelivered)
			r.wantResult(r.inbound(), replied())
			r.wantAttempts(test.attempts...)
			if len(r.lookUp.inputs) != 6 || !r.lookUp.inputs[5].Last {
				t.Errorf("LookUp got %+v, want one more after the park", r.lookUp.inputs)
			}
			if took := r.env.Now().Sub(start); took != 6*time.Minute {
				t.Errorf("the flow closed after %s, want it with the delivery", took)
			}
		})
	}
}

// Past the deadline a retry still looks, as often as anybody likes; it sends nothing, and the flow asks again.
func TestUnknownRetriedPastTheDeadline(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		foundFrom int
		anyway    bool
		attempts  []int
	}{
		"found":                {foundFrom: 7, attempts: []int{1}},
		"not found":            {foundFrom: 9, attempts: []int{1}},
		"not found and anyway": {foundFrom: 9, anyway: true, attempts: []int{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.send.fails(unknown())
			r.foundFrom(test.foundFrom)
			var parks []string
			retry := func(anyway bool) func() {
				return func() {
					if park := r.status().Park; park != nil {
						parks = append(parks, park.Name)
						r.wantTaken(r.update(contract.RetryCommand, contract.Command{Park: park.Name, Anyway: anyway}))
					}
				}
			}
			r.after(time.Hour, retry(false))
			r.after(2*time.Hour, func() {
				if len(r.lookUp.inputs) != 6 || !r.lookUp.inputs[5].Last {
					t.Errorf("LookUp got %+v, want one more after the park", r.lookUp.inputs)
				}
				r.wantAttempts(1)
			})
			r.after(2*time.Hour, retry(false)) // found
			r.after(3*time.Hour, retry(test.anyway))
			r.after(4*time.Hour, retry(false))
			r.deliver(5*time.Hour, 1, len(test.attempts), domain.StatusDelivered)
			r.wantResult(r.inbound(), replied())
			r.wantAttempts(test.attempts...)
			slices.Sort(parks)
			if again := slices.Compact(slices.Clone(parks)); len(again) != len(parks) {
				t.Errorf("the parks are called %v", parks)
			}
		})
	}
}

// With anyway it is sent again.
func TestUnknownRetriedAnyway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.send.fails(unknown())
	r.after(time.Hour, func() {
		r.wantTaken(r.update(contract.RetryCommand, contract.Command{Park: r.parkedAs(), Anyway: true}))
	})
	r.deliver(61*time.Minute, 1, 2, domain.StatusDelivered)
	r.wantResult(r.inbound(), replied())
	r.wantAttempts(1, 2)
	if !r.send.inputs[1].Anyway {
		t.Error("the second attempt is not told that the deadline does not count")
	}
}

// A callback for the attempt has the row read at once, whatever look-up is due next; that one is made all the same, and only the last one
// due declares the attempt unknown.
func TestUnknownToldWhileLookingUp(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		told      int // seconds after the start
		foundFrom int
		seconds   []int
	}{
		"before the first": {1, 1, []int{1}},
		"between two":      {30, 4, []int{3, 8, 20, 30}},
		"before the last":  {100, 5, []int{3, 8, 20, 50, 100}},
		"and not found":    {100, 9, []int{3, 8, 20, 50, 100, 150}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.settings(func(t *contract.Timing) { t.GiveUpUnknown = true })
			r.send.fails(unknown())
			r.foundFrom(test.foundFrom)
			looked := times(r, &r.lookUp)
			r.deliver(time.Duration(test.told)*time.Second, 1, 1, domain.StatusDelivered)
			r.inbound()
			r.wantLookUps(looked, test.seconds...)
			r.wantAttempts(1)
			for i, in := range r.lookUp.inputs {
				if in.Last != ((*looked)[i] == timing().LookUps[4]) {
					t.Errorf("look-up %d got %+v", i+1, in)
				}
			}
		})
	}
}

// A callback that came while the POST was under way waits in the flow: the first look-up comes at once.
func TestUnknownToldDuringThePost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.send.fails(unknown())
	r.send.interrupts(func() {
		r.env.SignalWorkflow(contract.DeliverySignal, contract.Delivery{Part: 1, Attempt: 1, Status: domain.StatusDelivered})
	})
	r.lookUp.returns(contract.SendResult{State: contract.SendAccepted, Attempt: 1, Status: domain.StatusDelivered})
	looked := times(r, &r.lookUp)
	r.wantResult(r.inbound(), replied())
	r.wantLookUps(looked, 0)
}

// A callback wakes a parked flow, which goes on by itself.
func TestUnknownToldWhileParked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.send.fails(unknown())
	r.foundFrom(6)
	looked := times(r, &r.lookUp)
	r.deliver(5*time.Hour, 1, 1, domain.StatusSent)
	r.deliver(6*time.Hour, 1, 1, domain.StatusDelivered)
	r.wantResult(r.inbound(), replied())
	r.wantLookUps(looked, 3, 8, 20, 50, 150, 5*3600)
	r.wantAttempts(1)
	if want := "working parked working delivering closed"; strings.Join(r.stages(), " ") != want {
		t.Errorf("stages %v, want %s", r.stages(), want)
	}
}

// An earlier attempt that got through after all ends the search for the later one: its delivery is the one that is followed.
func TestUnknownToldOfAnEarlierAttempt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.send.fails(unknown(), unknown())
	r.foundFrom(12) // five, the retry's, five
	r.after(5*time.Minute, func() { r.wantTaken(r.update(contract.RetryCommand, contract.Command{Park: r.parkedAs()})) })
	r.deliver(time.Hour, 1, 1, domain.StatusSent)
	r.deliver(61*time.Minute, 1, 1, domain.StatusDelivered)
	r.wantResult(r.inbound(), replied())
	r.wantAttempts(1, 2)
	if took := r.env.Now().Sub(start); took != 61*time.Minute {
		t.Errorf("the flow closed after %s, want it with the delivery of the first attempt", took)
	}
}

// A signal proves nothing: without a row that agrees the flow parks again, and no attempt follows. A retry for the park before holds no more.
func TestUnknownForgedSignal(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.send.fails(unknown())
	var first string
	r.after(5*time.Minute, func() { first = r.parkedAs() })
	r.deliver(6*time.Minute, 1, 1, domain.StatusDelivered)
	r.deliver(7*time.Minute, 1, 9, domain.StatusDelivered)
	r.deliver(8*time.Minute, 7, 1, domain.StatusDelivered) // of no part of this message: not worth a look
	r.after(9*time.Minute, func() {
		if len(r.lookUp.inputs) != 7 || len(r.park.inputs) != 3 || r.parkedAs() == first {
			t.Errorf("%d look-ups and %d parks, want 7 and 3", len(r.lookUp.inputs), len(r.park.inputs))
		}
		r.wantRefused(r.update(contract.RetryCommand, contract.Command{Park: first}), "park "+first+" is over")
		r.env.SignalWorkflow(contract.RetryCommand, contract.Command{Park: first}) // dropped
	})
	r.after(10*time.Minute, func() { r.wantTaken(r.update(contract.AbandonCommand, contract.Command{Park: r.parkedAs()})) })
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeAbandoned})
	r.wantAttempts(1)
}

// A signal that wakes the flow of an owner who wants no park ends it, where the row does not agree.
func TestUnknownGivenUpAfterAPark(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.settings(func(t *contract.Timing) { t.GiveUpUnknown = true })
	r.send.fails(unknown())
	r.lookUp.fails(slices.Repeat([]error{configuration("authenticate")}, 5)...) // it parks, since it could not look
	r.deliver(5*time.Minute, 1, 1, domain.StatusDelivered)
	r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeUnknown})
	r.wantAttempts(1)
	one(t, &r.park)
}

// A look-up that Twilio refuses is not one that found nothing: the flow parks, and a retry looks again before it sends.
func TestUnknownLookUpRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.send.fails(unknown())
	r.lookUp.fails(slices.Repeat([]error{configuration("Twilio answered 20003: authenticate")}, 6)...)
	looked := times(r, &r.lookUp)
	retry := func() {
		park := r.status().Park
		if park == nil || !park.Unknown || park.Reason != "Twilio answered 20003: authenticate" || !strings.Contains(park.Advice, "could not look for it") {
			t.Errorf("the park is %+v", park)
		}
		r.wantRefused(r.update(contract.RetryCommand, contract.Command{}), "say which park you mean")
		r.wantTaken(r.update(contract.RetryCommand, contract.Command{Park: r.parkedAs()}))
	}
	r.after(5*time.Minute, retry)
	r.after(6*time.Minute, func() { r.wantAttempts(1) })
	r.after(7*time.Minute, retry) // now it is looked for, in vain
	r.deliver(8*time.Minute, 1, 2, domain.StatusDelivered)
	r.wantResult(r.inbound(), replied())
	r.wantLookUps(looked, 3, 8, 20, 50, 150, 5*60, 7*60)
	r.wantAttempts(1, 2)
	if len(r.park.inputs) != 2 {
		t.Errorf("parked %d times, want 2", len(r.park.inputs))
	}
}

// The same where Twilio is down for longer than a look-up may take: the flow neither ends nor sends.
func TestUnknownLookUpsTimeOut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.send.fails(unknown())
	down := &domain.Error{Kind: domain.KindUnavailable, Message: "Twilio does not answer", RetryAfter: 50 * time.Second}
	r.foundFrom(7)
	r.lookUp.fails(slices.Repeat([]error{down}, 6)...)
	looked := times(r, &r.lookUp)
	r.after(8*time.Minute, func() {
		park := r.status().Park
		if park == nil || park.Reason != "messaging.LookUp did not succeed in time: Twilio does not answer" || !strings.Contains(park.Advice, "could not look for it") {
			t.Errorf("the park is %+v", park)
			return
		}
		r.wantTaken(r.update(contract.RetryCommand, contract.Command{Park: park.Name}))
	})
	r.deliver(9*time.Minute, 1, 1, domain.StatusDelivered)
	r.wantResult(r.inbound(), replied())
	// Each is tried for 2 minutes. What became due meanwhile is left out, but the last.
	r.wantLookUps(looked, 3, 53, 103, 150, 200, 250, 8*60)
	r.wantAttempts(1)
}

// A late answer that says that nothing was sent: the same send finds it in its row, and what follows is as if it had come in time.
func TestUnknownSettled(t *testing.T) {
	t.Parallel()
	type answer struct {
		result contract.SendResult
		err    error
	}
	for name, test := range map[string]struct {
		second   answer
		want     contract.Outcome
		attempts []int
	}{
		"refused":       {answer{result: contract.SendResult{State: contract.SendRefused, ErrorCode: 21610}}, domain.OutcomeFailed, []int{1, 1}},
		"configuration": {answer{err: configuration("authenticate")}, domain.OutcomeReplied, []int{1, 1, 2}}, // parked, retried
		"not sent":      {answer{result: found(1)}, domain.OutcomeReplied, []int{1, 1}},                      // claimed afresh
		"unknown again": {answer{err: unknown()}, domain.OutcomeReplied, []int{1, 1, 2}},
	} {
		for _, n := range []int{1, 6} { // the first look-up; the retry's
			t.Run(fmt.Sprint(name, " at look-up ", n), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				r.send.answers = func(n int, in contract.SendInput) (contract.SendResult, error) {
					switch n {
					case 1:
						return contract.SendResult{}, unknown()
					case 2:
						return test.second.result, test.second.err
					default:
						return found(in.Attempt), nil
					}
				}
				before := r.lookUp.answers
				r.lookUp.answers = func(call int, in contract.LookUpInput) (contract.SendResult, error) {
					if call == n {
						return contract.SendResult{State: contract.SendSettled}, nil
					}
					return before(call, in)
				}
				for _, at := range []time.Duration{5 * time.Minute, 10 * time.Minute} {
					r.after(at, func() {
						if park := r.status().Park; park != nil {
							r.wantTaken(r.update(contract.RetryCommand, contract.Command{Park: park.Name}))
						}
					})
				}
				r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: test.want})
				r.wantAttempts(test.attempts...)
			})
		}
	}
}

// A flow that ends while its send is looked for has it looked for to the end: Finish gives up only what was not found.
func TestUnknownEndings(t *testing.T) {
	t.Parallel()
	key := contract.AttemptKey{MessageID: messageID, Part: 1, Attempt: 1}
	for name, test := range map[string]struct {
		end    func(*rig)
		ending contract.Outcome
		words  string
		before int // look-ups before the end
		ended  int // seconds after the start
	}{
		"cancelled between two look-ups": {
			func(r *rig) { r.after(30*time.Second, r.env.CancelWorkflow) }, domain.OutcomeCancelled, "cancelled during messaging.LookUp", 3, 30,
		},
		"cancelled in a look-up": {
			func(r *rig) { r.lookUp.interrupts(onFirst(r.env.CancelWorkflow)) }, domain.OutcomeCancelled, "cancelled during messaging.LookUp", 1, 3,
		},
		"cancelled in the last look-up": {
			func(r *rig) {
				calls := 0
				r.lookUp.interrupts(func() {
					if calls++; calls == 5 {
						r.env.CancelWorkflow()
					}
				})
			}, domain.OutcomeCancelled, "cancelled during messaging.LookUp", 5, 150,
		},
		"cancelled while parked": {
			func(r *rig) { r.after(5*time.Minute, r.env.CancelWorkflow) }, domain.OutcomeCancelled, "cancelled while parked at messaging.LookUp", 5, 300,
		},
		"abandoned": {
			func(r *rig) {
				r.after(5*time.Minute, func() { r.wantTaken(r.update(contract.AbandonCommand, contract.Command{Park: r.parkedAs()})) })
			}, domain.OutcomeAbandoned, "abandoned by an operator at messaging.LookUp", 5, 300,
		},
		"nobody acts in time": {
			func(*rig) {}, domain.OutcomeFailed, "nobody mended messaging.LookUp in time", 5, 150 + 48*3600,
		},
		"given up": {
			func(r *rig) { r.settings(func(t *contract.Timing) { t.GiveUpUnknown = true }) }, domain.OutcomeUnknown, "could not be found out", 5, 150,
		},
		"the send runs out of time": {
			func(r *rig) {
				r.send.fails(&domain.Error{Kind: domain.KindBusy, Message: "a worker was lost", RetryAfter: time.Hour})
			}, domain.OutcomeExpired, "messaging.Send did not succeed in time", 0, 0,
		},
	} {
		for fate, then := range map[string]struct {
			prepare func(*rig)
			giveUp  bool
			looks   []int // after the end
		}{
			"then found":     {func(r *rig) { r.foundFrom(test.before + 2) }, false, []int{3, 8}},
			"then not found": {func(*rig) {}, true, []int{3, 8, 20, 50, 150}},
			"then Twilio refuses to tell": {
				func(r *rig) { r.lookUpsFrom(test.before+1, contract.SendResult{}, configuration("authenticate")) }, true, []int{3, 8, 20, 50, 150},
			},
			"then known not to be sent": {
				func(r *rig) { r.lookUpsFrom(test.before+1, contract.SendResult{State: contract.SendSettled}, nil) }, false, []int{3},
			},
		} {
			t.Run(name+", "+fate, func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				r.send.fails(unknown())
				test.end(r)
				then.prepare(r)
				looked := times(r, &r.lookUp)
				r.finish.answers = func(n int, in contract.NewFinish) (contract.Finished, error) {
					if n == 1 {
						return contract.Finished{Unresolved: &key}, nil
					}
					return contract.Finished{Outcome: domain.OutcomeUnknown}, nil
				}
				r.wantResult(r.inbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeUnknown})
				seconds := append([]int{}, []int{3, 8, 20, 50, 150}[:test.before]...)
				for _, s := range then.looks {
					seconds = append(seconds, test.ended+s)
				}
				r.wantLookUps(looked, seconds...)
				r.wantAttempts(1)
				if len(r.finish.inputs) != 2 {
					t.Fatalf("Finish ran %d times, want 2", len(r.finish.inputs))
				}
				for i, in := range r.finish.inputs {
					if in.Ending != test.ending || !strings.Contains(in.Reason, test.words) || in.GiveUp != (i == 1 && then.giveUp) {
						t.Errorf("Finish %d got %+v", i+1, in)
					}
				}
			})
		}
	}
}

// Two operators retry the same park at once while its callback arrives: the message goes out once more at most, and not at all where the
// row shows it.
func TestUnknownRetriedTwiceAtOnce(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"retry retry callback", "retry callback retry", "callback retry retry", "signal callback retry", "callback signal signal"} {
		for fate, attempts := range map[string][]int{"found": {1}, "not found": {1, 2}} {
			t.Run(order+", "+fate, func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				r.send.fails(unknown())
				if fate == "found" {
					r.foundFrom(6)
				}
				var updates []*verdict
				r.after(5*time.Minute, func() {
					command := contract.Command{Park: r.parkedAs()}
					for _, word := range strings.Fields(order) {
						switch word {
						case "retry":
							updates = append(updates, r.update(contract.RetryCommand, command))
						case "signal":
							r.env.SignalWorkflow(contract.RetryCommand, command)
						case "callback":
							r.env.SignalWorkflow(contract.DeliverySignal, contract.Delivery{Part: 1, Attempt: 1, Status: domain.StatusDelivered})
						}
					}
				})
				r.after(6*time.Minute, func() {
					if park := r.status().Park; park != nil { // the callback came first, and the row did not agree
						r.wantTaken(r.update(contract.RetryCommand, contract.Command{Park: park.Name}))
					}
				})
				r.wantResult(r.inbound(), replied())
				r.wantAttempts(attempts...)
				taken := 0
				for _, update := range updates {
					if update.answer == nil {
						taken++
					}
				}
				if taken > 1 {
					t.Error("both operators were told that their retry was taken")
				}
			})
		}
	}
}

// While the second part is looked for, what is heard of the first is not lost, and is no reason to look.
func TestUnknownSecondPart(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		foundFrom int
		delivered time.Duration // the first part
		seconds   []int
	}{
		"found while it is looked for": {4, 30 * time.Second, []int{3, 8, 20, 50}},
		"found while it is parked":     {6, 4 * time.Minute, []int{3, 8, 20, 50, 150, 300}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.generate.returns(contract.Draft{DraftID: draftID, Parts: 2})
			second := contract.AttemptKey{MessageID: messageID, Part: 2, Attempt: 1}
			r.send.answers = func(_ int, in contract.SendInput) (contract.SendResult, error) {
				if in.Part == 2 {
					return contract.SendResult{}, unknown()
				}
				return found(1), nil
			}
			r.foundFrom(test.foundFrom)
			looked := times(r, &r.lookUp)
			r.deliver(10*time.Second, 1, 1, domain.StatusSent)
			r.deliver(test.delivered, 1, 1, domain.StatusDelivered)
			r.deliver(5*time.Minute, 2, 1, domain.StatusDelivered)
			r.deliver(6*time.Minute, 2, 1, domain.StatusDelivered)
			r.fetchStatus.answers = func(_ int, in contract.FetchStatusInput) (contract.FetchStatusResult, error) {
				if in.Part == 1 {
					t.Errorf("asked for %+v, of which the flow was told", in.AttemptKey)
				}
				return contract.FetchStatusResult{Status: domain.StatusQueued}, nil
			}
			r.wantResult(r.inbound(), replied())
			r.wantLookUps(looked, test.seconds...)
			r.wantAttempts(1, 1)
			for _, in := range r.lookUp.inputs {
				if in.AttemptKey != second {
					t.Errorf("LookUp got %+v, want %+v", in, second)
				}
			}
		})
	}
}

// Where the second part stays unknown, the message is answered all the same: the rows decide.
func TestUnknownSecondPartGivenUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.settings(func(t *contract.Timing) { t.GiveUpUnknown = true })
	r.recordOutbound.returns(contract.Recorded{MessageID: messageID, ReplyState: domain.ReplyPending, Parts: 3})
	r.send.answers = func(_ int, in contract.SendInput) (contract.SendResult, error) {
		if in.Part == 2 {
			return contract.SendResult{}, unknown()
		}
		return found(1), nil
	}
	r.finish.returns(contract.Finished{Outcome: domain.OutcomeSent, Status: domain.StatusQueued})
	r.wantResult(r.outbound(), contract.MessageResult{MessageID: messageID, Outcome: domain.OutcomeSent, Status: domain.StatusQueued})
	r.wantFinish(domain.OutcomeUnknown, "part 2 of 3 may not have been sent: whether the message was sent could not be found out")
	if len(r.send.inputs) != 2 {
		t.Errorf("Send got %+v, want no third part", r.send.inputs)
	}
}

// A look-up may end after the deadline: what was sent in time counts.
func TestUnknownFoundAfterTheDeadline(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.settings(func(t *contract.Timing) { t.ReplyDeadline = time.Minute })
	r.send.fails(unknown())
	r.foundFrom(5)
	r.deliver(4*time.Minute, 1, 1, domain.StatusDelivered)
	r.wantResult(r.inbound(), replied())
	r.wantFinish(domain.OutcomeReplied, "")
}
