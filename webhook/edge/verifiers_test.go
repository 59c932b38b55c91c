package edge_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"

	"parley/internal/domain"
	"parley/internal/twilio"
	"parley/webhook/edge"
)

// Twilio signs the URL that is configured there; what the webhook sees of it is up to the proxies before it.
func TestBehindProxies(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		publicURL string // as it is configured here
		signed    string // the URL as it is configured at Twilio; empty: publicURL and the path
		strip     string // what the proxy takes from the path
		add       string // what it puts before the path
		path      string // as Twilio asks for it
		want      int
	}{
		"no prefix":                           {publicURL: "https://h.example", path: "", want: 200},
		"a prefix that the proxy takes away":  {publicURL: "https://h.example/parley", path: "/parley", strip: "/parley", want: 200},
		"a prefix that it leaves":             {publicURL: "https://h.example/parley", path: "/parley", want: 200},
		"a longer one that it takes away":     {publicURL: "https://h.example/a/b-1", path: "/a/b-1", strip: "/a/b-1", want: 200},
		"a longer one that it leaves":         {publicURL: "https://h.example/a/b-1", path: "/a/b-1", want: 200},
		"one of which it takes a part":        {publicURL: "https://h.example/a/b", path: "/a/b", strip: "/a", want: 404},
		"like ours, taken away":               {publicURL: "https://h.example/webhooks", path: "/webhooks", strip: "/webhooks", want: 200},
		"like ours, left":                     {publicURL: "https://h.example/webhooks", path: "/webhooks", want: 200},
		"one that only the proxy knows":       {publicURL: "https://h.example", path: "", add: "/inner", want: 404},
		"one that is not configured here":     {publicURL: "https://h.example", signed: "https://h.example/parley", path: "/parley", strip: "/parley", want: 403},
		"a port, and a prefix taken away":     {publicURL: "https://h.example:8443/parley", path: "/parley", strip: "/parley", want: 200},
		"the standard port, a prefix left":    {publicURL: "https://h.example/parley", signed: "https://h.example:443/parley", path: "/parley", want: 200},
		"without the standard port, prefix":   {publicURL: "https://h.example:443/parley", signed: "https://h.example/parley", path: "/parley", strip: "/parley", want: 200},
		"signed for the prefix, without one":  {publicURL: "https://h.example/parley", signed: "https://h.example", path: "/parley", want: 403},
		"signed without, the prefix is there": {publicURL: "https://h.example/parley", signed: "https://h.example", path: "", want: 403},
	} {
		for _, path := range []string{edge.InboundPath, edge.FallbackPath, edge.InboundPath + "?tenant=a%20b%2Fc&x&empty=", edge.InboundPath + "?b=2&a=1&b=%zz"} {
			t.Run(name+" "+path, func(t *testing.T) {
				t.Parallel()
				b := newBenchAt(t, test.publicURL)
				inner := httptest.NewServer(b.handler)
				defer inner.Close()
				outer := httptest.NewServer(proxy(t, inner.URL, test.strip, test.add))
				defer outer.Close()
				form := inboundForm()
				signed := test.signed
				if signed == "" {
					signed = test.publicURL
				}
				request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, outer.URL+test.path+path, strings.NewReader(form.Encode()))
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				request.Header.Set(twilio.SignatureHeader, twilio.Sign(token, signed+path, form))
				response, err := http.DefaultClient.Do(request)
				if err != nil {
					t.Fatal(err)
				}
				_ = response.Body.Close()
				if response.StatusCode != test.want {
					t.Errorf("got %d, want %d: %s", response.StatusCode, test.want, b.log.String())
				}
				route, _, _ := strings.Cut(path, "?")
				if n := b.counted(t, "parley.webhook.requests", attribute.String("path", route), attribute.Int("status", test.want)); test.want != 404 && n != 1 {
					t.Errorf("%d requests counted at %s, want 1", n, route)
				}
			})
		}
	}
}

// proxy hands requests on, below another path where it is told to.
func proxy(t *testing.T, to, strip, add string) http.Handler {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
		r.Out.URL.Path = add + strings.TrimPrefix(r.Out.URL.Path, strip)
		r.Out.URL.RawQuery = r.In.URL.RawQuery // it drops what it cannot read, unless it is told not to
	}}
}

// Every vector of Twilio's signatures that is a form passes the edge, as far as the signature goes.
func TestEveryFormVectorPassesTheEdge(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../internal/twilio/testdata/signature_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			Name, URL, Signature string
			AuthToken            string `json:"auth_token"`
			Params               url.Values
			JSONBody             string `json:"json_body"`
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	passed := 0
	for _, v := range file.Vectors {
		if v.JSONBody != "" {
			continue
		}
		passed++
		for _, verifier := range []edge.Verifier{edge.TwilioVerifier{}, edge.CallerKeys{v.AuthToken}} {
			header := http.Header{}
			header.Set(twilio.SignatureHeader, v.Signature)
			signed := edge.Signed{URL: v.URL, Form: v.Params, Header: header}
			credentials := domain.Credentials{AuthTokens: []string{v.AuthToken}}
			_, isTwilio := verifier.(edge.TwilioVerifier)
			if got := verifier.Verify(credentials, signed); got != isTwilio {
				t.Errorf("%s, %T: accepted %t", v.Name, verifier, got)
			}
		}
	}
	if passed == 0 {
		t.Fatal("no vector is a form")
	}
}

func TestCallersOfOurOwn(t *testing.T) {
	t.Parallel()
	sign := func(key, path string, form url.Values) func(*http.Request) {
		mac := hmac.New(sha256.New, []byte(key))
		twilio.WriteSigned(mac, publicURL+path, form)
		return header(edge.CallerHeader, hex.EncodeToString(mac.Sum(nil)))
	}
	for name, test := range map[string]struct {
		request *http.Request
		want    int
	}{
		"signed with a key of ours":     {signed(edge.InboundPath, "", inboundForm(), header(twilio.SignatureHeader, ""), sign(callerKey, edge.InboundPath, inboundForm())), 200},
		"for another account of ours":   {signed(edge.InboundPath, "", with("AccountSid", otherSid), sign(callerKey, edge.InboundPath, with("AccountSid", otherSid))), 200},
		"for nobody's account":          {signed(edge.InboundPath, "", with("AccountSid", "AC"+strings.Repeat("0", 32)), sign(callerKey, edge.InboundPath, with("AccountSid", "AC"+strings.Repeat("0", 32)))), 403},
		"with another key":              {signed(edge.InboundPath, "", inboundForm(), sign(callerKey+"x", edge.InboundPath, inboundForm())), 403},
		"with no key":                   {signed(edge.InboundPath, "", inboundForm(), sign("", edge.InboundPath, inboundForm())), 403},
		"for another form":              {signed(edge.InboundPath, "", inboundForm(), sign(callerKey, edge.InboundPath, with("Body", "other"))), 403},
		"for another path":              {signed(edge.InboundPath, "", inboundForm(), sign(callerKey, edge.FallbackPath, inboundForm())), 403},
		"Twilio's signature in ours":    {signed(edge.InboundPath, "", inboundForm(), header(edge.CallerHeader, twilio.Sign(token, publicURL+edge.InboundPath, inboundForm()))), 403},
		"our key in Twilio's signature": {signed(edge.InboundPath, callerKey, inboundForm()), 403},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			if w := b.post(test.request); w.Code != test.want {
				t.Errorf("got %d, want %d: %s", w.Code, test.want, b.log.String())
			}
			if strings.Contains(b.log.String(), callerKey) {
				t.Errorf("the log has the key: %s", b.log.String())
			}
		})
	}
}
