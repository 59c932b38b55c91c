package twiliosim_test

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"parley/internal/domain"
	"parley/internal/testkit"
	"parley/internal/twilio"
	"parley/simulator/twiliosim"
)

func TestStatusCallbacks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sid := r.send(map[string]string{"StatusCallback": r.statusURL()})
	for _, status := range []string{"sending", "sent", "delivered"} {
		got := r.next()
		r.checkSigned(got, token)
		if want := strings.TrimPrefix(r.statusURL(), r.webhook.url); got.Method != http.MethodPost || got.URI != want {
			t.Errorf("%s %s, want POST %s", got.Method, got.URI, want)
		}
		receipt := got.Form.Get("RawDlrDoneDate")
		if _, err := time.Parse("0601021504", receipt); (status == "delivered") != (err == nil) {
			t.Errorf("%s: RawDlrDoneDate %q", status, receipt)
		}
		got.Form.Del("RawDlrDoneDate")
		want := url.Values{
			"MessageSid": {sid}, "SmsSid": {sid}, "MessageStatus": {status}, "SmsStatus": {status},
			"AccountSid": {accountSid}, "From": {company}, "To": {customer}, "ApiVersion": {"2010-04-01"},
		}
		if got.Form.Encode() != want.Encode() {
			t.Errorf("form %v\nwant %v", got.Form, want)
		}
	}
	shown := r.eventually(sid, func(m twiliosim.Message) bool { return len(m.Callbacks) == 3 })
	if shown.StatusCallback != r.statusURL() || shown.SentAt == nil || told(shown) != "sending 204, sent 204, delivered 204" {
		t.Errorf("%+v", shown)
	}
}

// The parts that will be used together understand each other: Parley's URL, the simulator's form, Parley's parser.
func TestStatusCallbackIsUnderstood(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.script(twiliosim.Rule{Status: domain.StatusUndelivered, ErrorCode: 30005, CallbackDelayMS: 2})
	key := domain.AttemptKey{MessageID: "0198c9f0-0000-7000-8000-000000000001", Part: 1, Attempt: 3}
	sid := r.send(map[string]string{"StatusCallback": twilio.CallbackURL(r.webhook.url, key)})
	var last domain.StatusEvent
	for range 3 {
		p := r.next()
		u, err := url.Parse(p.URI)
		if err != nil {
			t.Fatal(err)
		}
		if last, err = twilio.ParseStatus(u.Query(), p.Form); err != nil {
			t.Fatal(err)
		}
	}
	if last.AttemptKey != key || last.Sid != sid || last.AccountSid != accountSid || last.Status != domain.StatusUndelivered || last.ErrorCode != 30005 {
		t.Errorf("%+v", last)
	}
}

func TestDeliveryEndsAsScripted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tests := []struct {
		rule  twiliosim.Rule
		told  string
		code  int
		final domain.Status
	}{
		{twiliosim.Rule{Status: domain.StatusDelivered}, "sending 204, sent 204, delivered 204", 0, domain.StatusDelivered},
		{twiliosim.Rule{Status: domain.StatusUndelivered}, "sending 204, sent 204, undelivered 204", 30008, domain.StatusUndelivered},
		{twiliosim.Rule{Status: domain.StatusUndelivered, ErrorCode: 63016}, "sending 204, sent 204, undelivered 204", 63016, domain.StatusUndelivered},
		{twiliosim.Rule{Status: domain.StatusFailed, ErrorCode: 30002}, "sending 204, failed 204", 30002, domain.StatusFailed},
		{twiliosim.Rule{Status: domain.StatusSent}, "sending 204, sent 204", 0, domain.StatusSent},
		{twiliosim.Rule{Callbacks: twiliosim.CallbacksNone}, "", 0, domain.StatusDelivered},
	}
	for i, test := range tests {
		t.Run(fmt.Sprintf("%d %s", i, test.final), func(t *testing.T) {
			t.Parallel()
			r := r.in(t)
			to := fmt.Sprintf("+155577702%02d", i)
			test.rule.To, test.rule.CallbackDelayMS = to, 2
			r.script(test.rule)
			sid := r.send(map[string]string{"To": to, "StatusCallback": r.statusURL()})
			shown := r.eventually(sid, func(m twiliosim.Message) bool { return m.Status == test.final && told(m) == test.told })
			if shown.ErrorCode != test.code {
				t.Errorf("error code %d, want %d", shown.ErrorCode, test.code)
			}
			_, _, got := r.api(http.MethodGet, messagesPath("/"+sid+".json"), nil)
			if code, _ := got["error_code"].(float64); int(code) != test.code || (got["error_message"] != nil) != (test.code != 0) {
				t.Errorf("fetched %v", got)
			}
			if sent := got["date_sent"] != nil; sent != (test.final != domain.StatusFailed) {
				t.Errorf("date_sent %v", got["date_sent"])
			}
		})
	}
}

// As with Twilio, a webhook that answered, however badly, is not called again.
func TestRefusedCallbackIsNotRepeated(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request){
		"500": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"302": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"":    func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, // the connection is dropped
	} {
		t.Run("answer "+name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.webhook.answer = answer
			sid := r.send(map[string]string{"StatusCallback": r.statusURL()})
			shown := r.eventually(sid, func(m twiliosim.Message) bool { return len(m.Callbacks) == 3 })
			for _, c := range shown.Callbacks {
				if fmt.Sprint(c.StatusCode) != name && (name != "" || c.Error == "") {
					t.Errorf("%+v", c)
				}
			}
			if n := len(r.webhook.posts); n != 3 {
				t.Errorf("%d posts, want 3", n)
			}
		})
	}
}

// As with Twilio, a connection that failed is tried once more: here one whose TLS handshake fails, and a closed port.
func TestFailedConnectionIsTriedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	listener, err := net.Listen("tcp", testkit.Port(t)) // once it is closed, nobody else has it
	if err != nil {
		t.Fatal(err)
	}
	tried := make(chan struct{}, 100)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			tried <- struct{}{}
			conn.Close()
		}
	}()
	address := listener.Addr().String()
	told := func(m twiliosim.Message) bool { return len(m.Callbacks) == 3 }
	shown := []twiliosim.Message{r.eventually(r.send(map[string]string{"StatusCallback": "https://" + address + "/status"}), told)}
	if n := len(tried); n != 6 {
		t.Errorf("%d connections for 3 callbacks, want 6", n)
	}
	listener.Close()
	shown = append(shown, r.eventually(r.send(map[string]string{"StatusCallback": "http://" + address + "/status"}), told))
	for _, m := range shown {
		if m.Status != domain.StatusDelivered {
			t.Errorf("status %s: a webhook that is down does not stop the delivery", m.Status)
		}
		for _, c := range m.Callbacks {
			if c.StatusCode != 0 || c.Error == "" || strings.Contains(c.Error, "http") {
				t.Errorf("%+v", c)
			}
		}
	}
}

func TestSlowWebhookDoesNotHoldUpTheDelivery(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	release := make(chan struct{})
	r.webhook.answer = func(w http.ResponseWriter, _ *http.Request) { <-release }
	sid := r.send(map[string]string{"StatusCallback": r.statusURL()})
	if shown := r.eventually(sid, delivered); len(shown.Callbacks) != 0 {
		t.Errorf("%+v", shown.Callbacks)
	}
	close(release)
	r.eventually(sid, func(m twiliosim.Message) bool { return told(m) == "sending 200, sent 200, delivered 200" })
}

// told writes a message's callbacks with their answers.
func told(m twiliosim.Message) string {
	var list []string
	for _, c := range m.Callbacks {
		list = append(list, fmt.Sprintf("%s %d", c.Status, c.StatusCode))
	}
	return strings.Join(list, ", ")
}
