package edge_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"unicode"

	"parley/internal/twilio"
	"parley/webhook/edge"
)

// Of more requests at once than there are places the rest get 503, at once; who is slow takes no place.
func TestRequestsAtOnceAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.inbox.gate = closedGate()
	var posts sync.WaitGroup
	slow, rest := io.Pipe()
	for range 2 * inFlight { // their bodies never come
		posts.Go(func() {
			b.post(signed(edge.InboundPath, token, inboundForm(), func(r *http.Request) { r.Body = io.NopCloser(slow) }))
		})
	}
	for n := range inFlight {
		posts.Go(func() {
			if w := b.post(signed(edge.InboundPath, token, with("MessageSid", fmt.Sprintf("SM%032x", n)))); w.Code != http.StatusOK {
				t.Errorf("got %d, want 200", w.Code)
			}
		})
	}
	b.inbox.gate.awaitFull()
	if w := b.post(signed(edge.InboundPath, token, inboundForm())); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" || w.Body.Len() != 0 {
		t.Errorf("got %d, Retry-After %q, want 503 and 1", w.Code, w.Header().Get("Retry-After"))
	}
	if w := b.post(signed(twilio.StatusPath, token, statusForm("delivered"))); w.Code != http.StatusNoContent {
		t.Errorf("a status got %d, want 204: its places are others", w.Code)
	}
	close(b.inbox.gate.open)
	_ = rest.Close()
	posts.Wait()
	b.inbox.gate = gate{}
	if w := b.post(signed(edge.InboundPath, token, with("MessageSid", "SM"+strings.Repeat("f", 32)))); w.Code != http.StatusOK {
		t.Errorf("once there is room again: got %d, want 200", w.Code)
	}
}

// Strangers who wait for a database that hangs take no place of an account that is remembered.
func TestStrangersWhoWaitTakeNobodysPlace(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.accounts.gate = closedGate()
	takeNoMessagesPlace(t, b, b.accounts.gate, http.StatusForbidden, func() *http.Request {
		return signed(edge.InboundPath, otherToken, with("AccountSid", "AC"+strings.Repeat("1", 32)))
	})
}

// Statuses that wait for a database that hangs take no place of messages, and are bounded themselves.
func TestStatusesThatWaitTakeNoMessagesPlace(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.statuses.gate = closedGate()
	takeNoMessagesPlace(t, b, b.statuses.gate, http.StatusNoContent, func() *http.Request {
		return signed(twilio.StatusPath, token, statusForm("delivered"))
	})
}

// takeNoMessagesPlace fails the test unless requests that a gate holds up are bounded, leave room for a message, and are answered at last.
func takeNoMessagesPlace(t *testing.T, b *bench, held gate, answer int, request func() *http.Request) {
	t.Helper()
	var posts sync.WaitGroup
	for range inFlight {
		posts.Go(func() {
			if w := b.post(request()); w.Code != answer {
				t.Errorf("one that waited got %d, want %d", w.Code, answer)
			}
		})
	}
	held.awaitFull()
	if w := b.post(request()); w.Code != http.StatusServiceUnavailable {
		t.Errorf("one too many got %d, want 503", w.Code)
	}
	if w := b.post(signed(edge.InboundPath, token, inboundForm())); w.Code != http.StatusOK {
		t.Errorf("a message got %d, want 200", w.Code)
	}
	close(held.open)
	posts.Wait()
}

// A place is free again whatever became of the request.
func TestPlacesAreFreeAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.inbox.panics = true
	for range 2 * inFlight {
		b.post(signed(edge.InboundPath, token, inboundForm()))
		b.post(signed(edge.InboundPath, otherToken, inboundForm()))
	}
	b.inbox.panics = false
	if w := b.post(signed(edge.InboundPath, token, inboundForm())); w.Code != http.StatusOK {
		t.Errorf("got %d, want 200", w.Code)
	}
}

// Whatever a stranger writes, into whatever we read, the log stays one line an event of plain ASCII, of bounded length.
func TestNothingAStrangerWritesForgesALogLine(t *testing.T) {
	t.Parallel()
	const evil = "x\"}\n{\"level\":\"INFO\",\"msg\":\"all is well\"}\x1b[2J\u202e\u2028\xff"
	long := strings.Repeat(evil, 100)
	requests := map[string]*http.Request{}
	for name, value := range map[string]string{"short": evil, "long": long} {
		for _, field := range []string{"AccountSid", "MessageSid", "From", "To", "Body", "ErrorCode", "ErrorUrl", "NumMedia", evil} {
			requests[name+" inbound "+field] = signed(edge.InboundPath, token, with(field, value))
			requests[name+" fallback "+field] = signed(edge.FallbackPath, token, with(field, value))
		}
		for _, field := range []string{"AccountSid", "MessageSid", "MessageStatus", "ErrorCode"} {
			form := statusForm("delivered")
			form.Set(field, value)
			requests[name+" status "+field] = signed(twilio.StatusPath, token, form)
		}
		for _, field := range []string{"X-Twilio-Signature", "I-Twilio-Idempotency-Token", "Content-Type", "User-Agent", "X-Forwarded-For"} {
			requests[name+" header "+field] = signed(edge.InboundPath, token, inboundForm(), header(field, value))
		}
		requests[name+" URL"] = signed(edge.InboundPath, token, inboundForm(), func(r *http.Request) { r.RequestURI += "?" + value })
		requests[name+" method"] = signed(edge.InboundPath, token, inboundForm(), func(r *http.Request) { r.Method = value })
		requests[name+" path"] = signed(edge.InboundPath, token, inboundForm(), func(r *http.Request) { r.URL.Path += value })
	}
	for name, request := range requests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.post(request)
			log := b.log.String()
			if lines := strings.Count(log, "\n"); lines > 2 || len(log) > 2*2000 {
				t.Errorf("%d lines, %d bytes: %s", lines, len(log), log)
			}
			if strings.Contains(log, `"msg":"all is well"`) || strings.ContainsFunc(log, func(r rune) bool { return r != '\n' && (r > unicode.MaxASCII || !unicode.IsPrint(r)) }) {
				t.Errorf("logged %q", log)
			}
		})
	}
}
