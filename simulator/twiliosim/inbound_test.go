package twiliosim_test

import (
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"parley/internal/config"
	"parley/internal/domain"
	"parley/internal/twilio"
	"parley/simulator/twiliosim"
)

func TestInboundWebhook(t *testing.T) {
	t.Parallel()
	const sid = "SM00000000000000000000000000000abc"
	core := map[string]string{
		"MessageSid": sid, "SmsSid": sid, "SmsMessageSid": sid, "AccountSid": accountSid, "To": company, "From": customer,
		"Body": "Olá, tudo bem?", "NumSegments": "1", "NumMedia": "0", "SmsStatus": "received", "ApiVersion": "2010-04-01",
	}
	places := map[string]string{
		"FromCity": "", "FromState": "", "FromZip": "", "FromCountry": "", "ToCity": "", "ToState": "", "ToZip": "", "ToCountry": "",
	}
	for name, test := range map[string]struct {
		in   twiliosim.Inbound
		want []map[string]string // later ones win
	}{
		"text": {
			twiliosim.Inbound{From: customer, To: company, Body: "Olá, tudo bem?", MessageSid: sid},
			[]map[string]string{core, places},
		},
		"media without text": {
			twiliosim.Inbound{From: customer, To: company, MessageSid: sid, Media: []domain.Media{
				{URL: "https://a.example/1", ContentType: "image/png"}, {URL: "https://a.example/2", ContentType: "audio/ogg"},
			}},
			[]map[string]string{core, places, {
				"Body": "", "NumMedia": "2", "MediaUrl0": "https://a.example/1", "MediaContentType0": "image/png",
				"MediaUrl1": "https://a.example/2", "MediaContentType1": "audio/ogg",
			}},
		},
		"WhatsApp": {
			twiliosim.Inbound{From: "whatsapp:" + customer, To: "whatsapp:" + company, Body: "oi", MessageSid: sid, Params: map[string]string{"ProfileName": "Ana"}},
			[]map[string]string{core, {
				"From": "whatsapp:" + customer, "To": "whatsapp:" + company, "Body": "oi", "ProfileName": "Ana", "MessageType": "text",
				"WaId": strings.TrimPrefix(customer, "+"),
			}},
		},
		"WhatsApp without a number": {
			twiliosim.Inbound{From: "whatsapp:US.1234", To: "whatsapp:" + company, Body: "hi", MessageSid: sid},
			[]map[string]string{core, {
				"From": "whatsapp:US.1234", "To": "whatsapp:" + company, "Body": "hi", "ProfileName": "Sam", "MessageType": "text",
				"ExternalUserId": "whatsapp:US.1234",
			}},
		},
		"further parameters": {
			twiliosim.Inbound{From: customer, To: company, Body: "STOP", MessageSid: sid, Params: map[string]string{"OptOutType": "STOP", "FromCity": "São Paulo"}},
			[]map[string]string{core, places, {"Body": "STOP", "OptOutType": "STOP", "FromCity": "São Paulo"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.webhook.answer = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<Response/>") }
			var answered twiliosim.InboundAnswer
			status := r.control(http.MethodPost, "/simulate/inbound", test.in, &answered)
			if want := (twiliosim.InboundAnswer{MessageSid: sid, StatusCode: 200, Body: "<Response/>"}); status != http.StatusOK || answered != want {
				t.Errorf("%d %+v, want %+v", status, answered, want)
			}
			got, want := r.next(), url.Values{}
			for _, fields := range test.want {
				for name, value := range maps.All(fields) {
					want.Set(name, value)
				}
			}
			if got.URI != "/webhooks/twilio/inbound" || got.Form.Encode() != want.Encode() {
				t.Errorf("%s %v\nwant %v", got.URI, got.Form, want)
			}
			if got.Header.Get("I-Twilio-Idempotency-Token") == "" {
				t.Error("no idempotency token")
			}
			r.checkSigned(got, token)
			if received, err := twilio.ParseInbound(got.Form); err != nil || received.From != test.in.From || len(received.Media) != len(test.in.Media) {
				t.Errorf("Parley reads %+v: %v", received, err)
			}
		})
	}
}

func TestInboundIsListedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := twiliosim.Inbound{From: customer, To: company, Body: "hello"}
	var first, second twiliosim.InboundAnswer
	r.control(http.MethodPost, "/simulate/inbound", in, &first)
	in.MessageSid = first.MessageSid
	r.control(http.MethodPost, "/simulate/inbound", in, &second) // Twilio delivers a message twice, too
	if first.MessageSid != second.MessageSid || len(r.webhook.posts) != 2 {
		t.Errorf("%+v %+v and %d posts", first, second, len(r.webhook.posts))
	}
	shown := r.messages()
	if len(shown) != 1 || shown[0].Direction != "inbound" || shown[0].Status != "received" || shown[0].Body != "hello" {
		t.Errorf("%+v", shown)
	}
	_, _, got := r.api(http.MethodGet, messagesPath("/"+first.MessageSid+".json"), nil)
	if got["direction"] != "inbound" || got["status"] != "received" || got["date_sent"] == nil {
		t.Errorf("%v", got)
	}
	if n := r.requests().Creates; n != 0 {
		t.Errorf("%d creates, want 0", n)
	}
}

func TestInboundWithoutAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.webhook.answer = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	var answered twiliosim.InboundAnswer
	status := r.control(http.MethodPost, "/simulate/inbound", twiliosim.Inbound{From: customer, To: company, Body: "hi"}, &answered)
	if status != http.StatusBadGateway || answered.Error == "" || answered.StatusCode != 0 {
		t.Errorf("%d %+v", status, answered)
	}
	if n := len(r.messages()); n != 1 {
		t.Errorf("%d messages, want 1: Twilio's list has what a webhook lost", n)
	}
}

func TestInboundRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, body := range map[string]any{
		"nothing":          map[string]string{},
		"no to":            map[string]string{"from": customer},
		"from, no address": map[string]string{"from": "fax:1", "to": company},
		"sid, not one":     map[string]string{"from": customer, "to": company, "message_sid": "SM1"},
		"misspelt field":   map[string]string{"from": customer, "to": company, "text": "hi"},
		"not an object":    "hi",
	} {
		var answered struct{ Error string }
		if status := r.control(http.MethodPost, "/simulate/inbound", body, &answered); status != http.StatusBadRequest || answered.Error == "" {
			t.Errorf("%s: %d %+v", name, status, answered)
		}
	}
	if n := len(r.messages()) + len(r.webhook.posts); n != 0 {
		t.Errorf("%d messages and posts", n)
	}
}

// The simulator never sends traffic elsewhere, and says so at start.
func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]config.Simulated{
		"an inbound URL elsewhere":    {AccountSid: accountSid, AuthToken: token, InboundURL: "https://example.com/webhooks/twilio/inbound"},
		"an inbound URL on a network": {AccountSid: accountSid, AuthToken: token, InboundURL: "http://10.0.0.1/webhooks/twilio/inbound"},
		"an account that is none":     {AccountSid: "AC1", AuthToken: token, InboundURL: "http://127.0.0.1/webhooks/twilio/inbound"},
	} {
		if _, err := twiliosim.New(t.Context(), settings, slog.New(slog.DiscardHandler)); domain.KindOf(err) != domain.KindConfiguration {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, local := range []string{"http://localhost:8080/in", "http://127.0.0.2/in", "http://[::1]:8080/in"} {
		if _, err := twiliosim.New(t.Context(), config.Simulated{AccountSid: accountSid, AuthToken: token, InboundURL: local}, slog.New(slog.DiscardHandler)); err != nil {
			t.Errorf("%s: %v", local, err)
		}
	}
}
