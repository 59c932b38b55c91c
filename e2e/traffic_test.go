package e2e_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.temporal.io/api/workflowservice/v1"

	"parley/contract"
	"parley/internal/testkit"
)

// overWithin bounds the time in which some thousand flows are over that wait for two cores, which others use too.
const overWithin = 20 * time.Minute

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

// startTraffic lets somebody write at every tick, until stop is called, which waits for the answers.
func startTraffic(t *testing.T, s *testkit.Stack, every time.Duration) (x *traffic, stop func()) {
	t.Helper()
	x = &traffic{phases: map[string]map[int]int{}, answers: map[string]testkit.InboundAnswer{}, people: map[string]string{}}
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
	return x, func() { close(end); writing.Wait() }
}

// comeBack says again what was answered with 503, which asks for that.
func (x *traffic) comeBack(t *testing.T, s *testkit.Stack) {
	t.Helper()
	testkit.Eventually(t, soon, func() error {
		for sid, answer := range x.answers {
			if answer.StatusCode != http.StatusServiceUnavailable {
				continue
			}
			if x.answers[sid] = s.Deliver(message(x.people[sid], sid)); x.answers[sid].StatusCode == http.StatusServiceUnavailable {
				return fmt.Errorf("answered %+v", x.answers[sid])
			}
		}
		return nil
	})
}

// message is what a person of the traffic says.
func message(person, sid string) testkit.Inbound {
	return testkit.Inbound{From: person, Body: "Hello from " + person, MessageSid: sid}
}

// outcomes returns who was told 200, by workflow, and how many were told 503, or nothing in the time that the simulator waits; nothing else was said.
func (x *traffic) outcomes(t *testing.T, s *testkit.Stack) (acknowledged map[string]string, unavailable int) {
	t.Helper()
	acknowledged = map[string]string{}
	for sid, answer := range x.answers {
		switch answer.StatusCode {
		case http.StatusOK:
			acknowledged[s.WorkflowID(sid)] = x.people[sid]
		case http.StatusServiceUnavailable, 0:
			unavailable++
		default:
			t.Errorf("answered %+v", answer)
		}
	}
	return acknowledged, unavailable
}

func (x *traffic) say(s *testkit.Stack) {
	x.mu.Lock()
	person, phase := s.Customer(), x.phase
	x.mu.Unlock()
	answer := s.Deliver(message(person, ""))
	x.mu.Lock()
	defer x.mu.Unlock()
	x.answers[answer.MessageSid], x.people[answer.MessageSid] = answer, person
	if x.phases[phase] == nil {
		x.phases[phase] = map[int]int{}
	}
	x.phases[phase][answer.StatusCode]++
}

// eachAnsweredOnce waits until every flow is over, and fails the test unless those of the acknowledged messages, people by workflow, have each
// had one message accepted by Twilio, as their rows say.
func eachAnsweredOnce(t *testing.T, s *testkit.Stack, acknowledged map[string]string) testkit.Requests {
	t.Helper()
	allOver(t, s, len(acknowledged))
	stored, requests := records(t, s), s.Requests()
	for workflowID, person := range acknowledged {
		if r := stored[workflowID]; r.Outcome != "replied" || len(r.Sids) != 1 || requests.AcceptedByTo[person] != 1 {
			t.Errorf("%s was acknowledged; its rows say %+v, and Twilio accepted %d messages", workflowID, r, requests.AcceptedByTo[person])
		}
	}
	return requests
}

// allOver waits until nothing is spooled and no flow runs, of which there were at least so many.
func allOver(t *testing.T, s *testkit.Stack, flows int) {
	t.Helper()
	testkit.Eventually(t, overWithin, func() error {
		over := count(t, s, `SELECT count(*) FROM messages WHERE direction = 'inbound' AND finished_at IS NOT NULL`)
		if left := count(t, s, `SELECT count(*) FROM webhook_spool`); left > 0 || over < flows {
			return fmt.Errorf("%d of %d flows are over, %d messages are spooled", over, flows, left)
		}
		running, err := s.Temporal.Client.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{
			Namespace: s.Temporal.Name, Query: "ExecutionStatus = 'Running' AND WorkflowType = '" + contract.InboundMessage.Name + "'",
		})
		if err == nil && running.GetCount() > 0 {
			err = fmt.Errorf("%d flows run", running.GetCount())
		}
		return err
	})
}
