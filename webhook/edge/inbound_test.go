package edge_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"parley/internal/domain"
	"parley/webhook/edge"
	"parley/webhook/inbox"
)

func TestInboundIsDurableBeforeItIsAnswered(t *testing.T) {
	t.Parallel()
	for _, path := range []string{edge.InboundPath, edge.FallbackPath, edge.InboundPath + "?tenant=a%20b&x"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			before := time.Now()
			w := b.post(signed(path, token, inboundForm()))
			if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/xml" ||
				w.Body.String() != `<?xml version="1.0" encoding="UTF-8"?><Response/>` {
				t.Errorf("got %d %q %q, want an empty TwiML", w.Code, w.Header().Get("Content-Type"), w.Body)
			}
			if len(b.inbox.taken) != 1 {
				t.Fatalf("%d messages taken, want 1", len(b.inbox.taken))
			}
			got := b.inbox.taken[0]
			if got.ReceivedAt.Before(before) || got.ReceivedAt.After(time.Now()) || got.ReceivedAt.Location() != time.UTC {
				t.Errorf("received at %s", got.ReceivedAt)
			}
			got.ReceivedAt = time.Time{}
			want := domain.Received{
				AccountSid: accountSid, MessageSid: messageSid, From: "+15005550100", To: "+15005550006", Body: "secret words",
				Other: map[string][]string{"FromCity": {"SAN FRANCISCO"}},
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
			route, _, _ := strings.Cut(path, "?")
			if n := b.counted(t, "parley.webhook.requests", attribute.String("path", route), attribute.Int("status", 200)); n != 1 {
				t.Errorf("%d requests counted, want 1", n)
			}
		})
	}
}

func TestInboundAgainIsTheSameFlow(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for range 3 {
		if w := b.post(signed(edge.InboundPath, token, inboundForm())); w.Code != http.StatusOK {
			t.Errorf("got %d, want 200", w.Code)
		}
	}
	if w := b.post(signed(edge.FallbackPath, token, with("ErrorCode", "11200"))); w.Code != http.StatusOK {
		t.Errorf("fallback: got %d, want 200", w.Code)
	}
	if len(b.inbox.taken) != 1 {
		t.Errorf("%d messages taken, want 1", len(b.inbox.taken))
	}
	if n := b.counted(t, "parley.webhook.duplicates"); n != 3 {
		t.Errorf("%d duplicates counted, want 3", n)
	}
}

// A message that is kept for later is answered as one whose flow was started: it is as durable.
func TestInboundThatIsSpooledIsAcknowledged(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.inbox.as = inbox.Spooled
	w := b.post(signed(edge.InboundPath, token, inboundForm()))
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/xml" {
		t.Errorf("got %d %q, want an empty TwiML", w.Code, w.Header().Get("Content-Type"))
	}
	if log := b.log.String(); !strings.Contains(log, `"acceptance":"spooled"`) || !strings.Contains(log, messageSid) {
		t.Errorf("logged %s", log)
	}
	if n := b.counted(t, "parley.webhook.duplicates"); n != 0 {
		t.Errorf("%d duplicates counted", n)
	}
}

func TestFallbackKeepsTwiliosExplanation(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	form := with("ErrorCode", "11200")
	form.Set("ErrorUrl", publicURL+edge.InboundPath)
	for range 2 { // a message that had come by the other URL after all is told of too
		if w := b.post(signed(edge.FallbackPath, token, form)); w.Code != http.StatusOK {
			t.Fatalf("got %d, want 200", w.Code)
		}
	}
	if n := b.counted(t, "parley.webhook.fallbacks", attribute.Int("error_code", 11200)); n != 2 {
		t.Errorf("%d messages counted, want 2", n)
	}
	if log := b.log.String(); !strings.Contains(log, `"error_code":11200,"error_url":"`+publicURL+edge.InboundPath+`","message_sid":"`+messageSid) {
		t.Errorf("logged %s", log)
	}
	other := b.inbox.taken[0].Other
	if other["ErrorCode"][0] != "11200" || other["ErrorUrl"][0] != publicURL+edge.InboundPath {
		t.Errorf("got %v", other)
	}
}

func TestInboundRefusesAndTakesNothing(t *testing.T) {
	t.Parallel()
	away := domain.Errorf(domain.KindUnavailable, "account: the database does not answer")
	encoded, verified := inboundForm().Encode(), []string{"a message of odd form", "no From", "one that conflicts", "something that is absent"}
	for name, test := range map[string]struct {
		request *http.Request
		arrange func(*bench)
		want    int
	}{
		"a changed byte":          {signed(edge.InboundPath, token, inboundForm(), body(strings.Replace(encoded, "words", "wordz", 1))), nil, 403},
		"an added parameter":      {signed(edge.InboundPath, token, inboundForm(), body(encoded+"&New=1")), nil, 403},
		"another query":           {signed(edge.InboundPath+"?a=1", token, inboundForm(), func(r *http.Request) { r.RequestURI = edge.InboundPath + "?a=2" }), nil, 403},
		"a changed signature":     {signed(edge.InboundPath, token, inboundForm(), header("X-Twilio-Signature", "RSOYDt4T1cUTdK1PDd93/VVr8B8=")), nil, 403},
		"no signature":            {unsigned(edge.InboundPath, encoded), nil, 403},
		"another account's token": {signed(edge.InboundPath, otherToken, inboundForm()), nil, 403},
		"signed for another path": {signed(edge.FallbackPath, token, inboundForm(), func(r *http.Request) { r.URL.Path = edge.InboundPath; r.RequestURI = edge.InboundPath }), nil, 403},
		"headers that lie about the host": {
			signed(edge.InboundPath, token, inboundForm(), header("X-Twilio-Signature", "x"), header("X-Forwarded-Host", "evil.example"), func(r *http.Request) { r.Host = "evil.example" }), nil, 403,
		},
		"an unknown account":       {signed(edge.InboundPath, token, with("AccountSid", "AC00000000000000000000000000000000")), nil, 403},
		"no account":               {signed(edge.InboundPath, token, with("AccountSid", "")), nil, 403},
		"an account of odd form":   {signed(edge.InboundPath, token, with("AccountSid", "+15005550100")), nil, 403},
		"a message of odd form":    {signed(edge.InboundPath, token, with("MessageSid", "SM1")), nil, 400},
		"no From":                  {signed(edge.InboundPath, token, with("From", "")), nil, 400},
		"not a form":               {unsigned(edge.InboundPath, "%zz"), nil, 400},
		"too large":                {signed(edge.InboundPath, token, with("Body", strings.Repeat("x", 64<<10))), nil, 413},
		"a body without its end":   {signed(edge.InboundPath, token, inboundForm(), func(r *http.Request) { r.Body = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF)) }), nil, 408},
		"JSON":                     {signed(edge.InboundPath, token, inboundForm(), header("Content-Type", "application/json")), nil, 415},
		"no content type":          {signed(edge.InboundPath, token, inboundForm(), func(r *http.Request) { r.Header.Del("Content-Type") }), nil, 415},
		"another method":           {httptest.NewRequest(http.MethodGet, edge.InboundPath, nil), nil, 405},
		"another path":             {signed(edge.InboundPath+"/", token, inboundForm()), nil, 404},
		"the store is down":        {signed(edge.InboundPath, token, inboundForm()), func(b *bench) { b.accounts.err = away }, 503},
		"the token is unreadable":  {signed(edge.InboundPath, token, inboundForm()), func(b *bench) { b.accounts.err = domain.Errorf(domain.KindConfiguration, "keyset") }, 503},
		"an error without kind":    {signed(edge.InboundPath, token, inboundForm()), func(b *bench) { b.accounts.err = context.DeadlineExceeded }, 500},
		"nothing takes it":         {signed(edge.InboundPath, token, inboundForm()), func(b *bench) { b.inbox.err = domain.Errorf(domain.KindUnavailable, "spool") }, 503},
		"a throttled acceptance":   {signed(edge.InboundPath, token, inboundForm()), func(b *bench) { b.inbox.err = domain.Errorf(domain.KindThrottled, "x") }, 503},
		"one that conflicts":       {signed(edge.InboundPath, token, inboundForm()), func(b *bench) { b.inbox.err = domain.Errorf(domain.KindConflict, "x") }, 409},
		"one of unknown fate":      {signed(edge.InboundPath, token, inboundForm()), func(b *bench) { b.inbox.err = domain.Errorf(domain.KindUnknownOutcome, "x") }, 500},
		"something that is absent": {signed(edge.InboundPath, token, inboundForm()), func(b *bench) { b.inbox.err = domain.Errorf(domain.KindNotFound, "x") }, 404},
		"a defect of ours":         {signed(edge.InboundPath, token, inboundForm()), func(b *bench) { b.inbox.panics = true }, 500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			if test.arrange != nil {
				test.arrange(b)
			}
			w := b.post(test.request)
			if w.Code != test.want || w.Body.Len() != 0 {
				t.Errorf("got %d with the body %q, want %d without", w.Code, w.Body, test.want)
			}
			if len(b.inbox.taken) != 0 {
				t.Error("a message was taken")
			}
			if lost := b.counted(t, "parley.webhook.not_taken", attribute.String("path", edge.InboundPath)); (lost == 1) != (test.want >= 500 || slices.Contains(verified, name)) {
				t.Errorf("%d counted as not taken", lost)
			}
			for _, secret := range []string{"secret words", "5005550", token, otherToken} {
				if strings.Contains(b.log.String(), secret) {
					t.Errorf("the log has %q: %s", secret, b.log.String())
				}
			}
			if lines := strings.Count(b.log.String(), "\n"); lines > 1 {
				t.Errorf("%d lines logged, want one at most", lines)
			}
		})
	}
}

func TestARefusedSignatureIsCountedAndLoggedLoudly(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.post(signed(edge.InboundPath+"?x=1", otherToken, inboundForm()))
	b.post(signed(edge.InboundPath, token, with("AccountSid", "AC00000000000000000000000000000000")))
	if n := b.counted(t, "parley.webhook.signature_failures", attribute.String("account_sid", accountSid)); n != 1 {
		t.Errorf("%d failures counted, want 1", n)
	}
	if n := b.counted(t, "parley.webhook.signature_failures", attribute.String("account_sid", "AC00000000000000000000000000000000")); n != 0 {
		t.Error("failures of an unknown account are counted: anybody could make new series")
	}
	lines := strings.Split(b.log.String(), "\n")
	for _, want := range []string{`"level":"ERROR"`, `"url":"` + publicURL + edge.InboundPath + `?x=1"`, `"account_sid":"` + accountSid + `"`} {
		if !strings.Contains(lines[0], want) {
			t.Errorf("the log lacks %s: %s", want, lines[0])
		}
	}
	if !strings.Contains(lines[1], `"level":"WARN"`) {
		t.Errorf("an unknown account is louder than a warning: %s", lines[1])
	}
}

// What strangers write does not fill the log, nor does it get there as it is.
func TestTheLogIsBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("%1b[2Jé\"", 1500)
	requests := map[string]*http.Request{
		"a refused URL": signed(edge.InboundPath, otherToken, inboundForm(), func(r *http.Request) { r.RequestURI += "?x=1&" + long }),
		"a token":       signed(edge.InboundPath, token, inboundForm(), header("I-Twilio-Idempotency-Token", long)),
	}
	for name, request := range requests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.post(request)
			if log := b.log.String(); len(log) > 2000 || strings.Contains(log, "é") || strings.Count(log, "\n") != 1 {
				t.Errorf("logged %d bytes: %s", len(log), log)
			}
			if name == "a refused URL" && !strings.Contains(b.log.String(), `"url":"`+publicURL+edge.InboundPath+"?x=1&%1b[2J") {
				t.Errorf("the log does not say which URL: %s", b.log.String())
			}
		})
	}
}

func TestAClientThatHangsUpDoesNotLoseTheMessage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx, hangUp := context.WithCancel(t.Context())
	hangUp()
	w := b.post(signed(edge.InboundPath, token, inboundForm()).WithContext(ctx))
	if w.Code != http.StatusOK || len(b.inbox.taken) != 1 {
		t.Errorf("got %d and %d messages, want 200 and one", w.Code, len(b.inbox.taken))
	}
}
