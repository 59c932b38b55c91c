package e2e_test

import (
	"syscall"
	"testing"

	"parley/contract"
	"parley/internal/testkit"
)

// killPoint is a moment of a send at which the worker that makes it is killed.
type killPoint struct {
	claimed  bool // the attempt's row is committed
	posted   bool // Twilio has the request
	answered bool
	// reach starts the worker, for which n flows wait, and returns once all of their sends are at this moment. They stay there until release.
	reach func(t *testing.T, s *testkit.Stack, n int) (release func())
}

func killPoints() map[string]killPoint {
	// What a send needs, in this order: the pair for its claim, the account's credentials for the POST, the pair again for the answer.
	const pairs, credentials = `SELECT FROM pairs FOR UPDATE`, `LOCK TABLE twilio_accounts`
	return map[string]killPoint{
		"before the claim": {reach: func(t *testing.T, s *testkit.Stack, n int) (release func()) {
			release = hold(t, s, pairs)
			s.Worker(contract.RoleMessaging).Restart()
			awaitWaiting(t, s, n)
			return release
		}},
		"after the claim": {claimed: true, reach: func(t *testing.T, s *testkit.Stack, n int) (release func()) {
			release = hold(t, s, credentials)
			s.Worker(contract.RoleMessaging).Restart()
			awaitClaimed(t, s, n)
			return release
		}},
		"after the POST": {claimed: true, posted: true, reach: func(t *testing.T, s *testkit.Stack, n int) (release func()) {
			s.Worker(contract.RoleMessaging).Restart()
			awaitCreates(t, s, n)
			return func() {}
		}},
		"before recording": {claimed: true, posted: true, answered: true, reach: func(t *testing.T, s *testkit.Stack, n int) (release func()) {
			hand := hold(t, s, credentials)
			s.Worker(contract.RoleMessaging).Restart()
			awaitClaimed(t, s, n)
			free := hold(t, s, pairs)
			s.Webhook.Signal(syscall.SIGSTOP) // callbacks would wait for the pairs too
			hand()
			awaitCreates(t, s, n)
			awaitWaiting(t, s, n)
			return func() { free(); s.Webhook.Signal(syscall.SIGCONT) }
		}},
	}
}

// awaitCreates waits until Twilio has so many POSTs.
func awaitCreates(t *testing.T, s *testkit.Stack, n int) {
	t.Helper()
	testkit.EventuallyTrue(t, soon, "every POST is made", func() bool { return s.Requests().Creates == n })
}

// awaitWaiting waits until so many transactions wait for a lock.
func awaitWaiting(t *testing.T, s *testkit.Stack, n int) {
	t.Helper()
	awaitCount(t, s, n, "transactions that wait", `
		SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'parley' AND wait_event_type = 'Lock'`)
}

// claimed counts attempts that are begun and may still be posted, for long enough to do something about it.
const claimed = `SELECT count(*) FROM send_attempts WHERE state = 'begun' AND clock_timestamp() < post_before - interval '5 s'`

// awaitClaimed waits until so many attempts are claimed.
func awaitClaimed(t *testing.T, s *testkit.Stack, n int) {
	t.Helper()
	awaitCount(t, s, n, "attempts that are begun", claimed)
}

// killedAt lets a person meet each of some faults, kills the worker while all of their sends are at one moment, starts another, and has
// an operator decide wherever a flow then parks: what Twilio did not accept is sent again.
func killedAt(t *testing.T, at killPoint, faults map[string]fault) {
	t.Helper()
	s := testkit.NewStack(t, testkit.Options{PerRole: true, Connections: 50, Settings: roomy()})
	s.Worker(contract.RoleMessaging).Stop()
	people, flows := map[string]string{}, map[string]string{} // by fault
	for name, fault := range faults {
		people[name] = s.Customer()
		s.Script(fault.met(people[name], at.posted && !at.answered))
		flows[name] = s.WorkflowID(s.Say(people[name], "hello"))
	}
	awaitCount(t, s, len(faults), "replies that wait to be sent", `SELECT count(*) FROM drafts`)

	release := at.reach(t, s, len(faults))
	s.Worker(contract.RoleMessaging).Kill9()
	creates := s.Requests().ByTo
	release()
	s.Worker(contract.RoleMessaging).Restart()
	parks := decideAll(t, s)

	unbound, requests, ended := balance(t, s), s.Requests(), records(t, s)
	for name, fault := range faults {
		want := at.expected(fault)
		got := expectation{
			killed: creates[people[name]], creates: requests.ByTo[people[name]], accepted: requests.AcceptedByTo[people[name]],
			parks: parks[flows[name]], outcome: ended[flows[name]].Outcome,
		}
		if got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		if r := ended[flows[name]]; r.Unresolved > 0 || (len(r.Sids) == 1) != (r.Outcome == "replied") {
			t.Errorf("%s: its rows are left as %+v", name, r)
		}
	}
	for _, message := range unbound {
		if ended[flows["a failed twin beside it"]].From != message.To {
			t.Errorf("no row knows %+v", message)
		}
	}
	nothingStaysReserved(t, s)
}

// met is the fault as one create of a person meets it; whoever asks again meets nothing.
func (f fault) met(person string, unanswered bool) testkit.Rule {
	rule := f.rule
	rule.To, rule.Times = person, 1
	if unanswered {
		rule.ResponseDelayMS = int(soon.Milliseconds())
	}
	return rule
}

// expectation is what comes of a person's message, in numbers.
type expectation struct {
	killed   int // POSTs until the worker was killed
	creates  int // POSTs in all
	accepted int
	parks    int
	outcome  contract.Outcome
}

// expected says what must come of a message. Wherever the worker dies, it is accepted once, by the first POST or, where that met a fault
// that accepts nothing, by the second. Somebody must decide where its fate is not known: after a kill in an attempt that was not accepted,
// and where the fault itself hides it.
func (at killPoint) expected(f fault) expectation {
	want := expectation{creates: 1, accepted: 1, outcome: "replied"}
	hidden := f.outcome == "unknown"
	if at.posted {
		want.killed = 1
	}
	if !f.accepts() {
		want.creates = 2
	}
	if hidden && f.accepts() {
		want.outcome = "unknown" // the operator has seen it in Twilio's log, and lets it be
	}
	if hidden || (at.posted && !f.accepts()) {
		want.parks++
	}
	if at.claimed && !at.posted {
		want.parks++
	}
	return want
}

// decideAll is an operator who looks at every flow that parks, until all are over: what Twilio has is let be, anything else is sent
// again. It returns how often each flow was parked.
func decideAll(t *testing.T, s *testkit.Stack) map[string]int {
	t.Helper()
	parks, decided := map[string]int{}, []string{}
	for {
		parked := awaitSettled(t, s, decided)
		if len(parked) == 0 {
			return parks
		}
		accepted, told := s.Requests().AcceptedByTo, records(t, s)
		for workflowID, park := range parked {
			word := contract.RetryCommand
			if accepted[told[workflowID].From] > 0 {
				word = contract.AbandonCommand
			}
			s.Starter(word, workflowID, "--park", park)
			parks[workflowID]++
			decided = append(decided, park)
		}
	}
}
