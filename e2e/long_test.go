//go:build long

package e2e_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"parley/internal/testkit"
)

// The tests of this file take minutes: `make test-all` runs them, with -tags long.

func TestLongEveryFaultAtEveryKillPoint(t *testing.T) {
	t.Parallel()
	faults := faults()
	faults["no fault"] = fault{outcome: "replied", accepted: 1}
	for name, at := range killPoints() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			killedAt(t, at, faults)
			t.Logf("%d faults, killed %s: %s", len(faults), name, time.Since(began).Round(time.Second))
		})
	}
}

// A thousand messages meet faults by chance, the same ones for the same seed. What Twilio accepted is then what our rows say, sid by sid;
// a person has to decide about the rest, and about nothing else.
func TestLongAThousandMessagesWithRandomFaults(t *testing.T) {
	t.Parallel()
	const people, each, share = 250, 4, 0.4
	seed, began := seed(t), time.Now()
	t.Logf("%s=%d", seedVariable, seed)
	s := testkit.NewStack(t, testkit.Options{Connections: 20, Settings: []string{
		"post_within=2s", "send_timeout=2s", "look_ups=200ms,500ms,1s,3s,6s", "delivery_check=1s", "delivery_grace=2s", "validity_period=10s",
	}})
	// The list shows every message before the last look-up, and a slow answer comes in time: so only the seed decides what is known.
	s.Script(testkit.Rule{Random: &testkit.Random{Seed: seed, Rate: share}, CallbackDelayMS: 50, ResponseDelayMS: 1000, ListDelayMS: 500})
	converse(t, s, people, each)
	parked := awaitSettled(t, s, nil)

	// Twilio accepted what a failed twin hides too: neither an answer nor a callback came, and the list has two of it.
	hidden, stored := balance(t, s), records(t, s)
	for _, message := range hidden {
		asked := func(workflowID string) bool { return stored[workflowID].answeredBy(message) }
		if message.Fault != "failed_twin" || !slices.ContainsFunc(slices.Collect(maps.Keys(parked)), asked) {
			t.Errorf("no row knows %+v, and nobody is asked about it", message)
		}
		s.CallBack(message, "delivered") // late, but it comes
	}
	parked = awaitSettled(t, s, nil)

	if lost := balance(t, s); len(lost) > 0 {
		t.Errorf("Twilio accepted what no row knows: %+v", lost)
	}
	stored = records(t, s)
	if len(stored) != people*each {
		t.Errorf("%d messages are stored, want %d", len(stored), people*each)
	}
	answered, denied := 0, 0
	for workflowID, r := range stored {
		_, waits := parked[workflowID]
		if waits == r.Over || r.Unresolved > 0 {
			t.Errorf("its rows are left as %+v", r)
		}
		switch {
		case r.Outcome == "replied" && len(r.Sids) == 1:
			answered++
		case r.Outcome == "denied" && len(r.Sids) == 0: // since an earlier answer met an opt-out
			denied++
		case r.Over:
			t.Errorf("its rows are left as %+v", r)
		}
	}
	if withdrawn := count(t, s, `SELECT count(*) FROM messages m JOIN pairs p USING (pair_id)
		JOIN consents c ON c.sender = p.our_address AND c.address = p.their_address AND c.state = 'withdrawn' WHERE m.outcome = 'denied'`); withdrawn != denied {
		t.Errorf("%d of %d messages that were denied are of people who opted out", withdrawn, denied)
	}
	requests := s.Requests()
	if requests.Accepted != answered {
		t.Errorf("Twilio accepted %d messages, our rows %d", requests.Accepted, answered)
	}
	failed := count(t, s, `SELECT count(*) FROM send_attempts WHERE state = 'accepted' AND status IN ('failed', 'canceled')`)
	if charged := count(t, s, `SELECT sum(used)::int FROM usage WHERE meter = 'ai_replies'`); charged != answered-failed {
		t.Errorf("%d replies are charged, want %d", charged, answered-failed)
	}
	t.Logf("%d messages of %d people in %s: %d POSTs; %d accepted by Twilio, %d by our rows, of which %d by a late callback; %d left unknown and listed; %d denied",
		len(stored), people, time.Since(began).Round(time.Second), requests.Creates, requests.Accepted, answered, len(hidden), len(parked), denied)
	for _, name := range slices.Sorted(maps.Keys(requests.Faults)) {
		t.Logf("%4d met %s", requests.Faults[name], name)
	}
}

// converse lets people write, each a number of messages one after another: the next one when the flow of the one before is over or parked.
func converse(t *testing.T, s *testkit.Stack, people, each int) {
	t.Helper()
	const atOnce = 40
	type person struct {
		number string
		said   int
	}
	var silent []*person
	for range people {
		silent = append(silent, &person{number: s.Customer()})
	}
	open := map[string]*person{} // by the flow of what they said last
	for len(silent)+len(open) > 0 {
		for len(silent) > 0 && len(open) < atOnce {
			speaker := silent[0]
			silent = silent[1:]
			speaker.said++
			open[s.WorkflowID(insist(t, s, speaker.number, fmt.Sprintf("Message %d of %s.", speaker.said, speaker.number)))] = speaker
		}
		testkit.EventuallyTrue(t, settledWithin, "a flow is over or parked", func() bool {
			settled := 0
			for workflowID, r := range records(t, s) {
				speaker, waits := open[workflowID]
				if !waits || !r.settled(nil) {
					continue
				}
				settled++
				delete(open, workflowID)
				if speaker.said < each {
					silent = append(silent, speaker)
				}
			}
			return settled > 0
		})
	}
}

// The design's own figures.
func TestLongSomebodyKeepsWriting(t *testing.T) {
	t.Parallel()
	keepsWriting(t, pace{lines: 60, every: 2 * time.Second, thinks: 5 * time.Second, wait: 30 * time.Second, gap: time.Minute})
}
