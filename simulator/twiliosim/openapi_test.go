package twiliosim_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"parley/internal/domain"
	"parley/internal/twilio"
	"parley/simulator/twiliosim"
)

// TestTwilioOpenAPI checks the requests of Parley's client and the simulator's answers against Twilio's own description.
func TestTwilioOpenAPI(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	checked := newInspector(t, r.url)
	ctx, credentials := t.Context(), domain.Credentials{AccountSid: accountSid, Logins: []domain.Login{login()}}
	client := twilio.NewClient(checked.url)

	key := domain.AttemptKey{MessageID: "0198c9f0-0000-7000-8000-000000000001", Part: 1, Attempt: 1}
	plain := client.Create(ctx, login(), twilio.NewMessage{
		From: company, To: customer, Body: "Olá 🙂", StatusCallback: twilio.CallbackURL(r.webhook.url, key), ValidityPeriod: time.Hour,
	})
	media := client.Create(ctx, login(), twilio.NewMessage{From: company, To: customer, MediaURLs: []string{"https://a.example/1", "https://a.example/2"}})
	r.script(twiliosim.Rule{Status: domain.StatusUndelivered, ErrorCode: 30005, CallbackDelayMS: 2})
	failed := client.Create(ctx, login(), twilio.NewMessage{From: company, To: customer, Body: "hi"})
	for _, created := range []twilio.Created{plain, media, failed} {
		if created.State != domain.AttemptAccepted || created.Status != domain.StatusQueued {
			t.Errorf("%+v", created)
		}
	}
	r.eventually(failed.Sid, func(m twiliosim.Message) bool { return m.Status == domain.StatusUndelivered })
	if fetched, err := client.Fetch(ctx, credentials, failed.Sid); err != nil || fetched.ErrorCode != 30005 {
		t.Errorf("%+v: %v", fetched, err)
	}
	if refused := client.Create(ctx, login(), twilio.NewMessage{From: company, To: "+15005550004", Body: "hi"}); refused.ErrorCode != 21610 {
		t.Errorf("%+v", refused)
	}
	r.control(http.MethodPost, "/simulate/inbound", twiliosim.Inbound{From: customer, To: company, Body: "hello"}, nil)
	for _, query := range []url.Values{
		{}, {"PageSize": {"1"}, "To": {customer}, "From": {company}}, {"DateSent>": {time.Now().Format(time.RFC3339)}},
	} {
		for path := messagesPath(".json?" + query.Encode()); path != ""; {
			_, path = (&rig{T: t, url: checked.url}).listBodies(path)
		}
	}
	files := messagesPath("/" + media.Sid + "/Media")
	through := &rig{T: t, url: checked.url}
	_, _, listed := through.api(http.MethodGet, files+".json?PageSize=20", nil)
	for _, file := range listed["media_list"].([]any) {
		through.api(http.MethodGet, files+"/"+file.(map[string]any)["sid"].(string)+".json", nil)
	}
	if problems := checked.found(); len(problems) > 0 {
		t.Errorf("Twilio would not understand, or would not answer so:\n%s", strings.Join(problems, "\n"))
	}
}

// The check itself bites: it sees a parameter that does not exist, a wrong value, and an answer of the wrong shape.
func TestTwilioOpenAPICheckBites(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	spoiled := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"sid": "SM1", "num_media": 0, "date_created": "2020-01-02T03:04:05Z"}`)
	}))
	defer spoiled.Close()
	for name, test := range map[string]struct {
		upstream, method, path string
		form                   url.Values
		want                   string
	}{
		"an unknown form parameter":  {r.url, http.MethodPost, messagesPath(".json"), newForm(map[string]string{"IdempotencyKey": "1"}), "IdempotencyKey"},
		"an unknown query parameter": {r.url, http.MethodGet, messagesPath(".json?Status=sent"), nil, "Status"},
		"a wrong value":              {r.url, http.MethodPost, messagesPath(".json"), newForm(map[string]string{"ValidityPeriod": "1h"}), "ValidityPeriod"},
		"an unknown path":            {r.url, http.MethodGet, messagesPath("/SM1/Nothing.json"), nil, "route"},
		"a wrong sid":                {spoiled.URL, http.MethodPost, messagesPath(".json"), newForm(nil), "/sid"},
		"a number for a string":      {spoiled.URL, http.MethodPost, messagesPath(".json"), newForm(nil), "/num_media"},
		"a date of another format":   {spoiled.URL, http.MethodPost, messagesPath(".json"), newForm(nil), "/date_created"},
	} {
		checked := newInspector(t, test.upstream)
		(&rig{T: t, url: checked.url}).api(test.method, test.path, test.form)
		if problems := strings.Join(checked.found(), "\n"); !strings.Contains(problems, test.want) {
			t.Errorf("%s: found %q", name, problems)
		}
	}
}

// inspector is a proxy that checks what passes against Twilio's description.
type inspector struct {
	url    string
	target *url.URL
	router routers.Router

	mu       sync.Mutex
	problems []string
}

// newInspector starts an inspector before an API. It skips the test where Twilio's description is absent.
func newInspector(t *testing.T, upstream string) *inspector {
	t.Helper()
	file := filepath.FromSlash("../../../shared/twilio/openapi_messages.json") // beside the repository
	if _, err := os.Stat(file); err != nil {
		t.Skipf("Twilio's OpenAPI description is not beside the repository: %v", err)
	}
	target, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	router, err := newRouter(t.Context(), file, target)
	if err != nil {
		t.Fatal(err)
	}
	i := &inspector{target: target, router: router}
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	i.url = server.URL
	return i
}

// newRouter loads the description, with its paths at the API that is inspected.
func newRouter(ctx context.Context, file string, target *url.URL) (routers.Router, error) {
	document, err := openapi3.NewLoader().LoadFromFile(file)
	if err != nil {
		return nil, err
	}
	document.Servers = openapi3.Servers{{URL: target.String()}}
	for _, item := range document.Paths.Map() {
		item.Servers = nil
	}
	if err := document.Validate(ctx, openapi3.DisableExamplesValidation()); err != nil {
		return nil, err
	}
	return gorillamux.NewRouter(document)
}

func (i *inspector) found() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.problems)
}

func (i *inspector) report(format string, args ...any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.problems = append(i.problems, fmt.Sprintf(format, args...))
}

// ServeHTTP passes one request on, and reports what is wrong with it and with its answer.
func (i *inspector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	form, err := io.ReadAll(r.Body)
	if err != nil {
		i.report("read the request: %v", err)
	}
	passed := r.Clone(r.Context())
	passed.RequestURI, passed.URL.Scheme, passed.URL.Host = "", i.target.Scheme, i.target.Host
	passed.Body = io.NopCloser(bytes.NewReader(form))
	response, err := http.DefaultTransport.RoundTrip(passed)
	if err != nil {
		i.report("pass on: %v", err)
		return
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		i.report("read the answer: %v", err)
	}
	passed.Body = io.NopCloser(bytes.NewReader(form))
	i.inspect(passed, form, response, answer)
	maps.Copy(w.Header(), response.Header)
	w.WriteHeader(response.StatusCode)
	_, _ = w.Write(answer)
}

// inspect checks one exchange.
func (i *inspector) inspect(sent *http.Request, form []byte, response *http.Response, answer []byte) {
	what := sent.Method + " " + sent.URL.RequestURI()
	route, params, err := i.router.FindRoute(sent)
	if err != nil {
		i.report("%s: no route: %v", what, err)
		return
	}
	request := &openapi3filter.RequestValidationInput{Request: sent, PathParams: params, Route: route, Options: &openapi3filter.Options{
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, // the API itself checks
		MultiError:         true,
	}}
	if err := openapi3filter.ValidateRequest(sent.Context(), request); err != nil {
		i.report("%s: request: %v", what, err)
	}
	for _, name := range unknownParameters(route, sent.URL.Query(), form) {
		i.report("%s: request: Twilio has no parameter %s", what, name)
	}
	if response.StatusCode >= 400 {
		return // Twilio's description has no errors
	}
	checked := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: request, Status: response.StatusCode, Header: response.Header,
		Options: &openapi3filter.Options{MultiError: true, IncludeResponseStatus: true, SchemaValidationOptions: []openapi3.SchemaValidationOption{
			openapi3.WithStringFormatValidator("date-time-rfc-2822", openapi3.NewCallbackValidator(func(s string) error {
				_, err := mail.ParseDate(s)
				return err
			})),
		}},
	}
	if err := openapi3filter.ValidateResponse(sent.Context(), checked.SetBodyBytes(answer)); err != nil {
		i.report("%s: response: %v", what, err)
	}
}

// unknownParameters returns the parameters that the description does not name: Twilio ignores them in silence.
func unknownParameters(route *routers.Route, query url.Values, form []byte) []string {
	var unknown []string
	for name := range query {
		if route.Operation.Parameters.GetByInAndName(openapi3.ParameterInQuery, name) == nil {
			unknown = append(unknown, name)
		}
	}
	if route.Operation.RequestBody == nil {
		return unknown
	}
	known := route.Operation.RequestBody.Value.Content.Get("application/x-www-form-urlencoded").Schema.Value.Properties
	posted, err := url.ParseQuery(string(form))
	if err != nil {
		return append(unknown, err.Error())
	}
	for name := range posted {
		if known[name] == nil {
			unknown = append(unknown, name)
		}
	}
	return unknown
}
