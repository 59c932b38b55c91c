package postgres_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"parley/internal/domain"
)

func TestDeclareUnknown(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for name, given := range map[string]func(*testing.T, flow){
		"begun": func(*testing.T, flow) {},
		"without an answer": func(t *testing.T, f flow) {
			f.resolve(t, 1, 1, domain.Resolution{State: domain.AttemptUnknown, Error: "time-out"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := s.another().inbound(t, "Hello", "An answer")
			f.begin(t, 1, 1)
			given(t, f)
			before := f.row(t)
			_, err := s.messages.DeclareUnknown(t.Context(), acme, f.key(1, 1))
			wantBusy(t, err, postWithin+sendTimeout)
			equal(t, "rows", f.row(t), before)
			equal(t, "the pair", f.lock(t), f.holds(1, 1))
			equal(t, "the next attempt", f.claim(t, 1, 2), conflict)

			f.age(t)
			for range 2 {
				got := f.declare(t, 1, 1)
				equal(t, "state", got.State, domain.AttemptUnknown)
				equal(t, "number", got.Number, 1)
				equal(t, "resolved", f.trace(t).Attempts[0].ResolvedAt != nil, true)
				equal(t, "the pair", f.lock(t), free)
			}
			equal(t, "reply state", f.replyState(t), domain.ReplyPending)
			equal(t, "the next attempt", f.claim(t, 1, 2), granted)
			equal(t, "declared again", f.declare(t, 1, 1).State, domain.AttemptUnknown)
			equal(t, "the pair of the next attempt", f.lock(t), f.holds(1, 2))
		})
	}
}

// What was resolved meanwhile is returned as it is, as soon as it is, and stays so.
func TestDeclareUnknownOfWhatIsKnown(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for name, answer := range map[string]domain.Resolution{
		"accepted": accepted(newSid()),
		"refused":  {State: domain.AttemptRefused, ErrorCode: 21211, ErrorKind: domain.KindDenied, Error: "no such number"},
		"not sent": {State: domain.AttemptNotSent, ErrorCode: 20429, Error: "too many requests"},
	} {
		for when, wait := range map[string]bool{"at once": false, "later": true} {
			t.Run(name+" "+when, func(t *testing.T) {
				t.Parallel()
				f, answer := s.another().inbound(t, "Hello", twoParts()), answer
				if answer.State == domain.AttemptAccepted {
					answer.Sid = newSid()
				}
				f.begin(t, 1, 1)
				want := f.resolve(t, 1, 1, answer)
				if wait {
					f.age(t)
				}
				rows, held := f.row(t), f.lock(t)
				for range 2 {
					equal(t, "attempt", f.declare(t, 1, 1), want)
					equal(t, "rows", f.row(t), rows)
					equal(t, "the pair", f.lock(t), held)
				}
			})
		}
	}
}

// An older attempt that got through says how the part stands, whichever attempt is looked for. The one that is looked for is
// resolved all the same, or its flow could never be finished.
func TestAnOlderAttemptThatGotThroughEndsTheSearch(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f, sid := s.inbound(t, "Hello", "An answer"), newSid()
	f.lose(t, 1, 1)
	f.begin(t, 1, 2)
	f.apply(t, callback(f.key(1, 1), sid, domain.StatusSent, 0))
	sought, err := s.messages.Sought(t.Context(), acme, f.key(1, 2), false)
	must(t, err)
	equal(t, "sought while it is not resolved", sought.Number, 2)
	got := f.resolve(t, 1, 2, domain.Resolution{State: domain.AttemptUnknown, Error: "time-out"})
	equal(t, "its own fate", got, domain.Attempt{Number: 2, State: domain.AttemptUnknown, Error: "time-out"})

	f.age(t)
	want := domain.Attempt{Number: 1, State: domain.AttemptAccepted, Sid: sid, Status: domain.StatusSent}
	equal(t, "declared unknown", f.declare(t, 1, 2), want)
	equal(t, "attempt 2", f.attemptState(t, 1, 2), domain.AttemptUnknown)
	sought, err = s.messages.Sought(t.Context(), acme, f.key(1, 2), false)
	must(t, err)
	equal(t, "sought", sought.Attempt, want)
	equal(t, "refused after all", f.resolve(t, 1, 2, domain.Resolution{State: domain.AttemptRefused, ErrorCode: 21211}), want)
	equal(t, "finished", f.finish(t, domain.OutcomeUnknown, ""), domain.Finished{Outcome: domain.OutcomeReplied, ErrorCode: 21211})
}

func TestDeclareUnknownAndSoughtAreScoped(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", "An answer")
	f.begin(t, 1, 1)
	f.age(t)
	for name, key := range map[string]domain.AttemptKey{
		"another owner's": f.key(1, 1), "no such attempt": f.key(1, 2), "no such part": f.key(2, 1), "no such message": {MessageID: "x", Part: 1, Attempt: 1},
	} {
		t.Run(name, func(t *testing.T) {
			owner := acme
			if name == "another owner's" {
				owner = rival
			}
			_, err := s.messages.DeclareUnknown(t.Context(), owner, key)
			wantKind(t, err, domain.KindNotFound)
			_, err = s.messages.Sought(t.Context(), owner, key, false)
			wantKind(t, err, domain.KindNotFound)
		})
	}
	equal(t, "attempt", f.attemptState(t, 1, 1), domain.AttemptBegun)
}

func TestSought(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for name, f := range map[string]flow{
		"reply": s.another().inbound(t, "Hello", twoParts()), "message of ours": s.another().outbound(t, twoParts()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sought := func(part, attempt int, want domain.Attempt, body string) domain.Sought {
				t.Helper()
				got, err := s.messages.Sought(t.Context(), acme, f.key(part, attempt), false)
				must(t, err)
				equal(t, "attempt", got.Attempt, want)
				if got.AccountSid != account || got.From != ourNumber || got.To != f.person || got.Body != body {
					t.Errorf("got %+v", got)
				}
				equal(t, "time in which it may reach Twilio", got.Until.Sub(got.BegunAt), postWithin+sendTimeout)
				return got
			}
			first, second := strings.Repeat("a", domain.MaxBody), strings.Repeat("b", 200)
			f.lose(t, 1, 1)
			f.begin(t, 1, 2)
			begun := sought(1, 2, domain.Attempt{Number: 2, State: domain.AttemptBegun}, first)
			if age := time.Since(begun.BegunAt); age < -time.Minute || age > time.Minute {
				t.Errorf("begun %s ago", age)
			}
			sought(1, 1, domain.Attempt{Number: 1, State: domain.AttemptUnknown}, first)
			sid := newSid()
			f.resolve(t, 1, 2, accepted(sid))
			sought(1, 2, domain.Attempt{Number: 2, State: domain.AttemptAccepted, Sid: sid, Status: domain.StatusQueued}, first)
			f.begin(t, 2, 1)
			sought(2, 1, domain.Attempt{Number: 1, State: domain.AttemptBegun}, second)
			f.resolve(t, 2, 1, domain.Resolution{State: domain.AttemptUnknown, Error: "time-out"})
			sought(2, 1, domain.Attempt{Number: 1, State: domain.AttemptUnknown, Error: "time-out"}, second)
		})
	}
}

func TestUnbound(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	bound := s.inbound(t, "Hello", "An answer").send(t, 1, 1)
	one, two, three := newSid(), newSid(), newSid()
	for name, c := range map[string]struct {
		account    string
		sids, want []string
	}{
		"in their order":                {account, []string{three, bound, one, two}, []string{three, one, two}},
		"in another order":              {account, []string{two, one, bound, three}, []string{two, one, three}},
		"all bound":                     {account, []string{bound}, nil},
		"bound in another account only": {rivals, []string{bound, one}, []string{bound, one}},
		"none":                          {account, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := s.messages.Unbound(t.Context(), c.account, c.sids)
			must(t, err)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// Found wakes the flow: it is said once, and only where the flow may look for the attempt or be parked. A callback that overtakes the
// answer to the POST wakes nobody: that answer does.
func TestFound(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	resolved := func(state domain.AttemptState) func(*testing.T, flow) {
		return func(t *testing.T, f flow) { f.resolve(t, 1, 1, domain.Resolution{State: state}) }
	}
	for name, c := range map[string]struct {
		given func(*testing.T, flow)
		want  bool
	}{
		"begun":                {func(*testing.T, flow) {}, false},
		"begun, answer late":   {func(t *testing.T, f flow) { f.age(t) }, true},  // its worker died, and the flow looks for it
		"begun, parked":        {func(t *testing.T, f flow) { f.park(t) }, true}, // it could not be looked for
		"begun, other's park":  {func(t *testing.T, f flow) { f.another().inbound(t, "Hi", "").park(t) }, false},
		"accepted":             {func(t *testing.T, f flow) { f.resolve(t, 1, 1, accepted(newSid())) }, false},
		"accepted, long ago":   {func(t *testing.T, f flow) { f.resolve(t, 1, 1, accepted(newSid())); f.age(t) }, false},
		"refused":              {resolved(domain.AttemptRefused), false},
		"not sent":             {resolved(domain.AttemptNotSent), false},
		"refused, parked":      {func(t *testing.T, f flow) { resolved(domain.AttemptRefused)(t, f); f.park(t) }, true},
		"looked for":           {resolved(domain.AttemptUnknown), true},
		"looked for in vain":   {func(t *testing.T, f flow) { f.age(t); f.declare(t, 1, 1) }, true},
		"declared and parked":  {func(t *testing.T, f flow) { f.age(t); f.declare(t, 1, 1); f.park(t) }, true},
		"declared and retried": {func(t *testing.T, f flow) { f.age(t); f.declare(t, 1, 1); f.begin(t, 1, 2) }, true},
		"given up":             {func(t *testing.T, f flow) { f.giveUp(t, domain.OutcomeUnknown, "") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := s.another().inbound(t, "Hello", "An answer")
			f.begin(t, 1, 1)
			c.given(t, f)
			sid := newSid()
			if attempt := f.trace(t).Attempts[0]; attempt.TwilioSid != "" {
				sid = attempt.TwilioSid
			}
			change := f.apply(t, callback(f.key(1, 1), sid, domain.StatusSent, 0))
			equal(t, "found", change.Found, c.want)
			equal(t, "of attempt", change.AttemptKey, f.key(1, 1))
			m := f.trace(t).Message
			equal(t, "reply state", m.ReplyState, domain.ReplyAnswered)
			equal(t, "park", m.Park+m.ParkStep+m.ParkReason, "")
			equal(t, "found again", f.apply(t, callback(f.key(1, 1), sid, domain.StatusDelivered, 0)).Found, false)
		})
	}
}

// A park is about one part: the part that turns up ends it, a part before does not.
func TestWhatTurnsUpEndsThePark(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", twoParts())
	f.lose(t, 1, 1)
	f.send(t, 1, 2)
	f.lose(t, 2, 1)
	f.park(t)
	f.apply(t, callback(f.key(1, 1), newSid(), domain.StatusSent, 0))
	equal(t, "park after the first part turned up, twice", f.trace(t).Message.Park, "run/1")
	equal(t, "found", f.apply(t, callback(f.key(2, 1), newSid(), domain.StatusSent, 0)).Found, true)
	m := f.trace(t).Message
	equal(t, "park after the second did", m.Park+m.ParkStep+m.ParkReason, "")
	equal(t, "reply state", m.ReplyState, domain.ReplyAnswered)
}
