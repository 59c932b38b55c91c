package twiliosim_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/internal/config"
	"parley/internal/domain"
	"parley/internal/twilio"
	"parley/simulator/twiliosim"
)

const (
	accountSid = "AC0123456789abcdef0123456789abcdef"
	token      = "a0b1c2d3e4f5061728394a5b6c7d8e9f"
	company    = "+15557770100"
	customer   = "+15557770123"
	// patience is how long a test waits for what must come.
	patience = time.Minute
)

// rig is a simulator with a webhook that it posts to.
type rig struct {
	*testing.T
	url     string // the simulator's
	webhook *webhook
	stop    func() // ends the simulator
	doorway string // the door's address, once it is needed
}

// login is the right one.
func login() domain.Login {
	return domain.Login{AccountSid: accountSid, User: accountSid, Password: token}
}

// newRig starts a simulator whose statuses follow each other fast.
func newRig(t *testing.T) *rig {
	t.Helper()
	hook := newWebhook(t)
	ctx, stop := context.WithCancel(t.Context())
	simulator, err := twiliosim.New(ctx, config.Simulated{
		AccountSid: accountSid, AuthToken: token, InboundURL: hook.url + "/webhooks/twilio/inbound",
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(simulator.Handler())
	t.Cleanup(func() {
		stop()
		server.Close()
		simulator.Wait()
	})
	r := &rig{T: t, url: server.URL, webhook: hook, stop: stop}
	r.script(twiliosim.Rule{CallbackDelayMS: 2})
	return r
}

// in returns the rig for a subtest.
func (r *rig) in(t *testing.T) *rig {
	return &rig{T: t, url: r.url, webhook: r.webhook, stop: r.stop}
}

// statusURL is a StatusCallback as Parley gives it, with an escape and an empty value that a signature must keep.
func (r *rig) statusURL() string {
	return r.webhook.url + twilio.StatusPath + "?message=01%2Bab&part=1&attempt=2&empty="
}

// api calls Twilio's API as the account, and returns the status, the header and the JSON.
func (r *rig) api(method, path string, form url.Values) (int, http.Header, map[string]any) {
	r.Helper()
	return r.apiAs(accountSid, token, method, path, form)
}

func (r *rig) apiAs(user, password, method, path string, form url.Values) (int, http.Header, map[string]any) {
	r.Helper()
	request := r.request(method, path, strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(user, password)
	response, body := r.do(request)
	var decoded map[string]any
	if err := json.Unmarshal(body, &decoded); err != nil {
		r.Fatalf("%s %s: %d with %q: %v", method, path, response.StatusCode, body, err)
	}
	return response.StatusCode, response.Header, decoded
}

// messagesPath is the path of the account's messages, with what follows it.
func messagesPath(rest string) string {
	return "/2010-04-01/Accounts/" + accountSid + "/Messages" + rest
}

// newForm is a create that Twilio accepts, with changes; an empty change leaves the parameter out.
func newForm(changes map[string]string) url.Values {
	form := url.Values{"To": {customer}, "From": {company}, "Body": {"Hello"}}
	for name, value := range changes {
		if form.Set(name, value); value == "" {
			form.Del(name)
		}
	}
	return form
}

// send creates a message and returns its sid.
func (r *rig) send(changes map[string]string) string {
	r.Helper()
	status, _, message := r.api(http.MethodPost, messagesPath(".json"), newForm(changes))
	if status != http.StatusCreated {
		r.Fatalf("create: %d %v", status, message)
	}
	return message["sid"].(string)
}

// control calls the control API and decodes its answer, if it has one.
func (r *rig) control(method, path string, body, into any) int {
	r.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		r.Fatal(err)
	}
	response, answer := r.do(r.request(method, path, bytes.NewReader(encoded)))
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			r.Fatalf("%s %s: %d with %q: %v", method, path, response.StatusCode, answer, err)
		}
	}
	return response.StatusCode
}

func (r *rig) script(rule twiliosim.Rule) {
	r.Helper()
	if status := r.control(http.MethodPut, "/simulate/script", rule, nil); status != http.StatusNoContent {
		r.Fatalf("script: %d", status)
	}
}

func (r *rig) messages() []twiliosim.Message {
	r.Helper()
	var shown struct{ Messages []twiliosim.Message }
	r.control(http.MethodGet, "/simulate/messages", nil, &shown)
	return shown.Messages
}

func (r *rig) requests() twiliosim.Requests {
	r.Helper()
	var counted twiliosim.Requests
	r.control(http.MethodGet, "/simulate/requests", nil, &counted)
	return counted
}

// eventually waits until a message of the control API is as wanted, and returns it.
func (r *rig) eventually(sid string, wanted func(twiliosim.Message) bool) twiliosim.Message {
	r.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		messages := r.messages()
		i := slices.IndexFunc(messages, func(m twiliosim.Message) bool { return m.Sid == sid })
		if i >= 0 && wanted(messages[i]) {
			return messages[i]
		}
		if time.Now().After(deadline) {
			r.Fatalf("message %d of %d is not as wanted: %+v", i, len(messages), messages)
		}
	}
}

// eventuallyCounted waits until a number of creates has arrived.
func (r *rig) eventuallyCounted(creates int) {
	r.Helper()
	for deadline := time.Now().Add(patience); r.requests().Creates != creates; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.Fatalf("%d creates, want %d", r.requests().Creates, creates)
		}
	}
}

func (r *rig) request(method, path string, body io.Reader) *http.Request {
	r.Helper()
	request, err := http.NewRequestWithContext(r.Context(), method, r.url+path, body)
	if err != nil {
		r.Fatal(err)
	}
	return request
}

func (r *rig) do(request *http.Request) (*http.Response, []byte) {
	r.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		r.Fatal(err)
	}
	return response, body
}

// webhook is Parley's edge, as far as the simulator sees it: it keeps what was posted.
type webhook struct {
	url    string
	posts  chan post
	answer func(http.ResponseWriter, *http.Request) // set before the first post
}

// post is one request to the webhook.
type post struct {
	Method, URI, Signature string
	Header                 http.Header
	Form                   url.Values
}

func newWebhook(t *testing.T) *webhook {
	t.Helper()
	hook := &webhook{posts: make(chan post, 100)}
	hook.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Errorf("webhook: %v", err)
		}
		hook.posts <- post{r.Method, r.RequestURI, r.Header.Get("X-Twilio-Signature"), r.Header, r.PostForm}
		hook.answer(w, r)
	}))
	t.Cleanup(server.Close)
	hook.url = server.URL
	return hook
}

// next returns the next post.
func (r *rig) next() post {
	r.Helper()
	select {
	case p := <-r.webhook.posts:
		return p
	case <-time.After(patience):
		r.Fatal("no webhook came")
		return post{}
	}
}

// checkSigned checks a post's signature twice: with the verifier that Parley uses, and by the words of Twilio's documentation.
func (r *rig) checkSigned(p post, token string) {
	r.Helper()
	if !twilio.Verify([]string{token}, r.webhook.url+p.URI, p.Form, nil, p.Signature) {
		r.Errorf("%s: the verifier refuses the signature", p.URI)
	}
	text := r.webhook.url + p.URI
	for _, name := range slices.Sorted(maps.Keys(p.Form)) {
		text += name + p.Form.Get(name) // the simulator repeats no name
	}
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write([]byte(text))
	if want := base64.StdEncoding.EncodeToString(mac.Sum(nil)); p.Signature != want {
		r.Errorf("%s: signature %q, want %q", p.URI, p.Signature, want)
	}
}
