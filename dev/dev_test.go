package main

import (
	"bytes"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"

	"parley/internal/localstack"
)

func TestEverythingMissingIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	if err := lacking(nil, localstack.System{}); err != nil {
		t.Errorf("nothing is missing: %v", err)
	}
	missing := []lack{
		{"Postgres 15 or newer", localstack.PackagePostgres}, {"Go", localstack.PackageGo}, {what: "disk: 1 MB free"},
	}
	for manager, command := range map[string]string{
		"apt": "sudo apt-get install -y postgresql golang-go", "brew": "brew install postgresql@17 go",
		"dnf": "sudo dnf install -y postgresql-server golang", "": "your package manager",
	} {
		err := lacking(missing, localstack.System{Manager: manager})
		for _, want := range []string{"- Postgres 15 or newer", "- Go", "- disk: 1 MB free", "install it with:\n  " + command} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v lacks %q", manager, err, want)
			}
		}
	}
	if err := lacking(missing[2:], localstack.System{Manager: "apt"}); strings.Contains(err.Error(), "install") {
		t.Errorf("no package mends a full disk: %v", err)
	}
}

func TestLinesAreReadable(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`{"time":"2026-01-01T00:00:00Z","level":"INFO","msg":"listening","process":"webhook","listener":"public","address":"127.0.0.1:1"}`: "INFO  listening address=127.0.0.1:1 listener=public",
		`{"level":"WARN"}`:        `{"level":"WARN"}`,
		"LOG:  ready":             "LOG:  ready",
		`{"msg":"half`:            `{"msg":"half`,
		`panic: runtime error {}`: `panic: runtime error {}`,
	} {
		if got := readable(line); got != want {
			t.Errorf("%s: got %s", line, got)
		}
	}
	var out bytes.Buffer
	c := console{stdout: io.Discard, stderr: &out}
	c.Logger("reply")("hello")
	c.Say("%d ports", 2)
	if want := "reply       | hello\ndev         | 2 ports\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestShellLinesAreReadByAShell(t *testing.T) {
	t.Parallel()
	value := `a b'c"d$HOME` + "`x`" + `\n`
	script := shellLines([]string{"VALUE=" + value, "EMPTY="}) + `printf '%s|%s' "$VALUE" "$EMPTY"`
	out, err := exec.Command("/bin/sh", "-c", script).Output()
	if err != nil || string(out) != value+"|" {
		t.Errorf("got %q, %v, want %q", out, err, value)
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		code int
		says string
	}{
		{nil, 0, ""},
		{exitStatus(3), 3, ""},
		{errors.New("no disk"), 1, "dev: no disk\n"},
	} {
		var said bytes.Buffer
		if code := report(tt.err, &said); code != tt.code || said.String() != tt.says {
			t.Errorf("%v: exit code %d, said %q", tt.err, code, said.String())
		}
	}
	if interrupted(options{}) != nil || interrupted(options{once: true}) == nil {
		t.Error("Ctrl-C is a good end, but not of an exchange that was asked for")
	}
}

func TestAnExchangeIsOverWhenTheWebhookKnows(t *testing.T) {
	t.Parallel()
	var m simulated
	m.Status = "delivered"
	if !m.underway() {
		t.Error("the callback has not been made yet")
	}
	m.Callbacks = append(m.Callbacks, struct {
		Status     string `json:"status"`
		StatusCode int    `json:"status_code"`
	}{"delivered", 503})
	if !m.underway() {
		t.Error("the callback was refused")
	}
	m.Callbacks[0].StatusCode = 204
	if m.underway() {
		t.Error("the callback was taken")
	}
}
