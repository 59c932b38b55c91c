package telemetry_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"parley/internal/telemetry"
)

// Every job shows from the start, and each batch counts once.
func TestUpkeepIsCounted(t *testing.T) {
	t.Parallel()
	metrics, err := telemetry.New(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	counters, err := telemetry.NewUpkeep(t.Context(), metrics.Meter("test"), []string{"sweep", "idle"})
	if err != nil {
		t.Fatal(err)
	}
	counters.Count(t.Context(), "sweep", 3, nil)
	counters.Count(t.Context(), "sweep", 2, nil)
	counters.Count(t.Context(), "sweep", 1, errors.New("away"))
	answer := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	shown, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`parley_upkeep_batches_total{job="idle",result="done"} 0`, `parley_upkeep_batches_total{job="idle",result="failed"} 0`,
		`parley_upkeep_batches_total{job="sweep",result="done"} 2`, `parley_upkeep_batches_total{job="sweep",result="failed"} 1`,
		`parley_upkeep_changes_total{job="idle"} 0`, `parley_upkeep_changes_total{job="sweep"} 6`,
	} {
		if !strings.Contains(string(shown), line+"\n") {
			t.Errorf("not shown: %s", line)
		}
	}
}
