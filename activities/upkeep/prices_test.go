package upkeep_test

import (
	"slices"
	"testing"

	"parley/contract"
	"parley/internal/domain"
)

// One message that cannot be asked about does not hold up the others; an account whose token is wrong is asked once; Twilio's wish for
// patience ends the run.
func TestFetchPrices(t *testing.T) {
	t.Parallel()
	fails := func(kind domain.Kind) map[string]error { return map[string]error{"a": domain.Errorf(kind, "no")} }
	for name, c := range map[string]struct {
		fetched map[string]error
		calls   []string
		done    int
	}{
		"all told":         {nil, []string{"fetch o/a", "fetch o/b", "fetch o/c"}, 3},
		"one is gone":      {fails(domain.KindNotFound), []string{"fetch o/a", "fetch o/b", "fetch o/c"}, 2},
		"the wrong token":  {fails(domain.KindConfiguration), []string{"fetch o/a", "fetch o/c"}, 1},
		"too many at once": {fails(domain.KindThrottled), []string{"fetch o/a"}, 0},
		"Twilio is away":   {fails(domain.KindUnavailable), []string{"fetch o/a"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{t: t, fetched: c.fetched}
			for id, account := range map[string]string{"a": "AC1", "b": "AC1", "c": "AC2"} {
				w.unpriced = append(w.unpriced, domain.Unpriced{OwnerID: "o", AttemptKey: domain.AttemptKey{MessageID: id, Part: 1, Attempt: 1}, AccountSid: account})
			}
			slices.SortFunc(w.unpriced, func(a, b domain.Unpriced) int { return int(a.MessageID[0]) - int(b.MessageID[0]) })
			result, err := newJobs(w).FetchPrices(t.Context(), contract.Nothing{})
			if err != nil || result.Done != c.done || result.Seen != len(c.calls) || result.More || !slices.Equal(w.calls, c.calls) {
				t.Errorf("got %+v, %v after %v, want %v", result, err, w.calls, c.calls)
			}
		})
	}
}
