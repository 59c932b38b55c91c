package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"parley/internal/domain"
	"parley/webhook/accounts"
)

var _ accounts.Store = (*fakeStore)(nil)

// fakeStore knows some accounts and counts what it is asked.
type fakeStore struct {
	mu     sync.Mutex
	tokens map[string]string
	err    error         // of every answer
	hold   chan struct{} // where set, no answer comes before it is closed
	loads  int
	lists  int
}

func (f *fakeStore) Credentials(ctx context.Context, sid string) (domain.Credentials, error) {
	f.mu.Lock()
	f.loads++
	f.mu.Unlock()
	if err := f.wait(ctx); err != nil {
		return domain.Credentials{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tokens[sid] == "" {
		return domain.Credentials{}, domain.Errorf(domain.KindNotFound, "account: not found")
	}
	return domain.Credentials{AccountSid: sid, AuthTokens: []string{f.tokens[sid]}}, nil
}

func (f *fakeStore) Accounts(ctx context.Context) ([]domain.Account, error) {
	f.mu.Lock()
	f.lists++
	f.mu.Unlock()
	if err := f.wait(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []domain.Account
	for sid := range f.tokens {
		list = append(list, domain.Account{AccountSid: sid})
	}
	return list, nil
}

func (f *fakeStore) wait(ctx context.Context) error {
	f.mu.Lock()
	hold, err := f.hold, f.err
	f.mu.Unlock()
	if hold == nil {
		return err
	}
	select {
	case <-hold:
		return err
	case <-ctx.Done():
		return domain.Errorf(domain.KindUnavailable, "account: %w", ctx.Err())
	}
}

// rig is a cache over a fake store, with a clock that is moved by hand.
type rig struct {
	*accounts.Cache
	t      *testing.T
	store  *fakeStore
	mu     sync.Mutex
	now    time.Time
	reader *sdkmetric.ManualReader
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, store: &fakeStore{tokens: map[string]string{"AC1": "one", "AC2": "two"}}, now: time.Now(), reader: sdkmetric.NewManualReader()}
	cache, err := accounts.New(t.Context(), r.store, sdkmetric.NewMeterProvider(sdkmetric.WithReader(r.reader)).Meter("test"), r.time)
	if err != nil {
		t.Fatal(err)
	}
	r.Cache = cache
	return r
}

// pass moves the clock.
func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

func (r *rig) time() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// want fails the test unless the credentials, and those renewed, are as described: a token, or a kind of error.
func (r *rig) want(sid, want string) { r.t.Helper(); r.told(sid, want, r.Credentials) }

func (r *rig) wantRenewed(sid, want string) { r.t.Helper(); r.told(sid, want, r.Renewed) }

func (r *rig) told(sid, want string, of func(context.Context, string) (domain.Credentials, error)) {
	r.t.Helper()
	credentials, err := of(r.t.Context(), sid)
	got := strings.Join(credentials.AuthTokens, " ")
	if err != nil {
		got = string(domain.KindOf(err))
	}
	if got != want {
		r.t.Errorf("of %s: got %s (%v), want %s", sid, got, err, want)
	}
}

// asked fails the test unless the store was asked so often since the last time.
func (r *rig) asked(loads, lists int) {
	r.t.Helper()
	if r.store.loads != loads || r.store.lists != lists {
		r.t.Fatalf("the store was asked for %d accounts and %d lists, want %d and %d", r.store.loads, r.store.lists, loads, lists)
	}
	r.store.loads, r.store.lists = 0, 0
}

func (r *rig) counted(name string, attributes ...attribute.KeyValue) int64 {
	r.t.Helper()
	var all metricdata.ResourceMetrics
	if err := r.reader.Collect(context.Background(), &all); err != nil {
		r.t.Fatal(err)
	}
	want := attribute.NewSet(attributes...)
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if sum, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == name {
				for _, point := range sum.DataPoints {
					if point.Attributes.Equals(&want) {
						return point.Value
					}
				}
			}
		}
	}
	return 0
}

func (r *rig) lookups(result string) int64 {
	r.t.Helper()
	return r.counted("parley.webhook.account_lookups", attribute.String("result", result))
}

func TestCredentialsAreLoadedOnceIn15Seconds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for range 3 {
		r.want("AC1", "one")
	}
	r.want("AC2", "two")
	r.asked(2, 1)
	r.store.tokens["AC1"] = "newer"
	r.pass(14 * time.Second)
	r.want("AC1", "one")
	r.asked(0, 0)
	r.pass(time.Second)
	r.want("AC1", "newer")
	r.asked(1, 0) // one that is remembered needs no list
	if hits, misses := r.lookups("hit"), r.lookups("miss"); hits != 3 || misses != 3 {
		t.Errorf("counted %d hits and %d misses, want 3 and 3", hits, misses)
	}
	if n := r.counted("parley.webhook.account_loads", attribute.String("of", "account"), attribute.Bool("answered", true)); n != 3 {
		t.Errorf("counted %d loads, want 3", n)
	}
}

func TestStrangersCostNoStatementEach(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for n := range 10_000 {
		r.want(fmt.Sprintf("AC%032x", n), "not_found")
		if n == 5_000 {
			r.want("AC1", "one") // an account of ours in the middle, that nobody has asked for before
		}
		r.pass(time.Millisecond)
	}
	r.asked(1, 2) // 10 s
	if n := r.lookups("stranger"); n != 10_000 {
		t.Errorf("counted %d strangers, want 10000", n)
	}
	if n := r.counted("parley.webhook.account_loads", attribute.String("of", "list"), attribute.Bool("answered", true)); n != 2 {
		t.Errorf("counted %d lists, want 2", n)
	}
}

func TestAnAccountThatIsAddedIsKnownSoonAndOneThatIsRemovedIsNot(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("AC3", "not_found")
	r.store.tokens["AC3"] = "three"
	r.pass(4 * time.Second)
	r.want("AC3", "not_found")
	r.pass(time.Second)
	r.want("AC3", "three")
	r.asked(1, 2)

	delete(r.store.tokens, "AC3")
	r.pass(14 * time.Second)
	r.want("AC3", "three")
	r.pass(time.Second)
	r.want("AC3", "not_found")
	r.asked(1, 0)
	r.want("AC3", "not_found") // by a new list
	r.asked(0, 1)
	r.store.tokens["AC4"] = "four"
	r.pass(6 * time.Second)
	r.want("AC4", "four")
	delete(r.store.tokens, "AC4")
	r.wantRenewed("AC4", "not_found")
	r.asked(2, 1)
	r.want("AC4", "not_found") // it is off the list too
	r.asked(0, 0)
}

func TestATokenThatWasChangedIsLoadedAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("AC1", "one")
	r.store.tokens["AC1"] = "newer"
	r.want("AC1", "one")
	r.wantRenewed("AC1", "newer")
	r.want("AC1", "newer")
	r.asked(2, 1)

	for range 1000 { // strangers who know the sid
		r.wantRenewed("AC1", "newer")
	}
	r.asked(4, 0)
	r.store.tokens["AC1"] = "newest"
	r.wantRenewed("AC1", "newer")
	r.wantRenewed("AC2", "two") // each account has its own limit
	r.pass(time.Second)
	r.wantRenewed("AC1", "newest")
	r.wantRenewed("AC3", "not_found")
}

func TestWhileTheStoreIsAwayOnlyWhatIsNotKnownFails(t *testing.T) {
	t.Parallel()
	for _, kind := range []domain.Kind{domain.KindUnavailable, domain.KindConfiguration, domain.KindInternal} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.want("AC1", "one")
				r.asked(1, 1)
				r.store.err = domain.Errorf(kind, "the store does not answer")
				r.pass(10 * time.Second)
				r.want("AC1", "one")
				r.asked(0, 0)
				r.wantRenewed("AC1", string(kind)) // what is remembered refuses nobody
				r.want("AC1", "one")
				r.want("AC2", string(kind))
				r.want("AC3", string(kind))
				r.asked(1, 1)

				for range 100 { // 10 s, ten requests a second for each
					r.pass(100 * time.Millisecond)
					r.want("AC1", "one")
					synctest.Wait()
					r.wantRenewed("AC1", string(kind))
					r.want("AC3", string(kind))
				}
				r.asked(10, 10)
				if n := r.lookups("stale"); n < 50 || n > 60 { // from 15 s on
					t.Errorf("counted %d stale look-ups, want some 50", n)
				}
				r.pass(9*time.Minute + 39*time.Second)
				r.want("AC1", "one")
				r.pass(time.Second)
				r.want("AC1", string(kind))

				synctest.Wait()
				r.store.err = nil
				r.pass(time.Second)
				r.want("AC1", "one")
				r.wantRenewed("AC1", "one")
				r.want("AC2", "two")
				r.want("AC3", "not_found")
				if n := r.counted("parley.webhook.account_loads", attribute.String("of", "list"), attribute.Bool("answered", false)); n != 11 {
					t.Errorf("counted %d lists without an answer, want 11", n)
				}
			})
		})
	}
}

// Only who asks first waits for a store that hangs: the others are told what is remembered at once, and the store is asked again meanwhile.
func TestNobodyWaitsForAStoreThatDidNotAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.want("AC1", "one")
		r.asked(1, 1)
		r.pass(20 * time.Second)
		r.store.hold = make(chan struct{})
		var waited atomic.Int64
		var requests sync.WaitGroup
		for range 100 { // all at once
			requests.Go(func() {
				began := time.Now()
				r.want("AC1", "one")
				waited.Add(int64(time.Since(began)))
			})
		}
		requests.Wait()
		if took := time.Duration(waited.Load()); took != 2*time.Second {
			t.Errorf("all together waited %s, want 2 s", took)
		}
		for range 600 { // a minute
			began := time.Now()
			r.want("AC1", "one")
			if took := time.Since(began); took != 0 {
				t.Errorf("a later one waited %s", took)
			}
			r.pass(100 * time.Millisecond)
			time.Sleep(100 * time.Millisecond)
		}
		if !r.Remembers("AC1") || r.Remembers("AC2") || r.Remembers("AC3") {
			t.Error("AC1 alone is remembered")
		}
		time.Sleep(2 * time.Second) // the question that hangs ends
		synctest.Wait()
		close(r.store.hold)
		r.store.tokens["AC1"] = "newer"
		r.pass(2 * time.Second)
		r.want("AC1", "one") // it is asked for
		synctest.Wait()
		r.want("AC1", "newer")
	})
}

// Once the store answers again, what it no longer has opens nothing, however long nobody asked.
func TestAnOutageThatIsOverServesNothingOld(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("AC1", "one")
	r.pass(20 * time.Second)
	r.store.err = domain.Errorf(domain.KindUnavailable, "the store does not answer")
	r.want("AC1", "one")
	r.store.err = nil
	r.store.tokens["AC1"] = "newer"
	r.pass(15 * time.Second)
	r.want("AC1", "newer")
}

func TestASidIsLoadedOnceAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.want("AC2", "two") // the list is there
		r.asked(1, 1)
		r.store.hold = make(chan struct{})
		var requests sync.WaitGroup
		for range 100 {
			requests.Go(func() { r.want("AC1", "one") })
		}
		synctest.Wait()
		close(r.store.hold)
		requests.Wait()
		r.asked(1, 0)
	})
}

func TestWhoAsksIsAnsweredInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.want("AC1", "one")
		r.pass(time.Minute)
		r.store.hold = make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		started := time.Now()
		if credentials, err := r.Credentials(ctx, "AC1"); err != nil || credentials.AuthTokens[0] != "one" {
			t.Errorf("got %v and %v, want what is remembered", credentials, err)
		}
		if _, err := r.Credentials(ctx, "AC2"); domain.KindOf(err) != domain.KindUnavailable || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want that it took too long", err)
		}
		if took := time.Since(started); took > time.Second {
			t.Errorf("it took %s, want a second", took)
		}
		// The question goes on without who asked, and ends.
		time.Sleep(2 * time.Second)
		synctest.Wait()
		r.want("AC1", "one")
		r.asked(2, 2)
	})
}

func TestTheLeastUsedIsForgotten(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for n := range 4095 {
		r.store.tokens[fmt.Sprintf("AC1%04d", n)] = "token"
	}
	r.want("AC1", "one")
	r.want("AC2", "two")
	for n := range 4094 {
		r.want(fmt.Sprintf("AC1%04d", n), "token")
	}
	r.want("AC1", "one")
	r.asked(4096, 1)
	r.want("AC14094", "token") // the 4097th
	r.want("AC1", "one")
	r.asked(1, 0)
	r.want("AC2", "two")
	r.asked(1, 0)
}
