package main

import (
	"context"
	"sync"
	"time"

	"parley/webhook/accounts"
)

// pingTimeout bounds a question to the database: below the second for which Kubernetes lets a probe wait where nobody says otherwise.
const pingTimeout = 700 * time.Millisecond

// readiness says whether requests should be sent to this process. A database that is away is no reason against it: it is away for every
// process, and a load balancer without any has Twilio lose what they would have taken, by the accounts that they remember. A process that has
// not reached the database yet remembers none, nor does one that has not reached it for as long as they are good for.
type readiness struct {
	ping func(context.Context) error
	now  func() time.Time

	mu      sync.Mutex
	reached time.Time // zero: never
}

// check returns why no request should be sent, or nil.
func (r *readiness) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	err := r.ping(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.reached = r.now()
		return nil
	}
	if !r.reached.IsZero() && r.now().Sub(r.reached) < accounts.UsableFor {
		return nil
	}
	return err
}
