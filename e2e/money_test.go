package e2e_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"parley/contract"
	"parley/internal/domain"
	"parley/internal/testkit"
)

// bill is what the tests read of `starter usage --json`.
type bill struct {
	Usage []domain.Usage
	Costs []domain.Cost
}

func billOf(t *testing.T, s *testkit.Stack, owner string) (b bill) {
	t.Helper()
	if err := json.Unmarshal([]byte(s.Starter("usage", owner, "--json")), &b); err != nil {
		t.Fatal(err)
	}
	return b
}

// used returns how much of a meter is used.
func (b bill) used(meter domain.Meter) int64 {
	i := slices.IndexFunc(b.Usage, func(u domain.Usage) bool { return u.Meter == meter })
	return b.Usage[i].Used
}

// cost returns what a source took, "not known" where it is not.
func (b bill) cost(source domain.CostSource) string {
	for _, cost := range b.Costs {
		if cost.Source == source && cost.Sum != nil {
			return cost.Sum.String()
		}
	}
	return "not known"
}

// Two owners on one account, written to by the same person: each pays for its own.
func TestTwoOwnersHaveTwoBills(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{})
	const rival, rivals = "rival", "+14155550199"
	s.Starter("owner", "add", rival, "--name", "Rival")
	s.Starter("owner", "set", rival, "delivery_check=1s", "delivery_grace=2s")
	s.Starter("sender", "add", s.AccountSid, rivals, "--owner", rival)
	person := s.Customer()
	for range 2 {
		awaitOutcome(t, s, s.WorkflowID(s.Say(person, "hello")), "replied")
	}
	awaitOutcome(t, s, s.WorkflowID(s.Deliver(testkit.Inbound{From: person, To: rivals, Body: "hello"}).MessageSid), "replied")
	balanced(t, s)
	for owner, want := range map[string]int64{s.OwnerID: 2, rival: 1} {
		if got := billOf(t, s, owner).used(domain.MeterReplies); got != want {
			t.Errorf("%s is charged %d replies, want %d", owner, got, want)
		}
	}
}

// The unit that an older message holds is there for a newer one of the person, which answers for both; nobody else gets it.
func TestTheLastUnitGoesToTheNewerMessage(t *testing.T) {
	t.Parallel()
	model := testkit.OpenAI(t, testkit.ModelAnswer{Text: "An answer.", Delay: 3 * time.Second})
	s := testkit.NewStack(t, testkit.Options{Env: model.Env(), Settings: []string{"turn_wait=1h", "turn_messages=100"}})
	s.Starter("plan", "add", "tiny", "--name", "Tiny", "--quota", "ai_replies=1")
	s.Starter("subscription", "set", s.OwnerID, "--plan", "tiny")
	person := s.Customer()
	older := s.WorkflowID(s.Say(person, "hello"))
	testkit.EventuallyTrue(t, soon, "the older one holds the unit", func() bool { return len(model.Calls()) == 1 })
	newer := s.WorkflowID(s.Say(person, "are you there?"))
	awaitOutcome(t, s, older, "superseded")
	awaitOutcome(t, s, newer, "replied")
	awaitOutcome(t, s, s.WorkflowID(s.Say(s.Customer(), "hello")), "over_quota")
	balanced(t, s)
}

// What a model and Twilio take is in the bill: the model's at once, Twilio's when it tells.
func TestCosts(t *testing.T) {
	t.Parallel()
	model := testkit.OpenAI(t)
	s := testkit.NewStack(t, testkit.Options{Env: slices.Concat(model.Env(), []string{
		"PARLEY_MODEL_INPUT_PRICE=1", "PARLEY_MODEL_OUTPUT_PRICE=2", "PARLEY_MODEL_CURRENCY=EUR", "PARLEY_PRICE_AFTER=1ms",
	})})
	person := s.Customer()
	s.Script(testkit.Rule{To: person, Price: "-0.00750", PriceDelayMS: 10_000})
	awaitOutcome(t, s, s.WorkflowID(s.Say(person, "hello")), "replied")
	if got := billOf(t, s, s.OwnerID).cost(domain.CostOfModel); got != "0.000025 EUR" { // 11 tokens in, 7 out
		t.Errorf("the model took %s", got)
	}
	testkit.EventuallyTrue(t, soon, "Twilio's price is there", func() bool {
		s.Upkeep(contract.FetchPrices)
		return billOf(t, s, s.OwnerID).cost(domain.CostOfTwilio) == "0.007500 USD"
	})
}
