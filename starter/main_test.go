package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parley/internal/secrets"
	"parley/starter/internal/cli"
)

// These tests are inside the package: nothing can import package main, and what they check is its wiring.

func start(t *testing.T, env map[string]string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	err := run(t.Context(), args, func(name string) string { return env[name] }, strings.NewReader(""), &out, &errs)
	return out.String(), errs.String(), cli.ExitCode(err)
}

func TestWithoutConfigurationEveryProblemIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"setup"}, {"owner", "list"}, {"parked"}, {"cancel", "outbound:acme:1"}, {"show", "m"}} {
		stdout, stderr, code := start(t, nil, args...)
		if code != 5 || stdout != "" || !strings.Contains(stderr, "DATABASE_URL") || !strings.Contains(stderr, "PARLEY_KEYSET") {
			t.Errorf("%v: %d, %q, %q", args, code, stdout, stderr)
		}
	}
}

// What was pasted may have come from a stranger: the terminal is shown it, and does not obey it.
func TestNoErrorIsObeyedByATerminal(t *testing.T) {
	t.Parallel()
	pasted := "\x1b[2J\u009b31m\u202e"
	_, stderr, code := start(t, nil, "account", "add", "AC"+strings.Repeat("0", 32), "--token-file", pasted)
	if code != 2 || !strings.Contains(stderr, "read \uFFFD[2J\uFFFD31m\uFFFD: ") || strings.ContainsAny(stderr, pasted[:1]+"\u009b\u202e") {
		t.Errorf("%d, %q", code, stderr)
	}
}

func TestKeygenMakesAKeysetThatLoads(t *testing.T) {
	t.Parallel()
	stdout, stderr, code := start(t, nil, "secrets", "keygen")
	if code != 0 || stderr != "" {
		t.Fatalf("%d, %q", code, stderr)
	}
	if _, err := secrets.Load("", strings.TrimSpace(stdout), ""); err != nil {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "keyset.json")
	if _, stderr, code := start(t, nil, "secrets", "keygen", "--out", file); code != 0 {
		t.Fatalf("%d, %q", code, stderr)
	}
	if _, err := secrets.Load("", "", file); err != nil {
		t.Error(err)
	}
}

func TestServersThatDoNotAnswerAreUnavailable(t *testing.T) {
	t.Parallel()
	stdout, _, _ := start(t, nil, "secrets", "keygen")
	none := filepath.Join(t.TempDir(), "no-profiles.toml") // Temporal's profile file of whoever runs the tests is not read
	if err := os.WriteFile(none, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		"DATABASE_URL": "postgres://nobody@127.0.0.1:1/parley", "PARLEY_KEYSET": strings.TrimSpace(stdout), "PARLEY_PAYLOAD_KEYSET": strings.TrimSpace(stdout),
		"TEMPORAL_ADDRESS": "127.0.0.1:1", "TEMPORAL_CONFIG_FILE": none,
	}
	for _, args := range [][]string{{"setup"}, {"owner", "list"}, {"cancel", "outbound:acme:1"}} {
		if _, stderr, code := start(t, env, args...); code != 6 {
			t.Errorf("%v: %d, %q", args, code, stderr)
		}
	}
}
