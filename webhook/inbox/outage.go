package inbox

import (
	"sync"
	"time"
)

// retryAfter is how long after a failure nobody waits for Temporal: short, so that it is found again within seconds.
const retryAfter = time.Second

// outage remembers whether Temporal took the last start. While it does not, one start at a time is tried, each a moment after the last
// one failed. The zero value has Temporal there.
type outage struct {
	mu     sync.Mutex
	away   bool
	trying bool      // somebody finds out
	until  time.Time // nobody tries before
}

// mayTry reports whether a start should be tried now. Whoever tries one has to report it.
func (o *outage) mayTry(now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.away {
		return true
	}
	if o.trying || now.Before(o.until) {
		return false
	}
	o.trying = true
	return true
}

// report tells how a start went, asked for or not.
func (o *outage) report(now time.Time, there bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.away, o.trying, o.until = !there, false, now.Add(retryAfter)
}
