package telemetry_test

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"parley/internal/telemetry"
	"parley/internal/twilio"
)

func TestTwilioErrors(t *testing.T) {
	t.Parallel()
	written := &log{}
	logger := telemetry.NewLogger(written, slog.LevelInfo, "webhook")
	metrics, err := telemetry.New(logger)
	must(t, err)
	errors, err := telemetry.NewTwilioErrors(t.Context(), metrics.Meter("parley/webhook"), logger)
	must(t, err)
	want := map[string]int{}
	for _, class := range twilio.Classes() {
		want[series(twilio.PhaseCreate, class)], want[series(twilio.PhaseDelivery, class)] = 0, 0
	}
	wantCounted(t, metrics, want)

	errors.Count(t.Context(), twilio.PhaseDelivery, 0, "message_sid", "SM0")
	errors.Count(t.Context(), twilio.PhaseDelivery, 30003, "message_sid", "SM1") // transient
	errors.Count(t.Context(), twilio.PhaseDelivery, 21610, "message_sid", "SM2") // permanent, of the create by the table
	errors.Count(t.Context(), twilio.PhaseDelivery, 30034, "message_sid", "SM3")
	errors.Count(t.Context(), twilio.PhaseCreate, 20003, "message_sid", "SM4")
	errors.Count(t.Context(), twilio.PhaseCreate, 98765, "message_sid", "SM5")
	errors.Count(t.Context(), twilio.PhaseCreate, 98764, "message_sid", "SM6")
	want[series(twilio.PhaseDelivery, twilio.ClassTransient)] = 1
	want[series(twilio.PhaseDelivery, twilio.ClassPermanent)] = 1
	want[series(twilio.PhaseDelivery, twilio.ClassConfiguration)] = 1
	want[series(twilio.PhaseCreate, twilio.ClassConfiguration)] = 1
	want[series(twilio.PhaseCreate, twilio.ClassUnknown)] = 2
	wantCounted(t, metrics, want)

	var told []string
	for _, line := range written.lines(t) {
		told = append(told, fmt.Sprint(line["level"], line["message_sid"], line["error_code"], line["phase"], line["class"]))
	}
	if got, want := strings.Join(told, " "), "WARN SM3 30034 delivery configuration WARN SM4 20003 create configuration "+
		"WARN SM5 98765 create unknown WARN SM6 98764 create unknown"; strings.Join(strings.Fields(got), "") != strings.ReplaceAll(want, " ", "") {
		t.Errorf("logged %s, want %s", got, want)
	}
}

func series(phase twilio.Phase, class twilio.Class) string {
	return fmt.Sprintf(`parley_twilio_errors_total{class="%s",phase="%s"}`, class, phase)
}

// wantCounted checks all series of the counter, as Prometheus reads them.
func wantCounted(t *testing.T, metrics *telemetry.Telemetry, want map[string]int) {
	t.Helper()
	answer := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	found := 0
	for line := range strings.Lines(answer.Body.String()) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.HasPrefix(name, "parley_") {
			continue
		}
		if found++; value != fmt.Sprint(want[name]) {
			t.Errorf("%s is %s, want %d", name, value, want[name])
		}
	}
	if found != len(want) {
		t.Errorf("%d series, want %d", found, len(want))
	}
}
