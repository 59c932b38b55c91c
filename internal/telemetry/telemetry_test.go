package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric"

	"parley/internal/domain"
	"parley/internal/telemetry"
)

// log is a log that may be written and read at once.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// lines returns the lines of the log as they are read by machines.
func (l *log) lines(t *testing.T) (lines []map[string]any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, text := range strings.Split(strings.TrimSpace(l.text.String()), "\n") {
		line := map[string]any{}
		must(t, json.Unmarshal([]byte(text), &line))
		lines = append(lines, line)
	}
	return lines
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	must(t, err)
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(t, err)
	return response.StatusCode, string(text)
}

func TestLogger(t *testing.T) {
	t.Parallel()
	written := &log{}
	logger := telemetry.NewLogger(written, slog.LevelInfo, "webhook")
	logger.Debug("not shown")
	logger.Warn("shown", "message_sid", "SM1")
	lines := written.lines(t)
	if len(lines) != 1 || lines[0]["msg"] != "shown" || lines[0]["level"] != "WARN" || lines[0]["process"] != "webhook" || lines[0]["message_sid"] != "SM1" {
		t.Errorf("got %v", lines)
	}
}

func TestAdminListener(t *testing.T) {
	t.Parallel()
	written := &log{}
	logger := telemetry.NewLogger(written, slog.LevelInfo, "worker")
	metrics, err := telemetry.New(logger)
	must(t, err)
	notReady := errors.New("the database does not answer")
	answers := make(chan error, 2)
	answers <- nil
	answers <- notReady
	stop, err := telemetry.ServeAdmin(t.Context(), "127.0.0.1:0", logger, func(ctx context.Context) error {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("a probe may wait for ever")
		}
		return <-answers
	}, metrics.Handler())
	must(t, err)

	listening := written.lines(t)[0]
	address, _ := listening["address"].(string)
	if listening["msg"] != "listening" || listening["listener"] != "admin" || address == "" || strings.HasSuffix(address, ":0") {
		t.Fatalf("got %v, want the address that is listened on", listening)
	}
	counter, err := metrics.Meter("parley/worker").Int64Counter("parley_replies", metric.WithDescription("Replies."))
	must(t, err)
	counter.Add(t.Context(), 3)
	metrics.Temporal().Counter("temporal_requests").Inc(2)

	for _, c := range []struct {
		path   string
		status int
		body   string
	}{
		{"/healthz", http.StatusOK, "ok\n"},
		{"/readyz", http.StatusOK, "ready\n"},
		{"/readyz", http.StatusServiceUnavailable, "not ready: the log says why\n"},
		{"/", http.StatusNotFound, "404 page not found\n"},
	} {
		status, body := get(t, "http://"+address+c.path)
		if status != c.status || body != c.body {
			t.Errorf("%s: got %d %q, want %d %q", c.path, status, body, c.status, c.body)
		}
	}
	lines := written.lines(t)
	if last := lines[len(lines)-1]; last["msg"] != "not ready" || last["error"] != notReady.Error() {
		t.Errorf("the log says %v, want the reason", last)
	}
	status, text := get(t, "http://"+address+"/metrics")
	if status != http.StatusOK {
		t.Errorf("/metrics: %d", status)
	}
	for _, want := range []string{"parley_replies_total 3", "temporal_requests 2", "go_goroutines ", "process_start_time_seconds "} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("/metrics has no %q", want)
		}
	}

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	must(t, stop(ctx))
	if conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", address); err == nil {
		_ = conn.Close()
		t.Error("it still listens after it was stopped")
	}
	must(t, metrics.Shutdown(ctx))
}

func TestAdminAddressThatIsTaken(t *testing.T) {
	t.Parallel()
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	_, err = telemetry.ServeAdmin(t.Context(), taken.Addr().String(), slog.New(slog.DiscardHandler), func(context.Context) error { return nil }, http.NotFoundHandler())
	if domain.KindOf(err) != domain.KindConfiguration || !strings.Contains(err.Error(), "PARLEY_ADMIN_LISTEN") {
		t.Errorf("got %v, want a configuration error that names the variable", err)
	}
}

func TestProcessesHaveMetricsOfTheirOwn(t *testing.T) {
	t.Parallel()
	for range 2 { // a second one in the same process is no conflict
		_, err := telemetry.New(slog.New(slog.DiscardHandler))
		must(t, err)
	}
}
