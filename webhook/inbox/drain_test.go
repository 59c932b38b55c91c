package inbox_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/metric/noop"

	"parley/internal/domain"
	"parley/webhook/inbox"
)

func inboxOf(t *testing.T, flows inbox.Flows, spool inbox.Spool) *inbox.Inbox {
	t.Helper()
	i, err := inbox.New(t.Context(), inbox.Parts{Flows: flows, Spool: spool, Unrouted: fakeUnrouted{}, Logger: slog.New(slog.DiscardHandler), Meter: noop.Meter{}})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// runs lets an inbox run in a bubble; stop ends it, and returns when it has.
func (b bench) runs(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { b.Run(ctx); close(done) }()
	return func() { cancel(); <-done }
}

func TestSpooledMessagesAreStartedOnceTemporalIsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.flows.fail(away("Temporal"))
		const messages = 100
		var arrived []time.Time
		for n := range messages {
			received := message(n)
			b.accepts(t, received, inbox.Spooled)
			arrived = append(arrived, received.ReceivedAt)
			time.Sleep(10 * time.Millisecond)
			synctest.Wait()
		}
		before := b.flows.tried()
		defer b.runs(t)()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if tries := b.flows.tried() - before - 16; tries > 200 {
			t.Errorf("%d starts tried in ten minutes, want at most one every few seconds", tries)
		}
		if n := b.figure(t, "parley.webhook.spool.messages"); n != messages {
			t.Errorf("the gauge shows %v messages, want %d", n, messages)
		}
		if n, oldest := b.figure(t, "parley.unrouted.messages"), b.figure(t, "parley.unrouted.oldest"); n != 3 || oldest != 7200 {
			t.Errorf("the gauges show %v messages without an owner, the oldest of %v s", n, oldest)
		}
		b.flows.fail(nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if b.spool.waiting() != 0 || len(b.flows.started) != messages {
			t.Fatalf("%d still wait, %d were started, 5 s after Temporal's return", b.spool.waiting(), len(b.flows.started))
		}
		for _, received := range b.flows.started {
			if !slices.Contains(arrived, received.ReceivedAt) {
				t.Errorf("started as received at %s: its deadline would count from there", received.ReceivedAt)
			}
		}
		if biggest := slices.Max(b.spool.most); biggest != 16 {
			t.Errorf("took %d messages at once, want 16", biggest)
		}
		if n := b.figure(t, "parley.webhook.drained"); n != messages {
			t.Errorf("%v messages counted, want %d", n, messages)
		}
		b.accepts(t, message(1000), inbox.Started)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := b.figure(t, "parley.webhook.spool.messages"); n != 0 {
			t.Errorf("the gauge shows %v messages, want none", n)
		}
	})
}

// A message may have been started although its start failed, or be taken twice: it is dropped all the same.
func TestASpooledMessageThatWasStartedMeanwhileIsDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.accepts(t, message(1), inbox.Started)
		if err := b.spool.Put(t.Context(), message(1)); err != nil {
			t.Fatal(err)
		}
		stop := b.runs(t)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		stop()
		if b.spool.waiting() != 0 || len(b.flows.started) != 1 {
			t.Errorf("%d wait, %d were started", b.spool.waiting(), len(b.flows.started))
		}
	})
}

// What cannot be read, or is refused by Temporal, stays, is counted, and holds up nothing.
func TestAPoisonedRowIsKeptAndHoldsUpNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.flows.refuses = "refuse me"
		refused := message(1)
		refused.Body = "refuse me"
		unreadable := domain.Spooled{SpoolKey: domain.SpoolKey{AccountSid: "AC", MessageSid: "SM"}, Err: errors.New("does not decrypt")}
		b.spool.rows = []domain.Spooled{unreadable}
		for _, received := range []domain.Received{refused, message(2), message(3)} {
			if err := b.spool.Put(t.Context(), received); err != nil {
				t.Fatal(err)
			}
		}
		stop := b.runs(t)
		time.Sleep(15 * time.Second)
		synctest.Wait()
		stop()
		if len(b.flows.started) != 2 || b.spool.waiting() != 2 {
			t.Errorf("%d were started, %d wait; want two each", len(b.flows.started), b.spool.waiting())
		}
		if b.spool.refused[unreadable.SpoolKey] != "does not decrypt" || len(b.spool.refused) != 2 {
			t.Errorf("refused %v", b.spool.refused)
		}
		if n := b.figure(t, "parley.webhook.spool.refused"); n != 2 {
			t.Errorf("the gauge shows %v refused messages, want 2", n)
		}
		if strings.Contains(b.log.String(), "refuse me") || strings.Count(b.log.String(), "spooled message refused") != 2 {
			t.Errorf("logged %s", b.log)
		}
	})
}

// A Temporal that is back, and has too much to do, is asked for what it can take: starts that wait in vain are work for it too.
func TestABusyTemporalIsAskedForWhatItCanTake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.flows.atOnce = 4
		const messages = 200
		for n := range messages {
			if err := b.spool.Put(t.Context(), message(n)); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		stop := b.runs(t)
		for b.spool.waiting() > 0 && time.Since(began) < 5*time.Minute {
			time.Sleep(time.Second)
		}
		took := time.Since(began)
		stop()
		if inVain := b.flows.tried() - messages; len(b.flows.started) != messages || inVain > messages/4 || took > 90*time.Second {
			t.Errorf("%d of %d were started in %s, %d starts waited in vain", len(b.flows.started), messages, took, inVain)
		}
	})
}

// While Postgres is away nothing can be read: the inbox goes on looking, and what it took before is given to another.
func TestASpoolThatIsAwayIsLookedForAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		if err := b.spool.Put(t.Context(), message(1)); err != nil {
			t.Fatal(err)
		}
		b.spool.fail(away("Postgres"))
		defer b.runs(t)()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if lines := strings.Count(b.log.String(), "spool not read"); lines < 100 || lines > 200 {
			t.Errorf("looked %d times in ten minutes, want about every four seconds", lines)
		}
		b.spool.fail(nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if len(b.flows.started) != 1 {
			t.Error("not started 5 s after Postgres's return")
		}
	})
}

// A stop lets the starts under way finish: what was begun is written down.
func TestAStopFinishesWhatWasBegun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.flows.hold = make(chan struct{})
		if err := b.spool.Put(t.Context(), message(1)); err != nil {
			t.Fatal(err)
		}
		stop := b.runs(t)
		synctest.Wait() // it is being started
		time.AfterFunc(5*time.Second, func() { close(b.flows.hold) })
		began := time.Now()
		stop()
		if took := time.Since(began); took < 5*time.Second || took > 12*time.Second {
			t.Errorf("stopped after %s", took)
		}
		if len(b.flows.started) != 1 || b.spool.waiting() != 0 {
			t.Errorf("%d were started, %d wait", len(b.flows.started), b.spool.waiting())
		}
		if b.spool.within < 12*time.Second {
			t.Errorf("taken for %s: another process would start it meanwhile", b.spool.within)
		}
	})
}
