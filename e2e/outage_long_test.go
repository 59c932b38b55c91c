//go:build long

package e2e_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"parley/internal/testkit"
)

// Twenty messages a second, of as many people, while Temporal is stopped for a minute, and later Postgres for 20 s. Every message that was
// acknowledged has its flow and its reply, once; every other one is listed by Twilio, which was told 503.
func TestLongWhatWasAcknowledgedIsAnsweredOnceThroughOutages(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{OwnServers: true, Connections: 20, Settings: []string{"reply_deadline=2h"}})
	s.AddWebhook()
	began := time.Now()
	said := traffic{answers: map[string]testkit.InboundAnswer{}, people: map[string]string{}}
	stop := said.start(t, s, 50*time.Millisecond)
	said.during("before", 5*time.Second, func() {})
	said.during("Temporal is stopped", time.Minute, s.TemporalServer.Stop)
	said.during("Temporal is back", 10*time.Second, s.TemporalServer.Start)
	said.during("Postgres is stopped", 20*time.Second, s.PostgresServer.Stop)
	said.during("Postgres is back", 10*time.Second, s.PostgresServer.Start)
	stop()

	acknowledged := map[string]string{} // person by workflow
	unavailable := 0
	for sid, answer := range said.answers {
		switch answer.StatusCode {
		case http.StatusOK:
			acknowledged[s.WorkflowID(sid)] = said.people[sid]
		case http.StatusServiceUnavailable:
			unavailable++
		default:
			t.Errorf("answered %+v", answer)
		}
	}
	testkit.Eventually(t, 20*time.Minute, func() error {
		over := count(t, s, `SELECT count(*) FROM messages WHERE direction = 'inbound' AND finished_at IS NOT NULL`)
		if left := count(t, s, `SELECT count(*) FROM webhook_spool`); left > 0 || over < len(acknowledged) {
			return fmt.Errorf("%d of %d flows are over, %d messages are spooled", over, len(acknowledged), left)
		}
		return nil
	})
	stored, requests, listed := records(t, s), s.Requests(), map[string]bool{}
	for workflowID, person := range acknowledged {
		if r := stored[workflowID]; r.Outcome != "replied" || len(r.Sids) != 1 || requests.AcceptedByTo[person] != 1 {
			t.Errorf("%s was acknowledged; its rows say %+v, and Twilio accepted %d messages", workflowID, r, requests.AcceptedByTo[person])
		}
	}
	for _, message := range s.Messages() {
		listed[message.Sid] = true
	}
	for sid := range said.answers {
		if !listed[sid] {
			t.Errorf("Twilio does not list %s", sid)
		}
	}
	if len(said.answers) < 1500 || len(acknowledged) < 1000 {
		t.Errorf("%d messages came, %d were acknowledged: the traffic was not what the test is about", len(said.answers), len(acknowledged))
	}
	t.Logf("%d messages in %s: %d acknowledged and answered once, %d told 503; by phase: %v",
		len(said.answers), time.Since(began).Round(time.Second), len(acknowledged), unavailable, said.phases)
}

// traffic is people who write, one message each.
type traffic struct {
	mu      sync.Mutex
	phase   string
	phases  map[string]map[int]int           // how many were answered so, by the phase in which they were said
	answers map[string]testkit.InboundAnswer // by sid
	people  map[string]string                // by sid
}

// during lets a phase begin with an event and last for a time.
func (x *traffic) during(phase string, lasts time.Duration, event func()) {
	x.mu.Lock()
	x.phase = phase
	x.mu.Unlock()
	event()
	<-time.After(lasts)
}

// start lets somebody write at every tick, until stop is called, which waits for the answers.
func (x *traffic) start(t *testing.T, s *testkit.Stack, every time.Duration) (stop func()) {
	t.Helper()
	x.phases = map[string]map[int]int{}
	var writing sync.WaitGroup
	end, tick := make(chan struct{}), time.NewTicker(every)
	writing.Go(func() {
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				writing.Go(func() { x.say(s) })
			}
		}
	})
	return func() { close(end); writing.Wait() }
}

func (x *traffic) say(s *testkit.Stack) {
	x.mu.Lock()
	person, phase := s.Customer(), x.phase
	x.mu.Unlock()
	answer := s.Deliver(testkit.Inbound{From: person, Body: "Hello from " + person})
	x.mu.Lock()
	defer x.mu.Unlock()
	x.answers[answer.MessageSid], x.people[answer.MessageSid] = answer, person
	if x.phases[phase] == nil {
		x.phases[phase] = map[int]int{}
	}
	x.phases[phase][answer.StatusCode]++
}
