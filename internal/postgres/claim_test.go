package postgres_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parley/internal/domain"
)

// twoParts is a reply that is sent as two messages.
func twoParts() string {
	return strings.Repeat("a", domain.MaxBody) + " " + strings.Repeat("b", 200)
}

func TestClaim(t *testing.T) {
	t.Parallel()
	refused := domain.Resolution{State: domain.AttemptRefused, ErrorCode: 21211, ErrorKind: domain.KindDenied, Error: "no such number"}
	notSent := domain.Resolution{State: domain.AttemptNotSent, ErrorCode: 20429, Error: "too many requests"}
	unknown := domain.Resolution{State: domain.AttemptUnknown, Error: "time-out"}
	attempt := func(n int, answer domain.Resolution) func(*testing.T, flow) {
		return func(t *testing.T, f flow) { f.begin(t, 1, n); f.resolve(t, 1, n, answer) }
	}
	lost := func(n int) func(*testing.T, flow) { return func(t *testing.T, f flow) { f.lose(t, 1, n) } }
	begun := func(n int) func(*testing.T, flow) { return func(t *testing.T, f flow) { f.begin(t, 1, n) } }
	finished := func(t *testing.T, f flow) { f.giveUp(t, domain.OutcomeAbandoned, "by an operator") }
	replyState := func(state domain.ReplyState) func(*testing.T, flow) {
		return func(t *testing.T, f flow) {
			_, err := f.pool.Exec(t.Context(), `UPDATE messages SET reply_state = $2 WHERE message_id = $1`, f.messageID, state)
			must(t, err)
		}
	}
	late := func(t *testing.T, f flow) {
		_, err := f.pool.Exec(t.Context(), `UPDATE messages SET deadline = now() - interval '1 ms' WHERE message_id = $1`, f.messageID)
		must(t, err)
	}
	parked := func(t *testing.T, f flow) { f.park(t) }
	foundOut := func(n int) func(*testing.T, flow) { // by a callback, whatever was believed
		return func(t *testing.T, f flow) { f.apply(t, callback(f.key(1, n), newSid(), domain.StatusSent, 0)) }
	}
	steps := func(all ...func(*testing.T, flow)) []func(*testing.T, flow) { return all }

	s := newStore(t)
	for name, c := range map[string]struct {
		given    []func(*testing.T, flow)
		part     int // 1 where it is not set
		attempt  int // 1 where it is not set
		anyway   bool
		want     domain.ClaimState
		resolved domain.AttemptState
		number   int // of the attempt that is returned as resolved
		kind     domain.Kind
	}{
		"the first":                              {want: domain.ClaimGranted},
		"begun":                                  {given: steps(begun(1)), want: domain.ClaimBegun},
		"accepted":                               {given: steps(attempt(1, accepted(newSid()))), want: domain.ClaimResolved, resolved: domain.AttemptAccepted, number: 1},
		"refused":                                {given: steps(attempt(1, refused)), want: domain.ClaimResolved, resolved: domain.AttemptRefused, number: 1},
		"unknown, still looked for":              {given: steps(attempt(1, unknown)), want: domain.ClaimResolved, resolved: domain.AttemptUnknown, number: 1},
		"declared unknown":                       {given: steps(lost(1)), want: domain.ClaimResolved, resolved: domain.AttemptUnknown, number: 1},
		"not sent":                               {given: steps(attempt(1, notSent)), want: domain.ClaimGranted},
		"a new attempt while the first is begun": {given: steps(begun(1)), attempt: 2, kind: domain.KindConflict},
		"a new attempt after a refusal":          {given: steps(attempt(1, refused)), attempt: 2, want: domain.ClaimGranted},
		"a new attempt while one is looked for":  {given: steps(attempt(1, unknown)), attempt: 2, kind: domain.KindConflict},
		"a new attempt after an unknown one":     {given: steps(lost(1)), attempt: 2, want: domain.ClaimGranted},
		"a third after all that let it begin":    {given: steps(lost(1), attempt(2, refused), attempt(3, notSent)), attempt: 4, want: domain.ClaimGranted},
		"a third while the first is looked for":  {given: steps(attempt(1, unknown)), attempt: 3, kind: domain.KindConflict},
		"a new attempt after one not sent":       {given: steps(attempt(1, notSent)), attempt: 2, want: domain.ClaimGranted},
		"a new attempt after an accepted one": {
			given: steps(attempt(1, accepted(newSid()))), attempt: 2, want: domain.ClaimResolved, resolved: domain.AttemptAccepted, number: 1,
		},
		"an earlier attempt got through after all": {
			given: steps(lost(1), begun(2), foundOut(1)), attempt: 2, want: domain.ClaimResolved, resolved: domain.AttemptAccepted, number: 1,
		},
		"an earlier attempt got through before a refusal": {
			given: steps(lost(1), attempt(2, refused), foundOut(1)), attempt: 2, want: domain.ClaimResolved, resolved: domain.AttemptAccepted, number: 1,
		},
		"an older attempt again while a newer is begun":         {given: steps(attempt(1, notSent), begun(2)), kind: domain.KindConflict},
		"an older attempt again after a newer was perhaps sent": {given: steps(attempt(1, notSent), lost(2)), kind: domain.KindConflict},
		"an older attempt again after a newer was refused":      {given: steps(attempt(1, notSent), attempt(2, refused)), want: domain.ClaimGranted},
		"an older refusal again while a newer is begun": {
			given: steps(attempt(1, refused), begun(2)), want: domain.ClaimResolved, resolved: domain.AttemptRefused, number: 1,
		},
		"parked":                         {given: steps(parked), want: domain.ClaimGranted},
		"superseded":                     {given: steps(replyState(domain.ReplySuperseded)), want: domain.ClaimClosed},
		"not needed":                     {given: steps(replyState(domain.ReplyNotNeeded)), want: domain.ClaimClosed},
		"failed":                         {given: steps(replyState(domain.ReplyFailed)), want: domain.ClaimClosed},
		"answered":                       {given: steps(replyState(domain.ReplyAnswered)), want: domain.ClaimClosed},
		"finished":                       {given: steps(finished), want: domain.ClaimClosed},
		"finished after it was not sent": {given: steps(attempt(1, notSent), finished), want: domain.ClaimClosed},
		"finished after it was accepted": {
			given: steps(attempt(1, accepted(newSid())), finished), want: domain.ClaimResolved, resolved: domain.AttemptAccepted, number: 1,
		},
		"finished while it was begun": {given: steps(begun(1), finished), want: domain.ClaimResolved, resolved: domain.AttemptUnknown, number: 1},
		"finished, anyway":            {given: steps(finished), anyway: true, want: domain.ClaimClosed},
		"past the deadline":           {given: steps(late), want: domain.ClaimExpired},
		"past the deadline, parked":   {given: steps(late, parked), want: domain.ClaimExpired},
		"past the deadline, anyway":   {given: steps(late), anyway: true, want: domain.ClaimGranted},
		"past the deadline, accepted": {
			given: steps(attempt(1, accepted(newSid())), late), want: domain.ClaimResolved, resolved: domain.AttemptAccepted, number: 1,
		},
		"past the deadline, not sent":              {given: steps(attempt(1, notSent), late), want: domain.ClaimExpired},
		"the second part":                          {given: steps(attempt(1, accepted(newSid()))), part: 2, want: domain.ClaimGranted},
		"the second part, past the deadline":       {given: steps(attempt(1, accepted(newSid())), late), part: 2, want: domain.ClaimExpired},
		"the second part, finished":                {given: steps(attempt(1, accepted(newSid())), finished), part: 2, want: domain.ClaimClosed},
		"the second part of what was closed":       {given: steps(replyState(domain.ReplyFailed)), part: 2, want: domain.ClaimClosed},
		"the second part before the first":         {part: 2, kind: domain.KindConflict},
		"the second part while the first is begun": {given: steps(begun(1)), part: 2, kind: domain.KindConflict},
		"the second part after a refusal":          {given: steps(attempt(1, refused)), part: 2, kind: domain.KindConflict},
		"the third part before the second":         {given: steps(attempt(1, accepted(newSid()))), part: 3, kind: domain.KindConflict},
		"a part beyond the end": {
			given: steps(attempt(1, accepted(newSid())), func(t *testing.T, f flow) { f.send(t, 2, 1) }), part: 3, kind: domain.KindInvalid,
		},
		"a part before the beginning": {part: -1, kind: domain.KindInvalid},
		"an attempt before the first": {attempt: -1, kind: domain.KindInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := s.another().inbound(t, "Hello", twoParts())
			for _, step := range c.given {
				step(t, f)
			}
			in := f.newClaim(max(c.part, 1), max(c.attempt, 1))
			if c.part < 0 {
				in.Part = 0
			}
			if c.attempt < 0 {
				in.AttemptKey.Attempt = 0
			}
			in.Anyway = c.anyway
			claim, err := s.messages.Claim(t.Context(), in)
			if c.kind != "" {
				wantKind(t, err, c.kind)
				return
			}
			must(t, err)
			equal(t, "claim", claim.State, c.want)
			equal(t, "state of the attempt", claim.Resolved.State, c.resolved)
			equal(t, "number of the attempt", claim.Resolved.Number, c.number)
			if c.want == domain.ClaimGranted {
				equal(t, "attempt", f.attemptState(t, in.Part, in.Attempt), domain.AttemptBegun)
				again, err := s.messages.Claim(t.Context(), in)
				must(t, err)
				equal(t, "claimed again", again.State, domain.ClaimBegun)
			}
		})
	}
}

func TestClaimGrantsAllThatThePostNeeds(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	reply := s.inbound(t, "Hello", twoParts())
	for i, want := range []string{strings.Repeat("a", domain.MaxBody), strings.Repeat("b", 200)} {
		claim := reply.begin(t, i+1, 1)
		if claim.From != ourNumber || claim.To != person || claim.AccountSid != account || claim.Body != want || claim.Media != nil {
			t.Errorf("part %d: got %+v", i+1, claim)
		}
		reply.resolve(t, i+1, 1, accepted(newSid()))
	}
	own := s.outbound(t, "Good morning")
	claim := own.begin(t, 1, 1)
	if claim.From != ourNumber || claim.To != person || claim.AccountSid != account || claim.Body != "Good morning" {
		t.Errorf("got %+v", claim)
	}
	own.resolve(t, 1, 1, accepted(newSid()))

	long := outbound(twoParts())
	long.Media = []domain.Media{{URL: "https://example.com/1"}}
	recorded, err := s.messages.RecordOutbound(t.Context(), long)
	must(t, err)
	equal(t, "parts", recorded.Parts, 2)
	f := flow{s, recorded.MessageID, long.WorkflowID, ""}
	equal(t, "media of the first part", len(f.begin(t, 1, 1).Media), 1)
	f.resolve(t, 1, 1, accepted(newSid()))
	equal(t, "media of the second part", len(f.begin(t, 2, 1).Media), 0)
	equal(t, "rows of the second part", value[int](t, s, `SELECT count(*) FROM messages WHERE in_reply_to = $1`, f.messageID), 1)
}

// A draft belongs to one message: it is never sent as the answer to another.
func TestClaimTakesNoOtherMessagesDraft(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f, other := s.inbound(t, "Hello", "To you"), s.inbound(t, "Hello again", "To you again")
	f.draftID = other.draftID
	_, err := s.messages.Claim(t.Context(), f.newClaim(1, 1))
	wantKind(t, err, domain.KindNotFound)
}

func TestClaimOfWhatWasNotSentStartsAfresh(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", "An answer")
	f.begin(t, 1, 1)
	f.resolve(t, 1, 1, domain.Resolution{State: domain.AttemptNotSent, ErrorCode: 20429, ErrorKind: domain.KindThrottled, Error: "too many requests"})
	f.age(t)
	f.begin(t, 1, 1)
	row := f.trace(t).Attempts[0]
	if row.State != domain.AttemptBegun || row.ErrorCode != 0 || row.Error != "" || row.ResolvedAt != nil || time.Since(row.BegunAt) > time.Minute {
		t.Errorf("got %+v, want it as new", row)
	}
	left := value[float64](t, s, `SELECT round(extract(epoch FROM post_before - begun_at), 3)::float8 FROM send_attempts`)
	equal(t, "seconds to post in", left, postWithin.Seconds())
	left = value[float64](t, s, `SELECT round(extract(epoch FROM answer_before - post_before), 3)::float8 FROM send_attempts`)
	equal(t, "seconds to answer in", left, sendTimeout.Seconds())
	equal(t, "rows of the part", value[int](t, s, `SELECT count(*) FROM messages WHERE in_reply_to IS NOT NULL`), 1)
	equal(t, "next seq", value[int](t, s, `SELECT next_seq FROM pairs`), 3)
}

// An execution that stores "not sent" a second time, because it never heard of the first, says nothing of the POST that was claimed meanwhile.
func TestNotSentOfAnEarlierClaim(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", "An answer")
	again := domain.Resolution{AttemptKey: f.key(1, 1), OwnerID: acme, BegunAt: f.begin(t, 1, 1).BegunAt, State: domain.AttemptNotSent, ErrorCode: 20429}
	for range 2 {
		_, err := s.messages.Resolve(t.Context(), again)
		must(t, err)
	}
	f.begin(t, 1, 1)
	got, err := s.messages.Resolve(t.Context(), again)
	must(t, err)
	equal(t, "attempt", got, domain.Attempt{Number: 1, State: domain.AttemptBegun})
	equal(t, "the pair", f.lock(t), f.messageID+" 1 1")
}

func TestClaimEndsThePark(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", twoParts())
	park := f.newPark("run/1")
	for range 2 {
		must(t, s.messages.Park(t.Context(), park))
	}
	m := f.trace(t).Message
	equal(t, "reply state", m.ReplyState, domain.ReplyParked)
	equal(t, "park", m.Park+" "+m.ParkStep+" "+m.ParkReason, "run/1 messaging.Send the token is wrong")
	f.begin(t, 1, 1)
	m = f.trace(t).Message
	equal(t, "reply state after the claim", m.ReplyState, domain.ReplyPending)
	equal(t, "park after the claim", m.Park+m.ParkStep+m.ParkReason, "")

	// The second part may park too. The message stays answered, and a status of the first part does not end the park.
	sid := newSid()
	f.resolve(t, 1, 1, accepted(sid))
	park.Park = "run/2"
	must(t, s.messages.Park(t.Context(), park))
	f.apply(t, callback(f.key(1, 1), sid, domain.StatusDelivered, 0))
	m = f.trace(t).Message
	equal(t, "reply state in the second park", m.ReplyState, domain.ReplyAnswered)
	equal(t, "second park", m.Park, "run/2")
	f.begin(t, 2, 1)
	equal(t, "second park after the claim", f.trace(t).Message.Park, "")
	f.resolve(t, 2, 1, accepted(newSid()))

	f.finish(t, domain.OutcomeReplied, "")
	must(t, s.messages.Park(t.Context(), park)) // too late
	equal(t, "park after the end", f.trace(t).Message.Park, "")
}

// claimed is an answer to a claim.
type claimed struct {
	claim domain.Claim
	err   error
}

// claimTogether claims n times at once, each time until there is an answer; one of all is to be granted. Whoever was granted it without
// hearing so asked again, was told that the attempt has begun, and is the one.
func (s *store) claimTogether(t *testing.T, n int, newClaim func(i int) domain.NewClaim) []claimed {
	t.Helper()
	var asked atomic.Int64
	answers := together(n, func(i int) claimed {
		claim, err := insist(t.Context(), func(ctx context.Context) (domain.Claim, error) {
			asked.Add(1)
			return s.messages.Claim(ctx, newClaim(i))
		})
		return claimed{claim, err}
	})
	first := func(state domain.ClaimState) int {
		return slices.IndexFunc(answers, func(a claimed) bool { return a.err == nil && a.claim.State == state })
	}
	if i := first(domain.ClaimBegun); i >= 0 && first(domain.ClaimGranted) < 0 && asked.Load() > int64(n) {
		answers[i].claim.State = domain.ClaimGranted
	}
	return answers
}

func TestOneAttemptClaimedManyTimesAtOnceIsGrantedOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", "An answer")
	states := map[domain.ClaimState]int{}
	for _, r := range s.claimTogether(t, 30, func(int) domain.NewClaim { return f.newClaim(1, 1) }) {
		must(t, r.err)
		states[r.claim.State]++
	}
	if states[domain.ClaimGranted] != 1 || states[domain.ClaimBegun] != 29 {
		t.Errorf("got %v, want one granted and 29 begun", states)
	}
}

// Two attempts of one part are never begun beside each other, whoever asks for them.
func TestAttemptsClaimedAtOnceAreGrantedOneAtATime(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for range 5 {
		f := s.another().inbound(t, "Hello", "An answer")
		granted := 0
		for _, r := range s.claimTogether(t, 6, func(i int) domain.NewClaim { return f.newClaim(1, i%3+1) }) {
			if r.err != nil {
				wantKind(t, r.err, domain.KindConflict)
			} else if r.claim.State == domain.ClaimGranted {
				granted++
			}
		}
		equal(t, "granted", granted, 1)
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	sid := newSid()
	for name, c := range map[string]struct {
		answers []domain.Resolution
		want    domain.Attempt
		reply   domain.ReplyState
	}{
		"accepted": {
			[]domain.Resolution{{State: domain.AttemptAccepted, Sid: newSid(), Status: domain.StatusQueued}},
			domain.Attempt{Number: 1, State: domain.AttemptAccepted, Status: domain.StatusQueued}, domain.ReplyAnswered,
		},
		"refused": {
			[]domain.Resolution{{State: domain.AttemptRefused, ErrorCode: 21211, ErrorKind: domain.KindDenied, Error: "no such number"}},
			domain.Attempt{Number: 1, State: domain.AttemptRefused, ErrorCode: 21211, ErrorKind: domain.KindDenied, Error: "no such number"}, domain.ReplyPending,
		},
		"not sent": {
			[]domain.Resolution{{State: domain.AttemptNotSent, ErrorCode: 20429, Error: "too many requests"}},
			domain.Attempt{Number: 1, State: domain.AttemptNotSent, ErrorCode: 20429, Error: "too many requests"}, domain.ReplyPending,
		},
		"unknown": {
			[]domain.Resolution{{State: domain.AttemptUnknown, Error: "time-out"}},
			domain.Attempt{Number: 1, State: domain.AttemptUnknown, Error: "time-out"}, domain.ReplyPending,
		},
		"accepted after unknown": {
			[]domain.Resolution{{State: domain.AttemptUnknown, Error: "time-out", ErrorCode: 1}, {State: domain.AttemptAccepted, Sid: newSid(), Status: domain.StatusAccepted}},
			domain.Attempt{Number: 1, State: domain.AttemptAccepted, Status: domain.StatusAccepted}, domain.ReplyAnswered,
		},
		"refused after unknown": {
			[]domain.Resolution{{State: domain.AttemptUnknown, Error: "time-out"}, {State: domain.AttemptRefused, ErrorCode: 21211, ErrorKind: domain.KindDenied}},
			domain.Attempt{Number: 1, State: domain.AttemptRefused, ErrorCode: 21211, ErrorKind: domain.KindDenied}, domain.ReplyPending,
		},
		"accepted after refused": { // a POST that was believed refused and was not
			[]domain.Resolution{{State: domain.AttemptRefused, ErrorCode: 21211, ErrorKind: domain.KindDenied, Error: "x"}, {State: domain.AttemptAccepted, Sid: newSid(), Status: domain.StatusQueued}},
			domain.Attempt{Number: 1, State: domain.AttemptAccepted, Status: domain.StatusQueued}, domain.ReplyAnswered,
		},
		"refused, unknown and not sent after accepted": {
			[]domain.Resolution{
				{State: domain.AttemptAccepted, Sid: sid, Status: domain.StatusSent}, {State: domain.AttemptRefused, ErrorCode: 1, ErrorKind: domain.KindDenied},
				{State: domain.AttemptUnknown, Error: "x"}, {State: domain.AttemptNotSent}, {State: domain.AttemptAccepted, Sid: sid, Status: domain.StatusQueued},
			},
			domain.Attempt{Number: 1, State: domain.AttemptAccepted, Sid: sid, Status: domain.StatusSent}, domain.ReplyAnswered,
		},
		"unknown and not sent after refused": {
			[]domain.Resolution{{State: domain.AttemptRefused, ErrorCode: 21211, ErrorKind: domain.KindDenied}, {State: domain.AttemptUnknown}, {State: domain.AttemptNotSent}},
			domain.Attempt{Number: 1, State: domain.AttemptRefused, ErrorCode: 21211, ErrorKind: domain.KindDenied}, domain.ReplyPending,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := s.another().inbound(t, "Hello", "An answer")
			f.begin(t, 1, 1)
			var got domain.Attempt
			for _, answer := range c.answers {
				first := f.resolve(t, 1, 1, answer)
				if got = f.resolve(t, 1, 1, answer); got != first {
					t.Errorf("resolved twice as %s: %+v, then %+v", answer.State, first, got)
				}
			}
			if c.want.State == domain.AttemptAccepted && c.want.Sid == "" {
				c.want.Sid = c.answers[len(c.answers)-1].Sid
			}
			equal(t, "attempt", got, c.want)
			equal(t, "reply state", f.replyState(t), c.reply)
			part := f.trace(t).Parts[0]
			if part.Status != c.want.Status || part.ErrorCode != c.want.ErrorCode {
				t.Errorf("the part shows %q, code %d; want %q, code %d", part.Status, part.ErrorCode, c.want.Status, c.want.ErrorCode)
			}
		})
	}
}

func TestLateAnswerBindsWhateverTheFlowIsDoing(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", "An answer")
	f.begin(t, 1, 1)
	equal(t, "outcome", f.giveUp(t, domain.OutcomeAbandoned, "by an operator").Outcome, domain.OutcomeUnknown)
	sid := newSid()
	got := f.resolve(t, 1, 1, accepted(sid))
	equal(t, "attempt", got, domain.Attempt{Number: 1, State: domain.AttemptAccepted, Sid: sid, Status: domain.StatusQueued})
	equal(t, "reply state", f.replyState(t), domain.ReplyAnswered)
	equal(t, "outcome by the rows", f.finish(t, domain.OutcomeAbandoned, "by an operator").Outcome, domain.OutcomeReplied)
}

func TestAnswerToAnAttemptThatNobodyClaimed(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", "An answer")
	for _, answer := range []domain.Resolution{accepted(newSid()), {State: domain.AttemptUnknown}} {
		answer.AttemptKey, answer.OwnerID = f.key(1, 1), acme
		_, err := s.messages.Resolve(t.Context(), answer)
		wantKind(t, err, domain.KindNotFound)
	}
	equal(t, "reply state", f.replyState(t), domain.ReplyPending)
}
