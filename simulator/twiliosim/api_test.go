package twiliosim_test

import (
	"maps"
	"net/http"
	"net/mail"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"parley/simulator/twiliosim"
)

func TestCreateAnswersAsTwilio(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	status, header, got := r.api(http.MethodPost, messagesPath(".json"), newForm(map[string]string{
		"Body": strings.Repeat("a", 161), "ValidityPeriod": "36000", "StatusCallback": r.statusURL(), "Unknown": "ignored",
	}))
	if status != http.StatusCreated {
		t.Fatalf("status %d: %v", status, got)
	}
	if id := header.Get("Twilio-Request-Id"); len(id) != 34 || !strings.HasPrefix(id, "RQ") {
		t.Errorf("Twilio-Request-Id %q", id)
	}
	for _, name := range []string{"date_created", "date_updated"} {
		if _, err := mail.ParseDate(got[name].(string)); err != nil || !strings.HasSuffix(got[name].(string), "+0000") {
			t.Errorf("%s: %v: %v", name, got[name], err)
		}
		delete(got, name)
	}
	sid := got["sid"].(string)
	if len(sid) != 34 || !strings.HasPrefix(sid, "SM") {
		t.Errorf("sid %q", sid)
	}
	want := map[string]any{
		"account_sid": accountSid, "api_version": "2010-04-01", "body": strings.Repeat("a", 161), "date_sent": nil,
		"direction": "outbound-api", "error_code": nil, "error_message": nil, "from": company, "messaging_service_sid": nil,
		"num_media": "0", "num_segments": "2", "price": nil, "price_unit": "USD", "sid": sid, "status": "queued",
		"subresource_uris": map[string]any{"media": messagesPath("/" + sid + "/Media.json")},
		"to":               customer, "uri": messagesPath("/" + sid + ".json"),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestCreateCountsMediaAndSegments(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tests := map[string]struct {
		form            url.Values
		prefix          string
		media, segments string
	}{
		"media":    {url.Values{"To": {customer}, "From": {company}, "MediaUrl": {"https://a.example/1", "https://a.example/2"}}, "MM", "2", "1"},
		"emoji":    {newForm(map[string]string{"Body": strings.Repeat("a", 70) + "🙂"}), "SM", "0", "2"},
		"whatsapp": {newForm(map[string]string{"To": "whatsapp:" + customer, "From": "whatsapp:" + company, "Body": strings.Repeat("a", 500)}), "SM", "0", "1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			status, _, got := r.in(t).api(http.MethodPost, messagesPath(".json"), test.form)
			if status != http.StatusCreated || got["num_media"] != test.media || got["num_segments"] != test.segments ||
				!strings.HasPrefix(got["sid"].(string), test.prefix) {
				t.Errorf("%d %v", status, got)
			}
		})
	}
}

func TestCreateRefusesAsTwilio(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tests := []struct {
		name    string
		changes map[string]string
		want    int // Twilio's code; 0: accepted
	}{
		{"no To", map[string]string{"To": ""}, 21604},
		{"To is no address", map[string]string{"To": "+1555x"}, 21211},
		{"To is a name", map[string]string{"To": "Parley"}, 21211},
		{"To is a short code", map[string]string{"To": "12345"}, 21265},
		{"no From", map[string]string{"From": ""}, 21603},
		{"From is no address", map[string]string{"From": "+0"}, 21212},
		{"From is To", map[string]string{"From": customer}, 21266},
		{"a messaging service", map[string]string{"MessagingServiceSid": "MG0123456789abcdef0123456789abcdef"}, 21701},
		{"no Body and no MediaUrl", map[string]string{"Body": ""}, 21619},
		{"Body of 1600 characters", map[string]string{"Body": strings.Repeat("é", 1600)}, 0},
		{"Body of 1601 characters", map[string]string{"Body": strings.Repeat("é", 1601)}, 21617},
		{"media that is no URL", map[string]string{"MediaUrl": "cat.png"}, 21620},
		{"a template", map[string]string{"ContentSid": "HX0123456789abcdef0123456789abcdef"}, 21655},
		{"StatusCallback is no URL", map[string]string{"StatusCallback": "status"}, 21609},
		{"StatusCallback with an underscore", map[string]string{"StatusCallback": "http://my_host/status"}, 21609},
		{"StatusCallback elsewhere", map[string]string{"StatusCallback": "https://example.com/status"}, 21609},
		{"StatusCallback that looks local", map[string]string{"StatusCallback": "http://127.0.0.1.example.com/status"}, 21609},
		{"StatusCallback on localhost", map[string]string{"StatusCallback": "http://localhost:1/status"}, 0},
		{"ValidityPeriod too short", map[string]string{"ValidityPeriod": "0"}, 21624},
		{"ValidityPeriod too long", map[string]string{"ValidityPeriod": "36001"}, 21624},
		{"ValidityPeriod no number", map[string]string{"ValidityPeriod": "1h"}, 21624},
		{"short code as From", map[string]string{"From": "12345"}, 0},

		{"magic: To invalid", map[string]string{"To": "+15005550001"}, 21211},
		{"magic: To unreachable", map[string]string{"To": "+15005550002"}, 21612},
		{"magic: To abroad", map[string]string{"To": "+15005550003"}, 21408},
		{"magic: To opted out", map[string]string{"To": "+15005550004"}, 21610},
		{"magic: To no mobile", map[string]string{"To": "+15005550009"}, 21614},
		{"magic: To works", map[string]string{"To": "+15005550006"}, 0},
		{"magic: From invalid", map[string]string{"From": "+15005550001"}, 21212},
		{"magic: From not owned", map[string]string{"From": "+15005550007"}, 21606},
		{"magic: From with a full queue", map[string]string{"From": "+15005550008"}, 21611},
		{"magic: From works", map[string]string{"From": "+15005550006"}, 0},
	}
	accepted := 0
	for _, test := range tests {
		status, _, got := r.api(http.MethodPost, messagesPath(".json"), newForm(test.changes))
		if test.want == 0 {
			accepted++
			if status != http.StatusCreated {
				t.Errorf("%s: %d %v, want 201", test.name, status, got)
			}
			continue
		}
		want := map[string]any{
			"code": float64(test.want), "status": float64(http.StatusBadRequest), "message": got["message"],
			"more_info": "https://www.twilio.com/docs/errors/" + strconv.Itoa(test.want),
		}
		if status != http.StatusBadRequest || !reflect.DeepEqual(got, want) || got["message"] == "" {
			t.Errorf("%s: %d %v, want %v", test.name, status, got, want)
		}
	}
	if n := len(r.messages()); n != accepted {
		t.Errorf("%d messages, want %d: a refused one leaves none", n, accepted)
	}
	if n := r.requests().Creates; n != len(tests) {
		t.Errorf("%d creates counted, want %d: refused ones count", n, len(tests))
	}
}

func TestTooMuchMedia(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	form := newForm(map[string]string{"Body": ""})
	form["MediaUrl"] = slices.Repeat([]string{"https://a.example/1"}, 11)
	if _, _, got := r.api(http.MethodPost, messagesPath(".json"), form); got["code"] != 21623.0 {
		t.Errorf("%v, want 21623", got)
	}
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sid := r.send(nil)
	other := "AC" + strings.Repeat("f", 32)
	requests := map[string]string{ // method and path
		"create": http.MethodPost + " " + messagesPath(".json"),
		"list":   http.MethodGet + " " + messagesPath(".json"),
		"fetch":  http.MethodGet + " " + messagesPath("/"+sid+".json"),
	}
	for name, target := range requests {
		method, path, _ := strings.Cut(target, " ")
		for _, who := range []struct{ user, password, path string }{
			{accountSid, "wrong", path},
			{accountSid, "", path},
			{other, token, path},
			{"", "", path},
			{accountSid, token, strings.Replace(path, accountSid, other, 1)},
		} {
			status, header, got := r.apiAs(who.user, who.password, method, who.path, newForm(nil))
			if status != http.StatusUnauthorized || got["code"] != 20003.0 || got["status"] != 401.0 {
				t.Errorf("%s as %q on %s: %d %v", name, who.user, who.path, status, got)
			}
			if !strings.HasPrefix(header.Get("WWW-Authenticate"), "Basic ") {
				t.Errorf("%s: WWW-Authenticate %q", name, header.Get("WWW-Authenticate"))
			}
		}
	}
	if n := len(r.messages()); n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
}

func TestFetch(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sid := r.send(map[string]string{"Body": "to be fetched"})
	r.eventually(sid, delivered)
	status, _, got := r.api(http.MethodGet, messagesPath("/"+sid+".json"), nil)
	if status != http.StatusOK || got["sid"] != sid || got["body"] != "to be fetched" || got["status"] != "delivered" {
		t.Errorf("%d %v", status, got)
	}
	if _, err := mail.ParseDate(got["date_sent"].(string)); err != nil {
		t.Error(err)
	}
	for _, path := range []string{
		messagesPath("/SM" + strings.Repeat("0", 32) + ".json"), messagesPath("/" + sid), messagesPath("/" + sid + "/Feedback.json"),
		strings.Replace(messagesPath(""), "Messages", "Calls.json", 1),
	} {
		if status, _, got := r.api(http.MethodGet, path, nil); status != http.StatusNotFound || got["code"] != 20404.0 {
			t.Errorf("%s: %d %v", path, status, got)
		}
	}
}

func TestRequestsAreCountedByRecipient(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for range 3 {
		r.send(nil)
	}
	r.api(http.MethodPost, messagesPath(".json"), newForm(map[string]string{"To": "+15005550004"}))
	r.apiAs(accountSid, "wrong", http.MethodPost, messagesPath(".json"), newForm(nil))
	r.api(http.MethodGet, messagesPath(".json"), nil) // not a create
	got, want := r.requests(), map[string]int{customer: 4, "+15005550004": 1}
	if got.Creates != 5 || !maps.Equal(got.ByTo, want) {
		t.Errorf("%+v, want 5 and %v", got, want)
	}
	if n := len(r.messages()); n != 3 {
		t.Errorf("%d messages, want 3: the same text thrice is three messages", n)
	}
}

func delivered(m twiliosim.Message) bool { return m.Status == "delivered" }
