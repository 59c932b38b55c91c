package cli_test

import (
	"cmp"
	"context"
	"slices"
	"testing"
	"time"

	"parley/internal/domain"
)

// books are what the fake directory knows of plans.
type books struct {
	plans         map[string]domain.Plan
	subscriptions map[string]domain.Subscription
	months        []time.Time           // of which the usage was asked for
	searches      []domain.LedgerSearch // of the ledger
}

func newBooks() books {
	return books{
		plans:         map[string]domain.Plan{"unlimited": {PlanID: "unlimited", Name: "Unlimited"}},
		subscriptions: map[string]domain.Subscription{},
	}
}

func (d *directory) SavePlan(_ context.Context, plan domain.Plan) error {
	for meter := range plan.Quotas {
		if !slices.Contains(domain.Meters(), meter) {
			return domain.Errorf(domain.KindInvalid, "plan: no such meter")
		}
	}
	d.plans[plan.PlanID] = plan
	return nil
}

func (d *directory) Plans(context.Context) (list []domain.Plan, err error) {
	for _, plan := range d.plans {
		list = append(list, plan)
	}
	slices.SortFunc(list, func(a, b domain.Plan) int { return len(a.PlanID) - len(b.PlanID) })
	return list, nil
}

func (d *directory) Subscribe(ctx context.Context, wanted domain.Subscription) (domain.Subscription, error) {
	holds, err := d.Subscription(ctx, wanted.OwnerID)
	if err != nil {
		return holds, err
	}
	holds.PlanID, holds.State = cmp.Or(wanted.PlanID, holds.PlanID), cmp.Or(wanted.State, holds.State)
	if _, ok := d.plans[holds.PlanID]; !ok {
		return holds, domain.Errorf(domain.KindNotFound, "subscription: not found")
	}
	d.subscriptions[wanted.OwnerID] = holds
	return holds, nil
}

func (d *directory) Subscription(ctx context.Context, ownerID string) (domain.Subscription, error) {
	if _, err := d.Owner(ctx, ownerID); err != nil {
		return domain.Subscription{}, err
	}
	if s, ok := d.subscriptions[ownerID]; ok {
		return s, nil
	}
	return domain.Subscription{OwnerID: ownerID, PlanID: "unlimited", State: domain.SubscriptionActive}, nil
}

func (d *directory) Usage(_ context.Context, _ string, month time.Time) ([]domain.Usage, error) {
	d.months = append(d.months, month)
	quota := int64(500)
	period := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	return []domain.Usage{
		{Meter: domain.MeterReplies, Period: period, Used: 120, Reserved: 2, Quota: &quota},
		{Meter: domain.MeterSegments, Period: period, Used: 260, Reserved: 3},
	}, nil
}

func (d *directory) Costs(context.Context, string, time.Time) ([]domain.Cost, error) {
	return []domain.Cost{
		{Source: domain.CostOfModel, Count: 131, InputTokens: 52400, OutputTokens: 9170, Sum: &domain.Money{Micros: 13362, Currency: "USD"}},
		{Source: domain.CostOfModel, Count: 2, InputTokens: 800, OutputTokens: 140},
		{Source: domain.CostOfTwilio, Count: 255, Sum: &domain.Money{Micros: 2_014_500, Currency: "USD"}},
		{Source: domain.CostOfTwilio, Count: 5},
	}, nil
}

func (d *directory) Ledger(_ context.Context, _ string, search domain.LedgerSearch) ([]domain.LedgerEntry, error) {
	d.searches = append(d.searches, search)
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	entry := domain.LedgerEntry{
		CreatedAt: at, Kind: "reserve", Meter: domain.MeterReplies, Quantity: 1, Period: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC),
		For: "reply", WorkflowID: "inbound:sent", MessageID: "m-sent", ConversationID: "c-1",
	}
	settled, told := entry, entry
	settled.CreatedAt, settled.Kind = at.Add(time.Second), "settle"
	told.Meter, told.Quantity, told.For, told.WorkflowID, told.MessageID = domain.MeterSegments, 2, string(domain.KindHelp), "outbound:acme:h", "m-help"
	return []domain.LedgerEntry{entry, settled, told}, nil
}

func TestPlansAndSubscriptions(t *testing.T) {
	t.Parallel()
	s := newStarter()
	s.must(t, 0, "plan", "add", "small", "--name", "Small", "--quota", "ai_replies=500,message_segments=2000")
	if got := s.directory.plans["small"]; got.Name != "Small" || got.Quotas[domain.MeterReplies] != 500 || got.Quotas[domain.MeterSegments] != 2000 {
		t.Errorf("saved %+v", got)
	}
	s.must(t, 0, "subscription", "set", "acme", "--plan", "small")
	s.must(t, 0, "subscription", "set", "acme", "--state", "past_due")
	if got, want := s.directory.subscriptions["acme"], (domain.Subscription{OwnerID: "acme", PlanID: "small", State: domain.SubscriptionPastDue}); got != want {
		t.Errorf("subscribed %+v, want %+v", got, want)
	}
	s.must(t, 0, "usage", "acme", "--month", "2026-05")
	if got := s.directory.months; len(got) != 1 || got[0] != time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC) {
		t.Errorf("asked for %v", got)
	}
	s.must(t, 0, "ledger", "acme", "--month", "2026-05")
	s.must(t, 0, "ledger", "acme", "--workflow", "inbound:sent") // whenever that was
	s.must(t, 0, "ledger", "acme", "--workflow", "inbound:sent", "--month", "2026-05")
	may := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	if want := []domain.LedgerSearch{{Month: may}, {WorkflowID: "inbound:sent"}, {Month: may, WorkflowID: "inbound:sent"}}; !slices.Equal(s.directory.searches, want) {
		t.Errorf("searched for %+v, want %+v", s.directory.searches, want)
	}
	s.must(t, 0, "ledger", "acme")
	if present := s.directory.searches[3].Month; time.Since(present) > time.Hour {
		t.Errorf("without a month searched for that of %s", present)
	}
	for _, wrong := range [][]string{
		{"plan", "add", "small", "--name", "Small", "--quota", "wishes=3"},
		{"subscription", "set", "acme", "--state", "late"},
		{"subscription", "set", "acme"},
		{"subscription", "set", "acme", "--plan", "none"},
		{"subscription", "show", "nobody"},
		{"usage", "nobody"},
		{"ledger", "acme", "--month", "May"},
	} {
		if _, err := s.runWith(t.Context(), wrong...); err == nil {
			t.Errorf("accepted %v", wrong)
		}
	}
}
