package twilio_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parley/internal/domain"
	"parley/internal/twilio"
)

const service = "MG0123456789abcdef0123456789abcdef"

var (
	login       = domain.Login{AccountSid: account, User: account, Password: "fedcba9876543210fedcba9876543210"}
	credentials = domain.Credentials{AccountSid: account, Logins: []domain.Login{login}}
)

const created = `{"sid":"` + sid + `","status":"queued","num_segments":"2","error_code":null,"price":"-0.01580","price_unit":"USD","body":"hello"}`

func answer(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Twilio-Request-Id", "RQ1")
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func twilioError(status, code int) string {
	return fmt.Sprintf(`{"code":%d,"message":"about +15005550100","more_info":"https://www.twilio.com/docs/errors/%d","status":%d}`, code, code, status)
}

func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

var hello = twilio.NewMessage{From: "+15005550006", To: "+15005550100", Body: "hello"}

func TestCreatePostsTheMessage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		message twilio.NewMessage
		want    url.Values
	}{
		"text": {hello, url.Values{"From": {"+15005550006"}, "To": {"+15005550100"}, "Body": {"hello"}}},
		"all": {
			twilio.NewMessage{
				From: "whatsapp:+15005550006", To: "whatsapp:US.1234", Body: "see US.1234 & 50%",
				MediaURLs:      []string{"https://a.example/1.jpg", "https://a.example/2.jpg"},
				StatusCallback: "https://parley.example/s?message=m&part=1&attempt=1", ValidityPeriod: 1500 * time.Millisecond,
			},
			url.Values{
				"From": {"whatsapp:+15005550006"}, "To": {"whatsapp:US.1234"}, "Body": {"see US.1234 & 50%"},
				"MediaUrl":       {"https://a.example/1.jpg", "https://a.example/2.jpg"},
				"StatusCallback": {"https://parley.example/s?message=m&part=1&attempt=1"}, "ValidityPeriod": {"2"},
			},
		},
		"media alone": {
			twilio.NewMessage{From: "a", To: "b", MediaURLs: []string{"https://a.example/1.jpg"}},
			url.Values{"From": {"a"}, "To": {"b"}, "MediaUrl": {"https://a.example/1.jpg"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got url.Values
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_ = r.ParseForm()
				got = r.PostForm
				user, password, _ := r.BasicAuth()
				if r.Method != http.MethodPost || r.RequestURI != "/base/2010-04-01/Accounts/"+account+"/Messages.json" ||
					user != account || password != login.Password {
					t.Errorf("got %s %s as %s", r.Method, r.RequestURI, user)
				}
				answer(http.StatusCreated, created)(w, r)
			})
			result := twilio.NewClient(server.URL+"/base/").Create(soon(t), login, test.message)
			want := twilio.Created{State: domain.AttemptAccepted, Sid: sid, Status: domain.StatusQueued, Segments: 2, RequestID: "RQ1", Price: &domain.Money{Micros: 15_800, Currency: "USD"}}
			if !reflect.DeepEqual(result, want) {
				t.Errorf("got %+v, want %+v", result, want)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("posted %v, want %v", got, test.want)
			}
		})
	}
}

func TestCreateSortsAnswers(t *testing.T) {
	t.Parallel()
	const html = "<html><body>Bad Gateway, tell +15005550100</body></html>"
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    twilio.Created // Error and RequestID are checked apart
	}{
		"accepted, segments not known": {
			answer(201, `{"sid":"MM0123456789abcdef0123456789abcdef","status":"accepted","num_segments":null}`),
			twilio.Created{State: domain.AttemptAccepted, Sid: "MM0123456789abcdef0123456789abcdef", Status: domain.StatusAccepted},
		},
		"refused for good":          {answer(400, twilioError(400, 21211)), refused(21211, domain.KindDenied)},
		"refused, unknown code":     {answer(400, twilioError(400, 21999)), refused(21999, domain.KindDenied)},
		"refused, delivery's code":  {answer(400, twilioError(400, 63016)), refused(63016, domain.KindDenied)},
		"refused by configuration":  {answer(400, twilioError(400, 21606)), refused(21606, domain.KindConfiguration)},
		"wrong token":               {answer(401, twilioError(401, 20003)), refusedLogin(20003)},
		"too many requests":         {answer(429, twilioError(429, 20429), "Retry-After", "7"), notSent(20429, 7*time.Second)},
		"too many, HTML":            {answer(429, html), notSent(0, 0)},
		"too many, unreadable wait": {answer(429, "", "Retry-After", "soon"), notSent(0, 0)},
		"too many, endless wait":    {answer(429, "", "Retry-After", "2000000000"), notSent(0, time.Minute)},
		"too many, wait in the past": {
			answer(429, "", "Retry-After", "Mon, 02 Jan 2006 15:04:05 GMT"), notSent(0, 0),
		},
		"throttled by code":          {answer(400, twilioError(400, 21611)), notSent(21611, 0)},
		"HTML 502":                   {answer(502, html), unknown(0)},
		"500 with Twilio's code":     {answer(500, twilioError(500, 20500)), unknown(20500)},
		"503 with a throttled code":  {answer(503, twilioError(503, 20429)), unknown(20429)},
		"ambiguous code in a 4xx":    {answer(400, twilioError(400, 20503)), unknown(20503)},
		"408":                        {answer(408, twilioError(408, 20001)), unknown(20001)},
		"4xx of a gateway, HTML":     {answer(403, html), unknown(0)},
		"4xx of a gateway, JSON":     {answer(403, `{"code":403,"message":"forbidden"}`), unknown(0)},
		"redirect":                   {answer(307, "", "Location", "/elsewhere"), unknown(0)},
		"redirect without location":  {answer(304, ""), unknown(0)},
		"201 with garbage":           {answer(201, "garbage"), unknown(0)},
		"201 without a sid":          {answer(201, `{"status":"queued"}`), unknown(0)},
		"201 with another thing":     {answer(201, `{"sid":"CA0123456789abcdef0123456789abcdef"}`), unknown(0)},
		"201 cut short":              {answer(201, created, "Content-Length", "9999"), unknown(0)},
		"201 too long":               {answer(201, `{"sid":"`+sid+`","body":"`+strings.Repeat("x", 1<<20)+`"}`), unknown(0)},
		"200 instead of 201":         {answer(200, created), unknown(0)},
		"connection closed unread":   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, unknown(0)},
		"accepted, already rejected": {answer(201, `{"sid":"`+sid+`","status":"failed","error_code":30002}`), twilio.Created{State: domain.AttemptAccepted, Sid: sid, Status: domain.StatusFailed, ErrorCode: 30002}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				test.handler(w, r)
			})
			got := twilio.NewClient(server.URL).Create(soon(t), login, hello)
			if (got.Error == "") != (got.State == domain.AttemptAccepted) {
				t.Errorf("%s, explained by %q", got.State, got.Error)
			}
			if strings.Contains(got.Error, "5005550") {
				t.Errorf("the explanation has a phone number: %s", got.Error)
			}
			if name != "connection closed unread" && got.RequestID != "RQ1" {
				t.Errorf("request id %q", got.RequestID)
			}
			got.Error, got.RequestID = "", ""
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if calls.Load() != 1 {
				t.Errorf("%d requests, want 1", calls.Load())
			}
		})
	}
}

func refused(code int, kind domain.Kind) twilio.Created {
	return twilio.Created{State: domain.AttemptRefused, ErrorCode: code, ErrorKind: kind}
}

func refusedLogin(code int) twilio.Created {
	return twilio.Created{State: domain.AttemptRefused, ErrorCode: code, ErrorKind: domain.KindConfiguration, LoginRefused: true}
}

func notSent(code int, after time.Duration) twilio.Created {
	return twilio.Created{State: domain.AttemptNotSent, ErrorCode: code, ErrorKind: domain.KindThrottled, RetryAfter: after}
}

func unknown(code int) twilio.Created {
	return twilio.Created{State: domain.AttemptUnknown, ErrorCode: code, ErrorKind: domain.KindUnknownOutcome}
}

func TestCreateHonoursARetryAfterDate(t *testing.T) {
	t.Parallel()
	server := serve(t, answer(429, "", "Retry-After", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)))
	got := twilio.NewClient(server.URL).Create(soon(t), login, hello)
	if got.RetryAfter < 50*time.Second || got.RetryAfter > time.Minute {
		t.Errorf("got %s, want about a minute", got.RetryAfter)
	}
}

func TestCreateWithoutConnectionIsNotSent(t *testing.T) {
	t.Parallel()
	untrusted := httptest.NewUnstartedServer(answer(201, created))
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing: no TLS handshake
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	for name, baseURL := range map[string]string{
		"refused":            "http://127.0.0.1:1",
		"no such host":       "http://parley.invalid",
		"untrusted":          untrusted.URL,
		"TLS never answered": "https://" + silent.Addr().String(),
		"not a URL":          "http://[",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			got := twilio.NewClient(baseURL).Create(ctx, login, hello)
			if got.State != domain.AttemptNotSent || got.ErrorKind != domain.KindUnavailable || got.Error == "" {
				t.Errorf("got %+v, want not sent", got)
			}
		})
	}
}

func TestCreateKeepsToTheCallersContext(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"no answer": func(_ http.ResponseWriter, r *http.Request) { hang(r) },
		"body left open": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, created[:20])
			w.(http.Flusher).Flush()
			hang(r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, handler)
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			begun := time.Now()
			got := twilio.NewClient(server.URL).Create(ctx, login, hello)
			if got.State != domain.AttemptUnknown || time.Since(begun) > 30*time.Second {
				t.Errorf("got %+v after %s, want unknown in time", got, time.Since(begun))
			}
		})
	}
	t.Run("over before it began", func(t *testing.T) {
		t.Parallel()
		server := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("posted") })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if got := twilio.NewClient(server.URL).Create(ctx, login, hello); got.State != domain.AttemptNotSent {
			t.Errorf("got %+v, want not sent", got)
		}
	})
}

// TestCreateWritesNothingPastItsTime: a process that stood still finds its connection made before it notices that its time is over.
func TestCreateWritesNothingPastItsTime(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		answer(http.StatusCreated, created)(w, r)
	})
	client := twilio.NewClient(server.URL)
	for range 2 { // on a new connection, and on one that is used again
		if got := client.Create(lapsed{t.Context()}, login, hello); got.State != domain.AttemptNotSent {
			t.Errorf("got %+v, want not sent", got)
		}
		if n := requests.Swap(0); n != 0 {
			t.Errorf("%d requests", n)
		}
		if got := client.Create(soon(t), login, hello); got.State != domain.AttemptAccepted {
			t.Errorf("in time: %+v", got)
		}
		requests.Store(0)
	}
}

// lapsed is a context whose deadline has passed, and that has not noticed it yet.
type lapsed struct{ context.Context }

func (lapsed) Deadline() (time.Time, bool) { return time.Now().Add(-time.Second), true }

// hang waits until the client has gone away.
func hang(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func TestCreateWithOddCredentialsIsRefusedAndSendsNothing(t *testing.T) {
	t.Parallel()
	server := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("sent") })
	for code, odd := range map[int]domain.Login{
		21222: {AccountSid: account + "/..", User: account + "/..", Password: "token"},
		21224: {AccountSid: account, User: account, Password: "tok-en"},
	} {
		got := twilio.NewClient(server.URL).Create(soon(t), odd, hello)
		if got.State != domain.AttemptRefused || got.ErrorKind != domain.KindConfiguration || got.ErrorCode != code || !got.LoginRefused {
			t.Errorf("got %+v, want a refusal with %d", got, code)
		}
	}
}

// Reads ask with each login in turn, and once with each: a token may have been changed at Twilio. Whatever else Twilio says is the answer.
func TestReadsTryEachLogin(t *testing.T) {
	t.Parallel()
	newest := domain.Login{AccountSid: account, User: account, Password: "00000000000000000000000000000001"}
	apiKey := domain.Login{AccountSid: account, User: "SK0123456789abcdef0123456789abcdef", Password: "secretOfTheKey"}
	message, page := answer(200, created), answer(200, `{"messages":[]}`)
	for name, test := range map[string]struct {
		logins []domain.Login
		other  http.HandlerFunc // the answer to login, where it is not the usual one
		asked  []string
		kind   domain.Kind
	}{
		"the newest is taken":         {logins: []domain.Login{login, newest}, asked: []string{login.Password}},
		"the older is taken":          {logins: []domain.Login{apiKey, newest, login}, asked: []string{apiKey.Password, newest.Password, login.Password}},
		"none is taken":               {logins: []domain.Login{apiKey, newest}, asked: []string{apiKey.Password, newest.Password}, kind: domain.KindConfiguration},
		"there is none":               {kind: domain.KindConfiguration},
		"an error that is no login's": {logins: []domain.Login{login, newest}, other: answer(503, ""), asked: []string{login.Password}, kind: domain.KindUnavailable},
		"an account that is closed":   {logins: []domain.Login{login, newest}, other: answer(401, twilioError(401, 20005)), asked: []string{login.Password}, kind: domain.KindConfiguration},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked []string
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				user, password, _ := r.BasicAuth()
				asked = append(asked, password)
				switch {
				case user == apiKey.User && password != apiKey.Password, user != apiKey.User && user != account:
					t.Errorf("asked as %s", user)
				case password != login.Password:
					answer(401, twilioError(401, 20003))(w, r)
				case test.other != nil:
					test.other(w, r)
				case strings.HasSuffix(r.URL.Path, "/Messages.json"):
					page(w, r)
				default:
					message(w, r)
				}
			})
			client, credentials := twilio.NewClient(server.URL), domain.Credentials{AccountSid: account, Logins: test.logins}
			_, fetchErr := client.Fetch(soon(t), credentials, sid)
			_, listErr := client.List(soon(t), credentials, twilio.Search{})
			for what, err := range map[string]error{"Fetch": fetchErr, "List": listErr} {
				if (err != nil) != (test.kind != "") || (err != nil && domain.KindOf(err) != test.kind) {
					t.Errorf("%s: %v, want %q", what, err, test.kind)
				}
			}
			if want := slices.Concat(test.asked, test.asked); !slices.Equal(asked, want) {
				t.Errorf("asked with %q, want %q", asked, want)
			}
		})
	}
}

func TestCredentialsGoToTheConfiguredHostOnly(t *testing.T) {
	t.Parallel()
	elsewhere := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s went elsewhere, with credentials %q", r.Method, r.Header.Get("Authorization"))
	})
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := serve(t, answer(status, "", "Location", elsewhere.URL))
		client := twilio.NewClient(server.URL)
		if got := client.Create(soon(t), login, hello); got.State != domain.AttemptUnknown {
			t.Errorf("%d: got %+v, want unknown", status, got)
		}
		if _, err := client.Fetch(soon(t), credentials, sid); domain.KindOf(err) != domain.KindUnavailable {
			t.Errorf("%d: got %v, want KindUnavailable", status, err)
		}
	}
}

func TestErrorsLeaveTheirConnectionToTheNextCall(t *testing.T) {
	t.Parallel()
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(answer(400, twilioError(400, 21211)))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	client := twilio.NewClient(server.URL)
	for range 20 {
		client.Create(soon(t), login, hello)
	}
	if n := connections.Load(); n > 5 { // one, but for moments in which net/http waited 50 ms in vain to see a request written
		t.Errorf("%d connections for 20 calls, want 1", n)
	}
}

func TestFetchReadsAMessage(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.RequestURI != "/v.123/2010-04-01/Accounts/"+account+"/Messages/"+sid+".json" {
			t.Errorf("got %s %s", r.Method, r.RequestURI)
		}
		answer(200, `{"sid":"`+sid+`","status":"undelivered","num_segments":"3","error_code":30003,"to":"whatsapp:US.1234","from":null,
			"direction":"outbound-api","body":"hello","messaging_service_sid":"`+service+`","date_created":"Fri, 24 May 2019 17:44:46 +0000",
			"price":"-0.02370","price_unit":"USD"}`)(w, r)
	})
	got, err := twilio.NewClient(server.URL+"/v.123").Fetch(soon(t), credentials, sid)
	want := twilio.Message{
		Sid: sid, Direction: "outbound-api", To: "whatsapp:US.1234", MessagingServiceSid: service, Body: "hello",
		DateCreated: time.Date(2019, time.May, 24, 17, 44, 46, 0, time.UTC),
		Status:      domain.StatusUndelivered, Segments: 3, ErrorCode: 30003, Price: &domain.Money{Micros: 23_700, Currency: "USD"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// A price is read exactly or not at all: Twilio says it as text, late, and as less than nothing.
func TestPrice(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		`"price":"-0.00750","price_unit":"USD"`:     "0.007500 USD",
		`"price":"-0.0075","price_unit":"usd"`:      "0.007500 USD",
		`"price":"0.10","price_unit":"EUR"`:         "-0.100000 EUR", // paid back
		`"price":"0","price_unit":"EUR"`:            "0.000000 EUR",
		`"price":null,"price_unit":"USD"`:           "not known",
		`"price_unit":"USD"`:                        "not known",
		`"price":"","price_unit":"USD"`:             "not known",
		`"price":"-0.00750","price_unit":null`:      "not known",
		`"price":"-0.00750","price_unit":"dollars"`: "not known",
		`"price":"-7.5e-3","price_unit":"USD"`:      "not known",
		`"price":"-0.00000075","price_unit":"USD"`:  "not known",
	} {
		server := serve(t, answer(200, `{"sid":"`+sid+`","status":"sent",`+said+`}`))
		message, err := twilio.NewClient(server.URL).Fetch(soon(t), credentials, sid)
		got := "not known"
		if message.Price != nil {
			got = message.Price.String()
		}
		if err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", said, got, err, want)
		}
	}
}

func TestFetchReturnsDomainErrors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    domain.Kind
		code    int
		after   time.Duration
	}{
		"not found":          {answer(404, twilioError(404, 20404)), domain.KindNotFound, 20404, 0},
		"404 of a gateway":   {answer(404, "<html>"), domain.KindUnavailable, 0, 0},
		"wrong token":        {answer(401, twilioError(401, 20003)), domain.KindConfiguration, 20003, 0},
		"suspended":          {answer(403, twilioError(403, 20005)), domain.KindConfiguration, 20005, 0},
		"some other no":      {answer(400, twilioError(400, 20001)), domain.KindConfiguration, 20001, 0},
		"too many requests":  {answer(429, twilioError(429, 20429), "Retry-After", "3"), domain.KindThrottled, 20429, 3 * time.Second},
		"HTML 502":           {answer(502, "<html>"), domain.KindUnavailable, 0, 0},
		"500":                {answer(500, twilioError(500, 20500)), domain.KindUnavailable, 20500, 0},
		"408":                {answer(408, ""), domain.KindUnavailable, 0, 0},
		"200 with garbage":   {answer(200, "garbage"), domain.KindUnavailable, 0, 0},
		"200 without a sid":  {answer(200, "{}"), domain.KindUnavailable, 0, 0},
		"connection dropped": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, domain.KindUnavailable, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := twilio.NewClient(serve(t, test.handler).URL).Fetch(soon(t), credentials, sid)
			failure, ok := errors.AsType[*domain.Error](err)
			if !ok || failure.Kind != test.want || failure.Code != test.code || failure.RetryAfter != test.after {
				t.Fatalf("got %+v, want %s %d", err, test.want, test.code)
			}
			if strings.Contains(err.Error(), "5005550") {
				t.Errorf("the error has a phone number: %v", err)
			}
		})
	}
}

func TestFetchOfACancelledCallSaysSo(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); hang(r) })
	if _, err := twilio.NewClient(server.URL).Fetch(ctx, credentials, sid); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled in its chain", err)
	}
}

func TestFetchRefusesWhatIsNotASid(t *testing.T) {
	t.Parallel()
	server := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("sent") })
	for _, odd := range []string{"", "../Calls", "CA0123456789abcdef0123456789abcdef"} {
		if _, err := twilio.NewClient(server.URL).Fetch(soon(t), credentials, odd); domain.KindOf(err) != domain.KindInvalid {
			t.Errorf("%q: got %v, want KindInvalid", odd, err)
		}
	}
}
