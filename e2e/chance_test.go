package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"testing"

	"parley/internal/testkit"
)

// seedVariable names the seed of the random faults, to see a run again.
const seedVariable = "PARLEY_TEST_SEED"

func seed(t *testing.T) uint64 {
	t.Helper()
	given := os.Getenv(seedVariable)
	if given == "" {
		return 8
	}
	seed, err := strconv.ParseUint(given, 10, 64)
	if err != nil {
		t.Fatalf("%s: want a number from 0, got %q", seedVariable, given)
	}
	return seed
}

// insist delivers a message until the webhook takes it, as Twilio's connection overrides would: a busy machine may answer 503.
func insist(t *testing.T, s *testkit.Stack, from, body string) (messageSid string) {
	t.Helper()
	form := testkit.Inbound{From: from, Body: body, MessageSid: s.InboundForm(from, body).Get("MessageSid")}
	testkit.Eventually(t, soon, func() error {
		if answer := s.Deliver(form); answer.StatusCode != http.StatusOK {
			return fmt.Errorf("answered %+v", answer)
		}
		return nil
	})
	return form.MessageSid
}
