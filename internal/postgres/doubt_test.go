package postgres_test

import (
	"testing"
	"time"

	"parley/internal/domain"
)

const seekAgain = time.Hour

// vain notes that an attempt was looked for in vain.
func (f flow) vain(t *testing.T, part, attempt int) (missing bool) {
	t.Helper()
	missing, err := f.messages.LookedInVain(t.Context(), acme, f.key(part, attempt), seekAgain)
	must(t, err)
	return missing
}

// later lets an hour pass since the attempts of a message were looked for.
func (f flow) later(t *testing.T) {
	t.Helper()
	_, err := f.pool.Exec(t.Context(), `
		UPDATE send_attempts SET look_at = look_at - interval '1 hour', looked_at = looked_at - interval '1 hour' WHERE message_id = $1`, f.messageID)
	must(t, err)
}

// doubtful returns the attempts that are to be looked for now.
func (s *store) doubtful(t *testing.T) (keys []domain.AttemptKey) {
	t.Helper()
	list, err := s.messages.Doubtful(t.Context(), time.Minute, 10)
	must(t, err)
	for _, attempt := range list {
		equal(t, "owner", attempt.OwnerID, acme)
		keys = append(keys, attempt.AttemptKey)
	}
	return keys
}

func (s *store) wantUsage(t *testing.T, when, replies, segments string) {
	t.Helper()
	equal(t, when, s.usage(t, domain.MeterReplies)+", "+s.usage(t, domain.MeterSegments), replies+", "+segments)
}

// lost returns a flow that has ended while nobody knew whether its reply was sent.
func (s *store) lost(t *testing.T) flow {
	t.Helper()
	f := s.inbound(t, "Hello", "An answer")
	f.reserve(t)
	f.begin(t, 1, 1)
	equal(t, "outcome", f.giveUp(t, domain.OutcomeFailed, "its flow was terminated").Outcome, domain.OutcomeUnknown)
	return f
}

// What may have been sent is paid for until Twilio's list has been read twice, an hour apart; until then nobody else gets the unit.
func TestAnUnknownSendIsPaidForUntilItIsKnown(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.subscribe(t, "active", map[domain.Meter]int{domain.MeterReplies: 1})
	f := s.lost(t)
	s.wantUsage(t, "ended", "0 + 1", "0 + 1")
	stranger := s.another().inbound(t, "Hello", "An answer")
	equal(t, "somebody else", stranger.tryReserve(t), domain.QuotaUsedUp)

	equal(t, "the first look", f.vain(t, 1, 1), false)
	equal(t, "a look right after it", f.vain(t, 1, 1), false)
	s.wantUsage(t, "looked for once", "0 + 1", "0 + 1")
	f.later(t)
	equal(t, "the second look", f.vain(t, 1, 1), true)
	s.wantUsage(t, "looked for twice", "0 + 0", "0 + 0")
	equal(t, "a third look", f.vain(t, 1, 1), false)
	f.finish(t, domain.OutcomeFailed, "") // of a flow that was reset
	s.wantUsage(t, "finished again", "0 + 0", "0 + 0")
	equal(t, "the attempt", f.attemptState(t, 1, 1), domain.AttemptUnknown)

	f.apply(t, callback(f.key(1, 1), newSid(), domain.StatusDelivered, 0))
	s.wantUsage(t, "it turns up after all", "1 + 0", "1 + 0")
	equal(t, "reply state", f.replyState(t), domain.ReplyAnswered)
	equal(t, "somebody else", stranger.ask(t, patient), domain.ClaimOverQuota)
}

func TestAnUnknownSendThatIsFoundIsCharged(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		found             domain.Resolution
		replies, segments string
	}{
		"sent":                        {accepted(newSid()), "1 + 0", "1 + 0"},
		"of more segments than we":    {domain.Resolution{State: domain.AttemptAccepted, Sid: newSid(), Status: domain.StatusSent, Segments: 3}, "1 + 0", "3 + 0"},
		"and failed":                  {domain.Resolution{State: domain.AttemptAccepted, Sid: newSid(), Status: domain.StatusFailed, ErrorCode: 30008}, "0 + 0", "0 + 0"},
		"refused, as a zombie tells":  {domain.Resolution{State: domain.AttemptRefused, ErrorCode: 21211, ErrorKind: domain.KindDenied}, "0 + 0", "0 + 0"},
		"not sent, as a zombie tells": {domain.Resolution{State: domain.AttemptNotSent, ErrorCode: 20429}, "0 + 0", "0 + 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			f := s.lost(t)
			equal(t, "the first look", f.vain(t, 1, 1), false)
			for range 2 {
				f.resolve(t, 1, 1, c.found)
				s.wantUsage(t, "known", c.replies, c.segments)
			}
			f.later(t)
			equal(t, "a look that comes late", f.vain(t, 1, 1), false)
			s.wantUsage(t, "looked for", c.replies, c.segments)
		})
	}
}

// Of several parts only what may have been sent is kept.
func TestOnlyTheDoubtfulPartIsPaidFor(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", twoParts()) // 11 + 2 segments
	f.reserve(t)
	f.send(t, 1, 1)
	f.begin(t, 2, 1)
	s.wantUsage(t, "sending", "0 + 1", "0 + 13")
	equal(t, "outcome", f.giveUp(t, domain.OutcomeFailed, "").Outcome, domain.OutcomeReplied)
	s.wantUsage(t, "ended", "1 + 0", "11 + 2")
	f.vain(t, 2, 1)
	f.later(t)
	f.vain(t, 2, 1)
	s.wantUsage(t, "looked for twice", "1 + 0", "11 + 0")
}

// The last part of several that was never tried is not paid for, however unknown the one before is.
func TestWhatWasNeverTriedIsHandedBack(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", twoParts())
	f.reserve(t)
	f.begin(t, 1, 1)
	f.giveUp(t, domain.OutcomeFailed, "")
	s.wantUsage(t, "ended", "0 + 1", "0 + 11")
}

// An attempt that an operator has repeated is looked for too: both may have been sent, for one reply.
func TestARepeatedAttemptIsLookedForToo(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", "An answer")
	f.reserve(t)
	f.lose(t, 1, 1)
	if keys := s.doubtful(t); len(keys) != 0 {
		t.Errorf("the attempts of a flow that runs are its own: %v", keys)
	}
	f.send(t, 1, 2)
	f.finish(t, domain.OutcomeReplied, "")
	s.wantUsage(t, "ended", "1 + 0", "1 + 0")
	if keys := s.doubtful(t); len(keys) != 1 || keys[0] != f.key(1, 1) {
		t.Fatalf("to be looked for: %v", keys)
	}
	if keys := s.doubtful(t); len(keys) != 0 {
		t.Errorf("a second sweep gets it too: %v", keys)
	}
	sought, err := s.messages.Sought(t.Context(), acme, f.key(1, 1), true)
	must(t, err)
	equal(t, "the attempt itself", sought.State, domain.AttemptUnknown)
	f.resolve(t, 1, 1, accepted(newSid()))
	s.wantUsage(t, "both were sent", "1 + 0", "2 + 0")
}

// The unit goes to the others of the turn, where it is still needed when nothing was found.
func TestTheUnitOfAnUnknownSendIsLeftToItsTurn(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.subscribe(t, "active", map[domain.Meter]int{domain.MeterReplies: 1})
	f := s.lost(t)
	newer := s.inbound(t, "Are you there?", "An answer")
	equal(t, "the newer one", newer.tryReserve(t), domain.QuotaUsedUp)
	f.vain(t, 1, 1)
	f.later(t)
	equal(t, "the second look", f.vain(t, 1, 1), true)
	s.wantUsage(t, "left to the newer one", "0 + 1", "0 + 0")
	equal(t, "its claim", newer.ask(t, patient), domain.ClaimGranted)
	newer.resolve(t, 1, 1, accepted(newSid()))
	newer.finish(t, domain.OutcomeReplied, "")
	s.wantUsage(t, "answered", "1 + 0", "1 + 0")
}

func TestLookedInVainIsScoped(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.lost(t)
	_, err := s.messages.LookedInVain(t.Context(), rival, f.key(1, 1), seekAgain)
	wantKind(t, err, domain.KindNotFound)
	running := s.another().inbound(t, "Hello", "An answer")
	running.lose(t, 1, 1)
	equal(t, "of a flow that runs", running.vain(t, 1, 1), false)
	running.later(t)
	equal(t, "of a flow that runs, later", running.vain(t, 1, 1), false)
}

// Looks at the same time count once, and only one hands the unit back.
func TestLooksAtOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.lost(t)
	for _, want := range []int{0, 1} {
		missing := 0
		for _, found := range together(8, func(int) bool {
			missing, _ := f.messages.LookedInVain(t.Context(), acme, f.key(1, 1), seekAgain)
			return missing
		}) {
			if found {
				missing++
			}
		}
		equal(t, "looks that decided", missing, want)
		f.later(t)
	}
	s.wantUsage(t, "decided", "0 + 0", "0 + 0")
}

// What Twilio says after a flow is over is charged and credited in the same transaction.
func TestALateStatusMovesTheBill(t *testing.T) {
	t.Parallel()
	for _, failed := range []domain.Status{domain.StatusFailed, domain.StatusCanceled} {
		t.Run(string(failed), func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			f := s.inbound(t, "Hello", "An answer")
			f.reserve(t)
			sid := f.send(t, 1, 1)
			f.finish(t, domain.OutcomeReplied, "")
			s.wantUsage(t, "finished", "1 + 0", "1 + 0")
			for range 2 {
				f.apply(t, callback(f.key(1, 1), sid, failed, 30008))
				s.wantUsage(t, "it failed", "0 + 0", "0 + 0")
			}
			f.apply(t, callback(f.key(1, 1), sid, domain.StatusSent, 0)) // late: it moves nothing
			s.wantUsage(t, "an older status", "0 + 0", "0 + 0")
			for range 2 {
				f.apply(t, callback(domain.AttemptKey{}, sid, domain.StatusDelivered, 0))
				s.wantUsage(t, "it was delivered after all", "1 + 0", "1 + 0")
			}
			change := f.apply(t, callback(f.key(1, 1), sid, failed, 30008))
			equal(t, "moved", change.Moved, false)
			s.wantUsage(t, "a late failure", "1 + 0", "1 + 0")
		})
	}
	t.Run("while its flow runs", func(t *testing.T) {
		t.Parallel()
		s := newStore(t)
		f := s.inbound(t, "Hello", "An answer")
		f.reserve(t)
		sid := f.send(t, 1, 1)
		f.apply(t, callback(f.key(1, 1), sid, domain.StatusFailed, 30008))
		s.wantUsage(t, "the flow settles itself", "0 + 1", "0 + 1")
	})
}
