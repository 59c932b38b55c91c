package postgres_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"parley/internal/domain"
)

var (
	reservedAndReleased = []string{"reserve ai_replies 1", "release ai_replies 1"}
	reservedAndSettled  = []string{"reserve ai_replies 1", "reserve message_segments 1", "settle ai_replies 1", "settle message_segments 1"}
	reserved            = reservedAndSettled[:2]
	takenAndReleased    = append(slices.Clone(reserved), "release ai_replies 1", "release message_segments 1")
)

func TestFinishDecidesByTheRows(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	resolved := func(answer domain.Resolution) func(*testing.T, flow) {
		return func(t *testing.T, f flow) { f.begin(t, 1, 1); f.resolve(t, 1, 1, answer) }
	}
	nothing := func(*testing.T, flow) {}
	delivered := func(t *testing.T, f flow) {
		f.apply(t, callback(f.key(1, 1), f.send(t, 1, 1), domain.StatusDelivered, 0))
	}
	for name, c := range map[string]struct {
		given    func(*testing.T, flow)
		believed domain.Outcome
		want     domain.Finished
		state    domain.ReplyState
		attempt  domain.AttemptState // of attempt 1, where there is one
		ledger   []string
	}{
		"accepted": {
			resolved(accepted(newSid())), domain.OutcomeReplied,
			domain.Finished{Outcome: domain.OutcomeReplied, Status: domain.StatusQueued}, domain.ReplyAnswered, domain.AttemptAccepted, reservedAndSettled,
		},
		"accepted, believed failed": {
			delivered, domain.OutcomeFailed,
			domain.Finished{Outcome: domain.OutcomeReplied, Status: domain.StatusDelivered}, domain.ReplyAnswered, domain.AttemptAccepted, reservedAndSettled,
		},
		"accepted, believed cancelled": {
			delivered, domain.OutcomeCancelled,
			domain.Finished{Outcome: domain.OutcomeReplied, Status: domain.StatusDelivered}, domain.ReplyAnswered, domain.AttemptAccepted, reservedAndSettled,
		},
		"begun, given up": {
			func(t *testing.T, f flow) { f.begin(t, 1, 1) }, domain.OutcomeCancelled,
			domain.Finished{Outcome: domain.OutcomeUnknown}, domain.ReplyFailed, domain.AttemptUnknown, reserved,
		},
		"unknown, given up": {
			resolved(domain.Resolution{State: domain.AttemptUnknown, Error: "time-out"}), domain.OutcomeAbandoned,
			domain.Finished{Outcome: domain.OutcomeUnknown}, domain.ReplyFailed, domain.AttemptUnknown, reserved,
		},
		"declared unknown": {
			func(t *testing.T, f flow) { f.lose(t, 1, 1) }, domain.OutcomeAbandoned,
			domain.Finished{Outcome: domain.OutcomeUnknown}, domain.ReplyFailed, domain.AttemptUnknown, reserved,
		},
		"refused": {
			resolved(domain.Resolution{State: domain.AttemptRefused, ErrorCode: 21610, ErrorKind: domain.KindDenied}), domain.OutcomeFailed,
			domain.Finished{Outcome: domain.OutcomeFailed, ErrorCode: 21610}, domain.ReplyFailed, domain.AttemptRefused, takenAndReleased,
		},
		"not sent": {
			resolved(domain.Resolution{State: domain.AttemptNotSent, ErrorCode: 20429}), domain.OutcomeExpired,
			domain.Finished{Outcome: domain.OutcomeExpired, ErrorCode: 20429}, domain.ReplyFailed, domain.AttemptNotSent, takenAndReleased,
		},
		"nothing tried":                   {nothing, domain.OutcomeExpired, domain.Finished{Outcome: domain.OutcomeExpired}, domain.ReplyFailed, "", reservedAndReleased},
		"nothing tried, believed replied": {nothing, domain.OutcomeReplied, domain.Finished{Outcome: domain.OutcomeFailed}, domain.ReplyFailed, "", reservedAndReleased},
		"nothing tried, believed sent":    {nothing, domain.OutcomeSent, domain.Finished{Outcome: domain.OutcomeFailed}, domain.ReplyFailed, "", reservedAndReleased},
		"parked": {
			func(t *testing.T, f flow) { f.park(t) }, domain.OutcomeAbandoned,
			domain.Finished{Outcome: domain.OutcomeAbandoned}, domain.ReplyFailed, "", reservedAndReleased,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := s.another().inbound(t, "Hello", "An answer")
			f.reserve(t)
			c.given(t, f)
			equal(t, "finished", f.giveUp(t, c.believed, "first"), c.want)
			equal(t, "the pair", f.lock(t), free)
			rows := snapshotOf(t, f)
			equal(t, "finished a second time", f.finish(t, c.believed, "first"), c.want)
			equal(t, "rows after the second time", snapshotOf(t, f), rows)

			m := f.trace(t).Message
			equal(t, "reply state", m.ReplyState, c.state)
			equal(t, "outcome", m.Outcome, c.want.Outcome)
			equal(t, "reason", m.Reason, "first")
			equal(t, "park", m.Park+m.ParkStep+m.ParkReason, "")
			if c.attempt != "" {
				equal(t, "attempt", f.attemptState(t, 1, 1), c.attempt)
			}
			if got := f.ledger(t); !slices.Equal(got, c.ledger) {
				t.Errorf("ledger %v, want %v", got, c.ledger)
			}

			// Another end, of another run perhaps, does not change the first one.
			equal(t, "finished otherwise", f.finish(t, domain.OutcomeCancelled, "second"), c.want)
			equal(t, "rows after it", snapshotOf(t, f), rows)

			f.reserve(t) // late
			if got := f.ledger(t); !slices.Equal(got, c.ledger) {
				t.Errorf("ledger after a late reserve %v, want %v", got, c.ledger)
			}
		})
	}
}

func TestFinishOfAMessageOfOurs(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.outbound(t, "Good morning")
	f.send(t, 1, 1)
	equal(t, "finished", f.finish(t, domain.OutcomeExpired, ""), domain.Finished{Outcome: domain.OutcomeSent, Status: domain.StatusQueued})
	if got := f.ledger(t); !slices.Equal(got, []string{"reserve message_segments 1", "settle message_segments 1"}) {
		t.Errorf("ledger %v", got)
	}
}

// The second part's fate does not take back that the message is answered.
func TestFinishAfterTheFirstOfTwoParts(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", twoParts())
	f.reserve(t)
	f.send(t, 1, 1)
	f.begin(t, 2, 1)
	equal(t, "outcome", f.giveUp(t, domain.OutcomeUnknown, "").Outcome, domain.OutcomeReplied)
	equal(t, "second part", f.attemptState(t, 2, 1), domain.AttemptUnknown)
	if got, want := f.ledger(t), []string{
		"reserve ai_replies 1", "reserve message_segments 13", "settle ai_replies 1", "settle message_segments 11", // 2 are kept: the second part may have been sent
	}; !slices.Equal(got, want) {
		t.Errorf("ledger %v, want %v", got, want)
	}
}

// An attempt that is not resolved is looked for before anything is finished, whether its POST had no answer or nobody knows of one.
func TestFinishLeavesWhatIsNotResolved(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for name, given := range map[string]func(*testing.T, flow){
		"begun":      func(t *testing.T, f flow) { f.begin(t, 1, 1) },
		"long begun": func(t *testing.T, f flow) { f.begin(t, 1, 1); f.age(t) },
		"without an answer": func(t *testing.T, f flow) {
			f.begin(t, 1, 1)
			f.resolve(t, 1, 1, domain.Resolution{State: domain.AttemptUnknown, Error: "time-out"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := s.another().inbound(t, "Hello", "An answer")
			f.reserve(t)
			given(t, f)
			before, held := snapshotOf(t, f), f.lock(t)
			finished, err := s.messages.Finish(t.Context(), f.newFinish(domain.OutcomeCancelled, "x"))
			must(t, err)
			if finished.Unresolved == nil || *finished.Unresolved != f.key(1, 1) || finished.Outcome != "" {
				t.Errorf("finished %+v, want attempt 1 unresolved", finished)
			}
			equal(t, "rows", snapshotOf(t, f), before)
			equal(t, "the pair", f.lock(t), held)

			f.apply(t, callback(f.key(1, 1), newSid(), domain.StatusDelivered, 0)) // found
			equal(t, "finished", f.finish(t, domain.OutcomeCancelled, ""), domain.Finished{Outcome: domain.OutcomeReplied, Status: domain.StatusDelivered})
			if got := f.ledger(t); !slices.Equal(got, reservedAndSettled) {
				t.Errorf("ledger %v, want %v", got, reservedAndSettled)
			}
		})
	}
}

// Even who gives up does so only when nothing can be under way any more.
func TestGiveUpWaitsForWhatMayBeUnderWay(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", "An answer")
	f.reserve(t)
	f.begin(t, 1, 1)
	before := snapshotOf(t, f)
	in := f.newFinish(domain.OutcomeCancelled, "")
	in.GiveUp = true
	_, err := s.messages.Finish(t.Context(), in)
	wantBusy(t, err, postWithin+sendTimeout)
	equal(t, "rows", snapshotOf(t, f), before)
	equal(t, "the pair", f.lock(t), f.holds(1, 1))
	equal(t, "outcome", f.giveUp(t, domain.OutcomeCancelled, "").Outcome, domain.OutcomeUnknown)
	equal(t, "the pair", f.lock(t), free)
}

// A flow that was over when its message turned out to be sent: its end is mended, and it is charged, once.
func TestWhatTurnsUpAfterTheEndMendsIt(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	bindings := map[string]func(*testing.T, flow) bool{ // each reports whether it found something
		"callback": func(t *testing.T, f flow) bool {
			return f.apply(t, callback(f.key(1, 1), newSid(), domain.StatusDelivered, 0)).Found
		},
		"late answer": func(t *testing.T, f flow) bool {
			answer := accepted(newSid())
			answer.Status = domain.StatusDelivered
			return f.resolve(t, 1, 1, answer).State == domain.AttemptAccepted
		},
	}
	for name, bind := range bindings {
		for kind, of := range map[string]struct {
			flow   flow
			want   domain.Outcome
			ledger []string
		}{
			"reply": {
				s.another().inbound(t, "Hello", "An answer"), domain.OutcomeReplied, // kept for as long as it may have been sent, and charged
				[]string{"reserve ai_replies 1", "reserve message_segments 1", "settle ai_replies 1", "settle message_segments 1"},
			},
			"message of ours": {
				s.another().outbound(t, "Good morning"), domain.OutcomeSent,
				[]string{"reserve message_segments 1", "settle message_segments 1"},
			},
		} {
			t.Run(name+" of a "+kind, func(t *testing.T) {
				t.Parallel()
				f := of.flow
				if of.want == domain.OutcomeReplied {
					f.reserve(t)
				}
				f.begin(t, 1, 1)
				equal(t, "outcome", f.giveUp(t, domain.OutcomeAbandoned, "nobody knows").Outcome, domain.OutcomeUnknown)
				other := f.another()
				other.person = f.person
				next := other.outbound(t, "And another thing")
				next.begin(t, 1, 1)

				equal(t, "found", bind(t, f), true)
				for range 2 { // and the binding said it all
					m := f.trace(t).Message
					equal(t, "reply state", m.ReplyState, domain.ReplyAnswered)
					equal(t, "outcome", m.Outcome, of.want)
					if got := f.ledger(t); !slices.Equal(got, of.ledger) {
						t.Errorf("ledger %v, want %v", got, of.ledger)
					}
					equal(t, "the pair, which is another's", f.lock(t), next.holds(1, 1))
					again := f.apply(t, callback(f.key(1, 1), f.trace(t).Attempts[0].TwilioSid, domain.StatusDelivered, 0))
					equal(t, "found again", again.Found, false)
					equal(t, "finished again", f.finish(t, domain.OutcomeAbandoned, "x"), domain.Finished{Outcome: of.want, Status: domain.StatusDelivered})
				}
			})
		}
	}
}

func TestFinishBesideTheAnswerToThePost(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for range 10 {
		f, sid := s.another().inbound(t, "Hello", "An answer"), newSid()
		f.reserve(t)
		f.begin(t, 1, 1)
		for _, err := range together(3, func(i int) error {
			switch i {
			case 0:
				_, err := s.messages.Finish(t.Context(), f.newFinish(domain.OutcomeCancelled, ""))
				return err
			case 1:
				r := accepted(sid)
				r.AttemptKey, r.OwnerID = f.key(1, 1), acme
				_, err := s.messages.Resolve(t.Context(), r)
				return err
			default:
				_, err := s.messages.ApplyStatus(t.Context(), callback(f.key(1, 1), sid, domain.StatusSent, 0))
				return err
			}
		}) {
			must(t, err)
		}
		equal(t, "attempt", f.attemptState(t, 1, 1), domain.AttemptAccepted)
		equal(t, "reply state", f.replyState(t), domain.ReplyAnswered)
		equal(t, "outcome by the rows", f.finish(t, domain.OutcomeCancelled, "").Outcome, domain.OutcomeReplied)
		if got := f.ledger(t); !slices.Contains(got, "settle ai_replies 1") {
			t.Errorf("ledger %v: what was accepted is charged", got)
		}
	}
}

func TestReserveAndSettle(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", twoParts())
	for range 2 {
		f.reserve(t)
	}
	_, err := s.messages.Settle(t.Context(), acme, f.workflowID, f.messageID)
	wantKind(t, err, domain.KindConflict) // nothing is accepted yet
	if got := f.ledger(t); !slices.Equal(got, reserved[:1]) {
		t.Fatalf("ledger %v", got)
	}
	f.send(t, 1, 1)
	f.begin(t, 2, 1)
	f.resolve(t, 2, 1, domain.Resolution{State: domain.AttemptRefused, ErrorCode: 30001, ErrorKind: domain.KindConfiguration}) // costs nothing
	f.begin(t, 2, 2)
	f.resolve(t, 2, 2, domain.Resolution{State: domain.AttemptAccepted, Sid: newSid(), Status: domain.StatusQueued, Segments: 3}) // by Twilio's count
	want := []string{                                                                                                             // 13 by our own count
		"reserve ai_replies 1", "reserve message_segments 13", "settle ai_replies 1", "reserve message_segments 1", "settle message_segments 14",
	}
	for range 2 {
		segments, err := s.messages.Settle(t.Context(), acme, f.workflowID, f.messageID)
		must(t, err)
		equal(t, "segments", segments, 14)
		if got := f.ledger(t); !slices.Equal(got, want) {
			t.Errorf("ledger %v, want %v", got, want)
		}
	}
	f.finish(t, domain.OutcomeReplied, "")
	if got := f.ledger(t); !slices.Equal(got, want) {
		t.Errorf("ledger after the end %v, want %v", got, want)
	}
}

func TestReserveAfterTheEndTakesNothing(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", "")
	f.finish(t, domain.OutcomeCancelled, "")
	f.reserve(t)
	if got := f.ledger(t); got != nil {
		t.Errorf("ledger %v", got)
	}
}

func TestReserveAndSettleAtOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", "An answer")
	for _, err := range together(10, func(int) error {
		_, err := insistOn(t.Context(), s.messages.Reserve, f.reservation())
		return err
	}) {
		must(t, err)
	}
	f.send(t, 1, 1)
	for _, err := range together(10, func(i int) error {
		if i%2 == 0 {
			_, err := insist(t.Context(), func(ctx context.Context) (int, error) { return s.messages.Settle(ctx, acme, f.workflowID, f.messageID) })
			return err
		}
		_, err := insistOn(t.Context(), s.messages.Finish, f.newFinish(domain.OutcomeReplied, ""))
		return err
	}) {
		must(t, err)
	}
	if got := f.ledger(t); !slices.Equal(got, reservedAndSettled) {
		t.Errorf("ledger %v, want %v", got, reservedAndSettled)
	}
}

func TestSegmentsOfOtherChannelsAreMessages(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	in := outbound(strings.Repeat("é☃", 400))
	in.From, in.To = "whatsapp:"+ourNumber, "whatsapp:"+person
	recorded, err := s.messages.RecordOutbound(t.Context(), in)
	must(t, err)
	f := flow{s, recorded.MessageID, in.WorkflowID, ""}
	f.send(t, 1, 1)
	segments, err := s.messages.Settle(t.Context(), acme, f.workflowID, f.messageID)
	must(t, err)
	equal(t, "segments", segments, 1)
}

// snapshotOf is all that is stored of a flow: its rows, its end and its ledger.
func snapshotOf(t *testing.T, f flow) string {
	t.Helper()
	return f.row(t) + strings.Join(f.ledger(t), ", ")
}
