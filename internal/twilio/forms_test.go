package twilio_test

import (
	"net/url"
	"os"
	"reflect"
	"strings"
	"testing"

	"parley/internal/domain"
	"parley/internal/twilio"
)

const (
	account = "AC0123456789abcdef0123456789abcdef"
	sid     = "SM0123456789abcdef0123456789abcdef"
)

func readForm(t *testing.T, name string) url.Values {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name + ".form")
	if err != nil {
		t.Fatal(err)
	}
	form, err := url.ParseQuery(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return form
}

func TestParseInboundReadsRealForms(t *testing.T) {
	t.Parallel()
	media := "https://api.twilio.com/2010-04-01/Accounts/" + account + "/Messages/MM0123456789abcdef0123456789abcdef/Media/"
	sms := map[string][]string{
		"ToCountry": {"US"}, "ToState": {"CA"}, "FromZip": {"94105"}, "FromState": {"CA"}, "FromCity": {"SAN FRANCISCO"},
		"FromCountry": {"US"}, "SmsStatus": {"received"}, "NumSegments": {"1"}, "ApiVersion": {"2010-04-01"},
	}
	mms := map[string][]string{"NumSegments": {"2"}}
	for key, values := range sms {
		if key != "NumSegments" {
			mms[key] = values
		}
	}
	for name, want := range map[string]domain.Received{
		"inbound_sms": {
			AccountSid: account, MessageSid: sid, From: "+15005550100", To: "+15005550006",
			Body: "Olá, are you open today? 🙂", Other: sms,
		},
		"inbound_mms": {
			AccountSid: account, MessageSid: "MM0123456789abcdef0123456789abcdef",
			MessagingServiceSid: "MG0123456789abcdef0123456789abcdef", From: "+15005550100", To: "+15005550006",
			Media: []domain.Media{
				{URL: media + "ME00000000000000000000000000000000", ContentType: "image/jpeg"},
				{URL: media + "ME11111111111111111111111111111111", ContentType: "application/pdf"},
			},
			Other: mms,
		},
		"inbound_whatsapp": {
			AccountSid: account, MessageSid: "SM00000000000000000000000000000abc", From: "whatsapp:US.1234",
			To: "whatsapp:+15005550006", Body: "Bom dia", ProfileName: "Ana Lúcia",
			Other: map[string][]string{
				"MessageType": {"text"}, "SmsStatus": {"received"}, "NumSegments": {"1"}, "ReferralNumMedia": {"0"},
				"ExternalUserId": {"whatsapp:US.1234"}, "ApiVersion": {"2010-04-01"},
				"ChannelMetadata": {`{"type":"whatsapp","data":{"context":{"ProfileName":"Ana Lúcia"}}}`},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := twilio.ParseInbound(readForm(t, name))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestParseInboundRefusesBadForms(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(url.Values){
		"empty":                     func(f url.Values) { clear(f) },
		"no account":                func(f url.Values) { f.Del("AccountSid") },
		"account of another kind":   func(f url.Values) { f.Set("AccountSid", sid) },
		"account too short":         func(f url.Values) { f.Set("AccountSid", account[:33]) },
		"account with a line break": func(f url.Values) { f.Set("AccountSid", account+"\n") },
		"no message":                func(f url.Values) { f.Del("MessageSid") },
		"message too long":          func(f url.Values) { f.Set("MessageSid", sid+"0") },
		"message not hex":           func(f url.Values) { f.Set("MessageSid", "SM"+strings.Repeat("g", 32)) },
		"message of another kind":   func(f url.Values) { f.Set("MessageSid", "CA"+sid[2:]) },
		"no From":                   func(f url.Values) { f.Set("From", "") },
		"no To":                     func(f url.Values) { f.Del("To") },
		"two accounts":              func(f url.Values) { f.Add("AccountSid", account) },
		"two messages":              func(f url.Values) { f.Add("MessageSid", sid) },
		"two senders":               func(f url.Values) { f.Add("From", "+15005550199") },
		"two receivers":             func(f url.Values) { f.Add("To", "") },
		"two bodies":                func(f url.Values) { f.Add("Body", "another") },
		"NumMedia not a number":     func(f url.Values) { f.Set("NumMedia", "many") },
		"NumMedia negative":         func(f url.Values) { f.Set("NumMedia", "-1") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			form := readForm(t, "inbound_sms")
			change(form)
			_, err := twilio.ParseInbound(form)
			if err == nil || domain.KindOf(err) != domain.KindInvalid {
				t.Fatalf("got %v, want KindInvalid", err)
			}
			if strings.Contains(err.Error(), "5005550") {
				t.Errorf("the error repeats the form: %v", err)
			}
		})
	}
}

func TestParseInboundTakesOddForms(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(url.Values)
		check  func(domain.Received) bool
	}{
		"any address": {
			func(f url.Values) { f.Set("From", "messenger:?? odd"); f.Set("To", "new-channel:x") },
			func(r domain.Received) bool { return r.From == "messenger:?? odd" && r.To == "new-channel:x" },
		},
		"a long body as it is": {
			func(f url.Values) { f.Set("Body", strings.Repeat(" é ", 5000)) },
			func(r domain.Received) bool { return r.Body == strings.Repeat(" é ", 5000) },
		},
		"what Postgres cannot store": {
			func(f url.Values) { f.Set("Body", "a\x00b\xffc"); f.Set("Label", "\x00") },
			func(r domain.Received) bool { return r.Body == "a\uFFFDb\uFFFDc" && r.Other["Label"][0] == "\uFFFD" },
		},
		"no NumMedia": {
			func(f url.Values) { f.Del("NumMedia"); f.Set("MediaUrl0", "https://a.example") },
			func(r domain.Received) bool { return r.Media == nil && r.Other["MediaUrl0"][0] == "https://a.example" },
		},
		"more media counted than named": {
			func(f url.Values) { f.Set("NumMedia", "2000000000"); f.Set("MediaUrl1", "https://a.example") },
			func(r domain.Received) bool {
				return reflect.DeepEqual(r.Media, []domain.Media{{URL: "https://a.example"}})
			},
		},
		"a repeated unknown parameter": {
			func(f url.Values) { f["New"] = []string{"a", "", "b"} },
			func(r domain.Received) bool { return reflect.DeepEqual(r.Other["New"], []string{"a", "b"}) },
		},
		"the fallback's explanation": {
			func(f url.Values) { f.Set("ErrorCode", "11200"); f.Set("ErrorUrl", "https://a.example/in") },
			func(r domain.Received) bool {
				return r.Other["ErrorCode"][0] == "11200" && r.Other["ErrorUrl"][0] == "https://a.example/in"
			},
		},
		"a deprecated sid that differs": {
			func(f url.Values) { f.Set("SmsSid", "SMother") },
			func(r domain.Received) bool {
				return r.Other["SmsSid"][0] == "SMother" && r.Other["SmsMessageSid"] == nil
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			form := readForm(t, "inbound_sms")
			test.change(form)
			before := clone(form)
			got, err := twilio.ParseInbound(form)
			if err != nil {
				t.Fatal(err)
			}
			if !test.check(got) {
				t.Errorf("got %+v", got)
			}
			if !reflect.DeepEqual(form, before) {
				t.Error("the form was changed: its signature would no longer match")
			}
		})
	}
}

func TestParseStatusReadsRealForms(t *testing.T) {
	t.Parallel()
	key := domain.AttemptKey{MessageID: "0192", Part: 2, Attempt: 3}
	callback, err := url.Parse(twilio.CallbackURL("https://parley.example", key))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		form   string
		change func(url.Values)
		query  url.Values
		want   domain.StatusEvent
	}{
		"undelivered": {
			form: "status_undelivered", query: callback.Query(),
			want: domain.StatusEvent{AttemptKey: key, Status: domain.StatusUndelivered, ErrorCode: 30003},
		},
		"read":                       {form: "status_read", query: callback.Query(), want: domain.StatusEvent{AttemptKey: key, Status: domain.StatusRead}},
		"without parameters of ours": {form: "status_read", want: domain.StatusEvent{Status: domain.StatusRead}},
		"unknown status": {
			form: "status_read", change: func(f url.Values) { f.Set("MessageStatus", "pondering") },
			want: domain.StatusEvent{Status: "pondering"},
		},
		"unknown status, long and strange": {
			form: "status_read", change: func(f url.Values) { f.Set("MessageStatus", "\x1b[2J"+strings.Repeat("é", 10_000)) },
			want: domain.StatusEvent{Status: `\x1b[2J\u00e9\u00e9\u00e9\u00e9\`},
		},
		"a known status and more": {
			form: "status_read", change: func(f url.Values) { f.Set("MessageStatus", "delivered\x00") },
			want: domain.StatusEvent{Status: `delivered\ufffd`},
		},
		"negative error code": {
			form: "status_undelivered", change: func(f url.Values) { f.Set("ErrorCode", "-30003") },
			want: domain.StatusEvent{Status: domain.StatusUndelivered},
		},
		"huge error code": {
			form: "status_undelivered", change: func(f url.Values) { f.Set("ErrorCode", "99999999999") },
			want: domain.StatusEvent{Status: domain.StatusUndelivered},
		},
		"unreadable error code": {
			form: "status_undelivered", change: func(f url.Values) { f.Set("ErrorCode", "E1") },
			want: domain.StatusEvent{Status: domain.StatusUndelivered},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			form := readForm(t, test.form)
			if test.change != nil {
				test.change(form)
			}
			test.want.AccountSid, test.want.Sid, test.want.Source = account, sid, domain.SourceCallback
			got, err := twilio.ParseStatus(test.query, form)
			if err != nil || got != test.want {
				t.Errorf("got %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
}

func TestParseStatusRefusesBadForms(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(query, form url.Values){
		"no account":    func(_, f url.Values) { f.Del("AccountSid") },
		"no message":    func(_, f url.Values) { f.Del("MessageSid") },
		"no status":     func(_, f url.Values) { f.Set("MessageStatus", "") },
		"two accounts":  func(_, f url.Values) { f.Add("AccountSid", account) },
		"two messages":  func(_, f url.Values) { f.Add("MessageSid", sid) },
		"two statuses":  func(_, f url.Values) { f.Add("MessageStatus", "failed") },
		"no part":       func(q, _ url.Values) { q.Del("part") },
		"message long":  func(q, _ url.Values) { q.Set("message", strings.Repeat("m", 65)) },
		"part 0":        func(q, _ url.Values) { q.Set("part", "0") },
		"attempt huge":  func(q, _ url.Values) { q.Set("attempt", "99999999999") },
		"attempt words": func(q, _ url.Values) { q.Set("attempt", "one") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			query, form := url.Values{"message": {"m"}, "part": {"1"}, "attempt": {"1"}}, readForm(t, "status_read")
			change(query, form)
			if _, err := twilio.ParseStatus(query, form); domain.KindOf(err) != domain.KindInvalid || err == nil {
				t.Errorf("got %v, want KindInvalid", err)
			}
		})
	}
}

func TestCallbackURL(t *testing.T) {
	t.Parallel()
	got := twilio.CallbackURL("https://parley.example/x", domain.AttemptKey{MessageID: "a b&c", Part: 1, Attempt: 2})
	if want := "https://parley.example/x/webhooks/twilio/status?message=a+b%26c&part=1&attempt=2"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
