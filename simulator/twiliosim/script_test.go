package twiliosim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"parley/internal/domain"
	"parley/internal/twilio"
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
	for _, accepted := range []bool{false, true} {
		for _, whoGoes := range []string{"the caller", "the simulator"} {
			t.Run(fmt.Sprintf("accepted %v, until %s goes", accepted, whoGoes), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				r.script(twiliosim.Rule{Answer: twiliosim.AnswerHold, Accepted: accepted, Times: 1, CallbackDelayMS: 2})
				ctx, giveUp := context.WithCancel(t.Context())
				defer giveUp()
				failed := make(chan error, 1)
				go func() { failed <- r.post(ctx) }()
				if accepted { // the message has all its statuses
					for range 3 {
						r.next()
					}
				}
				r.eventuallyCounted(1)
				if n := len(r.messages()); (n == 1) != accepted {
					t.Errorf("%d messages", n)
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
	r.script(twiliosim.Rule{Answer: twiliosim.AnswerHold, Times: 1})
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

func TestWhatIsSpoiltIsCheckedFirst(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.script(twiliosim.Rule{Answer: twiliosim.AnswerHold, Accepted: true})
	if _, _, got := r.api(http.MethodPost, messagesPath(".json"), newForm(map[string]string{"Body": ""})); got["code"] != 21619.0 {
		t.Errorf("%v", got)
	}
}

// Parley's own client takes every spoilt answer for what it is, and a message exists exactly where the rule says so.
func TestSpoiltAnswers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rule twiliosim.Rule
		want twilio.Created
	}{
		"throttled":              {twiliosim.Rule{StatusCode: 429, Code: 20429, RetryAfter: 7}, twilio.Created{State: domain.AttemptNotSent, ErrorCode: 20429, RetryAfter: 7 * time.Second}},
		"throttled, no header":   {twiliosim.Rule{StatusCode: 429, Code: 20429}, twilio.Created{State: domain.AttemptNotSent, ErrorCode: 20429}},
		"throttled by a gateway": {twiliosim.Rule{StatusCode: 429, RetryAfter: 3}, twilio.Created{State: domain.AttemptNotSent, RetryAfter: 3 * time.Second}},
		"a gateway's 502":        {twiliosim.Rule{StatusCode: 502}, twilio.Created{State: domain.AttemptUnknown}},
		"a gateway's 502, sent":  {twiliosim.Rule{StatusCode: 502, Accepted: true}, twilio.Created{State: domain.AttemptUnknown}},
		"Twilio's 500, sent":     {twiliosim.Rule{StatusCode: 500, Code: 20500, Accepted: true}, twilio.Created{State: domain.AttemptUnknown, ErrorCode: 20500}},
		"a redirect":             {twiliosim.Rule{StatusCode: 302}, twilio.Created{State: domain.AttemptUnknown}},
		"reset":                  {twiliosim.Rule{Answer: twiliosim.AnswerReset}, twilio.Created{State: domain.AttemptUnknown}},
		"reset, sent":            {twiliosim.Rule{Answer: twiliosim.AnswerReset, Accepted: true}, twilio.Created{State: domain.AttemptUnknown}},
		"garbage":                {twiliosim.Rule{Answer: twiliosim.AnswerGarbage}, twilio.Created{State: domain.AttemptUnknown}},
		"garbage, sent":          {twiliosim.Rule{Answer: twiliosim.AnswerGarbage, Accepted: true}, twilio.Created{State: domain.AttemptUnknown}},
		"a wrong token":          {twiliosim.Rule{StatusCode: 401, Code: 20003}, twilio.Created{State: domain.AttemptRefused, ErrorCode: 20003}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.script(test.rule)
			got := r.create(twilio.NewClient(r.url))
			if got.State != test.want.State || got.ErrorCode != test.want.ErrorCode || got.RetryAfter != test.want.RetryAfter {
				t.Errorf("%+v, want %+v", got, test.want)
			}
			counted := r.requests()
			if accepted := counted.Accepted == 1; counted.Creates != 1 || accepted != test.rule.Accepted || (len(r.messages()) == 1) != accepted {
				t.Errorf("%+v", counted)
			}
		})
	}
}

// create posts a message with Parley's client.
func (r *rig) create(client *twilio.Client) twilio.Created {
	return client.Create(r.Context(), login(), twilio.NewMessage{
		From: company, To: customer, Body: "Hello", StatusCallback: r.statusURL(),
	})
}

func TestCallbacks(t *testing.T) {
	t.Parallel()
	for kind, want := range map[twiliosim.Callbacks]string{
		twiliosim.CallbacksNone:     "",
		twiliosim.CallbacksTwice:    "sending 204, sent 204, delivered 204, sending 204, sent 204, delivered 204",
		twiliosim.CallbacksReversed: "delivered 204, sent 204, sending 204",
		twiliosim.CallbacksEarly:    "sending 204, sent 204, delivered 204",
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.script(twiliosim.Rule{Callbacks: kind, CallbackDelayMS: 20})
			sid := r.send(map[string]string{"StatusCallback": r.statusURL()})
			if posts := len(r.webhook.posts); kind == twiliosim.CallbacksEarly && posts != 3 {
				t.Errorf("%d callbacks before the answer", posts)
			}
			r.eventually(sid, func(m twiliosim.Message) bool { return delivered(m) && told(m) == want })
		})
	}
}

func TestListIsLate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.script(twiliosim.Rule{ListDelayMS: 300, Times: 1})
	begun := time.Now()
	sid := r.send(nil)
	if status, _, _ := r.api(http.MethodGet, messagesPath("/"+sid+".json"), nil); status != http.StatusOK {
		t.Errorf("fetch: %d, want it at once", status)
	}
	for {
		bodies, _ := r.listBodies(messagesPath(".json"))
		late := time.Since(begun) >= 300*time.Millisecond
		if len(bodies) == 1 {
			if !late {
				t.Errorf("listed after %s", time.Since(begun))
			}
			return
		}
		if time.Since(begun) > patience {
			t.Fatal("never listed")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// A price is null until its time has come, in every answer; without a rule that is a day later.
func TestPriceComesLate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	long := map[string]string{"Body": strings.Repeat("a", 161)}
	unpriced := r.send(long)
	r.script(twiliosim.Rule{PriceDelayMS: 300})
	begun := time.Now()
	usual := r.send(long)
	r.script(twiliosim.Rule{PriceDelayMS: 300, Price: "-0.02"})
	given := r.send(nil)
	shown := func(sid string) any {
		_, _, got := r.api(http.MethodGet, messagesPath("/"+sid+".json"), nil)
		return got["price"]
	}
	for shown(given) == nil {
		if time.Since(begun) > patience {
			t.Fatal("never priced")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if waited := time.Since(begun); waited < 300*time.Millisecond {
		t.Errorf("priced after %s", waited)
	}
	listed := map[any]any{}
	_, _, got := r.api(http.MethodGet, messagesPath(".json"), nil)
	for _, message := range got["messages"].([]any) {
		listed[message.(map[string]any)["sid"]] = message.(map[string]any)["price"]
	}
	for sid, want := range map[string]any{unpriced: nil, usual: "-0.01580", given: "-0.02"} {
		if fetched := shown(sid); fetched != want || listed[sid] != want {
			t.Errorf("fetched %v, listed %v, want %v", fetched, listed[sid], want)
		}
	}
}

func TestTwin(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.script(twiliosim.Rule{Answer: twiliosim.AnswerReset, Accepted: true, Twin: true, Times: 1, CallbackDelayMS: 2})
	if got := r.create(twilio.NewClient(r.url)); got.State != domain.AttemptUnknown {
		t.Errorf("%+v", got)
	}
	listed := func() []any {
		_, _, got := r.api(http.MethodGet, messagesPath(".json"), nil)
		return got["messages"].([]any)
	}
	messages := listed()
	if len(messages) != 2 {
		t.Fatalf("%v", messages)
	}
	twin, ours := messages[0].(map[string]any), messages[1].(map[string]any)
	for _, name := range []string{"from", "to", "body", "direction", "num_segments"} {
		if twin[name] != ours[name] {
			t.Errorf("%s: %v and %v", name, twin[name], ours[name])
		}
	}
	if twin["status"] != "failed" || twin["error_code"] == nil || twin["sid"] == ours["sid"] {
		t.Errorf("%v", twin)
	}
	shown := r.eventually(ours["sid"].(string), func(m twiliosim.Message) bool { return delivered(m) && len(m.Callbacks) == 3 })
	if counted := r.requests(); shown.Twin || counted.Accepted != 1 || counted.AcceptedByTo[customer] != 1 {
		t.Errorf("%+v %+v", shown, counted)
	}
}

// A slow API takes its time over reads of the recipient's messages, and over no others.
func TestReadDelay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sid := r.send(nil)
	r.script(twiliosim.Rule{To: customer, ReadDelayMS: 60_000, Times: 1})
	client, credentials := twilio.NewClient(r.url), domain.Credentials{AccountSid: accountSid, Logins: []domain.Login{login()}}
	for range 2 { // it uses up no times
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		if _, err := client.Fetch(ctx, credentials, sid); err == nil {
			t.Error("fetched")
		}
		cancel()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	list := r.request(http.MethodGet, messagesPath(".json?To="+url.QueryEscape(customer)), nil).WithContext(ctx)
	list.SetBasicAuth(accountSid, token)
	if response, err := http.DefaultClient.Do(list); err == nil {
		response.Body.Close()
		t.Error("listed")
	}
	if bodies, _ := r.listBodies(messagesPath(".json?To=%2B15557770999")); len(bodies) != 0 {
		t.Errorf("%v", bodies)
	}
}

// A slow answer is overtaken by the callbacks: the message was accepted before.
func TestResponseDelay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.script(twiliosim.Rule{ResponseDelayMS: 600_000, CallbackDelayMS: 2})
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	answered := make(chan error, 1)
	go func() { answered <- r.post(ctx) }()
	for range 3 {
		r.next()
	}
	select {
	case err := <-answered:
		t.Fatalf("the answer came before the callbacks: %v", err)
	default:
	}
	giveUp()
	if err := <-answered; err == nil {
		t.Error("answered before its time")
	}

	r.script(twiliosim.Rule{ResponseDelayMS: 100})
	begun := time.Now()
	r.send(nil)
	if took := time.Since(begun); took < 100*time.Millisecond {
		t.Errorf("answered after %s", took)
	}
}

func TestScriptRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, rule := range map[string]any{
		"unknown status":        map[string]any{"status": "lost"},
		"error without failure": map[string]any{"error_code": 30008},
		"unknown answer":        map[string]any{"answer": "silence"},
		"unknown callbacks":     map[string]any{"callbacks": "thrice"},
		"code without a status": map[string]any{"code": 21610},
		"a code of a redirect":  map[string]any{"status_code": 302, "code": 21610},
		"status 200":            map[string]any{"status_code": 200},
		"two answers":           map[string]any{"status_code": 502, "answer": "hold"},
		"retry_after alone":     map[string]any{"retry_after": 1},
		"accepted anyway":       map[string]any{"accepted": true},
		"refused and accepted":  map[string]any{"status_code": 400, "code": 21610, "accepted": true},
		"twin of nothing":       map[string]any{"answer": "reset", "twin": true},
		"a rate of nothing":     map[string]any{"random": map[string]any{"seed": 1}},
		"a rate above one":      map[string]any{"random": map[string]any{"seed": 1, "rate": 1.1}},
		"chance and a fault":    map[string]any{"random": map[string]any{"seed": 1, "rate": 0.5}, "answer": "hold"},
		"negative delay":        map[string]any{"response_delay_ms": -1},
		"negative price delay":  map[string]any{"price_delay_ms": -1},
		"not a price":           map[string]any{"price": "free"},
		"negative times":        map[string]any{"times": -1},
		"not an address":        map[string]any{"to": "fax:+15557770123"},
		"misspelt field":        map[string]any{"tos": customer},
	} {
		response, answer := r.do(r.request(http.MethodPut, "/simulate/script", bytes.NewReader(encode(t, rule))))
		if response.StatusCode != http.StatusBadRequest || !strings.Contains(string(answer), `"error"`) {
			t.Errorf("%s: %d %s", name, response.StatusCode, answer)
		}
	}
	r.send(nil) // nothing was scripted
}

func encode(t *testing.T, value any) []byte {
	t.Helper()
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
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

// A secondary token is taken beside the primary one, which still signs; once it is promoted the old one is good for nothing.
func TestSecondaryToken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	create := func(with string) int {
		status, _, _ := r.apiAs(accountSid, with, http.MethodPost, messagesPath(".json"), newForm(nil))
		return status
	}
	r.control(http.MethodPut, "/simulate/token", map[string]any{"auth_token": "second", "secondary": true}, nil)
	if first, second, none := create(token), create("second"), create(""); first != http.StatusCreated || second != http.StatusCreated || none != http.StatusUnauthorized {
		t.Errorf("answered %d, %d and %d", first, second, none)
	}
	r.control(http.MethodPost, "/simulate/inbound", twiliosim.Inbound{From: customer, To: company}, nil)
	r.checkSigned(r.next(), token)
	r.control(http.MethodPut, "/simulate/token", map[string]any{"auth_token": "second"}, nil)
	if first, second := create(token), create("second"); first != http.StatusUnauthorized || second != http.StatusCreated {
		t.Errorf("once it is promoted: answered %d and %d", first, second)
	}
}

// Only the API's side of the token may be made wrong: webhooks are still believed.
func TestTokenChangeOfTheAPI(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.control(http.MethodPut, "/simulate/token", map[string]any{"auth_token": "new", "api_only": true}, nil)
	if status, _, got := r.api(http.MethodPost, messagesPath(".json"), newForm(nil)); status != http.StatusUnauthorized || got["code"] != 20003.0 {
		t.Errorf("%d %v", status, got)
	}
	r.control(http.MethodPost, "/simulate/inbound", twiliosim.Inbound{From: customer, To: company}, nil)
	r.checkSigned(r.next(), token)
}
