package edge

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How many requests that were not verified are each told what is wrong, and logged.
const (
	atOnce       = 60 // of one address, and then perSecond
	perSecond    = 1
	atOnceAll    = 600 // of all addresses together
	perSecondAll = 10
	maxAddresses = 4096 // that are remembered
	logEvery     = 10 * time.Second
	retryAfter   = "60" // seconds
)

// strangers counts the requests that were not verified. It refuses nobody: it is asked only about what is refused already. Behind a load
// balancer all requests come from one address, and one that had thousands refused may send a message of ours next, which Twilio would not
// repeat after a 429. What a request costs before it is refused is bounded by other means: see package accounts.
type strangers struct {
	now func() time.Time

	mu     sync.Mutex
	all    *rate.Limiter
	each   map[netip.Prefix]*rate.Limiter
	silent map[bool]*silence // of requests that name an account of ours, and of the others, so that neither hide behind the other
}

// silence is what the log was spared.
type silence struct {
	since time.Time
	lines int
}

func newStrangers(now func() time.Time) *strangers {
	return &strangers{
		now: now, all: rate.NewLimiter(perSecondAll, atOnceAll), each: map[netip.Prefix]*rate.Limiter{},
		silent: map[bool]*silence{true: {}, false: {}},
	}
}

// refusal says how a request is refused that was not verified.
type refusal struct {
	tooMany bool
	logged  bool
	spared  int // requests like it since the last line
}

// refuse counts a request of a remote address (host:port). known says that it names an account of ours.
func (s *strangers) refuse(remote string, known bool) refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	one, all := s.limit(network(remote)).AllowN(now, 1), s.all.AllowN(now, 1)
	silent, tooMany := s.silent[known], !one || !all
	if tooMany && now.Sub(silent.since) < logEvery {
		silent.lines++
		return refusal{tooMany: true}
	}
	spared := silent.lines
	silent.since, silent.lines = now, 0
	return refusal{tooMany, true, spared}
}

// limit returns the limit of one network. Where too many are remembered all are forgotten: they meet the limit of all together.
func (s *strangers) limit(from netip.Prefix) *rate.Limiter {
	limit, ok := s.each[from]
	if !ok {
		if len(s.each) >= maxAddresses {
			clear(s.each)
		}
		limit = rate.NewLimiter(perSecond, atOnce)
		s.each[from] = limit
	}
	return limit
}

// network is who counts as one: an IPv4 address, or the /64 that an IPv6 host has for itself. What is no address counts as one too.
func network(remote string) netip.Prefix {
	from, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	address, bits := from.Addr().Unmap().WithZone(""), 64
	if address.Is4() {
		bits = 32
	}
	prefix, _ := address.Prefix(bits) // no address has fewer
	return prefix
}
