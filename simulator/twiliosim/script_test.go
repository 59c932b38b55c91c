package twiliosim_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"parley/internal/domain"
	"parley/simulator/twiliosim"
)

func TestScriptedRefusal(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.script(twiliosim.Rule{To: customer, StatusCode: http.StatusTooManyRequests, Code: 20429, RetryAfter: 7, Times: 2})
	for range 2 {
		status, header, got := r.api(http.MethodPost, messagesPath(".json"), newForm(nil))
		if status != http.StatusTooManyRequests || got["code"] != 20429.0 || got["status"] != 429.0 || header.Get("Retry-After") != "7" {
			t.Errorf("%d %v %v", status, header, got)
		}
		r.send(map[string]string{"To": "+15557770999"}) // others are as usual
	}
	r.send(nil) // used up
	r.script(twiliosim.Rule{StatusCode: http.StatusUnauthorized, Code: 20003})
	for range 3 { // 0 times: always
		if status, header, got := r.api(http.MethodPost, messagesPath(".json"), newForm(nil)); status != http.StatusUnauthorized || got["code"] != 20003.0 || header.Get("Retry-After") != "" {
			t.Errorf("%d %v %v", status, header, got)
		}
	}
	if n := len(r.messages()); n != 3 {
		t.Errorf("%d messages, want 3", n)
	}
}

func TestOwnRuleBeatsEverybodys(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.script(twiliosim.Rule{StatusCode: http.StatusBadRequest, Code: 21610})
	r.script(twiliosim.Rule{To: customer, Status: domain.StatusSent, CallbackDelayMS: 2, Times: 1})
	r.eventually(r.send(nil), func(m twiliosim.Message) bool { return m.Status == domain.StatusSent })
	if _, _, got := r.api(http.MethodPost, messagesPath(".json"), newForm(nil)); got["code"] != 21610.0 {
		t.Errorf("%v, want everybody's rule once the own one is used up", got)
	}
	if status := r.control(http.MethodDelete, "/simulate/script", nil, nil); status != http.StatusNoContent {
		t.Errorf("delete: %d", status)
	}
	r.send(nil)
}

// post creates a message over a connection of its own, which its context can give up.
func (r *rig) post(ctx context.Context) error {
	request := r.request(http.MethodPost, messagesPath(".json"), strings.NewReader(newForm(map[string]string{"StatusCallback": r.statusURL()}).Encode())).WithContext(ctx)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(accountSid, token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

func TestHold(t *testing.T) {
	t.Parallel()
	for hold, accepted := range map[twiliosim.Hold]int{twiliosim.HoldBeforeAccept: 0, twiliosim.HoldAfterAccept: 1} {
		for _, whoGoes := range []string{"the caller", "the simulator"} {
			t.Run(string(hold)+" until "+whoGoes+" goes", func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				r.script(twiliosim.Rule{Hold: hold, Times: 1, CallbackDelayMS: 2})
				ctx, giveUp := context.WithCancel(t.Context())
				defer giveUp()
				failed := make(chan error, 1)
				go func() { failed <- r.post(ctx) }()
				for range 3 * accepted { // an accepted message has all its statuses
					r.next()
				}
				r.eventuallyCounted(1)
				if n := len(r.messages()); n != accepted {
					t.Errorf("%d messages, want %d", n, accepted)
				}
				select {
				case err := <-failed:
					t.Fatalf("answered: %v", err)
				case <-time.After(50 * time.Millisecond):
				}
				map[string]func(){"the caller": giveUp, "the simulator": r.stop}[whoGoes]()
				if err := <-failed; err == nil {
					t.Error("answered")
				}
			})
		}
	}
}

// A hold is used up like every rule, and a caller that gives up leaves nothing behind.
func TestHoldIsUsedUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.script(twiliosim.Rule{Hold: twiliosim.HoldBeforeAccept, Times: 1})
	ctx, giveUp := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() { failed <- r.post(ctx) }()
	r.eventuallyCounted(1)
	giveUp()
	if err := <-failed; err == nil {
		t.Error("answered")
	}
	sid := r.send(nil)
	if messages := r.messages(); len(messages) != 1 || messages[0].Sid != sid {
		t.Errorf("%+v", messages)
	}
}

func TestHoldRefusesWhatIsInvalid(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.script(twiliosim.Rule{Hold: twiliosim.HoldAfterAccept})
	if _, _, got := r.api(http.MethodPost, messagesPath(".json"), newForm(map[string]string{"Body": ""})); got["code"] != 21619.0 {
		t.Errorf("%v", got)
	}
}

// A slow answer is overtaken by the callbacks: the message was accepted before.
func TestResponseDelay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.script(twiliosim.Rule{ResponseDelayMS: 1500, CallbackDelayMS: 2})
	answered := make(chan time.Time, 1)
	go func() {
		if err := r.post(t.Context()); err != nil {
			t.Error(err)
		}
		answered <- time.Now()
	}()
	for range 3 {
		r.next()
	}
	told := time.Now()
	if at := <-answered; at.Before(told) {
		t.Error("the answer came before the callbacks")
	}
}

func TestScriptRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, rule := range map[string]any{
		"unknown status":         map[string]any{"status": "lost"},
		"error without failure":  map[string]any{"error_code": 30008},
		"unknown hold":           map[string]any{"hold": "always"},
		"unknown callbacks":      map[string]any{"callbacks": "twice"},
		"refusal without a code": map[string]any{"status_code": 400},
		"code without a status":  map[string]any{"code": 21610},
		"refusal with 200":       map[string]any{"status_code": 200, "code": 1},
		"refusal that holds":     map[string]any{"status_code": 429, "code": 20429, "hold": "before_accept"},
		"retry_after alone":      map[string]any{"retry_after": 1},
		"negative delay":         map[string]any{"response_delay_ms": -1},
		"negative times":         map[string]any{"times": -1},
		"not an address":         map[string]any{"to": "fax:+15557770123"},
		"misspelt field":         map[string]any{"tos": customer},
	} {
		var answered struct{ Error string }
		if status := r.control(http.MethodPut, "/simulate/script", rule, &answered); status != http.StatusBadRequest || answered.Error == "" {
			t.Errorf("%s: %d %+v", name, status, answered)
		}
	}
	r.send(nil) // nothing was scripted
}

func TestTokenChange(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if status := r.control(http.MethodPut, "/simulate/token", map[string]string{"auth_token": ""}, nil); status != http.StatusBadRequest {
		t.Errorf("empty token: %d", status)
	}
	if status := r.control(http.MethodPut, "/simulate/token", map[string]string{"auth_token": "new"}, nil); status != http.StatusNoContent {
		t.Errorf("new token: %d", status)
	}
	if status, _, got := r.api(http.MethodPost, messagesPath(".json"), newForm(nil)); status != http.StatusUnauthorized || got["code"] != 20003.0 {
		t.Errorf("old token: %d %v", status, got)
	}
	if status, _, _ := r.apiAs(accountSid, "new", http.MethodPost, messagesPath(".json"), newForm(nil)); status != http.StatusCreated {
		t.Errorf("new token: %d", status)
	}
	r.control(http.MethodPost, "/simulate/inbound", twiliosim.Inbound{From: customer, To: company}, nil)
	r.checkSigned(r.next(), "new")
}
