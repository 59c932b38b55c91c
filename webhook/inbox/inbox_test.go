package inbox_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"parley/internal/domain"
	"parley/webhook/inbox"
)

func message(n int) domain.Received {
	return domain.Received{
		AccountSid: "AC0123456789abcdef0123456789abcdef", MessageSid: fmt.Sprintf("SM%032x", n), From: "+15005550100", To: "+15005550006",
		Body: "secret words", ReceivedAt: time.Now().UTC(),
	}
}

// accepts fails the test unless a message is accepted in a way.
func (b bench) accepts(t *testing.T, received domain.Received, want inbox.Acceptance) {
	t.Helper()
	got, err := b.Accept(t.Context(), received)
	if got != want || err != nil {
		t.Errorf("accepted as %q, %v, want %q", got, err, want)
	}
}

func TestAMessageIsStarted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.accepts(t, message(1), inbox.Started)
	b.accepts(t, message(1), inbox.Duplicate)
	if b.spool.waiting() != 0 {
		t.Error("a message that was started is spooled too")
	}
}

func TestAMessageThatIsNotStartedIsSpooledWhateverTheReason(t *testing.T) {
	t.Parallel()
	for _, kind := range []domain.Kind{
		domain.KindUnavailable, domain.KindThrottled, domain.KindInvalid, domain.KindNotFound, domain.KindConfiguration, domain.KindInternal,
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.flows.fail(domain.Errorf(kind, "no"))
			b.accepts(t, message(1), inbox.Spooled)
			b.accepts(t, message(1), inbox.Spooled)
			if b.spool.waiting() != 1 || b.spool.rows[0].Received.Body != "secret words" {
				t.Errorf("spooled %+v", b.spool.rows)
			}
			if n := b.figure(t, "parley.webhook.spooled"); n != 2 {
				t.Errorf("%v messages counted, want 2", n)
			}
			if log := b.log.String(); strings.Contains(log, "secret") || strings.Contains(log, "5005550") || !strings.Contains(log, "inbound:AC0123456789abcdef") {
				t.Errorf("logged %s", log)
			}
		})
	}
}

func TestWhereNothingIsDurableTheMessageIsNotAccepted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.flows.fail(away("Temporal"))
	b.spool.fail(away("Postgres"))
	for range 2 { // the second comes while Temporal is known to be away
		if got, err := b.Accept(t.Context(), message(1)); got != "" || domain.KindOf(err) != domain.KindUnavailable {
			t.Errorf("accepted as %q, %v, want KindUnavailable", got, err)
		}
	}
	if b.flows.tried() != 2 {
		t.Errorf("%d starts tried, want one each: without a spool Temporal is the only way", b.flows.tried())
	}
	b.flows.fail(nil)
	b.accepts(t, message(1), inbox.Started)
	b.accepts(t, message(2), inbox.Started) // Temporal is known to be back
}

// A message waits for Temporal no longer than 3 s: what the SDK gives one call of a context of 6 s.
func TestAStartHasADeadlineOfItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.flows.hold = make(chan struct{})
		began := time.Now()
		b.accepts(t, message(1), inbox.Spooled)
		if took := time.Since(began); took != 6*time.Second {
			t.Errorf("a start may take %s, want 6 s", took)
		}
	})
}

// While Temporal is away one message at a time waits for it, each a second after the last one failed; all others are spooled at once.
func TestWhileTemporalIsAwayRequestsAreShort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.flows.hold = make(chan struct{})
		b.accepts(t, message(0), inbox.Spooled) // takes 6 s, and is told of it
		var posts sync.WaitGroup
		const seconds, each = 21, 20
		var waited atomic.Int64
		for n := range seconds * each {
			posts.Go(func() {
				began := time.Now()
				b.accepts(t, message(1+n), inbox.Spooled)
				if time.Since(began) > 0 {
					waited.Add(1)
				}
			})
			synctest.Wait()
			time.Sleep(time.Second / each)
			synctest.Wait()
		}
		posts.Wait()
		if waited.Load() != seconds/7 { // one second, then the start's six
			t.Errorf("%d messages of %d waited, want %d", waited.Load(), seconds*each, seconds/7)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		close(b.flows.hold)
		b.accepts(t, message(1000), inbox.Started)
		b.accepts(t, message(1001), inbox.Started)
	})
}

// A message that Temporal refuses for a reason of its own says nothing about the next one.
func TestAMessageThatIsRefusedDoesNotKeepOthersFromTemporal(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.flows.refuses = "secret words"
	b.accepts(t, message(1), inbox.Spooled)
	next := message(2)
	next.Body = "hello"
	b.accepts(t, next, inbox.Started)
}

// A start that panics is one that failed: the next message is spooled at once, and the one after a second finds out.
func TestAPanicLeavesNobodyTrying(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		spool, flows := newFakeSpool(), &panicking{}
		i := inboxOf(t, flows, spool)
		for range 2 {
			func() {
				defer func() { _ = recover() }()
				_, _ = i.Accept(t.Context(), message(1))
			}()
			if got, err := i.Accept(t.Context(), message(2)); got != inbox.Spooled || err != nil {
				t.Errorf("accepted as %q, %v", got, err)
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if flows.tries != 2 {
			t.Errorf("tried %d times, want 2", flows.tries)
		}
	})
}

type panicking struct{ tries int }

func (p *panicking) StartInbound(context.Context, domain.Received) (bool, error) {
	p.tries++
	panic("a defect")
}
