package e2e_test

import (
	"net"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"parley/contract"
	"parley/internal/testkit"
)

// A zombie is a messaging worker that is stopped in the middle of a send until Temporal has given it up and another worker has taken
// the step over, and that then goes on as if nothing had happened.

// impatient are roomy for a worker that is stopped: what it does is given up soon, and of unknown fate.
func impatient() []string {
	return []string{"post_within=1s", "send_timeout=1s", "look_ups=100ms,300ms,1s,2s,5s", "delivery_check=500ms", "delivery_grace=1s", "validity_period=5s"}
}

// busyWorker starts a messaging worker in place of the stack's own, that takes so many sends and then asks for nothing more: what it is
// given while it is stopped would be lost for as long as that step may last.
func busyWorker(t *testing.T, s *testkit.Stack, sends int, env ...string) *testkit.Process {
	t.Helper()
	s.Worker(contract.RoleMessaging).Stop()
	return s.AddWorker(contract.RoleMessaging, append([]string{"PARLEY_WORKER_SLOTS=" + strconv.Itoa(sends)}, env...)...)
}

// stopped pauses a worker. It goes on when the test lets it, or is over.
func stopped(t *testing.T, worker *testkit.Process) (goOn func()) {
	t.Helper()
	worker.Signal(syscall.SIGSTOP)
	goOn = sync.OnceFunc(func() { worker.Signal(syscall.SIGCONT) })
	t.Cleanup(goOn) // else it could only be killed
	return goOn
}

// awaitAttempt waits until the first attempt of a flow is in a state.
func awaitAttempt(t *testing.T, s *testkit.Stack, workflowID, state string) {
	t.Helper()
	testkit.EventuallyTrue(t, soon, "the first attempt of "+workflowID+" is "+state, func() bool {
		return attempts(t, s, workflowID, 1, state) == 1
	})
}

// attempts counts the attempts of a flow with a number that are in a state.
func attempts(t *testing.T, s *testkit.Stack, workflowID string, number int, state string) int {
	t.Helper()
	return count(t, s, `SELECT count(*) FROM send_attempts a JOIN messages m USING (message_id)
		WHERE m.workflow_id = $1 AND a.attempt = $2 AND a.state = $3`, workflowID, number, state)
}

// posted fails the test unless so many POSTs for a person have arrived.
func posted(t *testing.T, s *testkit.Stack, person string, want int) {
	t.Helper()
	if got := s.Creates(person); got != want {
		t.Errorf("%d POSTs for %s, want %d", got, person, want)
	}
}

// Several people, since the zombie wakes with an answer of the database and a time-out at hand, and may take either.
func TestAWorkerStoppedBetweenItsClaimAndItsPOSTPostsNothing(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{PerRole: true, Settings: impatient()})
	s.Worker(contract.RoleMessaging).Stop()
	people, flows := make([]string, 3), make([]string, 3)
	for i := range people {
		people[i] = s.Customer()
		flows[i] = s.WorkflowID(s.Say(people[i], "hello"))
	}
	for _, flow := range flows {
		awaitStep(t, s, flow, contract.Send.Name)
	}
	release := hold(t, s, `LOCK TABLE twilio_accounts IN ACCESS EXCLUSIVE MODE`) // the token is read after the claim's commit
	zombie := busyWorker(t, s, len(people))
	testkit.EventuallyTrue(t, soon, "every claim is committed, and its token is waited for", func() bool {
		return count(t, s, `SELECT count(*) FROM send_attempts WHERE state = 'begun'`) == len(people) && waitingForLocks(t, s) == len(people)
	})
	goOn := stopped(t, zombie)
	s.Worker(contract.RoleMessaging).Restart()
	release()

	parks := map[string]contract.Park{}
	for _, flow := range flows {
		parks[flow] = awaitPark(t, s, flow, contract.LookUp.Name)
	}
	// Some are sent again by an operator, before the zombie goes on.
	again := len(flows) - 1
	for i, flow := range flows[:again] {
		s.Starter("retry", flow, "--park", parks[flow].Name)
		ended(t, s, people[i], flow, "replied", 1)
	}
	posted(t, s, people[again], 0)
	goOn()
	for _, flow := range flows {
		awaitAttempt(t, s, flow, "not_sent") // the zombie knows what nobody else could
	}
	posted(t, s, people[again], 0)
	s.Starter("retry", flows[again], "--park", parks[flows[again]].Name)
	for i, flow := range flows {
		ended(t, s, people[i], flow, "replied", 1)
		posted(t, s, people[i], 1)
	}
	// What was sent again was a second attempt, which stays as it was; what was known not to be sent stays the first.
	if n := attempts(t, s, flows[0], 2, "accepted"); n != 1 {
		t.Error("the second attempt is not the accepted one")
	}
	if n := attempts(t, s, flows[again], 1, "accepted"); n != 1 {
		t.Error("an attempt was burnt by what was never sent")
	}
}

func TestAWorkerStoppedBeforeItsConnectionIsAnsweredPostsNothing(t *testing.T) {
	t.Parallel()
	// Long enough that the stop comes within it, and no longer than it takes Temporal to give the worker up.
	s := testkit.NewStack(t, testkit.Options{PerRole: true, Settings: append([]string{"send_timeout=10s"}, impatient()[2:]...)})
	address, connected := silent(t)
	zombie := busyWorker(t, s, 1, "PARLEY_TWILIO_BASE_URL=https://"+address)
	person := s.Customer()
	workflowID := s.WorkflowID(s.Say(person, "hello"))
	<-connected
	goOn := stopped(t, zombie)
	s.Worker(contract.RoleMessaging).Restart()
	park := awaitPark(t, s, workflowID, contract.LookUp.Name)
	goOn()
	awaitAttempt(t, s, workflowID, "not_sent")
	zombie.Stop() // what it took next it would not get through either
	posted(t, s, person, 0)
	s.Starter("retry", workflowID, "--park", park.Name)
	ended(t, s, person, workflowID, "replied", 1)
	posted(t, s, person, 1)
}

// silent is an address at which connections are made, and their TLS handshake is never answered. It tells when a handshake has begun.
func silent(t *testing.T) (address string, connected <-chan struct{}) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	begun := make(chan struct{}, 100)
	var kept []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			kept = append(kept, connection)
			_, _ = connection.Read(make([]byte, 1))
			begun <- struct{}{}
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
		for _, connection := range kept {
			_ = connection.Close()
		}
	})
	return listener.Addr().String(), begun
}

func TestAWorkerStoppedAfterItsPOSTDecidesNothingTwice(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{PerRole: true, Settings: []string{
		"send_timeout=35s", "look_ups=14s,20s,30s,45s,90s", "delivery_check=500ms", "delivery_grace=1s",
	}})
	const (
		held     = 15000   // longer than it takes until the worker is stopped
		neverMS  = 3600000 // longer than the test
		listed   = 0       // its message is in Twilio's list
		unlisted = 1       // its message is told of by the zombie alone
		refused  = 2       // there is no message, and the zombie alone knows why
	)
	people, flows := make([]string, 3), make([]string, 3)
	zombie := busyWorker(t, s, len(people))
	for i, rule := range []testkit.Rule{
		listed:   {ResponseDelayMS: held, Callbacks: "none"},
		unlisted: {ResponseDelayMS: held, Callbacks: "none", ListDelayMS: neverMS},
		refused:  {To: "+15005550001", ResponseDelayMS: held}, // Twilio's magic number for error 21211
	} {
		if rule.To == "" {
			rule.To = s.Customer()
		}
		people[i] = rule.To
		s.Script(rule)
		flows[i] = s.WorkflowID(s.Say(people[i], "hello "+strconv.Itoa(i)))
	}
	for _, person := range people {
		testkit.EventuallyTrue(t, soon, "the POST is under way", func() bool { return s.Creates(person) == 1 })
	}
	goOn := stopped(t, zombie)
	s.Worker(contract.RoleMessaging).Restart()
	awaitAttempt(t, s, flows[listed], "accepted") // found by the other worker
	for _, i := range []int{unlisted, refused} {
		awaitStep(t, s, flows[i], contract.LookUp.Name)
		if attempts(t, s, flows[i], 1, "begun")+attempts(t, s, flows[i], 1, "unknown") != 1 {
			t.Errorf("the fate of %s is known too early", flows[i])
		}
	}
	goOn()
	ended(t, s, people[listed], flows[listed], "replied", 1)
	ended(t, s, people[unlisted], flows[unlisted], "replied", 1)
	ended(t, s, people[refused], flows[refused], "failed", 0)
	for i, person := range people {
		posted(t, s, person, 1)
		if n := count(t, s, `SELECT count(*) FROM send_attempts JOIN messages USING (message_id) WHERE workflow_id = $1`, flows[i]); n != 1 {
			t.Errorf("%d attempts for %s, want 1", n, person)
		}
	}
	// The zombie's answer says "queued", of what was delivered long since.
	if n := attempts(t, s, flows[refused], 1, "refused") + count(t, s, `SELECT count(*) FROM send_attempts WHERE status = 'delivered'`); n != 3 {
		t.Errorf("%d of 3 attempts are as Twilio last said", n)
	}
}
