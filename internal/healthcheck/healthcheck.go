// Package healthcheck asks a running process of Parley how it is, from the same container. webhook and worker call it for
// their flag -healthcheck: their image has neither a shell nor curl. It knows nothing of what it asks about.
package healthcheck

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"

	"parley/internal/domain"
)

// timeout bounds one check. It is shorter than Docker's (3 s in docker-compose.yml), so that the reason is printed.
const timeout = 2 * time.Second

// Run asks the listener at adminListen (PARLEY_ADMIN_LISTEN of the process that is checked) for /healthz. It returns nil
// if that answers 200 within two seconds, KindConfiguration if the address names no fixed port, else KindUnavailable.
func Run(ctx context.Context, adminListen string) error {
	host, port, err := net.SplitHostPort(adminListen)
	if err != nil || port == "" || port == "0" {
		return domain.Errorf(domain.KindConfiguration, "PARLEY_ADMIN_LISTEN: a health check needs a fixed port, such as 127.0.0.1:9090; got %q", adminListen)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(reachable(host), port)+"/healthz", nil)
	if err != nil {
		return domain.Errorf(domain.KindConfiguration, "PARLEY_ADMIN_LISTEN: %w", err)
	}
	// A transport of its own: the process ends after this, and a proxy of the environment must not be asked instead.
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return domain.Errorf(domain.KindUnavailable, "health check: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<10))
	if response.StatusCode != http.StatusOK {
		return domain.Errorf(domain.KindUnavailable, "health check: %s answers %s", adminListen, response.Status)
	}
	return nil
}

// reachable turns an address to listen on into one to connect to: every interface includes loopback.
func reachable(host string) string {
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		return "localhost"
	}
	return host
}
