package e2e_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"parley/internal/testkit"
)

// sign computes X-Twilio-Signature as Twilio documents it, apart from our own implementation.
// https://www.twilio.com/docs/usage/security#validating-requests
func sign(token, address, form string) string {
	values, _ := url.ParseQuery(form) // the tests' own forms
	names := []string{}
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

func post(t *testing.T, address, form, signature string) int {
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

// database opens a connection beside Parley's own.
func database(t *testing.T, s *testkit.Stack) *pgx.Conn {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), s.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close(t.Context()) })
	return connection
}

func count(t *testing.T, s *testkit.Stack, query string, args ...any) (n int) {
	t.Helper()
	if err := database(t, s).QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
