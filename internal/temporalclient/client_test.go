package temporalclient_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.temporal.io/sdk/client"

	"parley/internal/domain"
	"parley/internal/temporalclient"
)

// environment is a process's environment with Temporal's variables, and a profile file that is empty unless told otherwise.
func environment(t *testing.T, variables map[string]string) func(string) string {
	t.Helper()
	if _, ok := variables["TEMPORAL_CONFIG_FILE"]; !ok {
		variables["TEMPORAL_CONFIG_FILE"] = file(t, "temporal.toml", "")
	}
	return func(name string) string { return variables[name] }
}

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func logger() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestOptions(t *testing.T) {
	t.Parallel()
	const profile = `
		[profile.default]
		address = "profile.example:7233"
		namespace = "of-the-profile"
		[profile.other]
		address = "other.example:7233"`
	for name, c := range map[string]struct {
		variables          map[string]string
		address, namespace string
		tls                bool
	}{
		"nothing": {map[string]string{}, "", "", false}, // the SDK's own defaults: localhost:7233, default
		"variables": {map[string]string{"TEMPORAL_ADDRESS": "temporal.example:7233", "TEMPORAL_NAMESPACE": "parley"},
			"temporal.example:7233", "parley", false},
		"profile file": {map[string]string{"TEMPORAL_CONFIG_FILE": file(t, "temporal.toml", profile)}, "profile.example:7233", "of-the-profile", false},
		"another profile": {map[string]string{"TEMPORAL_CONFIG_FILE": file(t, "temporal.toml", profile), "TEMPORAL_PROFILE": "other"},
			"other.example:7233", "", false},
		"variables before the profile": {map[string]string{"TEMPORAL_CONFIG_FILE": file(t, "temporal.toml", profile), "TEMPORAL_NAMESPACE": "parley"},
			"profile.example:7233", "parley", false},
		"API key": {map[string]string{"TEMPORAL_ADDRESS": "cloud.example:7233", "TEMPORAL_API_KEY": "key"}, "cloud.example:7233", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options, err := temporalclient.Options(environment(t, c.variables), newCipher(t), logger(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if options.HostPort != c.address || options.Namespace != c.namespace || (options.ConnectionOptions.TLS != nil) != c.tls {
				t.Errorf("got %q, %q, TLS %v; want %q, %q, TLS %v",
					options.HostPort, options.Namespace, options.ConnectionOptions.TLS != nil, c.address, c.namespace, c.tls)
			}
			if options.Logger == nil || len(options.ConnectionOptions.DialOptions) == 0 {
				t.Error("no logger, or gRPC's own back-off of two minutes")
			}
			if (options.Credentials != nil) != c.tls {
				t.Errorf("credentials %v", options.Credentials)
			}
		})
	}
}

func TestEnvironmentThatMakesNoSense(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-private"
	for name, variables := range map[string]map[string]string{
		"no such certificate": {"TEMPORAL_TLS": "true", "TEMPORAL_TLS_CLIENT_CERT_PATH": "/nonexistent/cert.pem", "TEMPORAL_TLS_CLIENT_KEY_PATH": "/nonexistent/key.pem"},
		"no such authority":   {"TEMPORAL_TLS": "true", "TEMPORAL_TLS_SERVER_CA_CERT_PATH": "/nonexistent/ca.pem"},
		"not a certificate":   {"TEMPORAL_TLS": "true", "TEMPORAL_TLS_CLIENT_CERT_DATA": "x", "TEMPORAL_TLS_CLIENT_KEY_DATA": secret},
		"not a profile file":  {"TEMPORAL_CONFIG_FILE": file(t, "broken.toml", "[profile.default]\napi_key = "+secret+"\n")},
		"no such profile":     {"TEMPORAL_PROFILE": "none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := temporalclient.New(environment(t, variables), newCipher(t), logger(), nil)
			if domain.KindOf(err) != domain.KindConfiguration {
				t.Fatalf("got %v, want a configuration error", err)
			}
			if !strings.Contains(err.Error(), "TEMPORAL_") || strings.Contains(err.Error(), secret) {
				t.Errorf("%q: want the variables named and no secret", err)
			}
		})
	}
}

func TestNewConnectsWithItsFirstCallOnly(t *testing.T) {
	t.Parallel()
	c, err := temporalclient.New(environment(t, map[string]string{"TEMPORAL_ADDRESS": "127.0.0.1:1"}), newCipher(t), logger(), client.MetricsNopHandler)
	if err != nil {
		t.Fatalf("a process must start while Temporal is away: %v", err)
	}
	c.Close()
}
