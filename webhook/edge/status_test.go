package edge_test

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"

	"parley/contract"
	"parley/internal/domain"
	"parley/internal/twilio"
	"parley/webhook/edge"
)

func statusForm(status string) url.Values {
	return url.Values{
		"AccountSid": {accountSid}, "MessageSid": {messageSid}, "MessageStatus": {status}, "From": {"+15005550006"},
		"To": {"+15005550100"}, "ErrorCode": {"30003"},
	}
}

var attempt = domain.AttemptKey{MessageID: "0192", Part: 2, Attempt: 3}

// callback is the path and query that Twilio is given for the attempt.
func callback() string { return strings.TrimPrefix(twilio.CallbackURL(publicURL, attempt), publicURL) }

func TestStatusIsStoredAndItsFlowToldWhereItWaits(t *testing.T) {
	t.Parallel()
	undelivered := domain.StatusChange{AttemptKey: attempt, WorkflowID: "w", Status: domain.StatusUndelivered, ErrorCode: 30003, Moved: true, Ended: true}
	news := []signal{{"w", contract.Delivery{Part: 2, Attempt: 3, Status: domain.StatusUndelivered, ErrorCode: 30003}}}
	for name, test := range map[string]struct {
		path   string
		status string
		change domain.StatusChange
		flows  error
		event  domain.StatusEvent
		want   []signal
	}{
		"final": {path: callback(), status: "undelivered", change: undelivered, want: news},
		"final, and Temporal is away": {
			path: callback(), status: "undelivered", change: undelivered, want: news,
			flows: domain.Errorf(domain.KindUnavailable, "temporal"),
		},
		"not final":                     {path: callback(), status: "sent", change: domain.StatusChange{WorkflowID: "w", Status: domain.StatusSent, Moved: true}},
		"before the answer to the POST": {path: callback(), status: "queued", change: domain.StatusChange{WorkflowID: "w", Status: domain.StatusQueued, Moved: true}},
		"of an attempt that is looked for": {
			path: callback(), status: "queued", change: domain.StatusChange{AttemptKey: attempt, Found: true, WorkflowID: "w", Status: domain.StatusQueued, Moved: true},
			want: []signal{{"w", contract.Delivery{Part: 2, Attempt: 3, Status: domain.StatusQueued}}},
		},
		"read, after delivered": {path: callback(), status: "read", change: domain.StatusChange{WorkflowID: "w", Status: domain.StatusRead, Moved: true}},
		"repeated":              {path: callback(), status: "undelivered", change: domain.StatusChange{WorkflowID: "w", Status: domain.StatusUndelivered}},
		"late":                  {path: callback(), status: "sent", change: domain.StatusChange{WorkflowID: "w", Status: domain.StatusDelivered}},
		"not in the list":       {path: callback(), status: "pondering", change: domain.StatusChange{WorkflowID: "w"}},
		"an unknown message":    {path: twilio.StatusPath, status: "delivered"},
		"a known message, without our parameters": {
			path: twilio.StatusPath, status: "undelivered", change: undelivered, want: news,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.statuses.change, b.flows.err = test.change, test.flows
			w := b.post(signed(test.path, token, statusForm(test.status)))
			if w.Code != http.StatusNoContent || w.Body.Len() != 0 {
				t.Errorf("got %d %q, want 204", w.Code, w.Body)
			}
			want := domain.StatusEvent{AccountSid: accountSid, Sid: messageSid, Status: domain.Status(test.status), ErrorCode: 30003, Source: domain.SourceCallback}
			if test.path != twilio.StatusPath {
				want.AttemptKey = attempt
			}
			if !reflect.DeepEqual(b.statuses.events, []domain.StatusEvent{want}) {
				t.Errorf("stored %+v, want %+v", b.statuses.events, want)
			}
			if !reflect.DeepEqual(b.flows.signals, test.want) {
				t.Errorf("told %+v, want %+v", b.flows.signals, test.want)
			}
			if strings.Contains(b.log.String(), "5005550") {
				t.Errorf("the log has a phone number: %s", b.log.String())
			}
		})
	}
}

// What Twilio says of a delivery that failed is counted by its class, once: a callback that brings nothing new is not counted.
func TestErrorsOfDeliveriesAreCounted(t *testing.T) {
	t.Parallel()
	for code, class := range map[int]twilio.Class{
		30003: twilio.ClassTransient, 21610: twilio.ClassPermanent, 30034: twilio.ClassConfiguration, 98765: twilio.ClassUnknown,
	} {
		t.Run(string(class), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.statuses.change = domain.StatusChange{AttemptKey: attempt, WorkflowID: "w", Status: domain.StatusFailed, ErrorCode: code, NewError: true}
			b.post(signed(callback(), token, statusForm("failed")))
			b.statuses.change.NewError = false
			b.post(signed(callback(), token, statusForm("failed")))
			if n := b.counted(t, "parley.twilio.errors", attribute.String("phase", "delivery"), attribute.String("class", string(class))); n != 1 {
				t.Errorf("%d errors counted, want 1", n)
			}
			loud := class == twilio.ClassConfiguration || class == twilio.ClassUnknown
			if told := strings.Contains(b.log.String(), fmt.Sprint(`"error_code":`, code)) && strings.Contains(b.log.String(), messageSid); told != loud {
				t.Errorf("logged %s", b.log.String())
			}
		})
	}
}

func TestStatusRefusesAndStoresNothing(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		request *http.Request
		want    int
	}{
		"no signature": {unsigned(callback(), statusForm("delivered").Encode()), 403},
		"the parameters of another attempt": {
			signed(callback(), token, statusForm("delivered"), func(r *http.Request) {
				r.RequestURI = strings.Replace(r.RequestURI, "attempt=3", "attempt=4", 1)
			}), 403,
		},
		"the token of another account": {signed(callback(), otherToken, statusForm("delivered")), 403},
		"no status":                    {signed(callback(), token, statusForm("")), 400},
		"parameters that are not ours": {signed(twilio.StatusPath+"?message=m&part=x&attempt=1", token, statusForm("sent")), 400},
		"an inbound form":              {signed(twilio.StatusPath, token, inboundForm()), 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			if w := b.post(test.request); w.Code != test.want {
				t.Errorf("got %d, want %d", w.Code, test.want)
			}
			if len(b.statuses.events) != 0 {
				t.Error("something was stored")
			}
		})
	}
}

func TestStatusThatCannotBeStoredIsAskedForAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.statuses.err = domain.Errorf(domain.KindUnavailable, "status: the database does not answer")
	if w := b.post(signed(callback(), token, statusForm("delivered"))); w.Code != http.StatusServiceUnavailable {
		t.Errorf("got %d, want 503", w.Code)
	}
	if len(b.flows.signals) != 0 {
		t.Error("a flow was told of what is not stored")
	}
}

func TestPathsAreThoseOfTheDocumentation(t *testing.T) {
	t.Parallel()
	got := []string{edge.InboundPath, edge.FallbackPath, twilio.StatusPath}
	if want := []string{"/webhooks/twilio/inbound", "/webhooks/twilio/fallback", "/webhooks/twilio/status"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
