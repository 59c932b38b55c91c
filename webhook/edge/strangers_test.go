package edge_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"parley/internal/domain"
	"parley/webhook/edge"
)

// stranger is a request that nobody of ours signed, from an address.
func stranger(remote string) *http.Request {
	r := signed(edge.InboundPath, token, with("AccountSid", "AC00000000000000000000000000000000"))
	r.RemoteAddr = remote
	return r
}

// refusals posts a request of each address, and returns how often each status was answered.
func (b *bench) refusals(remotes ...string) map[int]int {
	statuses := map[int]int{}
	for _, remote := range remotes {
		statuses[b.post(stranger(remote)).Code]++
	}
	return statuses
}

func many(n int, remote func(int) string) (remotes []string) {
	for i := range n {
		remotes = append(remotes, remote(i))
	}
	return remotes
}

func TestATokenThatWasChangedAtTwilioIsTakenAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.accounts.old = otherToken
	if w := b.post(signed(edge.InboundPath, token, inboundForm())); w.Code != http.StatusOK || b.accounts.renewals.Load() != 1 {
		t.Errorf("signed with the new token: got %d after %d renewals, want 200 after one", w.Code, b.accounts.renewals.Load())
	}
	if w := b.post(signed(edge.InboundPath, otherToken, inboundForm())); w.Code != http.StatusOK || b.accounts.renewals.Load() != 1 {
		t.Errorf("signed with the one that is remembered: got %d after %d renewals, want 200 and no further one", w.Code, b.accounts.renewals.Load())
	}
	if n := b.counted(t, "parley.webhook.signature_failures", attribute.String("account_sid", accountSid)); n != 0 {
		t.Errorf("%d failures counted, want none", n)
	}
	b.accounts.renewalErr = domain.Errorf(domain.KindUnavailable, "account: the database does not answer")
	if w := b.post(signed(edge.InboundPath, token, inboundForm())); w.Code != http.StatusServiceUnavailable {
		t.Errorf("not signed with what is remembered, and the store is away: got %d, want 503", w.Code)
	}
	b.accounts.renewalErr = domain.Errorf(domain.KindNotFound, "account: not found")
	if w := b.post(signed(edge.InboundPath, token, inboundForm())); w.Code != http.StatusForbidden {
		t.Errorf("the account was removed: got %d, want 403", w.Code)
	}
}

func TestManyStrangersAreAnswered429AndLoggedLittle(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const address = "192.0.2.1:4711"
	if got := b.refusals(many(60, func(int) string { return address })...); got[403] != 60 {
		t.Errorf("the first 60: got %v, want 403", got)
	}
	w := b.post(stranger(address))
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "60" || w.Body.Len() != 0 {
		t.Errorf("the 61st: got %d with Retry-After %q, want 429 with 60", w.Code, w.Header().Get("Retry-After"))
	}
	if got := b.refusals(many(1000, func(int) string { return address })...); got[429] != 1000 {
		t.Errorf("the next: got %v, want 429", got)
	}
	if n := b.counted(t, "parley.webhook.requests", attribute.String("path", edge.InboundPath), attribute.Int("status", 429)); n != 1001 {
		t.Errorf("%d requests counted as 429, want 1001", n)
	}
	if lines := strings.Count(b.log.String(), "\n"); lines != 60 {
		t.Errorf("%d lines logged, want 60", lines)
	}
	b.now = b.now.Add(10 * time.Second)
	b.log.Reset()
	if got := b.refusals(many(100, func(int) string { return address })...); got[403] != 10 || got[429] != 90 {
		t.Errorf("ten seconds later: got %v, want ten more 403", got)
	}
	if lines := strings.Split(strings.TrimSpace(b.log.String()), "\n"); len(lines) != 10 || !strings.Contains(lines[0], `"not_logged":1001`) {
		t.Errorf("logged %d lines, want 10, the first of which says how many came between: %s", len(lines), lines[0])
	}
}

func TestAVerifiedMessageIsNeverRefusedForTheStrangersOfItsAddress(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const balancer = "192.0.2.1:4711"
	for n := range 2000 {
		b.post(stranger(balancer))
		if n%100 != 0 {
			continue
		}
		genuine := signed(edge.InboundPath, token, with("MessageSid", fmt.Sprintf("SM%032x", n)))
		genuine.RemoteAddr = balancer
		if w := b.post(genuine); w.Code != http.StatusOK {
			t.Fatalf("after %d strangers: got %d, want 200", n+1, w.Code)
		}
	}
	if len(b.inbox.taken) != 20 {
		t.Errorf("%d messages taken, want 20", len(b.inbox.taken))
	}
}

func TestStrangersAreLimitedByAddressAndAltogether(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		remotes []string
		want    int // of them answered 403, the others 429
	}{
		"one address, other ports":     {many(100, func(n int) string { return fmt.Sprintf("192.0.2.1:%d", n+1) }), 60},
		"ten addresses":                {many(500, func(n int) string { return fmt.Sprintf("192.0.2.%d:1", n%10) }), 500},
		"all":                          {many(1000, func(n int) string { return fmt.Sprintf("192.0.2.%d:1", n%100) }), 600},
		"one host's addresses":         {many(100, func(n int) string { return fmt.Sprintf("[2001:db8::%x]:1", n) }), 60},
		"hosts with IPv6":              {many(100, func(n int) string { return fmt.Sprintf("[2001:db8:0:%x::1]:1", n) }), 100},
		"IPv4 in IPv6":                 {many(100, func(n int) string { return fmt.Sprintf("[::ffff:192.0.2.%d]:1", n) }), 100},
		"more than are remembered":     {many(5000, func(n int) string { return fmt.Sprintf("10.0.%d.%d:1", n/250, n%250) }), 600},
		"what has no address is one":   {many(100, func(n int) string { return fmt.Sprintf("@%d", n) }), 60},
		"a zone is not an address":     {many(100, func(n int) string { return fmt.Sprintf("[fe80::1%%eth%d]:1", n) }), 60},
		"no limit at the first moment": {many(60, func(int) string { return "192.0.2.1:1" }), 60},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			got := b.refusals(test.remotes...)
			if got[403] != test.want || got[429] != len(test.remotes)-test.want {
				t.Errorf("got %v, want %d of %d answered 403 and the others 429", got, test.want, len(test.remotes))
			}
		})
	}
}

// A wrong token of ours does not hide behind strangers: neither in the log nor in the metrics.
func TestAnAccountOfOursIsHeardAmongStrangers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const balancer = "192.0.2.1:4711"
	b.refusals(many(500, func(int) string { return balancer })...)
	b.log.Reset()
	for range 3 {
		wrong := signed(edge.InboundPath, otherToken, inboundForm())
		wrong.RemoteAddr = balancer
		b.post(wrong)
		b.post(stranger(balancer))
	}
	if log := b.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, `"level":"ERROR"`) || !strings.Contains(log, accountSid) {
		t.Errorf("want one line, about our account; got %s", log)
	}
	if n := b.counted(t, "parley.webhook.signature_failures", attribute.String("account_sid", accountSid)); n != 3 {
		t.Errorf("%d failures counted, want 3", n)
	}
}

func TestWhatIsNoFaultOfStrangersIsNot429(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.accounts.err = domain.Errorf(domain.KindUnavailable, "account: the database does not answer")
	for n := range 1000 {
		if w := b.post(signed(edge.InboundPath, token, inboundForm())); w.Code != http.StatusServiceUnavailable {
			t.Fatalf("request %d while the store is away: got %d, want 503", n, w.Code)
		}
	}
	if lines := strings.Count(b.log.String(), "\n"); lines > 60 {
		t.Errorf("%d lines logged", lines)
	}
	b.accounts.err = nil
	for n := range 1000 {
		if w := b.post(signed(edge.InboundPath, token, with("MessageSid", "SM1"))); w.Code != http.StatusBadRequest {
			t.Fatalf("a verified request %d that is not a message: got %d, want 400", n, w.Code)
		}
	}
}
