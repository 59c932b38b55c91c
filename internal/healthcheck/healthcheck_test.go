package healthcheck_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"parley/internal/domain"
	"parley/internal/healthcheck"
)

func TestHealthy(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 1)
	address := serve(t, func(_ http.ResponseWriter, r *http.Request) { asked <- r.Method + " " + r.URL.Path })
	_, port, _ := net.SplitHostPort(address)
	for _, listen := range []string{address, ":" + port, "0.0.0.0:" + port} {
		if err := healthcheck.Run(t.Context(), listen); err != nil {
			t.Fatalf("%s: %v", listen, err)
		}
		if got := <-asked; got != "GET /healthz" {
			t.Errorf("%s: asked %q", listen, got)
		}
	}
}

func TestUnhealthy(t *testing.T) {
	t.Parallel()
	sick := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	elsewhere := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://example.com", http.StatusFound)
	})
	for _, c := range []struct {
		name, listen string
		kind         domain.Kind
		says         string
	}{
		{"an answer other than 200", sick, domain.KindUnavailable, "503"},
		{"a redirect is not an answer", elsewhere, domain.KindUnavailable, "302"},
		{"nobody listens", "127.0.0.1:1", domain.KindUnavailable, "refused"},
		{"a port that is chosen at start", "127.0.0.1:0", domain.KindConfiguration, "fixed port"},
		{"no port", "127.0.0.1", domain.KindConfiguration, "fixed port"},
		{"nothing", "", domain.KindConfiguration, "fixed port"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := healthcheck.Run(t.Context(), c.listen)
			if err == nil || domain.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
				t.Errorf("want %s with %q, got %v", c.kind, c.says, err)
			}
		})
	}
}

func TestHanging(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	address := serve(t, func(http.ResponseWriter, *http.Request) { <-over })
	t.Cleanup(func() { close(over) })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := healthcheck.Run(ctx, address); domain.KindOf(err) != domain.KindUnavailable {
		t.Errorf("a process that does not answer is not healthy, got %v", err)
	}
}

// serve returns the address of a listener that answers with the handler.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}
