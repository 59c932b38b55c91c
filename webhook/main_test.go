package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/internal/domain"
	"parley/internal/secrets"
	"parley/internal/twilio"
	"parley/webhook/edge"
)

// environment is that of a webhook whose Postgres and Temporal are away. Nothing comes from the real one.
func environment(t *testing.T) map[string]string {
	t.Helper()
	keyset, err := secrets.Generate()
	if err != nil {
		t.Fatal(err)
	}
	payloads, err := secrets.Generate()
	if err != nil {
		t.Fatal(err)
	}
	profile := filepath.Join(t.TempDir(), "temporal.toml")
	if err := os.WriteFile(profile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"DATABASE_URL":          "postgres://parley@127.0.0.1:1/parley?connect_timeout=1",
		"TEMPORAL_ADDRESS":      "127.0.0.1:1",
		"TEMPORAL_CONFIG_FILE":  profile,
		"PARLEY_KEYSET":         keyset,
		"PARLEY_PAYLOAD_KEYSET": payloads,
		"PARLEY_PUBLIC_URL":     "https://parley.example",
		"PARLEY_LISTEN":         "127.0.0.1:0",
		"PARLEY_ADMIN_LISTEN":   "127.0.0.1:0",
	}
}

func TestRunServesWhileItsDependenciesAreAwayAndStopsWhenTold(t *testing.T) {
	t.Parallel()
	settings, log := environment(t), &lines{}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, nil, func(name string) string { return settings[name] }, io.Discard, log)
	}()
	public, admin := log.address(t, "public"), log.address(t, "admin")

	form := url.Values{"AccountSid": {"AC0123456789abcdef0123456789abcdef"}}
	if got := status(t, http.MethodPost, public+edge.InboundPath, form); got != http.StatusServiceUnavailable {
		t.Errorf("inbound: got %d, want 503", got)
	}
	if got := status(t, http.MethodPost, public+twilio.StatusPath, form); got != http.StatusServiceUnavailable {
		t.Errorf("status: got %d, want 503", got)
	}
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusServiceUnavailable, "/metrics": http.StatusOK} {
		if got := status(t, http.MethodGet, admin+path, nil); got != want {
			t.Errorf("%s: got %d, want %d", path, got, want)
		}
	}
	listening := map[string]string{"PARLEY_ADMIN_LISTEN": strings.TrimPrefix(admin, "http://")}
	await(t, "the health check", func() bool { // it has two seconds
		return run(t.Context(), []string{"-healthcheck"}, func(name string) string { return listening[name] }, io.Discard, io.Discard) == nil
	})

	stop()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("stopped with %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("did not stop")
	}
	if text := log.String(); strings.Contains(text, settings["PARLEY_KEYSET"]) {
		t.Error("the log has the keyset")
	}
}

func TestRunRefusesWrongSettingsAndArguments(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args   []string
		change map[string]string
		want   string
	}{
		"no settings":       {nil, map[string]string{"DATABASE_URL": "", "PARLEY_PUBLIC_URL": ""}, "PARLEY_PUBLIC_URL"},
		"no keyset":         {nil, map[string]string{"PARLEY_KEYSET": ""}, "PARLEY_KEYSET or PARLEY_KEYSET_FILE"},
		"bad keyset":        {nil, map[string]string{"PARLEY_KEYSET": "{}"}, "PARLEY_KEYSET: "},
		"no payload keyset": {nil, map[string]string{"PARLEY_PAYLOAD_KEYSET": ""}, "PARLEY_PAYLOAD_KEYSET or PARLEY_PAYLOAD_KEYSET_FILE"},
		"another's keyset":  {nil, map[string]string{"PARLEY_PAYLOAD_KEYSET": "{}"}, "PARLEY_PAYLOAD_KEYSET: "},
		"bad listen":        {nil, map[string]string{"PARLEY_LISTEN": "203.0.113.1:0"}, "PARLEY_LISTEN"},
		"bad admin listen":  {nil, map[string]string{"PARLEY_ADMIN_LISTEN": "203.0.113.1:0"}, "PARLEY_ADMIN_LISTEN"},
		"an argument":       {[]string{"now"}, nil, "-healthcheck"},
		"an unknown flag":   {[]string{"-fast"}, nil, "-healthcheck"},
		"check of any port": {[]string{"-healthcheck"}, nil, "fixed port"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := environment(t)
			for key, value := range test.change {
				settings[key] = value
			}
			err := run(t.Context(), test.args, func(name string) string { return settings[name] }, io.Discard, io.Discard)
			if err == nil || domain.KindOf(err) != domain.KindConfiguration || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want KindConfiguration that names %s", err, test.want)
			}
		})
	}
}

func status(t *testing.T, method, to string, form url.Values) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, to, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// lines is a log that is read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// address waits for a listener to say where it listens.
func (l *lines) address(t *testing.T, listener string) string {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for line := range strings.Lines(l.String()) {
			var entry struct{ Msg, Listener, Address string }
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "listening" && entry.Listener == listener {
				return "http://" + entry.Address
			}
		}
	}
	t.Fatalf("no %s listener within a minute: %s", listener, l.String())
	return ""
}
