package edge_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"parley/contract"
	"parley/internal/domain"
	"parley/internal/telemetry"
	"parley/internal/twilio"
	"parley/webhook/edge"
	"parley/webhook/inbox"
)

const (
	publicURL  = "https://parley.example"
	accountSid = "AC0123456789abcdef0123456789abcdef"
	otherSid   = "ACfedcba9876543210fedcba9876543210"
	messageSid = "SM0123456789abcdef0123456789abcdef"
	token      = "11112222333344445555666677778888"
	otherToken = "88887777666655554444333322221111"
	inFlight   = 3
	callerKey  = "a-key-of-a-gateway-of-our-own-0001"
)

var (
	_ edge.Accounts = (*fakeAccounts)(nil)
	_ edge.Inbox    = (*fakeInbox)(nil)
	_ edge.Statuses = (*fakeStatuses)(nil)
	_ edge.Flows    = (*fakeFlows)(nil)
)

// gate holds up whoever comes to it. The zero value is open.
type gate struct{ came, open chan struct{} }

func closedGate() gate { return gate{make(chan struct{}, inFlight), make(chan struct{})} }

func (g gate) pass() {
	if g.came != nil {
		g.came <- struct{}{}
		<-g.open
	}
}

// awaitFull waits until somebody waits for each place.
func (g gate) awaitFull() {
	for range inFlight {
		<-g.came
	}
}

// fakeAccounts has two accounts. What it remembers of the first is outdated where old is set.
type fakeAccounts struct {
	old        string
	err        error // of Credentials
	renewalErr error
	renewals   atomic.Int64
	gate       gate // of those who ask for an account that is not remembered
}

func (f *fakeAccounts) Remembers(sid string) bool { return sid == accountSid || sid == otherSid }

func (f *fakeAccounts) Credentials(ctx context.Context, sid string) (domain.Credentials, error) {
	if sid == accountSid && f.old != "" && f.err == nil {
		return domain.Credentials{AccountSid: sid, AuthTokens: []string{f.old}}, ctx.Err()
	}
	return f.find(ctx, sid, f.err)
}

func (f *fakeAccounts) Renewed(ctx context.Context, sid string) (domain.Credentials, error) {
	f.renewals.Add(1)
	return f.find(ctx, sid, f.renewalErr)
}

func (f *fakeAccounts) find(ctx context.Context, sid string, err error) (domain.Credentials, error) {
	if !f.Remembers(sid) {
		f.gate.pass()
	}
	tokens := map[string]string{accountSid: token, otherSid: otherToken}
	switch {
	case err != nil:
		return domain.Credentials{}, err
	case tokens[sid] == "":
		return domain.Credentials{}, domain.Errorf(domain.KindNotFound, "account: not found")
	}
	return domain.Credentials{AccountSid: sid, AuthTokens: []string{tokens[sid]}}, ctx.Err()
}

type fakeStatuses struct {
	change domain.StatusChange
	err    error
	events []domain.StatusEvent
	mu     sync.Mutex
	gate   gate
}

func (f *fakeStatuses) ApplyStatus(ctx context.Context, event domain.StatusEvent) (domain.StatusChange, error) {
	f.gate.pass()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, event)
	if f.err != nil {
		return domain.StatusChange{}, f.err
	}
	return f.change, ctx.Err()
}

type signal struct {
	workflowID string
	delivery   contract.Delivery
}

type fakeInbox struct {
	mu     sync.Mutex
	as     inbox.Acceptance // of a new message
	taken  []domain.Received
	err    error
	panics bool
	gate   gate
}

func (f *fakeInbox) Accept(ctx context.Context, received domain.Received) (inbox.Acceptance, error) {
	f.gate.pass()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.panics {
		panic("with a phone number: +15005550100")
	}
	if f.err != nil || ctx.Err() != nil {
		return "", cmpErr(f.err, ctx.Err())
	}
	if slices.ContainsFunc(f.taken, func(r domain.Received) bool { return r.MessageSid == received.MessageSid }) {
		return inbox.Duplicate, nil
	}
	f.taken = append(f.taken, received)
	return f.as, nil
}

type fakeFlows struct {
	signals []signal
	err     error
}

func (f *fakeFlows) SignalDelivery(_ context.Context, workflowID string, delivery contract.Delivery) error {
	f.signals = append(f.signals, signal{workflowID, delivery})
	return f.err
}

func cmpErr(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

// bench is an edge over fakes.
type bench struct {
	accounts fakeAccounts
	inbox    fakeInbox
	statuses fakeStatuses
	flows    fakeFlows
	log      bytes.Buffer
	reader   *sdkmetric.ManualReader
	handler  http.Handler
	now      time.Time // of the edge, for its limits
}

func newBench(t *testing.T) *bench { t.Helper(); return newBenchAt(t, publicURL) }

// newBenchAt returns an edge that is configured at Twilio with a public URL.
func newBenchAt(t *testing.T, publicURL string) *bench {
	t.Helper()
	b := &bench{reader: sdkmetric.NewManualReader(), inbox: fakeInbox{as: inbox.Started}, now: time.Now()}
	logger, meter := slog.New(slog.NewJSONHandler(&b.log, nil)), sdkmetric.NewMeterProvider(sdkmetric.WithReader(b.reader)).Meter("test")
	twilioErrors, err := telemetry.NewTwilioErrors(t.Context(), meter, logger)
	if err != nil {
		t.Fatal(err)
	}
	handler, err := edge.New(t.Context(), edge.Parts{
		PublicURL: publicURL, InFlight: inFlight, Verifiers: []edge.Verifier{edge.TwilioVerifier{}, edge.CallerKeys{callerKey}},
		Accounts: &b.accounts, Inbox: &b.inbox, Statuses: &b.statuses, Flows: &b.flows,
		Logger: logger, Meter: meter, Errors: twilioErrors, Now: func() time.Time { return b.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	b.handler = handler
	return b
}

// post sends a request and returns the answer.
func (b *bench) post(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return w
}

// counted returns the value of a counter with the given attributes.
func (b *bench) counted(t *testing.T, name string, attributes ...attribute.KeyValue) int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := b.reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	want := attribute.NewSet(attributes...)
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			sum, ok := m.Data.(metricdata.Sum[int64])
			if !ok || m.Name != name {
				continue
			}
			for _, point := range sum.DataPoints {
				if point.Attributes.Equals(&want) {
					return point.Value
				}
			}
		}
	}
	return 0
}

func inboundForm() url.Values {
	return url.Values{
		"AccountSid": {accountSid}, "MessageSid": {messageSid}, "From": {"+15005550100"}, "To": {"+15005550006"},
		"Body": {"secret words"}, "NumMedia": {"0"}, "ToCity": {""}, "FromCity": {"SAN FRANCISCO"},
	}
}

// signed returns a request as Twilio posts it. Changes are made after it was signed.
func signed(path, authToken string, form url.Values, changes ...func(*http.Request)) *http.Request {
	r := unsigned(path, form.Encode())
	r.Header.Set("X-Twilio-Signature", twilio.Sign(authToken, publicURL+path, form))
	for _, change := range changes {
		change(r)
	}
	return r
}

func unsigned(path, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	return r
}

func body(text string) func(*http.Request) {
	return func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	}
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// with returns a changed copy of the inbound form.
func with(key, value string) url.Values {
	form := inboundForm()
	form.Set(key, value)
	return form
}
