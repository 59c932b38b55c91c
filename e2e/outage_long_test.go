//go:build long

package e2e_test

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"parley/internal/testkit"
)

// rateVariable is how many messages come in a second. At 20 two cores are at work for five minutes more when all have come.
const rateVariable = "PARLEY_TEST_RATE"

func rate(t *testing.T) int {
	t.Helper()
	given := cmp.Or(os.Getenv(rateVariable), "20")
	rate, err := strconv.Atoi(given)
	if err != nil || rate < 1 || rate > 100 {
		t.Fatalf("%s: want 1 to 100, got %q", rateVariable, given)
	}
	return rate
}

// So many messages a second, of as many people, while Temporal is stopped for a minute, and later Postgres for 20 s. Every message that was
// acknowledged has its flow and its reply, once; every other one is listed by Twilio, which was told 503, or nothing in its time.
func TestLongWhatWasAcknowledgedIsAnsweredOnceThroughOutages(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{
		OwnServers: true, Connections: 20,
		Settings: []string{"reply_deadline=2h", "delivery_check=30s"}, Env: []string{"PARLEY_SWEEP_AFTER=2m"}, // Temporal has enough to do
	})
	s.AddWebhook()
	rate, began := rate(t), time.Now()
	said, stop := startTraffic(t, s, time.Second/time.Duration(rate))
	said.during("before", 5*time.Second, func() {})
	said.during("Temporal is stopped", time.Minute, s.TemporalServer.Stop)
	spooled := count(t, s, `SELECT count(*) FROM webhook_spool`)
	said.during("Temporal is back", 10*time.Second, s.TemporalServer.Start)
	said.during("Postgres is stopped", 20*time.Second, s.PostgresServer.Stop)
	said.during("Postgres is back", 10*time.Second, s.PostgresServer.Start)
	stop()
	drained := drains(t, s)

	acknowledged, unavailable := said.outcomes(t, s)
	requests, listed := eachAnsweredOnce(t, s, acknowledged), map[string]bool{}
	for _, message := range s.Messages() {
		listed[message.Sid] = true
	}
	for sid := range said.answers {
		if !listed[sid] {
			t.Errorf("Twilio does not list %s", sid)
		}
	}
	if unbound := balance(t, s); len(unbound) != 0 {
		t.Errorf("Twilio accepted what no row knows: %+v", unbound)
	}
	nothingStaysReserved(t, s)
	for _, meter := range []string{"ai_replies", "message_segments"} {
		if n := count(t, s, `SELECT count(*) FROM ledger WHERE kind = 'settle' AND meter = $1`, meter); n != requests.Accepted {
			t.Errorf("%d replies are charged as %s, and Twilio accepted %d", n, meter, requests.Accepted)
		}
	}
	if spooled == 0 || len(acknowledged) <= spooled {
		t.Errorf("%d messages came, %d were acknowledged, %d spooled: the traffic was not what the test is about", len(said.answers), len(acknowledged), spooled)
	}
	t.Logf("%s=%d: %d messages in %s: %d acknowledged and answered once, %d told 503 or nothing, of which %d were answered all the same; %d spooled at most, "+
		"the last of them started %s after the last message came; by phase: %v", rateVariable, rate, len(said.answers), time.Since(began).Round(time.Second), len(acknowledged),
		unavailable, requests.Accepted-len(acknowledged), spooled, drained.Round(time.Second), said.phases)
}

// drains waits until the spool is empty, and returns how long that took.
func drains(t *testing.T, s *testkit.Stack) time.Duration {
	t.Helper()
	began := time.Now()
	testkit.Eventually(t, overWithin, func() error {
		if left := count(t, s, `SELECT count(*) FROM webhook_spool`); left > 0 {
			return fmt.Errorf("%d messages are spooled", left)
		}
		return nil
	})
	return time.Since(began)
}
