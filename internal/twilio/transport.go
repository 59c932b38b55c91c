package twilio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxResponse is the most that is read of an answer: a page of Twilio's list fits, however long its messages (see pageSize).
const maxResponse = 1 << 20

// newTransport returns the connections that all calls share.
func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // with HTTP/2 the loss of one connection would leave every POST on it of unknown fate
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		TLSHandshakeTimeout: 5 * time.Second, // with the dial's 5 s: well within a send's 35 s, so that a bad network is "not sent"
		Protocols:           protocols,
		// Twice a messaging worker's default slots (50). More wait for a free connection; whose time runs out there was not sent.
		MaxConnsPerHost: 100,
		// There is one host, so both limits are the same. The default of 2 would close a connection after nearly every call.
		MaxIdleConns:        100,
		MaxIdleConnsPerHost: 100,
		// A POST on a connection that the other side closes at that moment is of unknown fate. Load balancers close idle
		// connections after 60 s or more: we close first.
		IdleConnTimeout:        20 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// exchange is the transport of one call of twilio-go, which knows no context, no base URL and no limits, follows
// redirects and leaves error bodies open. It makes one request, and remembers what came of it: twilio-go's errors do not
// tell whether a request was written, or which status an unreadable answer had.
type exchange struct {
	ctx   context.Context
	base  *url.URL
	query string // of the request, encoded
	next  http.RoundTripper

	used      bool
	connected bool        // a connection was ready: the request may have been written, even if only in part
	status    int         // of the answer, 0 where none came
	header    http.Header // of the answer
	err       error       // why there is no readable answer
}

// RoundTrip implements http.RoundTripper.
func (e *exchange) RoundTrip(req *http.Request) (*http.Response, error) {
	if e.used {
		return nil, errors.New("a second request in one call")
	}
	e.used = true
	response, err := e.do(e.aim(req))
	e.err = err
	return response, err
}

// aim returns the request with our context, for the configured base URL whatever twilio-go made of it (it also reads
// TWILIO_EDGE and TWILIO_REGION): credentials go nowhere else.
func (e *exchange) aim(req *http.Request) *http.Request {
	ctx := httptrace.WithClientTrace(e.ctx, &httptrace.ClientTrace{
		// A connection that broke before anything was written is replaced by the standard library: then GetConn comes again.
		GetConn: func(string) { e.connected = false },
		GotConn: func(got httptrace.GotConnInfo) { e.connected = e.inTime(got.Conn) }, // after the TLS handshake
	})
	aimed := req.Clone(ctx)
	aimed.URL.Scheme, aimed.URL.Host, aimed.Host = e.base.Scheme, e.base.Host, ""
	aimed.URL.Path = strings.TrimSuffix(e.base.Path, "/") + req.URL.Path
	// twilio-go removes ".<digits>" from the query of a GET, which breaks whatsapp:US.1234: the query is ours, never its.
	aimed.URL.RawQuery = e.query
	return aimed
}

// inTime keeps a request from being written when the time of the call has passed: a process that stood still may find a connection made
// meanwhile before it notices. What cannot be written is an error of the connection, which is then closed.
func (e *exchange) inTime(connection net.Conn) bool {
	deadline, bounded := e.ctx.Deadline()
	if !bounded || time.Now().Before(deadline) {
		return true
	}
	return connection.SetWriteDeadline(time.Unix(1, 0)) != nil
}

// do sends the request and reads the whole answer, so that its connection is free again. A redirect is an error: following
// it would send the credentials, or turn a POST into a GET.
func (e *exchange) do(req *http.Request) (*http.Response, error) {
	response, err := e.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // read to its end, or given up
	e.status, e.header = response.StatusCode, response.Header
	body, err := io.ReadAll(io.LimitReader(response.Body, maxResponse+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if len(body) > maxResponse {
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxResponse)
	}
	if response.StatusCode >= 300 && response.StatusCode < 400 {
		return nil, fmt.Errorf("refused to follow a redirect (HTTP %d)", response.StatusCode)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// maxRetryAfter bounds what the other side may ask for: a longer wait is of no use to a message.
const maxRetryAfter = time.Minute

// retryAfter returns how long the other side asked to wait, 0 where it did not say. The header holds seconds or a date.
func retryAfter(header http.Header) time.Duration {
	value := header.Get("Retry-After")
	var wait time.Duration
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = time.Until(at)
	}
	return max(0, min(wait, maxRetryAfter))
}
