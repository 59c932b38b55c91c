package postgres_test

import (
	"context"
	"fmt"
	"maps"
	"testing"

	"parley/internal/domain"
)

// subscribe gives acme a plan with so much of each meter; what is not named has no limit.
func (s *store) subscribe(t *testing.T, state string, quotas map[domain.Meter]int) {
	t.Helper()
	_, err := s.pool.Exec(t.Context(), `INSERT INTO plans (plan_id, name) VALUES ('small', 'Small')`)
	must(t, err)
	for meter, quota := range quotas {
		_, err := s.pool.Exec(t.Context(), `INSERT INTO plan_quotas VALUES ('small', $1, $2)`, meter, quota)
		must(t, err)
	}
	_, err = s.pool.Exec(t.Context(), `
		INSERT INTO subscriptions (owner_id, plan_id, state) VALUES ($1, 'small', $2)
		ON CONFLICT (owner_id) DO UPDATE SET plan_id = excluded.plan_id, state = excluded.state`, acme, state)
	must(t, err)
}

// usage returns acme's usage of a meter, of all months, as "used + reserved".
func (s *store) usage(t *testing.T, meter domain.Meter) string {
	t.Helper()
	s.balanced(t)
	return value[string](t, s, `SELECT coalesce(sum(used), 0) || ' + ' || coalesce(sum(reserved), 0) FROM usage WHERE owner_id = $1 AND meter = $2`, acme, meter)
}

func (f flow) tryReserve(t *testing.T) domain.QuotaState {
	t.Helper()
	state, err := f.messages.Reserve(t.Context(), f.reservation())
	must(t, err)
	return state
}

// Of many that ask at once for what some can have, exactly those get it: replies by their reservation, segments by the claim of what is sent.
func TestAQuotaIsNeverOvershot(t *testing.T) {
	t.Parallel()
	for meter, c := range map[domain.Meter]struct {
		people, quota int
		record        func(*testing.T, *store) flow
		ask           func(context.Context, flow) (string, error)
		others        string // the answer to those who come too late
	}{
		domain.MeterReplies: {
			500, 100,
			func(t *testing.T, s *store) flow { t.Helper(); return s.inbound(t, "Hello", "") },
			func(ctx context.Context, f flow) (string, error) {
				state, err := f.messages.Reserve(ctx, f.reservation())
				return string(state), err
			}, string(domain.QuotaUsedUp),
		},
		domain.MeterSegments: {
			100, 20,
			func(t *testing.T, s *store) flow { t.Helper(); return s.outbound(t, "Hello") },
			func(ctx context.Context, f flow) (string, error) {
				claim, err := f.messages.Claim(ctx, f.newClaim(1, 1))
				return string(claim.State), err
			}, string(domain.ClaimOverQuota),
		},
	} {
		t.Run(string(meter), func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			s.subscribe(t, "active", map[domain.Meter]int{meter: c.quota})
			flows := make([]flow, c.people)
			for i := range flows {
				flows[i] = c.record(t, s.another())
			}
			answers := map[string]int{}
			for _, answer := range together(c.people, func(i int) string {
				answer, err := insist(t.Context(), func(ctx context.Context) (string, error) { return c.ask(ctx, flows[i]) })
				switch {
				case err != nil:
					return err.Error()
				case answer == string(domain.ClaimBegun): // by the claim whose answer did not come
					return granted
				case answer == string(domain.ClaimClosed):
					return c.others
				default:
					return answer
				}
			}) {
				answers[answer]++
			}
			if want := map[string]int{granted: c.quota, c.others: c.people - c.quota}; !maps.Equal(answers, want) {
				t.Errorf("answers %v, want %v", answers, want)
			}
			equal(t, "usage", s.usage(t, meter), fmt.Sprint("0 + ", c.quota))
		})
	}
}

// The last unit is not wasted on a flow that is superseded, nor does it keep the newer one from being answered.
func TestTheLastUnitOfAQuota(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.subscribe(t, "active", map[domain.Meter]int{domain.MeterReplies: 1})
	older := s.inbound(t, "Hello", "To the older")
	equal(t, "the older one", older.tryReserve(t), domain.QuotaGranted)
	newer := s.inbound(t, "Are you there?", "To both")
	equal(t, "the newer one, of the same turn", newer.tryReserve(t), domain.QuotaGranted)
	stranger := s.another().inbound(t, "Hello", "")
	for range 2 { // a step that is repeated has the same answer
		equal(t, "somebody else", stranger.tryReserve(t), domain.QuotaUsedUp)
	}
	equal(t, "the older one's claim", older.ask(t, patient), domain.ClaimSuperseded)
	equal(t, "the newer one's claim", newer.ask(t, patient), domain.ClaimGranted)
	newer.resolve(t, 1, 1, accepted(newSid()))
	equal(t, "outcome", newer.finish(t, domain.OutcomeReplied, "").Outcome, domain.OutcomeReplied)
	equal(t, "usage", s.usage(t, domain.MeterReplies), "1 + 0")
}

// What may have been sent keeps its unit, and yields only to a message that finds another.
func TestAnUnknownSendKeepsItsUnit(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.subscribe(t, "active", map[domain.Meter]int{domain.MeterReplies: 1})
	older := s.inbound(t, "Hello", "To the older")
	older.reserve(t)
	older.lose(t, 1, 1)
	newer := s.inbound(t, "Are you there?", "To both")
	equal(t, "the newer one", newer.tryReserve(t), domain.QuotaUsedUp)
	in := older.newClaim(1, 2)
	in.Turns = patient
	claim, err := s.messages.Claim(t.Context(), in)
	must(t, err)
	equal(t, "the operator's second attempt", claim.State, domain.ClaimGranted)
	equal(t, "usage", s.usage(t, domain.MeterReplies), "0 + 1")
}

func TestTheLastOfATurnHandsTheUnitBack(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	older, newer := s.inbound(t, "Hello", ""), s.inbound(t, "Are you there?", "")
	older.reserve(t)
	newer.reserve(t)
	equal(t, "one unit", s.usage(t, domain.MeterReplies), "0 + 1")
	newer.finish(t, domain.OutcomeCancelled, "")
	equal(t, "left to the other", s.usage(t, domain.MeterReplies), "0 + 1")
	older.finish(t, domain.OutcomeCancelled, "")
	equal(t, "handed back", s.usage(t, domain.MeterReplies), "0 + 0")
}

// A message that ends over quota goes on where a unit is there by then.
func TestOverQuotaIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.subscribe(t, "active", map[domain.Meter]int{domain.MeterReplies: 1})
	holder := s.another().inbound(t, "Hello", "")
	holder.reserve(t)
	f := s.inbound(t, "Hello", "An answer")
	equal(t, "the quota", f.tryReserve(t), domain.QuotaUsedUp)
	holder.finish(t, domain.OutcomeCancelled, "")
	equal(t, "void", f.finish(t, domain.OutcomeOverQuota, "").Void, true)
	equal(t, "it has the unit", f.ask(t, patient), domain.ClaimGranted)
	f.resolve(t, 1, 1, accepted(newSid()))
	equal(t, "finished", f.finish(t, domain.OutcomeReplied, "").Outcome, domain.OutcomeReplied)

	late := s.another().inbound(t, "Hello", "")
	equal(t, "the quota", late.tryReserve(t), domain.QuotaUsedUp)
	equal(t, "finished", late.finish(t, domain.OutcomeOverQuota, ""), domain.Finished{Outcome: domain.OutcomeOverQuota})
	equal(t, "reply state", late.replyState(t), domain.ReplyNotNeeded)
	equal(t, "usage", s.usage(t, domain.MeterReplies), "1 + 0")
}

func TestSegmentsOfAllPartsArePaidFirst(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.subscribe(t, "active", map[domain.Meter]int{domain.MeterSegments: 12})
	long := s.outbound(t, twoParts()) // 13 segments
	equal(t, "too long", long.ask(t, patient), domain.ClaimOverQuota)
	equal(t, "outcome", long.finish(t, domain.OutcomeSent, "").Outcome, domain.OutcomeOverQuota)
	equal(t, "usage", s.usage(t, domain.MeterSegments), "0 + 0")
	for i := range 12 {
		s.another().outbound(t, fmt.Sprintf("Short %d", i)).send(t, 1, 1)
	}
	equal(t, "the thirteenth", s.another().outbound(t, "Short").ask(t, patient), domain.ClaimOverQuota)
}

func TestAPlanThatIsNotActiveAnswersNothing(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"past_due", "canceled"} {
		s := newStore(t)
		s.subscribe(t, state, nil)
		f := s.inbound(t, "Hello", "An answer")
		equal(t, "reserve", f.tryReserve(t), domain.QuotaInactive)
		equal(t, "finished", f.finish(t, domain.OutcomeBlocked, "").Outcome, domain.OutcomeBlocked)
		equal(t, "reply state", f.replyState(t), domain.ReplyNotNeeded)
		equal(t, "a message of ours", s.outbound(t, "Hello").ask(t, patient), domain.ClaimBlocked)
	}
}

// A delivery that failed is credited, and charged again where it turns out to have been delivered.
func TestAFailedDeliveryIsCredited(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", "An answer")
	f.reserve(t)
	sid := f.send(t, 1, 1)
	_, err := s.messages.Settle(t.Context(), acme, f.workflowID, f.messageID)
	must(t, err)
	equal(t, "charged", s.usage(t, domain.MeterReplies)+", "+s.usage(t, domain.MeterSegments), "1 + 0, 1 + 0")
	f.apply(t, callback(f.key(1, 1), sid, domain.StatusFailed, 30008))
	f.finish(t, domain.OutcomeReplied, "")
	equal(t, "credited", s.usage(t, domain.MeterReplies)+", "+s.usage(t, domain.MeterSegments), "0 + 0, 0 + 0")
	f.apply(t, callback(f.key(1, 1), sid, domain.StatusDelivered, 0))
	f.finish(t, domain.OutcomeReplied, "")
	equal(t, "charged after all", s.usage(t, domain.MeterReplies)+", "+s.usage(t, domain.MeterSegments), "1 + 0, 1 + 0")
}

func TestWhoDoesNotWantToBeWrittenTo(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	withdraw := func(s *store, sender string) {
		_, err := s.pool.Exec(t.Context(), `
			INSERT INTO consents (owner_id, channel, sender, address, state, source) VALUES ($1, 'sms', $2, $3, 'withdrawn', 'test')`, acme, sender, s.person)
		must(t, err)
	}
	f := s.inbound(t, "Hello", twoParts())
	other := s.another()
	beside := other.inbound(t, "Hello", "An answer")
	withdraw(s, "+15550009999") // of another sender of ours
	f.send(t, 1, 1)
	withdraw(s, ourNumber)
	claim, err := s.messages.Claim(t.Context(), f.newClaim(2, 1))
	must(t, err)
	equal(t, "part 2", claim.State, domain.ClaimDenied)
	equal(t, "a message of ours", s.outbound(t, "Hello").ask(t, patient), domain.ClaimDenied)
	equal(t, "somebody else", beside.ask(t, patient), domain.ClaimGranted)
}

// A claim that has a unit, and then no segments, leaves nothing reserved; nor does one whose longer draft is not paid for.
func TestWhatAClaimTookIsHandedBackWhereTheRestIsNotThere(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.subscribe(t, "active", map[domain.Meter]int{domain.MeterSegments: 2})
	f := s.inbound(t, "Hello", twoParts()) // 13 segments, and no unit of its turn
	equal(t, "too long", f.ask(t, patient), domain.ClaimOverQuota)
	equal(t, "usage", s.usage(t, domain.MeterReplies)+", "+s.usage(t, domain.MeterSegments), "0 + 0, 0 + 0")

	other := s.another()
	earlier := other.inbound(t, "Hello", "")
	f = other.inbound(t, "Are you there?", "Short")
	f.begin(t, 1, 1)
	f.resolve(t, 1, 1, domain.Resolution{State: domain.AttemptNotSent})
	earlier.finish(t, domain.OutcomeCancelled, "") // the draft is stale, and the next one longer
	f.write(t, twoParts())
	equal(t, "too long by now", f.ask(t, patient), domain.ClaimOverQuota)
	equal(t, "usage", s.usage(t, domain.MeterReplies)+", "+s.usage(t, domain.MeterSegments), "0 + 0, 0 + 0")
}

// A plan that is canceled while units are reserved answers nothing any more.
func TestAPlanThatIsCanceledMeanwhileAnswersNothing(t *testing.T) {
	t.Parallel()
	t.Run("between reserve and claim", func(t *testing.T) {
		t.Parallel()
		s := newStore(t)
		s.subscribe(t, "active", nil)
		f := s.inbound(t, "Hello", "An answer")
		f.reserve(t)
		_, err := s.pool.Exec(t.Context(), `UPDATE subscriptions SET state = 'canceled' WHERE owner_id = 'acme'`)
		must(t, err)
		equal(t, "claim", f.ask(t, patient), domain.ClaimBlocked)
	})
	t.Run("parked after a refusal", func(t *testing.T) {
		t.Parallel()
		s := newStore(t)
		s.subscribe(t, "active", nil)
		f := s.inbound(t, "Hello", "An answer")
		f.reserve(t)
		f.begin(t, 1, 1)
		f.resolve(t, 1, 1, domain.Resolution{State: domain.AttemptRefused, ErrorCode: 20003, ErrorKind: domain.KindConfiguration})
		f.park(t)
		_, err := s.pool.Exec(t.Context(), `UPDATE subscriptions SET state = 'canceled' WHERE owner_id = 'acme'`)
		must(t, err)
		claim, err := f.messages.Claim(t.Context(), f.newClaim(1, 2))
		must(t, err)
		equal(t, "claim of the retry", claim.State, domain.ClaimBlocked)
	})
	t.Run("a second message joins the unit of the first", func(t *testing.T) {
		t.Parallel()
		s := newStore(t)
		s.subscribe(t, "active", nil)
		s.inbound(t, "Hello", "").reserve(t)
		_, err := s.pool.Exec(t.Context(), `UPDATE subscriptions SET state = 'canceled' WHERE owner_id = 'acme'`)
		must(t, err)
		equal(t, "reserve", s.inbound(t, "Are you there?", "").tryReserve(t), domain.QuotaInactive)
	})
}
