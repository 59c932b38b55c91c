package upkeep_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/activities/upkeep"
	"parley/contract"
	"parley/internal/domain"
)

var patience = upkeep.Patience{After: time.Minute, Again: time.Hour, Price: 6 * time.Hour}

// world is all that the jobs reach for. It writes down what is asked of it, in order.
type world struct {
	t          *testing.T
	unfinished []domain.Unfinished
	states     []domain.FlowState // what Temporal says, one answer after the other; the last for good
	finished   []error            // what Finish says: an attempt to be looked for, as an *unresolved; nil for the end
	doubtful   []domain.Doubtful
	missing    bool               // what an attempt that was not found counts as
	state      contract.SendState // what a look-up says
	found      error              // and fails with
	failing    error              // what Temporal says instead of a state
	calls      []string
	told       []contract.UpkeepNote
	idle       int // conversations
	unpriced   []domain.Unpriced
	fetched    map[string]error // what asking for a message's price comes to, by its id
}

func (w *world) Unpriced(_ context.Context, after time.Duration, most int) ([]domain.Unpriced, error) {
	if after != 6*time.Hour || most != 25 {
		w.t.Errorf("asked for %d attempts of %s", most, after)
	}
	return w.unpriced, nil
}

func (w *world) fetch(_ context.Context, in contract.FetchStatusInput) (contract.FetchStatusResult, error) {
	w.did("fetch %s/%s", in.OwnerID, in.MessageID)
	return contract.FetchStatusResult{}, w.fetched[in.MessageID]
}

func newJobs(w *world) *upkeep.Activities {
	return upkeep.New(w, w, w.lookUp, w.fetch, w.tell, patience)
}

// unresolved is the answer of a Finish that finds an attempt to be looked for.
type unresolved struct{ attempt int }

func (u *unresolved) Error() string { return fmt.Sprint("attempt ", u.attempt) }

var _ upkeep.Store = (*world)(nil)
var _ upkeep.Flows = (*world)(nil)

func (w *world) did(format string, args ...any) {
	w.calls = append(w.calls, fmt.Sprintf(format, args...))
}

func (w *world) Unfinished(_ context.Context, after time.Duration, most int) ([]domain.Unfinished, error) {
	if after != time.Minute || most != 100 {
		w.t.Errorf("asked for %d messages of %s", most, after)
	}
	return w.unfinished, nil
}

func (w *world) State(_ context.Context, workflowID string) (domain.FlowState, error) {
	w.did("ask %s", workflowID)
	if w.failing != nil {
		return "", w.failing
	}
	state := w.states[0]
	w.states = w.states[min(1, len(w.states)-1):]
	return state, nil
}

func (w *world) LeftUnanswered(_ context.Context, ownerID, messageID string) ([]string, error) {
	return []string{ownerID + "/older than " + messageID}, nil
}

func (w *world) Finish(_ context.Context, in domain.NewFinish) (domain.Finished, error) {
	w.did("finish %s/%s/%s %s, give up: %t", in.OwnerID, in.WorkflowID, in.MessageID, in.Ending, in.GiveUp)
	if len(w.finished) == 0 {
		return domain.Finished{Outcome: in.Ending}, nil
	}
	answer := w.finished[0]
	w.finished = w.finished[1:]
	if attempt, ok := errors.AsType[*unresolved](answer); ok {
		return domain.Finished{Unresolved: &domain.AttemptKey{MessageID: in.MessageID, Part: 1, Attempt: attempt.attempt}}, nil
	}
	return domain.Finished{Outcome: domain.OutcomeReplied}, answer
}

func (w *world) lookUp(_ context.Context, in contract.LookUpInput) (contract.SendResult, error) {
	w.did("look for %s/%s %d/%d, last: %t, alone: %t", in.OwnerID, in.MessageID, in.Part, in.Attempt, in.Last, in.Alone)
	return contract.SendResult{State: w.state}, w.found
}

func (w *world) Doubtful(_ context.Context, lease time.Duration, most int) ([]domain.Doubtful, error) {
	if lease != time.Minute || most != 100 {
		w.t.Errorf("asked for %d attempts for %s", most, lease)
	}
	return w.doubtful, nil
}

func (w *world) LookedInVain(_ context.Context, ownerID string, key domain.AttemptKey, again time.Duration) (bool, error) {
	w.did("in vain %s/%s %d/%d, again after %s", ownerID, key.MessageID, key.Part, key.Attempt, again)
	return w.missing, w.failing
}

func (w *world) tell(_ context.Context, note contract.UpkeepNote) { w.told = append(w.told, note) }

func TestCloseEnded(t *testing.T) {
	t.Parallel()
	const ask, close, giveUp, look = "ask w", "finish o/w/m failed, give up: false", "finish o/w/m failed, give up: true",
		"look for o/m 1/3, last: true, alone: false"
	attempt := &unresolved{3}
	terminated := []domain.FlowState{domain.FlowTerminated}
	for name, test := range map[string]struct {
		world
		age   time.Duration
		calls []string
		done  int
		what  string // that is noted
	}{
		"it runs": {world: world{states: []domain.FlowState{domain.FlowRunning}}, calls: []string{ask}},
		"it was terminated": {world: world{states: terminated}, calls: []string{ask, close}, done: 1,
			what: "its flow was terminated; closed as failed"},
		"it timed out": {world: world{states: []domain.FlowState{domain.FlowTimedOut}}, calls: []string{ask, close}, done: 1,
			what: "its flow timed out; closed as failed"},
		"it ended without Finish": {world: world{states: []domain.FlowState{domain.FlowCompleted}}, calls: []string{ask, close}, done: 1,
			what: "its flow ended without closing it; closed as failed"},
		"Temporal has forgotten it": {world: world{states: []domain.FlowState{domain.FlowUnknown}}, age: 25 * time.Hour, calls: []string{ask, close}, done: 1,
			what: "Temporal does not know its flow any more; closed as failed"},
		"Temporal does not know a young one": {world: world{states: []domain.FlowState{domain.FlowUnknown}}, age: 23 * time.Hour, calls: []string{ask}},
		"a state that is not known":          {world: world{states: []domain.FlowState{"paused"}}, calls: []string{ask}},
		"an attempt is begun, and found": {world: world{states: terminated, finished: []error{attempt, nil}},
			calls: []string{ask, close, look, ask, close}, done: 1, what: "its flow was terminated; closed as replied"},
		"an attempt is begun, and not found": {world: world{states: terminated, finished: []error{attempt, nil},
			found: domain.Errorf(domain.KindUnknownOutcome, "nothing")}, calls: []string{ask, close, look, ask, close}, done: 1,
			what: "its flow was terminated; closed as replied"},
		"its POST may be under way": {world: world{states: terminated, finished: []error{attempt}, found: domain.Errorf(domain.KindBusy, "busy")},
			calls: []string{ask, close, look}},
		"Twilio is away": {world: world{states: terminated, finished: []error{attempt}, found: domain.Errorf(domain.KindUnavailable, "away")},
			calls: []string{ask, close, look}},
		"the account is gone": {world: world{states: terminated, finished: []error{attempt, nil}, found: domain.Errorf(domain.KindNotFound, "gone")},
			calls: []string{ask, close, look, ask, giveUp}, done: 1, what: "its flow was terminated; closed as replied"},
		"the account is gone, and the POST may be under way": {world: world{states: terminated,
			finished: []error{attempt, domain.Errorf(domain.KindBusy, "busy")}, found: domain.Errorf(domain.KindNotFound, "gone")},
			calls: []string{ask, close, look, ask, giveUp}},
		"it is reset while the attempt is looked for": {world: world{states: []domain.FlowState{domain.FlowTerminated, domain.FlowRunning},
			finished: []error{attempt}}, calls: []string{ask, close, look, ask}},
		"it cannot be closed": {world: world{states: terminated, finished: []error{domain.Errorf(domain.KindInternal, "defect")}},
			calls: []string{ask, close}, what: "it could not be closed: defect"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &test.world
			w.t = t
			w.unfinished = []domain.Unfinished{{OwnerID: "o", MessageID: "m", WorkflowID: "w", Age: test.age}}
			result, err := newJobs(w).CloseEnded(t.Context(), contract.Nothing{})
			if err != nil || result.Seen != 1 || result.Done != test.done || result.More {
				t.Errorf("got %+v, %v", result, err)
			}
			if !slices.Equal(w.calls, test.calls) {
				t.Errorf("did %q\nwant %q", w.calls, test.calls)
			}
			if test.what == "" {
				if len(result.Notes) > 0 {
					t.Errorf("noted %+v", result.Notes)
				}
				return
			}
			if len(result.Notes) != 1 || result.Notes[0].What != test.what || result.Notes[0].MessageID != "m" || result.Notes[0].WorkflowID != "w" {
				t.Errorf("noted %+v, want %q", result.Notes, test.what)
			}
			if test.done > 0 && !slices.Equal(result.Notes[0].Superseded, []string{"o/older than m"}) {
				t.Errorf("what it had superseded is not told: %+v", result.Notes)
			}
			if len(w.told) == 0 {
				t.Error("the log does not say so")
			}
		})
	}
}

// A message that cannot be closed does not hold up the next; a system that is away does.
func TestCloseEndedGoesOn(t *testing.T) {
	t.Parallel()
	two := []domain.Unfinished{{MessageID: "a", WorkflowID: "wa"}, {MessageID: "b", WorkflowID: "wb"}}
	for name, test := range map[string]struct {
		world
		seen int
		kind domain.Kind
	}{
		"a defect":             {world: world{finished: []error{domain.Errorf(domain.KindInternal, "defect")}}, seen: 2},
		"the database is away": {world: world{finished: []error{domain.Errorf(domain.KindUnavailable, "away")}}, seen: 1, kind: domain.KindUnavailable},
		"Temporal is away":     {world: world{failing: domain.Errorf(domain.KindUnavailable, "away")}, seen: 1, kind: domain.KindUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &test.world
			w.t, w.unfinished, w.states = t, two, []domain.FlowState{domain.FlowTerminated}
			result, err := newJobs(w).CloseEnded(t.Context(), contract.Nothing{})
			if result.Seen != test.seen || (err == nil) != (test.kind == "") || (err != nil && domain.KindOf(err) != test.kind) {
				t.Errorf("got %+v, %v", result, err)
			}
		})
	}
}

// A whole batch may be followed by more.
func TestCloseEndedSaysThatThereIsMore(t *testing.T) {
	t.Parallel()
	w := &world{t: t, unfinished: make([]domain.Unfinished, 100), states: []domain.FlowState{domain.FlowRunning}}
	if result, err := newJobs(w).CloseEnded(t.Context(), contract.Nothing{}); err != nil || !result.More || result.Seen != 100 {
		t.Errorf("got %+v, %v", result, err)
	}
}

func TestSeekUnknown(t *testing.T) {
	t.Parallel()
	const look, vain = "look for o/m 2/1, last: false, alone: true", "in vain o/m 2/1, again after 1h0m0s"
	for name, test := range map[string]struct {
		world
		calls []string
		done  int
		what  string
	}{
		"found":                     {world: world{state: contract.SendAccepted}, calls: []string{look}, done: 1, what: "was sent"},
		"a late answer has told":    {world: world{state: contract.SendSettled}, calls: []string{look}},
		"not found":                 {world: world{state: contract.SendPending}, calls: []string{look, vain}},
		"not found the second time": {world: world{state: contract.SendPending, missing: true}, calls: []string{look, vain}, done: 1, what: "counts as not sent"},
		"Twilio is away":            {world: world{found: domain.Errorf(domain.KindUnavailable, "away")}, calls: []string{look}},
		"a defect":                  {world: world{found: domain.Errorf(domain.KindInternal, "defect")}, calls: []string{look}},
		"the account is gone":       {world: world{found: domain.Errorf(domain.KindNotFound, "gone"), missing: true}, calls: []string{look, vain}, done: 1, what: "counts as not sent"},
		"it cannot be noted": {world: world{state: contract.SendPending, failing: domain.Errorf(domain.KindInternal, "defect")}, calls: []string{look, vain},
			what: "could not be looked for: defect"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &test.world
			w.t = t
			w.doubtful = []domain.Doubtful{{AttemptKey: domain.AttemptKey{MessageID: "m", Part: 2, Attempt: 1}, OwnerID: "o", WorkflowID: "w"}}
			result, err := newJobs(w).SeekUnknown(t.Context(), contract.Nothing{})
			if err != nil || result.Seen != 1 || result.Done != test.done {
				t.Errorf("got %+v, %v", result, err)
			}
			if !slices.Equal(w.calls, test.calls) {
				t.Errorf("did %q\nwant %q", w.calls, test.calls)
			}
			if test.what == "" {
				if len(result.Notes)+len(w.told) > 0 {
					t.Errorf("noted %+v, told %+v", result.Notes, w.told)
				}
				return
			}
			if len(result.Notes) != 1 || !strings.Contains(result.Notes[0].What, test.what) || result.Notes[0].WorkflowID != "w" {
				t.Errorf("noted %+v, want %q", result.Notes, test.what)
			}
			if !reflect.DeepEqual(w.told, result.Notes) {
				t.Errorf("told %+v, noted %+v", w.told, result.Notes)
			}
		})
	}
}
