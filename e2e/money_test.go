package e2e_test

import (
	"encoding/json"
	"slices"
	"strings"
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

// The unit that an older message holds is there for a newer one of the person, which answers for both. Then nobody gets another, until the
// owner's plan has one.
func TestAPlanThatIsUsedUp(t *testing.T) {
	t.Parallel()
	both := make(chan struct{})
	model := testkit.OpenAI(t, testkit.ModelAnswer{Text: "An answer.", Until: both})
	s := testkit.NewStack(t, testkit.Options{Env: model.Env(), Settings: []string{"turn_wait=1h", "turn_messages=100"}})
	s.Starter("plan", "add", "tiny", "--name", "Tiny", "--quota", "ai_replies=1")
	s.Starter("subscription", "set", s.OwnerID, "--plan", "tiny")
	first, second := s.Customer(), s.Customer()
	older := s.WorkflowID(s.Say(first, "hello"))
	testkit.EventuallyTrue(t, soon, "the older one holds the unit", func() bool { return len(model.Calls()) == 1 })
	newer := s.WorkflowID(s.Say(first, "are you there?"))
	awaitStored(t, s, newer)
	close(both)
	awaitOutcome(t, s, older, "superseded")
	awaitOutcome(t, s, newer, "replied")
	model.Script(testkit.ModelAnswer{Text: "An answer."})
	day := time.Now().UTC().YearDay()
	for range 2 {
		awaitOutcome(t, s, s.WorkflowID(s.Say(second, "hello")), "over_quota")
	}
	if sent := s.AwaitAnswers(second, 1, soon); !strings.Contains(sent[0].Body, "cannot answer here at the moment") {
		t.Errorf("told %q", sent[0].Body)
	}
	if time.Now().UTC().YearDay() == day {
		exactly(t, s, second, 1) // once a day
	}
	s.Starter("subscription", "set", s.OwnerID, "--plan", "unlimited", "--state", "past_due")
	awaitOutcome(t, s, s.WorkflowID(s.Say(first, "hello?")), "blocked")
	exactly(t, s, first, 1)
	s.Starter("subscription", "set", s.OwnerID, "--state", "active")
	awaitOutcome(t, s, s.WorkflowID(s.Say(first, "hello!")), "replied")
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
