package cli_test

import (
	"strings"
	"testing"

	"parley/internal/domain"
	"parley/internal/twilio"
)

// That somebody opted out is told in a sentence, whether Twilio refused the message for it or told of it later.
func TestShowExplainsAnOptOut(t *testing.T) {
	t.Parallel()
	for code, sentence := range map[int]string{
		21610: "the recipient has opted out of this sender's messages (error 21610)",
		63014: "the recipient has blocked the sender or opted out (error 63014)",
		63033: "the recipient has blocked the sender or opted out (error 63033)",
	} {
		for name, attempt := range map[string]domain.TracedAttempt{
			"refused": {State: domain.AttemptRefused, ErrorCode: code},
			"failed":  {State: domain.AttemptAccepted, Status: domain.StatusFailed, ErrorCode: code, TwilioSid: "SM00000000000000000000000000000003"},
		} {
			s := newStarter()
			s.explain = func(code int) string { return twilio.Explain(code).Meaning }
			trace := sentTrace()
			trace.Attempts = []domain.TracedAttempt{attempt}
			s.messages["m-sent"] = trace
			if out, _ := s.must(t, 0, "show", "m-sent"); !strings.Contains(strings.Join(strings.Fields(out), " "), sentence) {
				t.Errorf("%d, %s: got %s, want %q", code, name, out, sentence)
			}
		}
	}
}
