package e2e_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/contract"
	"parley/internal/domain"
	"parley/internal/testkit"
)

// utterance is something that a person says, so long after the beginning.
type utterance struct {
	after        time.Duration
	person, body string
}

// bursts lets people say so many things each, in bursts of one to four with pauses between them, at random.
func bursts(random *rand.Rand, people []string, each int) (said []utterance) {
	up := func(to time.Duration) time.Duration { return rand.N(to) }
	if random != nil {
		up = func(to time.Duration) time.Duration { return time.Duration(random.Int64N(int64(to))) }
	}
	for _, person := range people {
		after, left := up(2*time.Second), 0
		for n := range each {
			if left == 0 {
				left = 1 + random.IntN(4)
				after += up(3 * time.Second)
			}
			left--
			after += up(300 * time.Millisecond)
			said = append(said, utterance{after, person, fmt.Sprintf("Line %d of %s", n+1, person)})
		}
	}
	slices.SortStableFunc(said, func(a, b utterance) int { return int(a.after - b.after) })
	return said
}

// thoughts is how a model answers: soon or less soon, with one message or with two.
func thoughts(random *rand.Rand, n int) (answers []testkit.ModelAnswer) {
	for range n {
		answer := testkit.ModelAnswer{Text: "An answer.", Delay: time.Duration(random.IntN(600)) * time.Millisecond}
		if random.IntN(4) == 0 {
			answer.Text = strings.Repeat("A long answer. ", 2*domain.MaxBody/15-1)
		}
		answers = append(answers, answer)
	}
	return answers
}

// reply is what went out for one message, by Twilio's log and our rows.
type reply struct {
	WorkflowID string
	Seq        int64    // of the message that it is to
	Parts      []string // bodies, in the order in which Twilio accepted them
}

// repliesTo returns what a person got, in the order in which Twilio accepted it. It fails the test for a message that no row knows, and for
// parts of a reply that are not one after another, each once.
func repliesTo(t *testing.T, s *testkit.Stack, person string) (replies []reply) {
	t.Helper()
	type sent struct {
		WorkflowID string
		Seq        int64
		Part       int
	}
	connection := database(t, s)
	defer func() { _ = connection.Close(t.Context()) }()
	for _, message := range s.SentTo(person) {
		rows, err := connection.Query(t.Context(), `
			SELECT workflow_id, seq, a.part FROM send_attempts a JOIN messages m USING (message_id) WHERE a.twilio_sid = $1`, message.Sid)
		if err != nil {
			t.Fatal(err)
		}
		of, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[sent])
		if err != nil {
			t.Errorf("no row knows %+v: %v", message, err)
			continue
		}
		if of.Part == 1 {
			replies = append(replies, reply{of.WorkflowID, of.Seq, nil})
		}
		last := len(replies) - 1
		if last < 0 || replies[last].WorkflowID != of.WorkflowID || of.Part != len(replies[last].Parts)+1 {
			t.Errorf("part %d of the reply of %s comes between others: %+v", of.Part, of.WorkflowID, replies)
			continue
		}
		replies[last].Parts = append(replies[last].Parts, message.Body)
	}
	return replies
}

// inTurn fails the test unless the replies to a person come in the order of what they answer, none twice, and the last message of the person
// has one. It returns what each flow sent, in segments.
func inTurn(t *testing.T, s *testkit.Stack, person string) (segments map[string]int) {
	t.Helper()
	segments = map[string]int{}
	replies := repliesTo(t, s, person)
	for n, r := range replies {
		if n > 0 && r.Seq <= replies[n-1].Seq {
			t.Errorf("a reply to message %d of %s comes after one to message %d", r.Seq, person, replies[n-1].Seq)
		}
		for _, body := range r.Parts {
			_, parts := domain.Segments(body)
			segments[r.WorkflowID] += parts
		}
	}
	last := count(t, s, `SELECT max(seq)::int FROM messages WHERE direction = 'inbound' AND from_address = $1`, person)
	if len(replies) == 0 || replies[len(replies)-1].Seq != int64(last) {
		t.Errorf("the last message of %s is number %d, and the replies are %+v", person, last, replies)
	}
	return segments
}

// charged returns what each flow was charged of a meter, by the ledger.
func charged(t *testing.T, s *testkit.Stack, meter domain.Meter) map[string]int {
	t.Helper()
	connection := database(t, s)
	defer func() { _ = connection.Close(t.Context()) }()
	rows, err := connection.Query(t.Context(), `
		SELECT workflow_id, sum(CASE kind WHEN 'settle' THEN quantity WHEN 'credit' THEN -quantity ELSE 0 END)::int
		FROM ledger WHERE meter = $1 GROUP BY workflow_id`, meter)
	if err != nil {
		t.Fatal(err)
	}
	byFlow, quantity, flow := map[string]int{}, 0, ""
	if _, err := pgx.ForEachRow(rows, []any{&flow, &quantity}, func() error {
		if quantity != 0 {
			byFlow[flow] = quantity
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return byFlow
}

// Two hundred messages of twenty people in bursts, with two workers for each role, of which one dies on the way: every conversation has one
// reply after its last message, or is listed as parked. No reply overlaps or overtakes another, what is charged is what was sent, and nothing
// stays reserved.
//
//nolint:paralleltest // it fills the machine: beside it the waits of other tests would run out
func TestBurstsOfManyPeople(t *testing.T) {
	const people, each = 20, 10
	seed, began := seed(t), time.Now()
	t.Logf("%s=%d", seedVariable, seed)
	random := rand.New(rand.NewPCG(seed, 0))
	model := testkit.OpenAI(t, thoughts(random, 2*people*each)...)
	s := testkit.NewStack(t, testkit.Options{
		Env: model.Env(), Connections: 20, Settings: append(roomy(), "turn_wait=2s", "loop_replies=100"),
	})
	other := s.AddWorker("all")
	s.Script(testkit.Rule{ResponseDelayMS: 100, CallbackDelayMS: 50})
	persons := make([]string, people)
	for i := range persons {
		persons[i] = s.Customer()
	}
	dies := 10 + random.IntN(people)
	// The worker dies between its claims and their POSTs, for which it needs the credentials; the other one is stopped meanwhile. Where too few
	// claim in time, nothing goes on any more (sends that wait for credentials have every connection), so all are let go, and it is tried again.
	held, killed, release, goOn, writing := time.Time{}, false, func() {}, func() {}, time.Now()
	dying := func() bool {
		switch {
		case killed:
		case held.IsZero():
			if s.Requests().Creates >= dies {
				held, release, goOn = time.Now(), hold(t, s, `LOCK TABLE twilio_accounts`), stopped(t, other)
			}
		case count(t, s, claimed) >= 3:
			killed = true
			s.Worker(contract.RoleMessaging).Kill9()
			release()
			goOn()
		case time.Since(held) > 3*time.Second:
			release()
			goOn()
			held, dies = time.Time{}, s.Requests().Creates+1
		}
		return killed
	}
	for _, u := range bursts(random, persons, each) {
		time.Sleep(time.Until(writing.Add(u.after))) // at the people's pace
		insist(t, s, u.person, u.body)
		dying()
	}
	wrote := time.Since(writing)
	testkit.EventuallyTrue(t, soon, "the worker is killed: it had enough to do", dying)

	parked := awaitSettled(t, s, nil)
	if stored := len(records(t, s)); stored != people*each {
		t.Errorf("%d messages are stored, want %d", stored, people*each)
	}
	for workflowID, park := range parked { // by the kill: an operator has it sent again, or hears that a newer message was answered
		s.Starter("retry", workflowID, "--park", park)
	}
	if left := awaitSettled(t, s, slices.Collect(maps.Values(parked))); len(left) > 0 {
		t.Errorf("parked again: %v", left)
	}

	segments, replies := map[string]int{}, map[string]int{}
	for _, person := range persons {
		maps.Copy(segments, inTurn(t, s, person))
	}
	for flow := range segments {
		replies[flow] = 1
	}
	for meter, want := range map[domain.Meter]map[string]int{domain.MeterReplies: replies, domain.MeterSegments: segments} {
		if got := charged(t, s, meter); !maps.Equal(got, want) {
			t.Errorf("%s charged: %v, want %v", meter, got, want)
		}
	}
	if n := count(t, s, `
		SELECT count(*) FROM (
			SELECT begun_at, max(resolved_at) OVER (PARTITION BY pair_id ORDER BY begun_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM send_attempts
		) attempts WHERE begun_at < before`); n > 0 {
		t.Errorf("%d attempts began before the one before was resolved", n)
	}
	// A newer message was answered before the operator came: whether the parked one was too, nobody knows.
	unanswered := count(t, s, `SELECT count(*) FROM messages WHERE direction = 'inbound' AND (answered_by IS NULL OR reply_state NOT IN ('answered', 'superseded'))`)
	if unknown := count(t, s, `SELECT count(*) FROM messages WHERE outcome = 'unknown' AND workflow_id = ANY ($1)`, slices.Collect(maps.Keys(parked))); unanswered != unknown {
		t.Errorf("%d messages are answered by nothing, and of %d a reply may have been sent", unanswered, unknown)
	}
	decideUnknown(t, s)
	balanced(t, s)
	t.Logf("%d messages of %d people in %s, over after %s: %d replies in %d messages, %d calls of the model, %d parked by the kill after %d POSTs",
		people*each, people, wrote.Round(time.Second), time.Since(began).Round(time.Second), len(replies), s.Requests().Accepted, len(model.Calls()), len(parked), dies)
}
