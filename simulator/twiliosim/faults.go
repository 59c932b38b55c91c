package twiliosim

import (
	"cmp"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"

	"parley/internal/domain"
)

// faults returns what can go wrong with one message, as rules. The place of a fault is a part of its magic number and of
// what a seed draws: new ones come last.
func faults() []Rule {
	return []Rule{
		{fault: "throttled", StatusCode: http.StatusTooManyRequests, Code: codeTooManyRequests, RetryAfter: 1},
		{fault: "throttled_without_retry_after", StatusCode: http.StatusTooManyRequests, Code: codeTooManyRequests},
		{fault: "gateway_page", StatusCode: http.StatusBadGateway},
		{fault: "gateway_page_accepted", StatusCode: http.StatusBadGateway, Accepted: true},
		{fault: "hold", Answer: AnswerHold},
		{fault: "hold_accepted", Answer: AnswerHold, Accepted: true},
		{fault: "reset", Answer: AnswerReset},
		{fault: "reset_accepted", Answer: AnswerReset, Accepted: true},
		{fault: "garbage_accepted", Answer: AnswerGarbage, Accepted: true},
		{fault: "slow", ResponseDelayMS: 2000},
		{fault: "callbacks_early", Callbacks: CallbacksEarly},
		{fault: "callbacks_none", Callbacks: CallbacksNone},
		{fault: "callbacks_twice", Callbacks: CallbacksTwice},
		{fault: "callbacks_reversed", Callbacks: CallbacksReversed},
		{fault: "opted_out", Status: domain.StatusFailed, ErrorCode: codeOptedOut},
		{fault: "outside_window", Status: domain.StatusUndelivered, ErrorCode: codeOutsideWindow},
		// With neither an answer nor a callback the list is all there is.
		{fault: "list_late", Answer: AnswerReset, Accepted: true, Callbacks: CallbacksNone, ListDelayMS: 3000},
		{fault: "failed_twin", Answer: AnswerReset, Accepted: true, Callbacks: CallbacksNone, Twin: true},
	}
}

// Magic numbers of our own, beside Twilio's: +15005550100 meets the first of the faults, +15005550101 the second, and so
// on, each time.
const magicPrefix = "+150055501"

// magic returns the fault of a magic number, and reports whether the recipient is one.
func magic(to string) (Rule, bool) {
	place, found := strings.CutPrefix(to, magicPrefix)
	i, err := strconv.Atoi(place)
	if all := faults(); found && err == nil && len(place) == 2 && i >= 0 && i < len(all) {
		return all[i], true
	}
	return Rule{}, false
}

// Random lets a share of the creates meet a fault. What a create meets depends on the seed, its recipient and how many the
// recipient had since the rule was set, and on nothing else: not on who comes first, so that a run can be replayed.
type Random struct {
	Seed uint64  `json:"seed"`
	Rate float64 `json:"rate"` // the share, above 0, up to 1
}

// draw returns the fault of a recipient's n-th create, and false where it meets none.
func (r Random) draw(to string, n int) (Rule, bool) {
	key := fnv.New64a()
	_, _ = key.Write([]byte(to + "#" + strconv.Itoa(n))) // never fails
	generator := rand.New(rand.NewPCG(r.Seed, key.Sum64()))
	if generator.Float64() >= r.Rate {
		return Rule{}, false
	}
	all := faults()
	return all[generator.IntN(len(all))], true
}

// paced returns a fault with the delays of the rule under which it happens. A fault that has no delay of its own to answer
// or to be listed gets none.
func (r Rule) paced(by Rule) Rule {
	r.CallbackDelayMS, r.PriceDelayMS = by.CallbackDelayMS, by.PriceDelayMS
	if r.ResponseDelayMS > 0 {
		r.ResponseDelayMS = cmp.Or(by.ResponseDelayMS, r.ResponseDelayMS)
	}
	if r.ListDelayMS > 0 {
		r.ListDelayMS = cmp.Or(by.ListDelayMS, r.ListDelayMS)
	}
	return r
}

// scripted is a rule in force.
type scripted struct {
	Rule
	creates map[string]int // that it was applied to, by recipient
	applied int            // to how many, of whomever
}

// next returns what a create meets, and whether the rule is used up.
func (s *scripted) next(to string) (rule Rule, over bool) {
	s.applied++
	over = s.applied == s.Times
	if s.Random == nil {
		return s.Rule, over
	}
	s.creates[to]++
	fault, _ := s.Random.draw(to, s.creates[to])
	return fault.paced(s.Rule), over
}
