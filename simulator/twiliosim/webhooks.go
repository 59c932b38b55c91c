package twiliosim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"syscall"
	"time"

	"parley/internal/twilio"
)

// Twilio's patience with a webhook. https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides
const (
	connectTimeout = 5 * time.Second
	webhookTimeout = 15 * time.Second
	maxAnswer      = 64 << 10 // bytes that are read of an answer
)

// errNotLoopback is why a URL is not posted to.
var errNotLoopback = errors.New("the simulator posts to loopback addresses only")

// webhooks posts signed forms, to loopback only.
type webhooks struct{ client *http.Client }

// answer is what came back from a webhook.
type answer struct {
	StatusCode int
	Body       string
}

func newWebhooks() *webhooks {
	dialer := &net.Dialer{Timeout: connectTimeout, Control: controlLoopback}
	return &webhooks{&http.Client{
		Timeout: webhookTimeout,
		// No proxy: it would carry the traffic elsewhere. A redirect is not followed, for the same reason.
		Transport:     &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// post signs a form with the token and posts it. As Twilio does, it tries once more when there was no connection (TLS
// included), and never on one that may have carried the request; both tries have the same idempotency token.
func (w *webhooks) post(ctx context.Context, token, target string, form url.Values) (answer, error) {
	u, err := parseWebURL(target)
	if err != nil {
		return answer{}, err
	}
	u.Fragment, u.RawFragment, u.User = "", "", nil // connection overrides and credentials are not signed
	header := http.Header{
		"Content-Type":               {"application/x-www-form-urlencoded"},
		"User-Agent":                 {"TwilioProxy/1.1"},
		"I-Twilio-Idempotency-Token": {newSid("")},
		"X-Twilio-Signature":         {twilio.Sign(token, u.String(), form)},
	}
	connected := false
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }})
	got, err := w.try(traced, u.String(), header, form)
	if err != nil && !connected {
		got, err = w.try(ctx, u.String(), header, form)
	}
	return got, err
}

func (w *webhooks) try(ctx context.Context, target string, header http.Header, form url.Values) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, err
	}
	request.Header = header
	response, err := w.client.Do(request)
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // without the URL
	}
	if err != nil {
		return answer{}, fmt.Errorf("webhook: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return answer{}, fmt.Errorf("read the webhook's answer: %w", err)
	}
	return answer{response.StatusCode, string(body)}, nil
}

// parseWebURL reads a URL that Twilio would take: http or https with a host that has no underscore.
func parseWebURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || strings.Contains(u.Hostname(), "_") {
		return nil, errors.New("want http(s)://host[:port][/path], without an underscore in the host")
	}
	return u, nil
}

// checkLoopback refuses a URL whose host is not this machine, before anything asks for its address.
func checkLoopback(raw string) error {
	u, err := parseWebURL(raw)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return errNotLoopback
	}
	return nil
}

// controlLoopback refuses a connection that would leave this machine, whatever a name resolved to.
func controlLoopback(_, address string, _ syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return errNotLoopback
	}
	return nil
}
