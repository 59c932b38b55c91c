package billing_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"parley/activities/billing"
	"parley/contract"
	"parley/internal/domain"
)

type fakeLedger struct {
	err   error
	calls []string
}

var _ billing.Ledger = (*fakeLedger)(nil)

func (l *fakeLedger) Reserve(_ context.Context, in domain.NewReservation) (domain.QuotaState, error) {
	l.calls = append(l.calls, "reserve", in.OwnerID, in.WorkflowID, in.MessageID)
	return domain.QuotaUsedUp, l.err
}

func (l *fakeLedger) Settle(_ context.Context, ownerID, workflowID, messageID string) (int, error) {
	l.calls = append(l.calls, "settle", ownerID, workflowID, messageID)
	return 3, l.err
}

func TestReserveAndSettle(t *testing.T) {
	t.Parallel()
	for _, failure := range []error{nil, domain.Errorf(domain.KindUnavailable, "down")} {
		ledger := &fakeLedger{err: failure}
		steps := billing.New(ledger)
		quota, err := steps.Reserve(t.Context(), contract.NewReservation{OwnerID: "o", WorkflowID: "w", MessageID: "m"})
		if !errors.Is(err, failure) || quota.State != domain.QuotaUsedUp {
			t.Errorf("Reserve: %+v, %v, want %v", quota, err, failure)
		}
		settled, err := steps.Settle(t.Context(), contract.SettleInput{OwnerID: "o", WorkflowID: "w", MessageID: "m"})
		if !errors.Is(err, failure) || settled.Segments != 3 {
			t.Errorf("Settle: %+v, %v, want %v", settled, err, failure)
		}
		if want := []string{"reserve", "o", "w", "m", "settle", "o", "w", "m"}; !slices.Equal(ledger.calls, want) {
			t.Errorf("called %v, want %v", ledger.calls, want)
		}
	}
}
