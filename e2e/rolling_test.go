package e2e_test

import (
	"syscall"
	"testing"
	"time"

	"parley/contract"
	"parley/internal/testkit"
)

// TestARollingRestartLeavesNothingUnknown restarts the two messaging workers one after another while people write. Neither a callback nor the
// list tells of a message whose answer was lost, so that its flow would park.
func TestARollingRestartLeavesNothingUnknown(t *testing.T) {
	t.Parallel()
	const rounds, people = 3, 4
	s := testkit.NewStack(t, testkit.Options{PerRole: true, Settings: []string{"look_ups=100ms,300ms,1s,2s,5s"}})
	s.Script(testkit.Rule{ResponseDelayMS: 2000, Callbacks: "none", ListDelayMS: int(time.Hour.Milliseconds())})
	workers := []*testkit.Process{s.Worker(contract.RoleMessaging), s.AddWorker(contract.RoleMessaging)}
	said := 0
	speak := func() {
		for range people {
			s.Say(s.Customer(), "hello")
			said++
		}
	}
	for range rounds {
		for _, worker := range workers {
			speak()
			testkit.EventuallyTrue(t, soon, "Twilio has every POST, and has just got the last", func() bool { return s.Requests().Creates == said })
			worker.Signal(syscall.SIGTERM)
			speak() // while it stops
			if code := worker.Wait(soon); code != 0 {
				t.Errorf("a worker that was asked to stop ended with %d", code)
			}
			worker.Restart()
			worker.AwaitReady()
		}
	}
	if parked := awaitSettled(t, s, nil); len(parked) > 0 {
		t.Errorf("parked: %v", parked)
	}
	if unknown := count(t, s, `SELECT count(*) FROM send_attempts WHERE state <> 'accepted' OR attempt > 1`); unknown > 0 {
		t.Errorf("%d attempts are not simply accepted", unknown)
	}
	if unbound, requests := balance(t, s), s.Requests(); len(unbound) > 0 || requests.Creates != said || requests.Accepted != said {
		t.Errorf("%d POSTs and %d messages for %d people; no row knows %+v", requests.Creates, requests.Accepted, said, unbound)
	}
	nothingStaysReserved(t, s)
}
