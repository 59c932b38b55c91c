package postgres_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"parley/internal/domain"
)

func TestApplyStatus(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", "An answer")
	sid := f.send(t, 1, 1)
	for _, step := range []struct {
		event  domain.StatusEvent
		status domain.Status
		code   int
		moved  bool
	}{
		{callback(f.key(1, 1), sid, domain.StatusSent, 0), domain.StatusSent, 0, true},
		{callback(f.key(1, 1), sid, domain.StatusSent, 0), domain.StatusSent, 0, false},    // twice
		{callback(f.key(1, 1), sid, domain.StatusSending, 0), domain.StatusSent, 0, false}, // late
		{callback(f.key(1, 1), sid, "teleported", 99999), domain.StatusSent, 0, false},     // not in our list
		{callback(f.key(1, 1), sid, domain.StatusUndelivered, 30005), domain.StatusUndelivered, 30005, true},
		{callback(f.key(1, 1), sid, domain.StatusFailed, 30008), domain.StatusUndelivered, 30005, false},     // of a lower status
		{callback(domain.AttemptKey{}, sid, domain.StatusDelivered, 0), domain.StatusDelivered, 30005, true}, // found by its sid
		{callback(f.key(7, 7), sid, domain.StatusRead, 0), domain.StatusRead, 30005, true},                   // the sid goes before our parameters
	} {
		change, err := s.messages.ApplyStatus(t.Context(), step.event)
		must(t, err)
		equal(t, fmt.Sprintf("change by %s", step.event.Status), change, domain.StatusChange{
			AttemptKey: f.key(1, 1), WorkflowID: f.workflowID, Status: step.status, ErrorCode: step.code, Moved: step.moved,
		})
	}
	part := f.trace(t).Parts[0]
	equal(t, "what the part shows", fmt.Sprint(part.Status, " ", part.ErrorCode), "read 30005")
	equal(t, "events kept", value[int](t, s, `SELECT count(*) FROM message_events WHERE owner_id = 'acme' AND part = 1 AND attempt = 1`), 8)
}

func TestStatusBeforeTheCreateResponseBinds(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f, sid := s.inbound(t, "Hello", "An answer"), newSid()
	f.begin(t, 1, 1)
	change, err := s.messages.ApplyStatus(t.Context(), callback(f.key(1, 1), sid, domain.StatusSent, 0))
	must(t, err)
	equal(t, "workflow", change.WorkflowID, f.workflowID)
	equal(t, "attempt", f.attemptState(t, 1, 1), domain.AttemptAccepted)
	equal(t, "reply state", f.replyState(t), domain.ReplyAnswered)
	got := f.resolve(t, 1, 1, domain.Resolution{State: domain.AttemptUnknown, Error: "time-out"}) // the POST's answer was lost
	equal(t, "attempt after the answer", got, domain.Attempt{Number: 1, State: domain.AttemptAccepted, Sid: sid, Status: domain.StatusSent})
}

func TestStatusOfWhatIsNotKnown(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", "An answer")
	sid := f.send(t, 1, 1)
	open := s.another().inbound(t, "Hello again", "Another answer")
	open.begin(t, 1, 1)
	ofAccount := func(accountSid string, e domain.StatusEvent) domain.StatusEvent { e.AccountSid = accountSid; return e }
	before := f.row(t) + open.row(t)
	for name, event := range map[string]domain.StatusEvent{
		"a sid that nobody knows":                     callback(domain.AttemptKey{}, newSid(), domain.StatusDelivered, 0),
		"another sid for an attempt that has one":     callback(f.key(1, 1), newSid(), domain.StatusDelivered, 0),
		"an attempt that was not made":                callback(f.key(1, 9), newSid(), domain.StatusDelivered, 0),
		"a sid of ours, said by another account":      ofAccount(rivals, callback(domain.AttemptKey{}, sid, domain.StatusDelivered, 0)),
		"an attempt of ours, said by another account": ofAccount(rivals, callback(open.key(1, 1), newSid(), domain.StatusDelivered, 0)),
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				change, err := s.messages.ApplyStatus(t.Context(), event)
				must(t, err)
				equal(t, "change", change, domain.StatusChange{})
			}
			equal(t, "events kept without an owner", value[int](t, s, `
				SELECT count(*) FROM message_events WHERE twilio_sid = $1 AND account_sid = $2 AND owner_id IS NULL`, event.Sid, event.AccountSid), 2)
		})
	}
	equal(t, "rows afterwards", f.row(t)+open.row(t), before)
	equal(t, "events in the trace", len(open.trace(t).Events)+len(f.trace(t).Events), 0)
}

func TestMessageShowsTheBestOfItsAttempts(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for name, f := range map[string]flow{"a reply": s.another().inbound(t, "Hello", "An answer"), "a message of ours": s.another().outbound(t, "Good morning")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shows := func(want string) {
				t.Helper()
				equal(t, "what the message shows", value[string](t, s, `
					SELECT status || ' ' || error_code FROM messages
					WHERE direction = 'outbound' AND (message_id = $1 OR in_reply_to = $1)`, f.messageID), want)
			}
			apply := func(attempt int, sid string, status domain.Status, code int) {
				t.Helper()
				_, err := s.messages.ApplyStatus(t.Context(), callback(f.key(1, attempt), sid, status, code))
				must(t, err)
			}
			f.lose(t, 1, 1)
			f.begin(t, 1, 2)
			f.resolve(t, 1, 2, domain.Resolution{State: domain.AttemptRefused, ErrorCode: 21610, ErrorKind: domain.KindDenied})
			shows(" 21610")
			first := newSid()
			apply(1, first, domain.StatusSent, 0) // an older attempt got through: not delivered yet, the newest is shown
			shows(" 21610")
			apply(1, first, domain.StatusDelivered, 0)
			shows("delivered 0")
			apply(1, first, domain.StatusRead, 0)
			shows("read 0")
		})
	}
}

// Twilio's callbacks come late, twice, out of order, and before the response to the POST. Whatever their order, and however
// often each comes, the rows end up the same.
func TestOrderOfStatusesMakesNoDifference(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	statuses := []domain.Status{
		domain.StatusAccepted, domain.StatusScheduled, domain.StatusQueued, domain.StatusSending, domain.StatusSent, domain.StatusCanceled,
		domain.StatusFailed, domain.StatusUndelivered, domain.StatusDelivered, domain.StatusRead, "teleported", "beamed",
	}
	codes := []int{0, 0, 30003, 30005, 30008, 21610}
	sets := [][]domain.StatusEvent{ // those that a random one rarely is
		{{Status: domain.StatusAccepted}, {Status: domain.StatusScheduled}},
		{{Status: domain.StatusFailed, ErrorCode: 30003}, {Status: domain.StatusFailed, ErrorCode: 30008}, {Status: domain.StatusFailed}},
		{{Status: "teleported", ErrorCode: 30008}, {Status: "beamed"}},
	}
	for range 20 {
		var said []domain.StatusEvent
		for range 1 + random.IntN(5) {
			said = append(said, domain.StatusEvent{Status: statuses[random.IntN(len(statuses))], ErrorCode: codes[random.IntN(len(codes))]})
		}
		sets = append(sets, said)
	}
	for _, said := range sets {
		var want string
		for permutation := range 5 {
			f, sid := s.another().inbound(t, "Hello", "An answer"), newSid()
			f.begin(t, 1, 1)
			answer, tell := accepted(sid), said
			answer.Status, answer.Segments = domain.StatusAccepted, 2
			if permutation > 0 { // the first time as they were said, after the response
				tell = shuffled(random, said)
			}
			respond := 0
			if permutation > 0 {
				respond = random.IntN(len(tell) + 1)
			}
			for i, event := range tell {
				if i == respond {
					f.resolve(t, 1, 1, answer)
				}
				_, err := s.messages.ApplyStatus(t.Context(), callback(f.key(1, 1), sid, event.Status, event.ErrorCode))
				must(t, err)
			}
			if respond == len(tell) {
				f.resolve(t, 1, 1, answer)
			}
			if got := f.row(t); want == "" {
				want = got
			} else if got != want {
				t.Fatalf("said %v\ntold %v, the response before number %d\ngot  %s\nwant %s", said, tell, respond, got, want)
			}
		}
	}
}

// shuffled returns the events in some order, some of them twice.
func shuffled(random *rand.Rand, said []domain.StatusEvent) []domain.StatusEvent {
	tell := append([]domain.StatusEvent{}, said...)
	for range random.IntN(3) {
		tell = append(tell, said[random.IntN(len(said))])
	}
	random.Shuffle(len(tell), func(i, j int) { tell[i], tell[j] = tell[j], tell[i] })
	return tell
}

// row is all that is stored of a flow's message, its part and its attempt, without ids, addresses, sids and times.
func (f flow) row(t *testing.T) string {
	t.Helper()
	return value[string](t, f.store, `
		SELECT jsonb_build_array(
			(SELECT jsonb_agg(to_jsonb(a) - '{message_id,twilio_sid,begun_at,post_before,answer_before,resolved_at}'::text[] ORDER BY part, attempt)
				FROM send_attempts a WHERE a.message_id = $1),
			(SELECT jsonb_agg(to_jsonb(m) - '{message_id,pair_id,contact_id,from_address,to_address,workflow_id,twilio_sid,in_reply_to,seq,deadline,received_at,created_at}'::text[] ORDER BY seq)
				FROM messages m WHERE m.message_id = $1 OR m.in_reply_to = $1))::text`, f.messageID)
}
