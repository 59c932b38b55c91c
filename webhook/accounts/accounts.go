// Package accounts remembers the credentials of Twilio accounts, so that a request costs no statement, and a database that is
// away for some minutes stops no message.
//
// The webhook puts it between the store and its edge. It declares the little it needs of the store.
//
// What it says of an account:
//
//	loaded less than 15 s ago      its credentials
//	loaded before that             loaded again, and as they were for who asks meanwhile; while the store does not answer, as they
//	                               were for up to 10 minutes
//	on the list of all accounts    loaded
//	not on the list                KindNotFound; the list is at most 5 s old
//	nothing that is recent enough  the store's error: what cannot be told is no denial
//
// Strangers choose the account that they name, and may name another one each time. That is why a sid that is not remembered costs no
// statement of its own: the list is loaded once in 5 s at most, whoever asks, and tells strangers from an account of ours.
package accounts

import (
	"container/list"
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"parley/internal/domain"
)

// How long what the store said is good for.
const (
	freshFor  = 15 * time.Second // credentials: what was signed with a token that is taken away is refused after this
	listedFor = 5 * time.Second  // the list: an account that is added is known after this
	UsableFor = 10 * time.Minute // credentials, while the store does not answer
)

const (
	// Anybody who knows an account's sid can have its credentials renewed: so often at once, then once a second.
	renewalsAtOnce = 5
	// What is remembered at most; the account that was asked for least recently is forgotten first.
	maxAccounts = 4096
)

// Store knows the Twilio accounts of all owners.
type Store interface {
	// Credentials returns an account's credentials, KindNotFound for one that is not ours.
	Credentials(ctx context.Context, accountSid string) (domain.Credentials, error)
	// Accounts returns every account.
	Accounts(ctx context.Context) ([]domain.Account, error)
}

// Cache is what is remembered of the store.
type Cache struct {
	store   Store
	now     func() time.Time
	counts  counters
	loading singleflight.Group // by sid, or listKey

	mu     sync.Mutex
	bySid  map[string]*list.Element
	recent *list.List // of *account, the least recently asked for is the last
	listed memory[map[string]bool]
}

// account is what is remembered of an account of ours.
type account struct {
	sid      string
	renewals *rate.Limiter
	waiting  int // requests that wait for the store to tell of it
	memory[domain.Credentials]
}

// silent reports whether waiting for the store may be waiting in vain: somebody waits already, or it did not answer of late.
func (a *account) silent(now time.Time) bool {
	return a.waiting > 0 || (a.problem != nil && now.Sub(a.askedAt) < freshFor)
}

// New returns a cache that remembers nothing yet.
func New(ctx context.Context, store Store, meter metric.Meter, now func() time.Time) (*Cache, error) {
	counts, err := newCounters(ctx, meter)
	if err != nil {
		return nil, err
	}
	return &Cache{store: store, now: now, counts: counts, bySid: map[string]*list.Element{}, recent: list.New()}, nil
}

// Credentials returns an account's credentials, which may be some seconds old, or some minutes while the store is away. It returns
// KindNotFound for an account that is not ours, and another kind where that cannot be told.
func (c *Cache) Credentials(ctx context.Context, accountSid string) (domain.Credentials, error) {
	known, err := c.find(ctx, accountSid)
	if err != nil {
		return domain.Credentials{}, err
	}
	now := c.now()
	c.mu.Lock()
	old, fresh, usable := known.value, known.loadedWithin(freshFor, now), known.loadedWithin(UsableFor, now)
	waits := !fresh && (!usable || !known.silent(now))
	if waits {
		known.waiting++
	}
	c.mu.Unlock()
	if fresh {
		c.counts.lookup(ctx, resultHit)
		return old, nil
	}
	if !waits {
		c.question(ctx, known)
		c.counts.lookup(ctx, resultStale)
		return old, nil
	}
	credentials, err := c.load(ctx, known)
	if err != nil && domain.KindOf(err) != domain.KindNotFound && usable {
		c.counts.lookup(ctx, resultStale)
		return old, nil
	}
	c.counts.lookup(ctx, resultMiss)
	return credentials, err
}

// Remembers reports whether an account's credentials are at hand, should the store not answer.
func (c *Cache) Remembers(accountSid string) bool {
	known := c.remembered(accountSid)
	if known == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return known.loadedWithin(UsableFor, c.now())
}

// Renewed returns an account's credentials as the store has them now, for a request that those of Credentials did not sign: a token
// may have been added since. Where that is asked too often they are as of the last time, about a second ago. It returns an error
// where the store does not answer: nobody may be refused by what is remembered then.
func (c *Cache) Renewed(ctx context.Context, accountSid string) (domain.Credentials, error) {
	known, err := c.find(ctx, accountSid)
	if err != nil {
		return domain.Credentials{}, err
	}
	allowed := known.renewals.AllowN(c.now(), 1)
	c.mu.Lock()
	value, problem := known.value, known.problem
	if allowed {
		known.waiting++
	}
	c.mu.Unlock()
	if !allowed {
		return value, problem
	}
	return c.load(ctx, known)
}

// find returns what is remembered of an account; of one that is only on the list that is nothing yet.
func (c *Cache) find(ctx context.Context, sid string) (*account, error) {
	if known := c.remembered(sid); known != nil {
		return known, nil
	}
	ours, err := c.isListed(ctx, sid)
	if err != nil {
		c.counts.lookup(ctx, resultMiss)
		return nil, err
	}
	if !ours {
		c.counts.lookup(ctx, resultStranger)
		return nil, domain.Errorf(domain.KindNotFound, "account: not found")
	}
	return c.remember(sid), nil
}

func (c *Cache) remembered(sid string) *account {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.use(sid)
}

// use returns an account that is remembered, as the one that was asked for last. The caller holds mu.
func (c *Cache) use(sid string) *account {
	element, ok := c.bySid[sid]
	if !ok {
		return nil
	}
	c.recent.MoveToFront(element)
	return element.Value.(*account) //nolint:forcetypeassert // the list holds nothing else
}

// remember makes room for an account, unless another request has done so meanwhile.
func (c *Cache) remember(sid string) *account {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.use(sid); known != nil {
		return known
	}
	known := &account{sid: sid, renewals: rate.NewLimiter(1, renewalsAtOnce)}
	c.bySid[sid] = c.recent.PushFront(known)
	if c.recent.Len() > maxAccounts {
		c.drop(c.recent.Back())
	}
	return known
}

// drop forgets an account. The caller holds mu.
func (c *Cache) drop(element *list.Element) {
	known := c.recent.Remove(element).(*account) //nolint:forcetypeassert // the list holds nothing else
	delete(c.bySid, known.sid)
}

// forget forgets an account that is not ours any more, on the list too.
func (c *Cache) forget(sid string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.listed.value, sid)
	if element, ok := c.bySid[sid]; ok {
		c.drop(element)
	}
}

// load asks the store for an account, for a request that was counted as waiting.
func (c *Cache) load(ctx context.Context, known *account) (domain.Credentials, error) {
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		known.waiting--
	}()
	return ask(ctx, c, known.sid, &known.memory, c.loads(known))
}

// question asks the store for an account, and waits for nothing.
func (c *Cache) question(ctx context.Context, known *account) {
	question(ctx, c, known.sid, &known.memory, c.loads(known))
}

func (c *Cache) loads(known *account) func(context.Context) (domain.Credentials, error) {
	return func(ctx context.Context) (domain.Credentials, error) {
		credentials, err := c.store.Credentials(ctx, known.sid)
		if err != nil && domain.KindOf(err) == domain.KindNotFound {
			c.forget(known.sid)
		}
		return credentials, err
	}
}

// isListed reports whether an account is ours, by the list.
func (c *Cache) isListed(ctx context.Context, sid string) (bool, error) {
	c.mu.Lock()
	ours, fresh := c.listed.value[sid], c.listed.loadedWithin(listedFor, c.now())
	c.mu.Unlock()
	if fresh {
		return ours, nil
	}
	listed, err := ask(ctx, c, listKey, &c.listed, c.list)
	if err != nil {
		return false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return listed[sid], nil
}

func (c *Cache) list(ctx context.Context) (map[string]bool, error) {
	accounts, err := c.store.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	sids := make(map[string]bool, len(accounts))
	for _, account := range accounts {
		sids[account.AccountSid] = true
	}
	return sids, nil
}
