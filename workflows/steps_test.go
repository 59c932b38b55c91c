package workflows_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/worker"

	"parley/contract"
	"parley/internal/domain"
)

// step is one activity as a test scripts it: it notes what it was called with and answers as it was told.
type step[In, Out any] struct {
	book    *book
	name    string
	answers func(n int, in In) (Out, error) // n: the how manieth call it is, from 1
	held    func(context.Context)           // what every call waits for before its answer, if anything
	inputs  []In
}

// returns makes every call of the step succeed.
func (s *step[In, Out]) returns(out Out) {
	s.answers = func(int, In) (Out, error) { return out, nil }
}

// fails makes the first calls of the step fail, one error each; after them it answers as before.
func (s *step[In, Out]) fails(errs ...error) {
	before := s.answers
	s.answers = func(n int, in In) (Out, error) {
		if n <= len(errs) {
			var none Out
			return none, errs[n-1]
		}
		return before(n, in)
	}
}

// interrupts has something happen within every call of the step, just before its answer.
func (s *step[In, Out]) interrupts(what func()) {
	before := s.answers
	s.answers = func(n int, in In) (Out, error) {
		what()
		return before(n, in)
	}
}

func (s *step[In, Out]) run(ctx context.Context, in In) (Out, error) {
	s.book.mu.Lock()
	s.inputs = append(s.inputs, in)
	n := len(s.inputs)
	s.book.calls = append(s.book.calls, s.name)
	s.book.infos[s.name] = activity.GetInfo(ctx)
	s.book.mu.Unlock()
	if s.held != nil {
		s.held(ctx)
	}
	return s.answers(n, in)
}

// book notes the order of all calls, and how the latest of each step was made.
type book struct {
	mu    sync.Mutex
	calls []string
	infos map[string]activity.Info
}

// order returns the steps that have begun so far.
func (b *book) order() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.calls)
}

// steps are the activities of all roles.
type steps struct {
	*book
	resolveAccount  step[contract.ResolveAccountInput, contract.ResolveAccountResult]
	keepUnrouted    step[contract.KeepUnroutedInput, contract.Nothing]
	recordInbound   step[contract.NewInbound, contract.Recorded]
	recordOutbound  step[contract.NewOutbound, contract.Recorded]
	resolveIdentity step[contract.ResolveIdentityInput, contract.ResolveIdentityResult]
	reserve         step[contract.NewReservation, contract.ReserveResult]
	generate        step[contract.GenerateInput, contract.Draft]
	send            step[contract.SendInput, contract.SendResult]
	lookUp          step[contract.LookUpInput, contract.SendResult]
	settle          step[contract.SettleInput, contract.SettleResult]
	fetchStatus     step[contract.FetchStatusInput, contract.FetchStatusResult]
	park            step[contract.NewPark, contract.Nothing]
	finish          step[contract.NewFinish, contract.Finished]
}

// newSteps returns steps that all succeed: one part, accepted as queued, and a Finish that believes the flow. Only look-ups find nothing.
func newSteps(timing contract.Timing) *steps {
	b := &book{infos: map[string]activity.Info{}}
	s := &steps{
		book:            b,
		resolveAccount:  scripted(b, contract.ResolveAccount),
		keepUnrouted:    scripted(b, contract.KeepUnrouted),
		recordInbound:   scripted(b, contract.RecordInbound),
		recordOutbound:  scripted(b, contract.RecordOutbound),
		resolveIdentity: scripted(b, contract.ResolveIdentity),
		reserve:         scripted(b, contract.Reserve),
		generate:        scripted(b, contract.Generate),
		send:            scripted(b, contract.Send),
		lookUp:          scripted(b, contract.LookUp),
		settle:          scripted(b, contract.Settle),
		fetchStatus:     scripted(b, contract.FetchStatus),
		park:            scripted(b, contract.ParkMessage),
		finish:          scripted(b, contract.Finish),
	}
	s.resolveAccount.returns(contract.ResolveAccountResult{OwnerID: ownerID, Timing: timing})
	s.recordInbound.returns(contract.Recorded{MessageID: messageID, ReplyState: domain.ReplyPending})
	s.recordOutbound.returns(contract.Recorded{MessageID: messageID, ReplyState: domain.ReplyPending, Parts: 1})
	s.resolveIdentity.returns(contract.ResolveIdentityResult{ContactID: "contact-1"})
	s.reserve.returns(contract.ReserveResult{State: domain.QuotaGranted})
	s.generate.returns(contract.Draft{DraftID: draftID, Parts: 1})
	s.settle.returns(contract.SettleResult{Segments: 1})
	s.fetchStatus.returns(contract.FetchStatusResult{Status: domain.StatusQueued})
	s.send.answers = func(_ int, in contract.SendInput) (contract.SendResult, error) {
		return contract.SendResult{State: contract.SendAccepted, Attempt: in.Attempt, Status: domain.StatusQueued}, nil
	}
	s.lookUp.answers = func(_ int, in contract.LookUpInput) (contract.SendResult, error) {
		if in.Last {
			return contract.SendResult{}, unknown()
		}
		return contract.SendResult{State: contract.SendPending}, nil
	}
	s.finish.answers = func(_ int, in contract.NewFinish) (contract.Finished, error) {
		return contract.Finished{Outcome: in.Ending}, nil
	}
	return s
}

func scripted[In, Out any](b *book, definition contract.Activity[In, Out]) step[In, Out] {
	var none Out
	s := step[In, Out]{book: b, name: definition.Name}
	s.returns(none)
	return s
}

// settings changes what the owner has decided.
func (s *steps) settings(change func(*contract.Timing)) {
	owners := timing()
	change(&owners)
	s.resolveAccount.returns(contract.ResolveAccountResult{OwnerID: ownerID, Timing: owners})
}

// lookUpsFrom gives the look-ups another answer from the n-th on.
func (s *steps) lookUpsFrom(n int, result contract.SendResult, err error) {
	before := s.lookUp.answers
	s.lookUp.answers = func(call int, in contract.LookUpInput) (contract.SendResult, error) {
		if call >= n {
			return result, err
		}
		return before(call, in)
	}
}

// foundFrom makes the look-ups find the first attempt from the n-th on.
func (s *steps) foundFrom(n int) { s.lookUpsFrom(n, found(1), nil) }

// register gives a worker, or a test environment, every step under its name.
func (s *steps) register(r worker.ActivityRegistry) {
	contract.ResolveAccount.Register(r, s.resolveAccount.run)
	contract.KeepUnrouted.Register(r, s.keepUnrouted.run)
	contract.RecordInbound.Register(r, s.recordInbound.run)
	contract.RecordOutbound.Register(r, s.recordOutbound.run)
	contract.ResolveIdentity.Register(r, s.resolveIdentity.run)
	contract.Reserve.Register(r, s.reserve.run)
	contract.Generate.Register(r, s.generate.run)
	contract.Send.Register(r, s.send.run)
	contract.LookUp.Register(r, s.lookUp.run)
	contract.Settle.Register(r, s.settle.run)
	contract.FetchStatus.Register(r, s.fetchStatus.run)
	contract.ParkMessage.Register(r, s.park.run)
	contract.Finish.Register(r, s.finish.run)
}

// one returns the input of a step that must have been called exactly once.
func one[In, Out any](t *testing.T, s *step[In, Out]) In {
	t.Helper()
	if len(s.inputs) != 1 {
		t.Fatalf("%s: %d calls, want 1", s.name, len(s.inputs))
	}
	return s.inputs[0]
}
