package postgres_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"parley/internal/domain"
)

// free is a pair that nobody has.
const free = "free"

// lock says who has the pair of the flow's message at this moment: free, or whose message, part and attempt.
func (f flow) lock(t *testing.T) string {
	t.Helper()
	return value[string](t, f.store, `
		SELECT CASE WHEN locked_until > clock_timestamp() THEN lock_message || ' ' || lock_part || ' ' || lock_attempt ELSE 'free' END
		FROM pairs JOIN messages USING (pair_id) WHERE message_id = $1`, f.messageID)
}

// holds is what lock says while an attempt of the flow has the pair.
func (f flow) holds(part, attempt int) string {
	return fmt.Sprint(f.messageID, " ", part, " ", attempt)
}

// wantBusy checks that a call is to be tried again after a wait, and not much sooner.
func wantBusy(t *testing.T, err error, wait time.Duration) {
	t.Helper()
	wantKind(t, err, domain.KindBusy)
	if busy, ok := errors.AsType[*domain.Error](err); ok && (busy.RetryAfter > wait || busy.RetryAfter < wait-time.Minute || busy.RetryAfter <= 0) {
		t.Errorf("to be tried again after %s, want about %s", busy.RetryAfter, wait)
	}
}

// claim asks for an attempt, and says what came of it in a word.
func (f flow) claim(t *testing.T, part, attempt int) string {
	t.Helper()
	claim, err := f.messages.Claim(t.Context(), f.newClaim(part, attempt))
	if err != nil {
		return string(domain.KindOf(err))
	}
	return string(claim.State)
}

const (
	granted   = string(domain.ClaimGranted)
	overtaken = string(domain.ClaimOvertaken)
	busy      = string(domain.KindBusy)
	conflict  = string(domain.KindConflict)
)

func TestPairIsHeldUntilTheAttemptIsResolved(t *testing.T) {
	t.Parallel()
	refused := domain.Resolution{State: domain.AttemptRefused, ErrorCode: 21211, ErrorKind: domain.KindDenied}
	notSent := domain.Resolution{State: domain.AttemptNotSent, ErrorCode: 20429}
	unknown := domain.Resolution{State: domain.AttemptUnknown, Error: "time-out"}
	answer := func(part, attempt int, r domain.Resolution) func(*testing.T, flow) {
		return func(t *testing.T, f flow) {
			r := r
			if r.State == domain.AttemptAccepted {
				r.Sid = newSid()
			}
			f.begin(t, part, attempt)
			f.resolve(t, part, attempt, r)
		}
	}
	first := answer(1, 1, accepted(""))
	begun := func(part, attempt int) func(*testing.T, flow) {
		return func(t *testing.T, f flow) { f.begin(t, part, attempt) }
	}
	lost := func(part, attempt int) func(*testing.T, flow) {
		return func(t *testing.T, f flow) { f.lose(t, part, attempt) }
	}
	told := func(part, attempt int) func(*testing.T, flow) {
		return func(t *testing.T, f flow) { f.apply(t, callback(f.key(part, attempt), newSid(), domain.StatusSent, 0)) }
	}
	late := func(part, attempt int, r domain.Resolution) func(*testing.T, flow) { // of an execution that was given up
		return func(t *testing.T, f flow) { f.resolve(t, part, attempt, r) }
	}
	again := func(part, attempt int) func(*testing.T, flow) {
		return func(t *testing.T, f flow) { f.declare(t, part, attempt) }
	}
	age := func(t *testing.T, f flow) { f.age(t) }
	parked := func(t *testing.T, f flow) { f.park(t) }
	given := func(t *testing.T, f flow) { f.giveUp(t, domain.OutcomeCancelled, "") }
	steps := func(all ...func(*testing.T, flow)) []func(*testing.T, flow) { return all }

	s := newStore(t)
	for name, c := range map[string]struct {
		steps []func(*testing.T, flow)
		held  string // part and attempt that have the pair, empty: it is free
	}{
		"recorded":                       {steps: nil},
		"begun":                          {steps: steps(begun(1, 1)), held: "1 1"},
		"begun long ago":                 {steps: steps(begun(1, 1), age), held: "1 1"},
		"accepted, the only part":        {steps: steps(first, answer(2, 1, accepted("")))},
		"accepted, another part to come": {steps: steps(first), held: "1 1"},
		"refused":                        {steps: steps(answer(1, 1, refused))},
		"not sent":                       {steps: steps(answer(1, 1, notSent))},
		"not sent, then begun again":     {steps: steps(answer(1, 1, notSent), begun(1, 1)), held: "1 1"},
		"without an answer":              {steps: steps(answer(1, 1, unknown)), held: "1 1"},
		"without an answer, long ago":    {steps: steps(answer(1, 1, unknown), age), held: "1 1"},
		"declared unknown":               {steps: steps(lost(1, 1))},
		"told by a callback":             {steps: steps(begun(1, 1), told(1, 1)), held: "1 1"},
		"told that both parts got there": {steps: steps(begun(1, 1), told(1, 1), begun(2, 1), told(2, 1))},
		"second part begun":              {steps: steps(first, begun(2, 1)), held: "2 1"},
		"second part refused":            {steps: steps(first, answer(2, 1, refused))},
		"second part not sent":           {steps: steps(first, answer(2, 1, notSent)), held: "2 1"},
		"second part without an answer":  {steps: steps(first, answer(2, 1, unknown)), held: "2 1"},
		"second part declared unknown":   {steps: steps(first, lost(2, 1))},

		"parked before it sent anything":          {steps: steps(parked)},
		"parked between parts":                    {steps: steps(first, parked)},
		"parked after the second was not sent":    {steps: steps(first, answer(2, 1, notSent), parked)},
		"parked while a POST may be under way":    {steps: steps(begun(1, 1), parked), held: "1 1"},
		"parked while one has no answer":          {steps: steps(answer(1, 1, unknown), parked), held: "1 1"},
		"parked after the POST must be over":      {steps: steps(begun(1, 1), age, parked)},
		"parked, and the answer came then":        {steps: steps(begun(1, 1), parked, late(1, 1, refused))},
		"parked, begun again by a retry":          {steps: steps(lost(1, 1), parked, begun(1, 2)), held: "1 2"},
		"given up while begun":                    {steps: steps(begun(1, 1), given)},
		"given up between parts":                  {steps: steps(first, given)},
		"given up after it was told":              {steps: steps(begun(1, 1), told(1, 1), given)},
		"given up, and it turned up":              {steps: steps(begun(1, 1), given, told(1, 1))},
		"given up, and it was refused after all":  {steps: steps(begun(1, 1), given, late(1, 1, refused))},
		"declared unknown, and it turned up":      {steps: steps(lost(1, 1), told(1, 1))},
		"parked between parts, first told again":  {steps: steps(lost(1, 1), answer(1, 2, accepted("")), parked, told(1, 1))},
		"an older attempt turns up, both parts":   {steps: steps(first, lost(2, 1), begun(2, 2), told(2, 1), age, late(2, 2, refused))},
		"an older attempt of what was not sent":   {steps: steps(first, lost(2, 1), answer(2, 2, notSent), told(2, 1))},
		"an older attempt, one may be under way":  {steps: steps(first, lost(2, 1), begun(2, 2), told(2, 1)), held: "2 2"},
		"an older one is refused, a newer begun":  {steps: steps(lost(1, 1), begun(1, 2), late(1, 1, refused)), held: "1 2"},
		"an older one is not sent, a newer begun": {steps: steps(lost(1, 1), begun(1, 2), late(1, 1, notSent)), held: "1 2"},

		// What is late says nothing about the reply, which is between its parts.
		"between parts, an older attempt is refused":          {steps: steps(lost(1, 1), answer(1, 2, accepted("")), late(1, 1, refused)), held: "1 2"},
		"between parts, an older attempt has no answer":       {steps: steps(lost(1, 1), answer(1, 2, accepted("")), late(1, 1, unknown)), held: "1 2"},
		"between parts, an older attempt is declared again":   {steps: steps(lost(1, 1), answer(1, 2, accepted("")), again(1, 1)), held: "1 2"},
		"between parts, an older attempt turns up":            {steps: steps(lost(1, 1), answer(1, 2, accepted("")), told(1, 1)), held: "1 2"},
		"between parts, a look-up finds nothing of the first": {steps: steps(first, again(1, 1)), held: "1 1"},
		"second part not sent, a look-up finds nothing":       {steps: steps(first, answer(2, 1, notSent), again(2, 1)), held: "2 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mine := s.another()
			f := mine.inbound(t, "Hello", twoParts())
			for _, step := range c.steps {
				step(t, f)
			}
			want, others := free, granted
			if c.held != "" {
				want, others = f.messageID+" "+c.held, busy
			}
			equal(t, "the pair", f.lock(t), want)
			equal(t, "the claim of another message of the pair", mine.outbound(t, "Good morning").claim(t, 1, 1), others)
			equal(t, "the claim of another pair", s.another().outbound(t, "Good morning").claim(t, 1, 1), granted)
		})
	}
}

// A park while a POST may be under way gives up the pair all the same, once it cannot be any more: nobody else would free it.
func TestParkGivesUpThePairInTheEnd(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f, next := s.inbound(t, "Hello", "An answer"), s.outbound(t, "Good morning")
	in := f.newClaim(1, 1)
	in.PostWithin, in.Timeout = 100*time.Millisecond, 200*time.Millisecond
	begun := time.Now()
	_, err := s.messages.Claim(t.Context(), in)
	must(t, err)
	f.park(t)
	for next.claim(t, 1, 1) == busy {
		time.Sleep(5 * time.Millisecond)
	}
	if took := time.Since(begun); took < in.PostWithin+in.Timeout {
		t.Errorf("given up after %s, while a POST might be under way", took)
	}
	equal(t, "the pair", f.lock(t), next.holds(1, 1))

	f.resolve(t, 1, 1, accepted(newSid())) // late
	equal(t, "the pair after a late answer", f.lock(t), next.holds(1, 1))
	f.finish(t, domain.OutcomeReplied, "")
	equal(t, "the pair after the end", f.lock(t), next.holds(1, 1))
}

func TestBusySaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.inbound(t, "Hello", "An answer").begin(t, 1, 1)
	_, err := s.messages.Claim(t.Context(), s.inbound(t, "Hello?", "Another answer").newClaim(1, 1))
	wantBusy(t, err, time.Second)
}

// Which of our messages has the pair makes no difference: a reply and a message of ours wait for each other.
func TestRepliesAndMessagesOfOursShareThePair(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	reply, own := s.inbound(t, "Hello", "An answer"), s.outbound(t, "Good morning")
	for _, pair := range [][2]flow{{reply, own}, {own, reply}} {
		holder, other := pair[0], pair[1]
		holder.begin(t, 1, 1)
		equal(t, "claim of the other", other.claim(t, 1, 1), busy)
		holder.resolve(t, 1, 1, domain.Resolution{State: domain.AttemptNotSent})
		other.begin(t, 1, 1)
		equal(t, "claim of the first", holder.claim(t, 1, 1), busy)
		other.resolve(t, 1, 1, domain.Resolution{State: domain.AttemptNotSent})
	}
	whatsapp := outbound("Good morning")
	whatsapp.From, whatsapp.To = "whatsapp:"+ourNumber, "whatsapp:"+person
	recorded, err := s.messages.RecordOutbound(t.Context(), whatsapp)
	must(t, err)
	own.begin(t, 1, 1)
	equal(t, "another channel is another pair", flow{s, recorded.MessageID, whatsapp.WorkflowID, ""}.claim(t, 1, 1), granted)
}

// A reply that gave up the pair between its parts goes on where nobody took it meanwhile, and stops where somebody did, however long ago.
func TestPartTwoIsOvertaken(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for name, c := range map[string]struct {
		between func(*testing.T, flow)
		want    string
	}{
		"nobody":                           {func(*testing.T, flow) {}, granted},
		"one that has it":                  {func(t *testing.T, other flow) { other.begin(t, 1, 1) }, overtaken},
		"one that had it and was accepted": {func(t *testing.T, other flow) { other.send(t, 1, 1) }, overtaken},
		"one that had it and was refused": {func(t *testing.T, other flow) {
			other.begin(t, 1, 1)
			other.resolve(t, 1, 1, domain.Resolution{State: domain.AttemptRefused})
		}, overtaken},
		"one that asked, and is closed": {func(t *testing.T, other flow) {
			other.finish(t, domain.OutcomeCancelled, "")
			equal(t, "claim", other.claim(t, 1, 1), string(domain.ClaimClosed))
		}, granted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mine := s.another()
			f, other := mine.inbound(t, "Hello", twoParts()), mine.outbound(t, "Good morning")
			f.send(t, 1, 1)
			equal(t, "claim of another between the parts", other.claim(t, 1, 1), busy)
			f.park(t)
			c.between(t, other)
			held := f.lock(t)
			equal(t, "claim of part 2", f.claim(t, 2, 1), c.want)
			if c.want == overtaken {
				equal(t, "the pair", f.lock(t), held)
				equal(t, "attempts of part 2", value[int](t, s, `SELECT count(*) FROM send_attempts WHERE message_id = $1 AND part = 2`, f.messageID), 0)
				equal(t, "part 1 claimed again", f.claim(t, 1, 1), string(domain.ClaimResolved))
			}
		})
	}
}

func TestMessagesOfAPairClaimedAtOnceAreGrantedOneAtATime(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for range 3 {
		mine := s.another()
		flows := [2]flow{mine.inbound(t, "Hello", "An answer"), mine.outbound(t, "Good morning")}
		count := map[string]int{}
		for _, r := range s.claimTogether(t, 50, func(i int) domain.NewClaim { return flows[i%2].newClaim(1, 1) }) {
			if r.err != nil {
				wantBusy(t, r.err, time.Second)
				count[busy]++
			} else {
				count[string(r.claim.State)]++
			}
		}
		if count[granted] != 1 || count[string(domain.ClaimBegun)] != 24 || count[busy] != 25 {
			t.Errorf("got %v, want one granted, the others of its message begun, those of the other message busy", count)
		}
	}
}

// Many messages of one pair, each trying until it is sent: all are, one after another.
func TestEverybodyGetsThePairInTheEnd(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	flows := make([]flow, 10)
	for i := range flows {
		flows[i] = s.outbound(t, "Good morning")
	}
	for _, err := range together(len(flows), func(i int) error {
		for range 1000 {
			claim, err := insistOn(t.Context(), s.messages.Claim, flows[i].newClaim(1, 1))
			if domain.KindOf(err) == domain.KindBusy && err != nil {
				time.Sleep(5 * time.Millisecond)
				continue
			}
			if err != nil || claim.State != domain.ClaimGranted && claim.State != domain.ClaimBegun { // begun: by the claim whose answer did not come
				return fmt.Errorf("claim %q: %w", claim.State, err)
			}
			answer := accepted(newSid())
			answer.AttemptKey, answer.OwnerID = flows[i].key(1, 1), acme
			_, err = insistOn(t.Context(), s.messages.Resolve, answer)
			return err
		}
		return errors.New("never granted")
	}) {
		must(t, err)
	}
	equal(t, "accepted", value[int](t, s, `SELECT count(*) FROM send_attempts WHERE state = 'accepted'`), len(flows))
	equal(t, "the pair", flows[0].lock(t), free)
}
