package testkit

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"parley/contract"
)

// Sign computes X-Twilio-Signature of a form without repeated names as Twilio documents it, apart from our own
// implementation. https://www.twilio.com/docs/usage/security#validating-requests
func Sign(token, address, form string) string {
	values, _ := url.ParseQuery(form) // the tests' own forms
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write([]byte(address))
	for _, name := range names {
		mac.Write([]byte(name + values.Get(name)))
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Post posts a form with a signature, or without one where it is empty, and returns the status.
func Post(t testing.TB, address, form, signature string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if signature != "" {
		request.Header.Set("X-Twilio-Signature", signature)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode
}

// InboundForm is the least form of a message to the company's number, with a sid of its own.
func (s *Stack) InboundForm(from, body string) url.Values {
	return url.Values{
		"AccountSid": {s.AccountSid}, "MessageSid": {"SM" + randomHex()}, "From": {from}, "To": {s.Company},
		"Body": {body}, "NumMedia": {"0"}, "NumSegments": {"1"}, "SmsStatus": {"received"}, "ApiVersion": {"2010-04-01"},
	}
}

// Callback posts the status callback of an attempt, signed as Twilio signs it, and returns what the webhook answered.
func (s *Stack) Callback(key contract.AttemptKey, sid, status string) int {
	s.t.Helper()
	address := s.PublicURL + "/webhooks/twilio/status?" + "message=" + url.QueryEscape(key.MessageID) +
		"&part=" + strconv.Itoa(key.Part) + "&attempt=" + strconv.Itoa(key.Attempt)
	form := url.Values{"AccountSid": {s.AccountSid}, "MessageSid": {sid}, "MessageStatus": {status}, "ApiVersion": {"2010-04-01"}}.Encode()
	return Post(s.t, address, form, Sign(s.AuthToken, address, form))
}
