package doctor_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parley/internal/domain"
	"parley/starter/internal/doctor"
)

const (
	accountA = "AC0000000000000000000000000000000a"
	accountB = "AC0000000000000000000000000000000b"
)

// directory has accounts with what becomes of them: decrypted and asked at Twilio by the same fake.
type directory struct {
	accounts []string
	senders  []domain.Sender
	err      error            // of every list
	vault    map[string]error // of decrypting
	twilio   map[string]error // of Twilio, by token
	tokens   []domain.Token   // of every account; nil: one, named as the account
}

var (
	_ doctor.Vault     = directory{}
	_ doctor.Twilio    = directory{}
	_ doctor.Addresses = directory{}
)

func (d directory) Accounts(context.Context) (list []domain.Account, err error) {
	for _, sid := range d.accounts {
		list = append(list, domain.Account{AccountSid: sid, Tokens: d.tokensOf(sid)})
	}
	return list, d.err
}

func (d directory) tokensOf(sid string) []domain.Token {
	if d.tokens == nil {
		return []domain.Token{{TokenID: sid}}
	}
	return d.tokens
}

func (d directory) Credentials(_ context.Context, sid string) (domain.Credentials, error) {
	credentials := domain.Credentials{AccountSid: sid}
	for _, token := range d.tokensOf(sid) {
		credentials.Logins = append(credentials.Logins, domain.Login{AccountSid: sid, TokenID: token.TokenID, User: cmp.Or(token.APIKey, sid)})
	}
	return credentials, d.vault[sid]
}

func (d directory) Authenticate(_ context.Context, login domain.Login) error {
	return d.twilio[login.TokenID]
}

func (d directory) Senders(context.Context, string) ([]domain.Sender, error) { return d.senders, d.err }

func TestAccounts(t *testing.T) {
	t.Parallel()
	locked := domain.Errorf(domain.KindConfiguration, "a stored secret does not decrypt")
	refused := domain.Errorf(domain.KindConfiguration, "Twilio did not accept the account's auth token")
	both := []string{accountA, accountB}
	for name, test := range map[string]struct {
		is       directory
		state    doctor.State
		problems int
		says     []string
	}{
		"well":       {directory{accounts: both}, doctor.OK, 0, []string{"2 of 2"}},
		"none":       {directory{}, doctor.Warning, 1, []string{"starter account add"}},
		"one locked": {directory{accounts: both, vault: map[string]error{accountB: locked}}, doctor.Failed, 1, []string{"1 of 2", accountB + ": its token does not decrypt", "PARLEY_KEYSET", "starter account add " + accountB}},
		"all locked": {directory{accounts: both, vault: map[string]error{accountA: locked, accountB: locked}}, doctor.Failed, 1, []string{"0 of 2", "of any account", "PARLEY_KEYSET"}},
		"refused":    {directory{accounts: both, twilio: map[string]error{accountA: refused}}, doctor.Failed, 1, []string{"1 of 2", "token " + accountA + ": Twilio did not accept", "starter account rotate " + accountA}},
		"switching": {directory{accounts: both[:1], tokens: []domain.Token{{TokenID: "new"}, {TokenID: "old"}}, twilio: map[string]error{"new": refused}},
			doctor.Warning, 1, []string{"token new, beside one that is accepted", "starter account drop-token " + accountA + " new"}},
		"two wrong ones": {directory{accounts: both[:1], tokens: []domain.Token{{TokenID: "new"}, {TokenID: "old"}}, twilio: map[string]error{"new": refused, "old": refused}},
			doctor.Failed, 2, []string{"token new: Twilio did not", "token old: Twilio did not"}},
		"an API key signs nothing": {directory{accounts: both[:1], tokens: []domain.Token{{TokenID: "key", APIKey: "SK1"}, {TokenID: "old"}}, twilio: map[string]error{"old": refused}},
			doctor.Failed, 1, []string{"token old: Twilio did not"}},
		"its last token ended": {directory{accounts: both[:1], tokens: []domain.Token{{TokenID: "old", ValidUntil: new(time.Time)}, {TokenID: "key", APIKey: "SK1"}},
			vault: map[string]error{accountA: domain.Errorf(domain.KindConfiguration, "it has no auth token")}},
			doctor.Failed, 1, []string{"no auth token that is valid now", "starter account add " + accountA}},
		"throttled": {directory{accounts: both, twilio: map[string]error{accountA: domain.Errorf(domain.KindThrottled, "slowly")}}, doctor.Warning, 1, []string{"slowly"}},
		"no Twilio": {directory{accounts: both, twilio: map[string]error{accountA: domain.Errorf(domain.KindUnavailable, "gone"), accountB: domain.Errorf(domain.KindUnavailable, "gone")}},
			doctor.Failed, 2, []string{"0 of 2", "gone", "status.twilio.com"}},
		"no database":    {directory{err: domain.Errorf(domain.KindUnavailable, "gone")}, doctor.Failed, 1, []string{"gone"}},
		"lost meanwhile": {directory{accounts: both, vault: map[string]error{accountA: domain.Errorf(domain.KindUnavailable, "gone")}}, doctor.Failed, 1, []string{accountA + ": gone"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := look(t, doctor.Accounts(test.is, test.is))
			want(t, got, test.state, test.says...)
			if len(got.Problems) != test.problems {
				t.Errorf("got %+v", got.Problems)
			}
		})
	}
}

func TestSenders(t *testing.T) {
	t.Parallel()
	is := directory{accounts: []string{accountA, accountB}, senders: []domain.Sender{{AccountSid: accountA}}}
	want(t, look(t, doctor.Senders(is)), doctor.Warning, accountB, "starter sender add "+accountB)
	is.accounts = is.accounts[:1]
	want(t, look(t, doctor.Senders(is)), doctor.OK, "1, of accounts: 1")
	is.err = domain.Errorf(domain.KindUnavailable, "gone")
	want(t, look(t, doctor.Senders(is)), doctor.Failed, "gone")
}

// names resolves every host to the same addresses.
type names []string

var _ doctor.Resolver = names(nil)

func (n names) LookupNetIP(context.Context, string, string) (list []netip.Addr, err error) {
	for _, address := range n {
		list = append(list, netip.MustParseAddr(address))
	}
	if list == nil {
		err = &net.DNSError{Err: "no such host", Name: "parley.example"}
	}
	return list, err
}

// web answers every request alike.
type web func(*http.Request) (*http.Response, error)

var _ doctor.Web = web(nil)

func (w web) Do(r *http.Request) (*http.Response, error) { return w(r) }

func answering(status int, headers ...string) web {
	return func(*http.Request) (*http.Response, error) {
		response := &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody}
		for i := 0; i < len(headers); i += 2 {
			response.Header.Set(headers[i], headers[i+1])
		}
		return response, nil
	}
}

func failing(err error) web {
	return func(r *http.Request) (*http.Response, error) {
		return nil, &url.Error{Op: "Get", URL: r.URL.String(), Err: err}
	}
}

func TestPublicURL(t *testing.T) {
	t.Parallel()
	ours := answering(http.StatusMethodNotAllowed, "Allow", "POST")
	public, home, private := names{"203.0.113.7"}, names{"127.0.0.1", "::1"}, names{"10.1.2.3"}
	for name, test := range map[string]struct {
		url       string
		simulated bool
		names     names
		web       web
		state     doctor.State
		says      []string
	}{
		"well":           {"https://parley.example", false, public, ours, doctor.OK, []string{"https://parley.example, a webhook answers"}},
		"at home":        {"http://127.0.0.1:8080", true, home, ours, doctor.OK, []string{"a webhook answers"}},
		"not at home":    {"http://127.0.0.1:8080", false, home, ours, doctor.Failed, []string{"this machine's own", "tunnel"}},
		"in clear":       {"http://parley.example", false, public, ours, doctor.Warning, []string{"in clear", "https"}},
		"private":        {"https://parley.example", false, private, ours, doctor.Warning, []string{"private address"}},
		"no name":        {"https://parley.example", false, nil, ours, doctor.Failed, []string{"no such host", "DNS"}},
		"another server": {"https://parley.example", false, public, answering(http.StatusNotFound), doctor.Warning, []string{"HTTP 404", "path prefix"}},
		"a proxy alone":  {"https://parley.example", false, public, answering(http.StatusBadGateway), doctor.Warning, []string{"HTTP 502", "start a webhook"}},
		"a moved one":    {"https://parley.example", false, public, answering(http.StatusMovedPermanently, "Location", "/"), doctor.Warning, []string{"HTTP 301"}},
		"silence":        {"https://parley.example", false, public, failing(context.DeadlineExceeded), doctor.Warning, []string{"time-out", "firewall"}},
		"not trusted": {"https://parley.example", false, public, failing(&tls.CertificateVerificationError{Err: errors.New("expired")}), doctor.Failed,
			[]string{"expired", "certificate that the world trusts"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want(t, look(t, doctor.PublicURL(test.url, test.simulated, test.names, test.web)), test.state, test.says...)
		})
	}
}

func TestTheWebhookIsAskedBelowItsPrefix(t *testing.T) {
	t.Parallel()
	var asked string
	look(t, doctor.PublicURL("https://parley.example/prefix", false, names{"203.0.113.7"}, web(func(r *http.Request) (*http.Response, error) {
		asked = r.Method + " " + r.URL.String()
		return answering(http.StatusMethodNotAllowed)(r)
	})))
	if asked != "GET https://parley.example/prefix/webhooks/twilio/status" {
		t.Errorf("asked %s", asked)
	}
}

func TestClocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// by is a clock that is ahead, and answers after some time.
		by := func(name string, ahead, takes time.Duration) doctor.Clock {
			return doctor.Clock{Name: name, Read: func(context.Context) (time.Time, error) {
				time.Sleep(takes / 2)
				now := time.Now().Add(ahead)
				time.Sleep(takes / 2)
				return now, nil
			}}
		}
		silent := doctor.Clock{Name: "silence", Read: func(context.Context) (time.Time, error) { return time.Time{}, errors.New("gone") }}
		want(t, look(t, doctor.Clocks(by("the database", 2*time.Second, time.Second), by("Twilio", -2*time.Second, 0), silent)), doctor.OK,
			"the database +2.0 s", "Twilio -2.0 s")
		got := look(t, doctor.Clocks(by("the database", time.Minute, time.Second), by("Twilio", -7*time.Second, 0), by("the webhook", 0, 0)))
		want(t, got, doctor.Warning, "the clock of the database is 1m0s ahead", "the clock of Twilio is 7s behind", "NTP")
		if len(got.Problems) != 2 {
			t.Errorf("got %+v", got.Problems)
		}
		// What an answer of eight seconds says may be four seconds old.
		want(t, look(t, doctor.Clocks(by("the database", 9*time.Second, 8*time.Second))), doctor.OK)
		want(t, look(t, doctor.Clocks(silent)), doctor.Warning, "no other clock could be read")
	})
}

func TestADateIsReadFromAnyAnswer(t *testing.T) {
	t.Parallel()
	date, err := doctor.Date(answering(http.StatusUnauthorized, "Date", "Mon, 04 May 2026 03:02:01 GMT"), "https://x")(t.Context())
	if at := time.Date(2026, 5, 4, 3, 2, 1, 500_000_000, time.UTC); err != nil || !date.Equal(at) {
		t.Errorf("got %s, %v", date, err)
	}
	for name, silent := range map[string]web{"no date": answering(http.StatusOK), "no answer": failing(errors.New("refused"))} {
		if _, err := doctor.Date(silent, "https://me:hunter2@x")(t.Context()); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
