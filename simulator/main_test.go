package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"parley/internal/domain"
	main "parley/simulator"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

func settings(changes map[string]string) func(string) string {
	values := map[string]string{
		"PARLEY_SIMULATOR_LISTEN":      "127.0.0.1:0",
		"TWILIO_ACCOUNT_SID":           "AC0123456789abcdef0123456789abcdef",
		"TWILIO_AUTH_TOKEN":            "a0b1c2d3e4f5061728394a5b6c7d8e9f",
		"PARLEY_SIMULATOR_INBOUND_URL": "http://127.0.0.1:1/webhooks/twilio/inbound",
	}
	return func(name string) string {
		if value, changed := changes[name]; changed {
			return value
		}
		return values[name]
	}
}

func TestRunServesUntilItIsStopped(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	logs, stderr := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- main.Run(ctx, nil, settings(nil), io.Discard, stderr); _ = stderr.Close() }()

	lines := bufio.NewScanner(logs)
	if !lines.Scan() {
		t.Fatal("no log: ", <-ended)
	}
	var listening struct{ Msg, Address string }
	if err := json.Unmarshal(lines.Bytes(), &listening); err != nil || listening.Msg != "listening" {
		t.Fatalf("%s: %v", lines.Bytes(), err)
	}
	go func() { _, _ = io.Copy(io.Discard, logs) }()
	base := "http://" + listening.Address
	if status, body := call(t, http.MethodGet, base+"/simulate/requests", ""); status != http.StatusOK || !strings.Contains(body, `"creates":0`) {
		t.Errorf("%d %s", status, body)
	}

	// A connection that is held on purpose does not hold up the stop.
	if status, body := call(t, http.MethodPut, base+"/simulate/script", `{"answer": "hold"}`); status != http.StatusNoContent {
		t.Fatalf("%d %s", status, body)
	}
	held := make(chan error, 1)
	go func() { held <- create(t.Context(), base) }()
	for deadline := time.Now().Add(patience); ; {
		if _, body := call(t, http.MethodGet, base+"/simulate/requests", ""); strings.Contains(body, `"creates":1`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the create did not arrive")
		}
	}
	stop()
	for name, done := range map[string]chan error{"run": ended, "the held connection": held} {
		select {
		case err := <-done:
			if (err == nil) != (name == "run") {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(patience):
			t.Fatalf("%s did not end", name)
		}
	}
}

func TestRunRefusesWrongSettings(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args    []string
		changes map[string]string
		want    string
	}{
		"not on loopback":          {nil, map[string]string{"PARLEY_SIMULATOR_LISTEN": "0.0.0.0:0"}, "PARLEY_SIMULATOR_LISTEN"},
		"no token":                 {nil, map[string]string{"TWILIO_AUTH_TOKEN": ""}, "TWILIO_AUTH_TOKEN"},
		"no account":               {nil, map[string]string{"TWILIO_ACCOUNT_SID": "me"}, "TWILIO_ACCOUNT_SID"},
		"an inbound URL elsewhere": {nil, map[string]string{"PARLEY_SIMULATOR_INBOUND_URL": "https://example.com"}, "PARLEY_SIMULATOR_INBOUND_URL"},
		"an argument":              {[]string{"help"}, nil, "no arguments"},
	} {
		err := main.Run(t.Context(), test.args, settings(test.changes), io.Discard, io.Discard)
		if domain.KindOf(err) != domain.KindConfiguration || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func call(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(read)
}

// create posts a message as the account, and returns why no answer came.
func create(ctx context.Context, base string) error {
	getenv := settings(nil)
	sid := getenv("TWILIO_ACCOUNT_SID")
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/2010-04-01/Accounts/"+sid+"/Messages.json", strings.NewReader("To=%2B15557770123"))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(sid, getenv("TWILIO_AUTH_TOKEN"))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}
