package persistence_test

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"parley/activities/persistence"
	"parley/contract"
	"parley/internal/domain"
)

// fakeStore remembers what it was given.
type fakeStore struct {
	err  error
	seen []any
}

var _ persistence.Store = (*fakeStore)(nil)

func (s *fakeStore) RecordInbound(_ context.Context, in contract.NewInbound) (contract.Recorded, error) {
	s.seen = append(s.seen, in)
	return contract.Recorded{MessageID: "inbound"}, s.err
}

func (s *fakeStore) RecordOutbound(_ context.Context, in contract.NewOutbound) (contract.Recorded, error) {
	s.seen = append(s.seen, in)
	return contract.Recorded{MessageID: "outbound"}, s.err
}

func (s *fakeStore) Park(_ context.Context, in contract.NewPark) error {
	s.seen = append(s.seen, in)
	return s.err
}

func (s *fakeStore) Finish(_ context.Context, in contract.NewFinish) (contract.Finished, error) {
	s.seen = append(s.seen, in)
	return contract.Finished{Outcome: domain.OutcomeReplied}, s.err
}

// Every step hands its input to the store as it is, and the answer back.
func TestSteps(t *testing.T) {
	t.Parallel()
	for _, failure := range []error{nil, domain.Errorf(domain.KindUnavailable, "down")} {
		store := &fakeStore{err: failure}
		steps, ctx := persistence.New(store), t.Context()
		inbound, outbound := contract.NewInbound{OwnerID: "a"}, contract.NewOutbound{OwnerID: "b"}
		park, finish := contract.NewPark{OwnerID: "c"}, contract.NewFinish{OwnerID: "d"}

		if got, err := steps.RecordInbound(ctx, inbound); got.MessageID != "inbound" || !errors.Is(err, failure) {
			t.Errorf("RecordInbound: %+v, %v", got, err)
		}
		if got, err := steps.RecordOutbound(ctx, outbound); got.MessageID != "outbound" || !errors.Is(err, failure) {
			t.Errorf("RecordOutbound: %+v, %v", got, err)
		}
		if _, err := steps.Park(ctx, park); !errors.Is(err, failure) {
			t.Errorf("Park: %v", err)
		}
		if got, err := steps.Finish(ctx, finish); got.Outcome != domain.OutcomeReplied || !errors.Is(err, failure) {
			t.Errorf("Finish: %+v, %v", got, err)
		}
		if want := []any{inbound, outbound, park, finish}; !reflect.DeepEqual(store.seen, want) {
			t.Errorf("the store saw %+v, want %+v", store.seen, want)
		}
	}
}
