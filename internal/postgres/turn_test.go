package postgres_test

import (
	"slices"
	"testing"
	"time"

	"parley/internal/domain"
)

// patient are bounds within which a newer message supersedes.
var patient = domain.TurnBounds{Wait: time.Hour, Messages: 10}

// ask asks for the first attempt of part 1.
func (f flow) ask(t *testing.T, turns domain.TurnBounds) domain.ClaimState {
	t.Helper()
	in := f.newClaim(1, 1)
	in.Turns = turns
	claim, err := f.messages.Claim(t.Context(), in)
	must(t, err)
	return claim.State
}

func (f flow) answeredBy(t *testing.T) string {
	t.Helper()
	return value[string](t, f.store, `SELECT coalesce(answered_by, '') FROM messages WHERE message_id = $1`, f.messageID)
}

func TestANewerMessageSupersedes(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	pending := func(*testing.T, *flow) {}
	late := func(t *testing.T, f *flow) { // it came by a detour, and its deadline has passed
		_, err := s.pool.Exec(t.Context(), `UPDATE messages SET deadline = now() - interval '1 second' WHERE message_id = $1`, f.messageID)
		must(t, err)
	}
	for name, c := range map[string]struct {
		newer func(*testing.T, *flow)
		turns domain.TurnBounds
		want  domain.ClaimState
	}{
		"pending":                            {pending, patient, domain.ClaimSuperseded},
		"pending, past the bound on time":    {pending, domain.TurnBounds{Messages: 10}, domain.ClaimGranted},
		"pending, past the bound on number":  {pending, domain.TurnBounds{Wait: time.Hour}, domain.ClaimGranted},
		"too late to be answered itself":     {late, patient, domain.ClaimGranted},
		"parked":                             {func(t *testing.T, f *flow) { f.park(t) }, patient, domain.ClaimGranted},
		"given up":                           {func(t *testing.T, f *flow) { f.finish(t, domain.OutcomeCancelled, "") }, patient, domain.ClaimGranted},
		"answered":                           {func(t *testing.T, f *flow) { f.write(t, "For both"); f.send(t, 1, 1) }, patient, domain.ClaimSuperseded},
		"answered, past the bounds":          {func(t *testing.T, f *flow) { f.write(t, "For both"); f.send(t, 1, 1) }, domain.TurnBounds{}, domain.ClaimSuperseded},
		"perhaps sent, past the bounds":      {func(t *testing.T, f *flow) { f.write(t, "For both"); f.lose(t, 1, 1) }, domain.TurnBounds{}, domain.ClaimSuperseded},
		"perhaps sent and parked":            {func(t *testing.T, f *flow) { f.write(t, "For both"); f.lose(t, 1, 1); f.park(t) }, patient, domain.ClaimSuperseded},
		"being sent, past the bounds":        {func(t *testing.T, f *flow) { f.write(t, "For both"); f.begin(t, 1, 1) }, domain.TurnBounds{}, domain.ClaimSuperseded},
		"refused, and to be tried once more": {func(t *testing.T, f *flow) { f.write(t, "For both"); f.refuse(t) }, patient, domain.ClaimSuperseded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := s.another()
			older := s.inbound(t, "Hello", "An answer")
			older.reserve(t)
			newer := s.inbound(t, "Are you there?", "")
			c.newer(t, &newer)
			equal(t, "claim", older.ask(t, c.turns), c.want)
			if c.want == domain.ClaimGranted {
				equal(t, "reply state", older.replyState(t), domain.ReplyPending)
				return
			}
			equal(t, "reply state", older.replyState(t), domain.ReplySuperseded) // in the claim's own transaction
			equal(t, "outcome", older.finish(t, domain.OutcomeSuperseded, "").Outcome, domain.OutcomeSuperseded)
		})
	}
}

func (f flow) refuse(t *testing.T) {
	t.Helper()
	f.begin(t, 1, 1)
	f.resolve(t, 1, 1, domain.Resolution{State: domain.AttemptRefused, ErrorKind: domain.KindConfiguration, ErrorCode: 20003})
}

// Only what a person writes supersedes, and nothing cuts a reply in the middle.
func TestWhatDoesNotSupersede(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", twoParts())
	s.outbound(t, "News of ours")
	elsewhere := s.another()
	elsewhere.inbound(t, "Somebody else", "")
	equal(t, "beside others", f.ask(t, patient), domain.ClaimGranted)
	f.resolve(t, 1, 1, accepted(newSid()))
	s.inbound(t, "One more thing", "")
	equal(t, "part 2", f.begin(t, 2, 1).State, domain.ClaimGranted)
}

func TestTheNewestMessageOfATurnAnswersForAll(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	first := s.inbound(t, "Hello", "To the first")
	second := s.inbound(t, "Are you there?", "To both")
	equal(t, "the first", first.ask(t, patient), domain.ClaimSuperseded)
	equal(t, "the second", second.ask(t, patient), domain.ClaimGranted)
	second.resolve(t, 1, 1, accepted(newSid()))
	equal(t, "the first is answered by", first.answeredBy(t), second.messageID)
	equal(t, "the second is answered by", second.answeredBy(t), second.messageID)

	third := s.inbound(t, "Thanks", "")
	prompt, err := s.messages.Prompt(t.Context(), acme, third.messageID)
	must(t, err)
	if !slices.Equal(prompt.Answers, []string{third.messageID}) {
		t.Errorf("the next turn answers %v, want the third message alone", prompt.Answers)
	}
}

// A message that a newer one answers for needs no unit, and no model: Reserve says so, and closes it.
func TestReserveSupersedesEarly(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	older, newer := s.inbound(t, "Hello", ""), s.inbound(t, "Are you there?", "")
	in := older.reservation()
	in.Turns = patient
	for range 2 {
		state, err := s.messages.Reserve(t.Context(), in)
		must(t, err)
		equal(t, "the older one", state, domain.QuotaSuperseded)
	}
	equal(t, "reply state", older.replyState(t), domain.ReplySuperseded)
	equal(t, "outcome", older.finish(t, domain.OutcomeSuperseded, "").Outcome, domain.OutcomeSuperseded)
	newer.reserve(t)
	equal(t, "one unit", s.usage(t, domain.MeterReplies), "0 + 1")
	newer.write(t, "To both")
	equal(t, "the newer one", newer.ask(t, patient), domain.ClaimGranted)

	// One that may have been sent already is not: its own attempt comes first, even where the flow was reset.
	sent := s.another().inbound(t, "Hello", "An answer")
	sent.begin(t, 1, 1)
	again := sent.another()
	again.person = sent.person
	again.inbound(t, "Are you there?", "")
	in = sent.reservation()
	in.Turns = patient
	state, err := s.messages.Reserve(t.Context(), in)
	must(t, err)
	equal(t, "one that is being sent", state, domain.QuotaGranted)
}

// A draft that does not answer exactly what is to be answered goes back to be written again.
func TestAStaleDraftIsNotSent(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	parked := s.inbound(t, "Hello", "")
	parked.park(t)
	f := s.inbound(t, "Are you there?", "To both")
	parked.finish(t, domain.OutcomeAbandoned, "")
	equal(t, "what it answers was given up", f.ask(t, patient), domain.ClaimStale)
	equal(t, "attempts", value[int](t, s, `SELECT count(*) FROM send_attempts`), 0)
	f.write(t, "To one")
	equal(t, "the new draft", f.ask(t, patient), domain.ClaimGranted)
	equal(t, "what is sent", value[string](t, s, `SELECT body FROM messages WHERE in_reply_to = $1`, f.messageID), "To one")
}

// A picture has the owner's fixed answer, unless a question before it is still open: a model then answers both.
func TestAPictureAfterAQuestion(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	question := s.inbound(t, "How much is this one?", "")
	picture := s.inbound(t, "", "")
	equal(t, "the fixed answer", picture.ask(t, patient), domain.ClaimStale)
	picture.reserve(t)
	picture.write(t, "Ten euros")
	equal(t, "the model's", picture.ask(t, patient), domain.ClaimGranted)
	picture.resolve(t, 1, 1, accepted(newSid()))
	equal(t, "the question is answered by", question.answeredBy(t), picture.messageID)
}
