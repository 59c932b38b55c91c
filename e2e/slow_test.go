package e2e_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"parley/internal/testkit"
)

// 500 connections that send a byte a second, in the header or in the body, are cut, and come again; none of the messages beside them fails.
func TestSlowClientsStarveNobody(t *testing.T) {
	t.Parallel()
	const slow = 500
	s := testkit.NewStack(t, testkit.Options{})
	clients, stop := testkit.StartSlowClients(t, s.Webhook.Address("public"), slow)
	taken := 0
	pace := time.NewTicker(100 * time.Millisecond)
	defer pace.Stop()
	testkit.Eventually(t, 2*time.Minute, func() error {
		<-pace.C
		form, address := s.InboundForm(s.Customer(), "hello").Encode(), s.PublicURL+"/webhooks/twilio/inbound"
		if status := testkit.Post(t, address, form, testkit.Sign(s.AuthToken, address, form)); status != http.StatusOK {
			t.Fatalf("a message was answered %d", status)
		}
		taken++
		if inHeader, inBody := clients.Cut(); inHeader < slow/2 || inBody < slow/2 || taken < 100 {
			return fmt.Errorf("%d and %d slow clients were cut, %d messages taken", inHeader, inBody, taken)
		}
		return nil
	})
	inHeader, inBody := clients.Cut()
	t.Logf("%d messages taken beside %d slow clients, which were cut %d times in the header and %d times in the body", taken, clients.Open(), inHeader, inBody)
	stop()
}
