package inbox_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"parley/internal/domain"
	"parley/webhook/inbox"
)

var (
	_ inbox.Flows = (*fakeFlows)(nil)
	_ inbox.Spool = (*fakeSpool)(nil)
)

// away is how Temporal and Postgres fail.
func away(what string) error { return domain.Errorf(domain.KindUnavailable, "%s is away", what) }

// fakeFlows is a Temporal that remembers what it started.
type fakeFlows struct {
	mu      sync.Mutex
	err     error
	refuses string // the body that it refuses for good
	hold    chan struct{}
	atOnce  int // how many it starts at once, in 0.1 s; one more waits for 3 s in vain. 0: any number, at once
	busy    int
	tries   int
	started []domain.Received
}

func (f *fakeFlows) StartInbound(ctx context.Context, received domain.Received) (bool, error) {
	f.mu.Lock()
	f.tries++
	f.busy++
	err, hold, wait := f.err, f.hold, time.Duration(0)
	switch {
	case f.atOnce == 0:
	case f.busy > f.atOnce:
		err, wait = away("Temporal"), 3*time.Second
	default:
		wait = 100 * time.Millisecond
	}
	f.mu.Unlock()
	time.Sleep(wait)
	defer func() { f.mu.Lock(); f.busy--; f.mu.Unlock() }()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	if err != nil {
		return false, err
	}
	if f.refuses != "" && received.Body == f.refuses {
		return false, domain.Errorf(domain.KindInvalid, "too large")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.ContainsFunc(f.started, func(r domain.Received) bool { return r.MessageSid == received.MessageSid }) {
		return false, nil
	}
	f.started = append(f.started, received)
	return true, nil
}

func (f *fakeFlows) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *fakeFlows) tried() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tries
}

// fakeSpool is the spool as postgres.Spool has it, but for the time.
type fakeSpool struct {
	mu      sync.Mutex
	err     error
	rows    []domain.Spooled
	taken   map[domain.SpoolKey]bool
	refused map[domain.SpoolKey]string
	most    []int // that Take was asked for, where it had something
	within  time.Duration
}

func newFakeSpool() *fakeSpool {
	return &fakeSpool{taken: map[domain.SpoolKey]bool{}, refused: map[domain.SpoolKey]string{}}
}

func (f *fakeSpool) Put(ctx context.Context, received domain.Received) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil || ctx.Err() != nil {
		return cmpErr(f.err, ctx.Err())
	}
	key := domain.SpoolKey{AccountSid: received.AccountSid, MessageSid: received.MessageSid}
	if !slices.ContainsFunc(f.rows, func(row domain.Spooled) bool { return row.SpoolKey == key }) {
		f.rows = append(f.rows, domain.Spooled{SpoolKey: key, Received: received})
	}
	return nil
}

func (f *fakeSpool) Take(ctx context.Context, most int, within time.Duration) (taken []domain.Spooled, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil || ctx.Err() != nil {
		return nil, cmpErr(f.err, ctx.Err())
	}
	f.within = within
	for _, row := range f.rows {
		if len(taken) < most && !f.taken[row.SpoolKey] && f.refused[row.SpoolKey] == "" {
			f.taken[row.SpoolKey] = true
			taken = append(taken, row)
		}
	}
	if len(taken) > 0 {
		f.most = append(f.most, most)
	}
	return taken, nil
}

func (f *fakeSpool) PutBack(ctx context.Context, keys []domain.SpoolKey) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range keys {
		delete(f.taken, key)
	}
	return ctx.Err()
}

func (f *fakeSpool) Refuse(ctx context.Context, key domain.SpoolKey, reason string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.taken, key)
	f.refused[key] = reason
	return ctx.Err()
}

func (f *fakeSpool) Drop(ctx context.Context, keys []domain.SpoolKey) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows = slices.DeleteFunc(f.rows, func(row domain.Spooled) bool { return slices.Contains(keys, row.SpoolKey) })
	return ctx.Err()
}

func (f *fakeSpool) State(context.Context) (domain.SpoolState, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return domain.SpoolState{Waiting: len(f.rows), Refused: len(f.refused), Oldest: time.Minute}, f.err
}

func (f *fakeSpool) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *fakeSpool) waiting() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.rows)
}

// fakeUnrouted is a database in which three messages have no owner.
type fakeUnrouted struct{}

var _ inbox.Unrouted = fakeUnrouted{}

func (fakeUnrouted) State(context.Context) (domain.UnroutedState, error) {
	return domain.UnroutedState{Waiting: 3, Oldest: 2 * time.Hour}, nil
}

func cmpErr(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

// bench is an inbox over fakes.
type bench struct {
	*inbox.Inbox
	flows  *fakeFlows
	spool  *fakeSpool
	log    *bytes.Buffer
	reader *sdkmetric.ManualReader
}

func newBench(t *testing.T) bench {
	t.Helper()
	b := bench{flows: &fakeFlows{}, spool: newFakeSpool(), log: &bytes.Buffer{}, reader: sdkmetric.NewManualReader()}
	var err error
	b.Inbox, err = inbox.New(t.Context(), inbox.Parts{
		Flows: b.flows, Spool: b.spool, Unrouted: fakeUnrouted{}, Logger: slog.New(slog.NewJSONHandler(b.log, nil)),
		Meter: sdkmetric.NewMeterProvider(sdkmetric.WithReader(b.reader)).Meter("test"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// figure returns the value of a counter or gauge. One that is not shown is -1.
func (b bench) figure(t *testing.T, name string) float64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := b.reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				return float64(data.DataPoints[0].Value)
			case metricdata.Gauge[int64]:
				return float64(data.DataPoints[0].Value)
			case metricdata.Gauge[float64]:
				return data.DataPoints[0].Value
			}
		}
	}
	return -1
}
