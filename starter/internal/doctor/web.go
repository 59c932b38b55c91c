package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"parley/internal/domain"
	"parley/internal/twilio"
)

const publicURL = "public URL"

// Resolver finds the addresses of a host.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Web makes requests.
type Web interface {
	Do(*http.Request) (*http.Response, error)
}

// NewWeb returns a Web that follows no redirect: the answer itself is of interest. Time-outs are the callers'.
func NewWeb() *http.Client {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10,
	}
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// PublicURL looks whether Twilio can reach the webhook at an URL, as far as that can be told from this machine: a webhook that
// does not answer here is a warning only, since the way from here may be another one than Twilio's. Where Twilio is simulated,
// it stands on this machine too.
func PublicURL(public string, simulated bool, resolver Resolver, web Web) Check {
	return Check{Name: publicURL, Look: func(ctx context.Context) Finding {
		u, err := url.Parse(public)
		if err != nil {
			return failed("mend PARLEY_PUBLIC_URL", "it is not a URL")
		}
		addresses, err := resolver.LookupNetIP(ctx, "ip", u.Hostname())
		if err != nil {
			return failed("make a DNS record for the host, or mend PARLEY_PUBLIC_URL", "%s: its host was not found: %s", public, reason(err))
		}
		f := found("%s", public)
		loopback := all(addresses, netip.Addr.IsLoopback)
		switch {
		case loopback && !simulated:
			f.fail("let PARLEY_PUBLIC_URL be the https URL of the load balancer, or of a tunnel to this machine",
				"Twilio cannot reach it: the address is this machine's own")
		case all(addresses, netip.Addr.IsPrivate) && !simulated:
			f.warn("see that the name has a public address for the rest of the world", "from here it has a private address, which Twilio cannot reach")
		}
		if u.Scheme == "http" && !loopback {
			f.warn("serve it by https, and use that URL here and at Twilio", "messages and phone numbers travel in clear")
		}
		reach(ctx, &f, public, web)
		return f
	}}
}

// reach asks as nobody but us does: the path of status callbacks takes POST only, and says so.
func reach(ctx context.Context, f *Finding, public string, web Web) {
	status, header, err := get(ctx, web, public+twilio.StatusPath)
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		f.fail("give it a certificate that the world trusts, for this name: Twilio refuses any other", "%s", reason(err))
		return
	}
	const start = "start a webhook, or see what stands between: the load balancer, its path prefix, the firewall"
	switch {
	case err != nil:
		f.warn(start, "no webhook answers there, seen from here: %s", reason(err))
	case status == http.StatusMethodNotAllowed && strings.Contains(header.Get("Allow"), http.MethodPost):
		f.Found += ", a webhook answers"
	default:
		f.warn(start, "what answers there is not a webhook of Parley's: HTTP %d", status)
	}
}

// get returns what is said before the body.
func get(ctx context.Context, web Web, address string) (status int, header http.Header, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, nil, err
	}
	response, err := web.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	return response.StatusCode, response.Header, nil
}

// reason is why a request failed, without the URL that was asked: it may hold a password.
func reason(err error) string {
	if failure, ok := errors.AsType[*url.Error](err); ok {
		err = failure.Err
	}
	if name, ok := errors.AsType[*net.DNSError](err); ok {
		return name.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "time-out"
	}
	return err.Error()
}

func all(addresses []netip.Addr, is func(netip.Addr) bool) bool {
	return len(addresses) > 0 && !slices.ContainsFunc(addresses, func(a netip.Addr) bool { return !is(a.Unmap()) })
}

// Date returns a clock that is read in the header of an answer, whatever else it says.
func Date(web Web, address string) func(context.Context) (time.Time, error) {
	return func(ctx context.Context) (time.Time, error) {
		_, header, err := get(ctx, web, address)
		if err != nil {
			return time.Time{}, domain.Errorf(domain.KindUnavailable, "%s", reason(err))
		}
		date, err := http.ParseTime(header.Get("Date"))
		if err != nil {
			return time.Time{}, domain.Errorf(domain.KindInternal, "the answer has no date")
		}
		return date.Add(time.Second / 2), nil // whole seconds were cut off
	}
}
