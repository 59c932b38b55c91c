package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"parley/internal/domain"
	"parley/internal/postgres"
	"parley/internal/testkit"
)

func TestApplyStatus(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", "An answer")
	sid := f.send(t, 1, 1)
	const moved, ended, newError = "moved", "ended", "new error"
	for _, step := range []struct {
		event  domain.StatusEvent
		status domain.Status
		code   int
		did    []string
	}{
		{callback(f.key(1, 1), sid, domain.StatusSent, 0), domain.StatusSent, 0, []string{moved}},
		{callback(f.key(1, 1), sid, domain.StatusSent, 0), domain.StatusSent, 0, nil}, // twice
		{callback(f.key(1, 1), sid, domain.StatusSent, 30022), domain.StatusSent, 30022, []string{newError}},
		{callback(f.key(1, 1), sid, domain.StatusSending, 0), domain.StatusSent, 30022, nil}, // late
		{callback(f.key(1, 1), sid, "teleported", 99999), domain.StatusSent, 30022, nil},     // not in our list
		{callback(f.key(1, 1), sid, domain.StatusUndelivered, 30005), domain.StatusUndelivered, 30005, []string{moved, ended, newError}},
		{callback(f.key(1, 1), sid, domain.StatusUndelivered, 30005), domain.StatusUndelivered, 30005, nil},             // twice
		{callback(f.key(1, 1), sid, domain.StatusFailed, 30008), domain.StatusUndelivered, 30005, nil},                  // of a lower status
		{callback(domain.AttemptKey{}, sid, domain.StatusDelivered, 0), domain.StatusDelivered, 30005, []string{moved}}, // found by its sid
		{callback(f.key(7, 7), sid, domain.StatusRead, 0), domain.StatusRead, 30005, []string{moved}},                   // the sid goes before our parameters
	} {
		change, err := s.messages.ApplyStatus(t.Context(), step.event)
		must(t, err)
		equal(t, fmt.Sprintf("change by %s", step.event.Status), change, domain.StatusChange{
			AttemptKey: f.key(1, 1), WorkflowID: f.workflowID, Status: step.status, ErrorCode: step.code,
			Moved: slices.Contains(step.did, moved), Ended: slices.Contains(step.did, ended), NewError: slices.Contains(step.did, newError),
		})
	}
	part := f.trace(t).Parts[0]
	equal(t, "what the part shows", fmt.Sprint(part.Status, " ", part.ErrorCode), "read 30005")
	equal(t, "events kept", value[int](t, s, `SELECT count(*) FROM message_events WHERE owner_id = 'acme' AND part = 1 AND attempt = 1`), 10)
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
	delivered := s.another().inbound(t, "Hello you", "A third answer")
	deliveredSid := delivered.send(t, 1, 1)
	before := f.row(t) + open.row(t) + delivered.row(t)
	for name, event := range map[string]domain.StatusEvent{
		"a sid that nobody knows":                     callback(domain.AttemptKey{}, newSid(), domain.StatusDelivered, 0),
		"another sid for an attempt that has one":     callback(f.key(1, 1), newSid(), domain.StatusDelivered, 0),
		"an attempt that was not made":                callback(f.key(1, 9), newSid(), domain.StatusDelivered, 0),
		"a sid of ours, said by another account":      ofAccount(rivals, callback(domain.AttemptKey{}, sid, domain.StatusDelivered, 0)),
		"both of ours, said by another account":       ofAccount(rivals, callback(delivered.key(1, 1), deliveredSid, domain.StatusRead, 30005)),
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
	equal(t, "rows afterwards", f.row(t)+open.row(t)+delivered.row(t), before)
	equal(t, "events in the trace", len(open.trace(t).Events)+len(f.trace(t).Events)+len(delivered.trace(t).Events), 0)
}

// An event that waits for the pair is applied to the rows as they are afterwards, not as they were when it came.
func TestStatusWaitsForThePair(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.outbound(t, "Good morning")
	f.lose(t, 1, 1)
	second := f.send(t, 1, 2)
	f.apply(t, callback(f.key(1, 1), newSid(), domain.StatusSent, 0)) // both got through
	tx, err := s.pool.Begin(t.Context())
	must(t, err)
	for _, statement := range []string{
		`SELECT FROM pairs WHERE pair_id = (SELECT pair_id FROM messages WHERE message_id = $1) FOR UPDATE`,
		`UPDATE send_attempts SET status = 'delivered', status_rank = 7 WHERE message_id = $1 AND attempt = 1`,
		`UPDATE send_attempts SET status = 'undelivered', status_rank = 6, error_code = 30005, error_rank = 6 WHERE message_id = $1 AND attempt = 2`,
	} {
		_, err = tx.Exec(t.Context(), statement, f.messageID)
		must(t, err)
	}
	applied := make(chan domain.StatusChange)
	go func() {
		change, err := s.messages.ApplyStatus(context.WithoutCancel(t.Context()), callback(f.key(1, 2), second, domain.StatusFailed, 30008))
		if err != nil {
			t.Error(err)
		}
		applied <- change
	}()
	testkit.EventuallyTrue(t, time.Minute, "the callback waits for the pair", func() bool {
		return value[int](t, s, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == 1
	})
	must(t, tx.Commit(t.Context()))
	equal(t, "change", <-applied, domain.StatusChange{
		AttemptKey: f.key(1, 2), WorkflowID: f.workflowID, Status: domain.StatusUndelivered, ErrorCode: 30005,
	})
	equal(t, "what the message shows", f.trace(t).Message.Status, domain.StatusDelivered)
}

// A callback is one round trip, once the connection knows the statements; only one that has to bind, or is about none of ours, takes more.
func TestStatusIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	config, trips := s.pool.Config(), &atomic.Int64{}
	config.MaxConns = 1
	config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false } // as on a connection that is not idle
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return &countingConn{Conn: conn, trips: trips}, err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	must(t, err)
	t.Cleanup(pool.Close)
	counted := *s
	counted.pool, counted.messages = pool, postgres.NewMessages(pool)
	f := counted.inbound(t, "Hello", "An answer")
	sid := f.send(t, 1, 1)
	f.apply(t, callback(f.key(1, 1), sid, domain.StatusQueued, 0)) // the connection learns the statements
	for _, step := range []struct {
		what  string
		event domain.StatusEvent
		one   bool
	}{
		{"in order", callback(f.key(1, 1), sid, domain.StatusSent, 0), true},
		{"twice", callback(f.key(1, 1), sid, domain.StatusSent, 0), true},
		{"not in our list", callback(f.key(1, 1), sid, "teleported", 0), true},
		{"of a sid that nobody knows", callback(f.key(1, 1), newSid(), domain.StatusSent, 0), false},
		{"without our parameters", callback(domain.AttemptKey{}, sid, domain.StatusSent, 0), false},
		{"after those", callback(f.key(1, 1), sid, domain.StatusUndelivered, 30005), true},
		{"final", callback(f.key(1, 1), sid, domain.StatusDelivered, 0), true},
	} {
		before := trips.Load()
		f.apply(t, step.event)
		if n := trips.Load() - before; (n == 1) != step.one {
			t.Errorf("%s: %d round trips", step.what, n)
		}
	}
	equal(t, "what the part shows", f.trace(t).Parts[0].Status, domain.StatusDelivered)
}

// countingConn counts round trips: what is written after something was read waits for its answer.
type countingConn struct {
	net.Conn
	trips *atomic.Int64
	read  atomic.Bool
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Store(true)
	return n, err
}

func (c *countingConn) Write(p []byte) (int, error) {
	if c.read.Swap(false) {
		c.trips.Add(1)
	}
	return c.Conn.Write(p)
}

// What the recipient wants is kept, whether it comes as the answer to the POST, in a status, or with the message in Twilio's list.
func TestAnOptOutIsKeptAndShown(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for _, code := range []int{21610, 63014, 63033} {
		for name, comes := range map[string]func(*testing.T, flow){
			"the create": func(t *testing.T, f flow) {
				f.resolve(t, 1, 1, domain.Resolution{State: domain.AttemptRefused, ErrorCode: code, ErrorKind: domain.KindDenied, Error: "opted out"})
			},
			"a create that was accepted": func(t *testing.T, f flow) {
				answer := accepted(newSid())
				answer.Status, answer.ErrorCode = domain.StatusFailed, code
				f.resolve(t, 1, 1, answer)
			},
			"a callback": func(t *testing.T, f flow) {
				sid := newSid()
				f.resolve(t, 1, 1, accepted(sid))
				f.apply(t, callback(f.key(1, 1), sid, domain.StatusUndelivered, code))
				f.apply(t, callback(f.key(1, 1), sid, domain.StatusFailed, 30008)) // of a lower status
				f.apply(t, callback(f.key(1, 1), sid, domain.StatusUndelivered, 0))
			},
			"a callback before the answer": func(t *testing.T, f flow) {
				sid := newSid()
				f.apply(t, callback(f.key(1, 1), sid, domain.StatusFailed, code))
				f.resolve(t, 1, 1, accepted(sid))
			},
			"a callback after the end": func(t *testing.T, f flow) {
				f.giveUp(t, domain.OutcomeUnknown, "")
				f.apply(t, callback(f.key(1, 1), newSid(), domain.StatusFailed, code))
			},
		} {
			t.Run(fmt.Sprint(code, " by ", name), func(t *testing.T) {
				t.Parallel()
				f := s.another().inbound(t, "Hello", "An answer")
				f.begin(t, 1, 1)
				comes(t, f)
				trace := f.trace(t)
				equal(t, "on the attempt", trace.Attempts[0].ErrorCode, code)
				equal(t, "on the part", trace.Parts[0].ErrorCode, code)
				equal(t, "at the end", f.finish(t, domain.OutcomeReplied, "").ErrorCode, code)
			})
		}
	}
}

// The list may show another message than the one that a callback bound meanwhile: what it says is not about this attempt.
func TestTheAnswerOfAnotherMessageMovesNothing(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f, sid := s.inbound(t, "Hello", "An answer"), newSid()
	f.begin(t, 1, 1)
	f.apply(t, callback(f.key(1, 1), sid, domain.StatusSent, 0))
	other := accepted(newSid())
	other.Status, other.ErrorCode, other.Segments = domain.StatusFailed, 30008, 9
	equal(t, "attempt", f.resolve(t, 1, 1, other), domain.Attempt{Number: 1, State: domain.AttemptAccepted, Sid: sid, Status: domain.StatusSent})
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
			(SELECT jsonb_agg(to_jsonb(a) - '{message_id,pair_id,draft_id,twilio_sid,begun_at,post_before,answer_before,resolved_at}'::text[] ORDER BY part, attempt)
				FROM send_attempts a WHERE a.message_id = $1),
			(SELECT jsonb_agg(to_jsonb(m) - '{message_id,answered_by,pair_id,contact_id,conversation_id,from_address,to_address,workflow_id,twilio_sid,in_reply_to,seq,deadline,received_at,created_at}'::text[] ORDER BY seq)
				FROM messages m WHERE m.message_id = $1 OR m.in_reply_to = $1))::text`, f.messageID)
}
