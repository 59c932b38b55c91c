package edge_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"parley/contract"
	"parley/internal/domain"
	"parley/internal/telemetry"
	"parley/internal/twilio"
	"parley/webhook/edge"
)

const (
	publicURL  = "https://parley.example"
	accountSid = "AC0123456789abcdef0123456789abcdef"
	otherSid   = "ACfedcba9876543210fedcba9876543210"
	messageSid = "SM0123456789abcdef0123456789abcdef"
	token      = "11112222333344445555666677778888"
	otherToken = "88887777666655554444333322221111"
)

var (
	_ edge.Accounts = (*fakeAccounts)(nil)
	_ edge.Statuses = (*fakeStatuses)(nil)
	_ edge.Flows    = (*fakeFlows)(nil)
)

type fakeAccounts struct{ err error }

func (f *fakeAccounts) Credentials(ctx context.Context, sid string) (domain.Credentials, error) {
	tokens := map[string]string{accountSid: token, otherSid: otherToken}
	switch {
	case f.err != nil:
		return domain.Credentials{}, f.err
	case tokens[sid] == "":
		return domain.Credentials{}, domain.Errorf(domain.KindNotFound, "account: not found")
	}
	return domain.Credentials{AccountSid: sid, AuthTokens: []string{tokens[sid]}}, ctx.Err()
}

type fakeStatuses struct {
	change domain.StatusChange
	err    error
	events []domain.StatusEvent
}

func (f *fakeStatuses) ApplyStatus(ctx context.Context, event domain.StatusEvent) (domain.StatusChange, error) {
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

type fakeFlows struct {
	mu      sync.Mutex
	known   map[string]bool
	started []domain.Received
	signals []signal
	err     error
	panics  bool
}

func (f *fakeFlows) StartInbound(ctx context.Context, received domain.Received) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.panics {
		panic("with a phone number: +15005550100")
	}
	if f.err != nil || ctx.Err() != nil {
		return false, cmpErr(f.err, ctx.Err())
	}
	id := contract.InboundWorkflowID(received.AccountSid, received.MessageSid)
	if f.known[id] {
		return false, nil
	}
	f.known[id] = true
	f.started = append(f.started, received)
	return true, nil
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
	statuses fakeStatuses
	flows    fakeFlows
	log      bytes.Buffer
	reader   *sdkmetric.ManualReader
	handler  http.Handler
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{reader: sdkmetric.NewManualReader(), flows: fakeFlows{known: map[string]bool{}}}
	logger, meter := slog.New(slog.NewJSONHandler(&b.log, nil)), sdkmetric.NewMeterProvider(sdkmetric.WithReader(b.reader)).Meter("test")
	twilioErrors, err := telemetry.NewTwilioErrors(t.Context(), meter, logger)
	if err != nil {
		t.Fatal(err)
	}
	handler, err := edge.New(edge.Parts{
		PublicURL: publicURL, Accounts: &b.accounts, Statuses: &b.statuses, Flows: &b.flows,
		Logger: logger, Meter: meter, Errors: twilioErrors,
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
