package workflows_test

import (
	"testing"
	"time"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"parley/contract"
	"parley/internal/domain"
)

// stale has the first claims answer that the draft does not answer what is to be answered by now.
func (r *rig) stale(times int) {
	r.send.answers = func(call int, in contract.SendInput) (contract.SendResult, error) {
		if call <= times {
			return contract.SendResult{State: contract.SendStale}, nil
		}
		return contract.SendResult{State: contract.SendAccepted, Attempt: in.Attempt, Status: domain.StatusDelivered}, nil
	}
}

func TestAStaleDraftIsWrittenAnew(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	drafts := 0
	r.generate.answers = func(int, contract.GenerateInput) (contract.Draft, error) {
		drafts++
		return contract.Draft{DraftID: string(rune('a' + drafts - 1)), Parts: 1}, nil
	}
	r.stale(2)
	if result := r.inbound(); result.Outcome != domain.OutcomeReplied {
		t.Errorf("ended %+v", result)
	}
	if len(r.reserve.inputs) != 1 || len(r.generate.inputs) != 3 {
		t.Errorf("reserved %d times, written %d times, want once and thrice", len(r.reserve.inputs), len(r.generate.inputs))
	}
	for i, want := range []string{"a", "b", "c"} {
		if in := r.send.inputs[i]; in.DraftID != want || in.Attempt != 1 {
			t.Errorf("send %d was of draft %s, attempt %d, want %s, 1", i, in.DraftID, in.Attempt, want)
		}
	}
}

// A picture's fixed answer that turns out not to be enough needs a unit, and a model.
func TestAStaleFixedAnswerIsWrittenByAModel(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.recordInbound.returns(contract.Recorded{MessageID: messageID, ReplyState: domain.ReplyPending, DraftID: "fixed", Parts: 1})
	r.stale(1)
	r.inbound()
	if len(r.reserve.inputs) != 1 || len(r.generate.inputs) != 1 || r.send.inputs[0].DraftID != "fixed" || r.send.inputs[1].DraftID != draftID {
		t.Errorf("reserved %d times, written %d times, sent %+v", len(r.reserve.inputs), len(r.generate.inputs), r.send.inputs)
	}
}

func TestWhatIsNotSentEndsTheFlow(t *testing.T) {
	t.Parallel()
	for state, want := range map[contract.SendState]contract.Outcome{
		contract.SendSuperseded: domain.OutcomeSuperseded,
		contract.SendDenied:     domain.OutcomeDenied,
		contract.SendBlocked:    domain.OutcomeBlocked,
		contract.SendLooping:    domain.OutcomeLooping,
	} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.send.returns(contract.SendResult{State: state})
			if result := r.inbound(); result.Outcome != want {
				t.Errorf("ended %s, want %s", result.Outcome, want)
			}
			if end := one(t, &r.finish); end.Ending != want || end.Reason == "" || len(r.settle.inputs) != 0 {
				t.Errorf("finished as %+v, settled %d times", end, len(r.settle.inputs))
			}
		})
	}
}

// children notes the flows of system texts that the flow starts.
func (r *rig) children() *[]contract.OutboundMessageInput {
	var started []contract.OutboundMessageInput
	r.env.SetOnChildWorkflowStartedListener(func(_ *workflow.Info, _ workflow.Context, args converter.EncodedValues) {
		var in contract.OutboundMessageInput
		if err := args.Get(&in); err != nil {
			r.t.Error(err)
		}
		started = append(started, in)
	})
	return &started
}

func TestAConsentWordIsNotAnswered(t *testing.T) {
	t.Parallel()
	for name, confirm := range map[string]contract.MessageKind{"by Twilio": "", "by us": domain.KindStopConfirmation} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.recordInbound.returns(contract.Recorded{
				MessageID: messageID, ReplyState: domain.ReplyNotNeeded, ConsentWord: domain.WordStop, Confirm: confirm,
			})
			started := r.children()
			in := contract.InboundMessageInput{Received: received()}
			in.Received.MessagingServiceSid = "MG1"
			if result := r.execute(contract.InboundMessage.Name, in); result.Outcome != domain.OutcomeConsent {
				t.Errorf("ended %+v", result)
			}
			if len(r.reserve.inputs)+len(r.generate.inputs) != 0 {
				t.Error("it was given to the model")
			}
			if confirm == "" {
				if len(*started) != 0 {
					t.Errorf("confirmed %+v", *started)
				}
				return
			}
			want := contract.OutboundMessageInput{
				OwnerID: ownerID, AccountSid: accountSid, From: company, To: customer, Kind: confirm, Key: "stop_confirmation:" + messageID,
			}
			if len(*started) != 1 {
				t.Fatalf("confirmed %d times", len(*started))
			}
			got := (*started)[0]
			want.StartedAt = got.StartedAt
			if got.Kind != want.Kind || got.Key != want.Key || got.From != want.From || got.To != want.To || got.Body != "" || got.MessagingServiceSid != "MG1" {
				t.Errorf("confirmed %+v, want %+v", got, want)
			}
		})
	}
}

func TestSupersededBeforeAModelIsAsked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.reserve.returns(contract.ReserveResult{State: domain.QuotaSuperseded})
	if result := r.inbound(); result.Outcome != domain.OutcomeSuperseded {
		t.Errorf("ended %+v", result)
	}
	r.wantCalls("account.Resolve", "identity.Resolve persistence.RecordInbound", "billing.Reserve", "persistence.Finish")
}

func TestAQuietWindow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.settings(func(owners *contract.Timing) { owners.QuietWindow = 7 * time.Second })
	reserved := times(r, &r.reserve)
	r.deliver(time.Minute, 1, 1, domain.StatusDelivered)
	if result := r.inbound(); result.Outcome != domain.OutcomeReplied {
		t.Errorf("ended %+v", result)
	}
	if len(*reserved) != 1 || (*reserved)[0] != 7*time.Second {
		t.Errorf("reserved after %v, want 7s", *reserved)
	}
	// The bound on waiting begins after it: a window as long as the bound would otherwise have every message answered by itself.
	want := contract.TurnBounds{Wait: timing().Turns.Wait + 7*time.Second, Messages: timing().Turns.Messages}
	if reserve, send := one(t, &r.reserve).Turns, one(t, &r.send).Turns; reserve != want || send != want {
		t.Errorf("reserved within %+v, claimed within %+v, want %+v", reserve, send, want)
	}

	r = newRig(t)
	r.settings(func(owners *contract.Timing) { owners.QuietWindow = time.Minute })
	r.after(time.Second, r.env.CancelWorkflow)
	if result := r.inbound(); result.Outcome != domain.OutcomeCancelled {
		t.Errorf("ended %+v", result)
	}
}

func TestAMessageThatGetsNoAnswerCostsNothing(t *testing.T) {
	t.Parallel()
	for outcome, test := range map[contract.Outcome]struct {
		stored contract.Recorded
		words  string
	}{
		domain.OutcomeDenied:  {contract.Recorded{ReplyState: domain.ReplyPending, Denied: true}, "does not want to be written to"},
		domain.OutcomeLooping: {contract.Recorded{ReplyState: domain.ReplyNotNeeded, Looping: true}, "starter conversation resume"},
		domain.OutcomeBlocked: {contract.Recorded{ReplyState: domain.ReplyNotNeeded, Unreachable: true}, "nobody can write to the sender"},
	} {
		t.Run(string(outcome), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			test.stored.MessageID = messageID
			r.recordInbound.returns(test.stored)
			if result := r.inbound(); result.Outcome != outcome {
				t.Errorf("ended %+v", result)
			}
			r.wantCalls("account.Resolve", "identity.Resolve persistence.RecordInbound", "persistence.Finish")
			r.wantFinish(outcome, test.words)
		})
	}
}

func TestOverQuota(t *testing.T) {
	t.Parallel()
	t.Run("the person is told", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.reserve.returns(contract.ReserveResult{State: domain.QuotaUsedUp})
		started := r.children()
		if result := r.inbound(); result.Outcome != domain.OutcomeOverQuota {
			t.Errorf("ended %+v", result)
		}
		if len(*started) != 1 || (*started)[0].Kind != domain.KindOverQuotaNotice || (*started)[0].Key != "over_quota_notice:contact-1:2026-01-02" {
			t.Errorf("told %+v", *started)
		}
		if len(r.generate.inputs) != 0 {
			t.Error("a model was asked")
		}
	})
	t.Run("once for the day on which they wrote, whenever the flow ends", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.settings(func(owners *contract.Timing) { owners.ReplyDeadline = 24 * time.Hour })
		r.reserve.returns(contract.ReserveResult{State: domain.QuotaUsedUp})
		started, yesterday := r.children(), received()
		yesterday.ReceivedAt = start.Add(-4 * time.Hour)
		r.execute(contract.InboundMessage.Name, contract.InboundMessageInput{Received: yesterday})
		if len(*started) != 1 || (*started)[0].Key != "over_quota_notice:contact-1:2026-01-01" {
			t.Errorf("told %+v", *started)
		}
	})
	t.Run("a unit is there by the end", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.reserve.returns(contract.ReserveResult{State: domain.QuotaUsedUp})
		r.finish.answers = func(call int, in contract.NewFinish) (contract.Finished, error) {
			return contract.Finished{Outcome: in.Ending, Void: call == 1}, nil
		}
		r.deliver(0, 1, 1, domain.StatusDelivered)
		if result := r.inbound(); result.Outcome != domain.OutcomeReplied {
			t.Errorf("ended %+v", result)
		}
		if len(r.reserve.inputs) != 1 || len(r.generate.inputs) != 1 || len(r.send.inputs) != 1 {
			t.Errorf("reserved %d times, written %d times, sent %d times", len(r.reserve.inputs), len(r.generate.inputs), len(r.send.inputs))
		}
	})
}
