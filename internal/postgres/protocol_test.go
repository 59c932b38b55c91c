package postgres_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"parley/internal/domain"
)

// TestProtocol lets two messages of one pair, each of two parts, go through everything that can happen to them in a random
// order: reservations, claims of any attempt, POSTs with every answer, answers that come late or never, callbacks of every status, charges,
// look-ups in vain, parks and ends. After each step the rows must say what a simple model of the protocol says, what must hold must hold, and
// the books balance.
func TestProtocol(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for n := range 4 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, uint64(n)))
			for range 25 {
				newWorld(t, s.another(), random).run(t, 60)
			}
		})
	}
}

// place is one attempt of one of the two messages.
type place struct{ flow, part, attempt int }

// modelAttempt is what the model knows of an attempt.
type modelAttempt struct {
	state    domain.AttemptState
	resolved bool
	old      bool // nothing of it can be under way
}

// execution is one run of the step that sends, from the grant of its claim on.
type execution struct {
	place
	answer domain.Resolution // state empty: it has not posted yet
}

// world is the pair, Twilio and the executions under way, beside the model of the rows.
type world struct {
	random *rand.Rand
	flows  [2]flow
	steps  []string // for people

	executions []*execution
	sent       []place // all that Twilio accepted, in order
	sids       map[place]string
	retried    map[[2]int]int // flow and part: attempts begun although an earlier one may have been sent

	attempts map[place]*modelAttempt
	state    [2]domain.ReplyState
	parked   [2]bool // a person is waited for
	finished [2]bool
	holder   place
	lock     string // free, held, or expiring: given up while something may be under way
}

const (
	held     = "held"
	expiring = "expiring"
)

func newWorld(t *testing.T, s *store, random *rand.Rand) *world {
	t.Helper()
	return &world{
		random: random, flows: [2]flow{s.inbound(t, "Hello", twoParts()), s.outbound(t, twoParts())},
		sids: map[place]string{}, retried: map[[2]int]int{}, attempts: map[place]*modelAttempt{},
		state: [2]domain.ReplyState{domain.ReplyPending, domain.ReplyPending}, holder: place{flow: -1}, lock: free,
	}
}

func (w *world) run(t *testing.T, steps int) {
	t.Helper()
	for n := range steps {
		w.step(t)
		w.compare(t)
		w.check(t)
		if n%10 == 0 { // it looks at all that ever was
			w.flows[0].balanced(t)
		}
		w.stop(t)
	}
	for i, f := range w.flows {
		w.log("time passes for %d", i)
		w.age(t, i)
		w.finish(t, i, true)
		f.paidFor(t)
	}
	w.flows[0].balanced(t)
	w.stop(t)
}

// stop ends a test that has failed, and says how it came to that.
func (w *world) stop(t *testing.T) {
	t.Helper()
	if t.Failed() {
		t.Fatalf("after\n%s", strings.Join(w.steps, "\n"))
	}
}

func (w *world) log(format string, args ...any) {
	w.steps = append(w.steps, fmt.Sprintf(format, args...))
}

// any returns an attempt, of what was begun where there is such.
func (w *world) begun() (place, bool) {
	all := slices.SortedFunc(maps.Keys(w.attempts), func(a, b place) int {
		return (a.flow-b.flow)*100 + (a.part-b.part)*10 + a.attempt - b.attempt
	})
	if len(all) == 0 {
		return place{}, false
	}
	return all[w.random.IntN(len(all))], true
}

func (w *world) step(t *testing.T) {
	t.Helper()
	i := w.random.IntN(2)
	f := w.flows[i]
	switch n := w.random.IntN(100); {
	case n < 35:
		w.claim(t, place{i, 1 + w.random.IntN(2), 1 + w.random.IntN(3)})
	case n < 55:
		w.post()
	case n < 70:
		w.record(t)
	case n < 80:
		w.callBack(t)
	case n < 85:
		w.log("time passes for %d", i)
		w.age(t, i)
	case n < 87:
		w.log("reserve")
		w.flows[0].reserve(t)
	case n < 89:
		w.settle(t, i)
	case n < 94:
		w.declare(t)
	case n < 97:
		w.log("park %d", i)
		f.park(t)
		w.parked[i] = !w.finished[i]
		if !w.finished[i] && w.state[i] == domain.ReplyPending {
			w.state[i] = domain.ReplyParked
		}
		w.giveUp(i)
	default:
		w.finish(t, i, w.random.IntN(2) == 0)
	}
}

func (w *world) age(t *testing.T, i int) {
	t.Helper()
	w.flows[i].age(t)
	for p, a := range w.attempts {
		a.old = a.old || p.flow == i
	}
	if w.lock == expiring && w.holder.flow == i {
		w.lock = free
	}
}

// settle charges what is accepted, and must not charge anything else.
func (w *world) settle(t *testing.T, i int) {
	t.Helper()
	f := w.flows[i]
	_, err := f.messages.Settle(t.Context(), acme, f.workflowID, f.messageID)
	w.log("settle %d: %v", i, err)
	if !w.accepted(i, 1) {
		wantKind(t, err, domain.KindConflict)
		return
	}
	must(t, err)
	f.paidFor(t)
}

// claim begins an attempt, or must not.
func (w *world) claim(t *testing.T, p place) {
	t.Helper()
	want := w.decide(p)
	got := w.flows[p.flow].claim(t, p.part, p.attempt)
	w.log("claim %v: %s", p, got)
	equal(t, fmt.Sprint("claim of ", p), got, want)
	if got != granted {
		return
	}
	for q, a := range w.attempts {
		if q.flow == p.flow && q.part == p.part && a.state == domain.AttemptUnknown {
			w.retried[[2]int{p.flow, p.part}]++ // only an operator does so
			break
		}
	}
	w.attempts[p] = &modelAttempt{state: domain.AttemptBegun}
	w.holder, w.lock, w.parked[p.flow] = p, held, false
	if w.state[p.flow] == domain.ReplyParked {
		w.state[p.flow] = domain.ReplyPending
	}
	w.executions = append(w.executions, &execution{place: p})
}

// decide is the claim's answer by the model.
func (w *world) decide(p place) string {
	perhapsSent := false
	for q, a := range w.attempts {
		if q.flow != p.flow || q.part != p.part {
			continue
		}
		if a.state == domain.AttemptAccepted {
			return string(domain.ClaimResolved)
		}
		if q != p && (!a.resolved || (a.state == domain.AttemptUnknown && q.attempt > p.attempt)) {
			perhapsSent = true
		}
	}
	if own := w.attempts[p]; own != nil {
		switch own.state {
		case domain.AttemptBegun:
			return string(domain.ClaimBegun)
		case domain.AttemptRefused, domain.AttemptUnknown:
			return string(domain.ClaimResolved)
		default: // not sent: afresh
		}
	}
	state := w.state[p.flow]
	switch {
	case perhapsSent:
		return conflict
	case w.finished[p.flow], !state.Open() && (state != domain.ReplyAnswered || p.part == 1):
		return string(domain.ClaimClosed)
	case p.part > 1 && !w.accepted(p.flow, p.part-1):
		return conflict
	case p.part > 1 && w.holder.flow != p.flow:
		return overtaken
	case w.lock != free && w.holder.flow != p.flow:
		return busy
	case p.part > 1 && w.underWay(p.flow, p.part):
		return busy
	default:
		return granted
	}
}

// underWay reports whether an attempt of another part may be.
func (w *world) underWay(flow, part int) bool {
	for p, a := range w.attempts {
		if p.flow == flow && p.part != part && !a.resolved && !a.old {
			return true
		}
	}
	return false
}

func (w *world) accepted(flow, part int) bool {
	for p, a := range w.attempts {
		if p.flow == flow && p.part == part && a.state == domain.AttemptAccepted {
			return true
		}
	}
	return false
}

// post lets an execution make its POST; one that is late makes none.
func (w *world) post() {
	var ready []*execution
	for _, e := range w.executions {
		if e.answer.State == "" {
			ready = append(ready, e)
		}
	}
	if len(ready) == 0 {
		return
	}
	e := ready[w.random.IntN(len(ready))]
	answers := []domain.AttemptState{domain.AttemptAccepted, domain.AttemptRefused, domain.AttemptNotSent, domain.AttemptUnknown}
	e.answer.State = answers[w.random.IntN(len(answers))]
	if w.attempts[e.place].old {
		e.answer.State = domain.AttemptNotSent
	}
	arrived := e.answer.State == domain.AttemptAccepted || (e.answer.State == domain.AttemptUnknown && w.random.IntN(2) == 0)
	w.log("POST of %v: %s, arrived: %v", e.place, e.answer.State, arrived)
	if arrived {
		w.sids[e.place] = newSid()
		w.sent = append(w.sent, e.place)
	}
	if e.answer.State == domain.AttemptAccepted {
		e.answer = accepted(w.sids[e.place])
	}
}

// record lets an execution store its answer, or die.
func (w *world) record(t *testing.T) {
	t.Helper()
	if len(w.executions) == 0 {
		return
	}
	n := w.random.IntN(len(w.executions))
	e := w.executions[n]
	w.executions = slices.Delete(w.executions, n, n+1)
	if e.answer.State == "" || w.random.IntN(5) == 0 {
		w.log("the execution of %v dies", e.place)
		return
	}
	w.log("recorded of %v: %s", e.place, e.answer.State)
	w.flows[e.flow].resolve(t, e.part, e.attempt, e.answer)
	if e.answer.State == domain.AttemptAccepted {
		w.bind(e.place)
		return
	}
	a := w.attempts[e.place]
	if a.state != domain.AttemptBegun && a.state != domain.AttemptUnknown {
		return
	}
	a.state, a.resolved = e.answer.State, a.resolved || e.answer.State != domain.AttemptUnknown
	between := e.part > 1 && a.state == domain.AttemptNotSent
	if a.state != domain.AttemptUnknown && !between && w.holder == e.place {
		w.lock = free
	}
}

func (w *world) callBack(t *testing.T) {
	t.Helper()
	if len(w.sent) == 0 {
		return
	}
	p := w.sent[w.random.IntN(len(w.sent))]
	statuses := []domain.Status{domain.StatusSent, domain.StatusCanceled, domain.StatusFailed, domain.StatusUndelivered, domain.StatusDelivered}
	status := statuses[w.random.IntN(len(statuses))]
	w.log("callback for %v: %s", p, status)
	change := w.flows[p.flow].apply(t, callback(w.flows[p.flow].key(p.part, p.attempt), w.sids[p], status, 0))
	a := w.attempts[p]
	sought := a.state == domain.AttemptUnknown || a.old || w.parked[p.flow]
	equal(t, "found", change.Found, a.state != domain.AttemptAccepted && sought)
	w.bind(p)
}

func (w *world) bind(p place) {
	a := w.attempts[p]
	if a.state == domain.AttemptAccepted {
		return
	}
	a.state, a.resolved = domain.AttemptAccepted, true
	if p.part > 1 || w.state[p.flow] != domain.ReplyAnswered {
		w.parked[p.flow] = false
	}
	if p.part == 1 {
		w.state[p.flow] = domain.ReplyAnswered
	} else {
		w.giveUp(p.flow)
	}
}

// giveUp frees the pair that a message has, as soon as nothing of it can be under way.
func (w *world) giveUp(flow int) {
	if w.holder.flow != flow {
		return
	}
	w.lock = free
	for p, a := range w.attempts {
		if p.flow == flow && !a.resolved && !a.old {
			w.lock = expiring
		}
	}
}

func (w *world) declare(t *testing.T) {
	t.Helper()
	p, ok := w.begun()
	if !ok {
		return
	}
	a := w.attempts[p]
	_, err := w.flows[p.flow].messages.DeclareUnknown(t.Context(), acme, w.flows[p.flow].key(p.part, p.attempt))
	w.log("declare %v unknown: %v", p, err)
	if !a.resolved && !a.old {
		wantKind(t, err, domain.KindBusy)
		return
	}
	must(t, err)
	w.declared(p)
}

func (w *world) declared(p place) {
	a := w.attempts[p]
	if a.resolved {
		return
	}
	a.state, a.resolved = domain.AttemptUnknown, true
	if w.holder == p {
		w.lock = free
	}
}

func (w *world) finish(t *testing.T, i int, giveUp bool) {
	t.Helper()
	in := w.flows[i].newFinish(domain.OutcomeCancelled, "")
	in.GiveUp = giveUp
	finished, err := w.flows[i].messages.Finish(t.Context(), in)
	w.log("finish %d, giving up: %v: %+v %v", i, giveUp, finished, err)
	var unresolved []place
	for p, a := range w.attempts {
		if p.flow == i && !a.resolved {
			unresolved = append(unresolved, p)
			if giveUp && !a.old {
				wantKind(t, err, domain.KindBusy)
				return
			}
		}
	}
	must(t, err)
	if !giveUp && len(unresolved) > 0 {
		equal(t, "finish leaves it alone", finished.Unresolved != nil, true)
		return
	}
	for _, p := range unresolved {
		w.declared(p)
	}
	want := domain.OutcomeCancelled
	switch {
	case w.accepted(i, 1) && i == 0:
		want = domain.OutcomeReplied
	case w.accepted(i, 1):
		want = domain.OutcomeSent
	case w.perhapsSent(i):
		want = domain.OutcomeUnknown
	}
	if finished.Outcome != want && !w.finished[i] { // a second Finish keeps the first one's, unless the rows know better
		t.Errorf("outcome %s, want %s", finished.Outcome, want)
	}
	w.finished[i], w.parked[i] = true, false
	if w.state[i].Open() {
		w.state[i] = domain.ReplyFailed
	}
	w.giveUp(i)
}

func (w *world) perhapsSent(flow int) bool {
	for p, a := range w.attempts {
		if p.flow == flow && a.state == domain.AttemptUnknown {
			return true
		}
	}
	return false
}

// compare holds the rows against the model.
func (w *world) compare(t *testing.T) {
	t.Helper()
	for i, f := range w.flows {
		var want []string
		for p, a := range w.attempts {
			if p.flow == i {
				want = append(want, fmt.Sprint(p.part, " ", p.attempt, " ", a.state, " ", a.resolved, " ", w.boundTo(p)))
			}
		}
		slices.Sort(want)
		got := rows[string](t, f.store, `
			SELECT part || ' ' || attempt || ' ' || state || ' ' || (resolved_at IS NOT NULL) || ' ' || coalesce(twilio_sid, '')
			FROM send_attempts WHERE message_id = $1 ORDER BY part, attempt`, f.messageID)
		if !slices.Equal(got, want) {
			t.Errorf("attempts of %d: %v, want %v", i, got, want)
		}
		equal(t, fmt.Sprint("reply state of ", i), f.replyState(t), w.state[i])
	}
	want := free
	if w.lock != free {
		want = w.flows[w.holder.flow].holds(w.holder.part, w.holder.attempt)
	}
	equal(t, "the pair", w.flows[0].lock(t), want)
}

func (w *world) boundTo(p place) string {
	if w.attempts[p].state == domain.AttemptAccepted {
		return w.sids[p]
	}
	return ""
}

// check holds what must hold, whatever the model says.
func (w *world) check(t *testing.T) {
	t.Helper()
	locked := w.lock != free
	var unresolved int
	for p, a := range w.attempts {
		if !a.resolved && !a.old {
			unresolved++
			if !locked || w.holder != p {
				t.Errorf("%v may be under way, and the pair is not its own", p)
			}
		}
	}
	if unresolved > 1 {
		t.Errorf("%d attempts may be under way at once", unresolved)
	}
	if locked && w.lock == held && w.finished[w.holder.flow] {
		t.Error("a flow that is over has the pair")
	}
	if a := w.attempts[w.holder]; locked && a.resolved {
		between := w.state[w.holder.flow] == domain.ReplyAnswered && !w.accepted(w.holder.flow, 2) &&
			(a.state == domain.AttemptAccepted || a.state == domain.AttemptNotSent)
		if !between {
			t.Errorf("the pair is %s by %v, which is %s", w.lock, w.holder, a.state)
		}
	}
	count := map[[2]int]int{}
	for n, p := range w.sent {
		part := [2]int{p.flow, p.part}
		if count[part]++; count[part] > 1+w.retried[part] {
			t.Errorf("part %d of %d was sent %d times, after %d decisions to send it again", p.part, p.flow, count[part], w.retried[part])
		}
		if p.part > 1 && w.sent[n-1].flow != p.flow {
			t.Errorf("something went out between the parts of %d", p.flow)
		}
	}
	for _, e := range w.executions {
		if e.answer.State == "" && !w.attempts[e.place].old && w.attempts[e.place].resolved {
			t.Errorf("%v may still be posted, and is %s", e.place, w.attempts[e.place].state)
		}
	}
}
