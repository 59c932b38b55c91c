package config_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"parley/contract"
	"parley/internal/config"
	"parley/internal/domain"
)

// complete is an environment in which every process starts.
func complete() map[string]string {
	return map[string]string{
		"DATABASE_URL":                 "postgres://parley:sesame@db.example.com:5432/parley",
		"PARLEY_KEYSET":                "sesame-keyset",
		"PARLEY_PAYLOAD_KEYSET":        "sesame-payloads",
		"PARLEY_PUBLIC_URL":            "https://parley.example.com",
		"TWILIO_ACCOUNT_SID":           "AC00000000000000000000000000000001",
		"TWILIO_AUTH_TOKEN":            "sesame-token",
		"PARLEY_SIMULATOR_INBOUND_URL": "http://127.0.0.1:8080/webhooks/twilio/inbound",
	}
}

// with returns the complete environment, changed; an empty value takes a variable away.
func with(changes map[string]string) func(string) string {
	env := complete()
	for name, value := range changes {
		env[name] = value
	}
	return func(name string) string { return env[name] }
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	var webhook config.Webhook
	if err := config.Load(&webhook, with(nil)); err != nil {
		t.Fatal(err)
	}
	if webhook.Listen != ":8080" || webhook.AdminListen != "127.0.0.1:0" || webhook.Level() != slog.LevelInfo {
		t.Errorf("webhook: %+v", webhook)
	}
	var worker config.Worker
	if err := config.Load(&worker, with(nil)); err != nil {
		t.Fatal(err)
	}
	if worker.ModelProvider != config.ProviderScripted || worker.Role != "all" || worker.Slots != 50 || worker.TwilioBaseURL != "" {
		t.Errorf("worker: %+v", worker)
	}
	var starter config.Starter
	if err := config.Load(&starter, with(nil)); err != nil || starter.DatabaseURL != complete()["DATABASE_URL"] {
		t.Errorf("starter: %+v, %v", starter, err)
	}
	var simulator config.Simulator
	if err := config.Load(&simulator, with(nil)); err != nil || simulator.SimulatorListen != "127.0.0.1:8090" {
		t.Errorf("simulator: %+v, %v", simulator, err)
	}
}

// TestEveryProblemAtOnce starts each process with nothing, and a worker with everything wrong.
func TestEveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	nothing := func(string) string { return "" }
	wrong := with(map[string]string{
		"PARLEY_LOG_LEVEL": "loud", "DATABASE_URL": "mysql://db/parley", "PARLEY_ADMIN_LISTEN": "9090",
		"PARLEY_KEYSET": "", "PARLEY_PAYLOAD_KEYSET": "", "PARLEY_PUBLIC_URL": "parley.example.com", "PARLEY_TWILIO_BASE_URL": "localhost:8090",
		"PARLEY_MODEL_PROVIDER": "oracle", "PARLEY_MODEL_BASE_URL": "ftp://models", "PARLEY_ROLE": "everything", "PARLEY_WORKER_SLOTS": "0",
	})
	for _, c := range []struct {
		name   string
		into   any
		getenv func(string) string
		want   []string
	}{
		{"webhook", &config.Webhook{}, nothing, []string{"DATABASE_URL", "PARLEY_KEYSET or PARLEY_KEYSET_FILE", "PARLEY_PAYLOAD_KEYSET or PARLEY_PAYLOAD_KEYSET_FILE", "PARLEY_PUBLIC_URL"}},
		{"worker", &config.Worker{}, nothing, []string{"DATABASE_URL", "PARLEY_KEYSET or PARLEY_KEYSET_FILE", "PARLEY_PAYLOAD_KEYSET or PARLEY_PAYLOAD_KEYSET_FILE", "PARLEY_PUBLIC_URL"}},
		{"starter", &config.Starter{}, nothing, []string{"DATABASE_URL", "PARLEY_KEYSET or PARLEY_KEYSET_FILE", "PARLEY_PAYLOAD_KEYSET or PARLEY_PAYLOAD_KEYSET_FILE"}},
		{"starter doctor", &config.Doctor{}, nothing, []string{"DATABASE_URL", "PARLEY_KEYSET or PARLEY_KEYSET_FILE", "PARLEY_PAYLOAD_KEYSET or PARLEY_PAYLOAD_KEYSET_FILE", "PARLEY_PUBLIC_URL"}},
		{"simulator", &config.Simulator{}, nothing, []string{"PARLEY_SIMULATOR_INBOUND_URL", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"}},
		{"a worker with all wrong", &config.Worker{}, wrong, []string{
			"DATABASE_URL", "PARLEY_ADMIN_LISTEN", "PARLEY_KEYSET or PARLEY_KEYSET_FILE", "PARLEY_LOG_LEVEL", "PARLEY_MODEL_BASE_URL",
			"PARLEY_MODEL_PROVIDER", "PARLEY_PAYLOAD_KEYSET or PARLEY_PAYLOAD_KEYSET_FILE", "PARLEY_PUBLIC_URL", "PARLEY_ROLE", "PARLEY_TWILIO_BASE_URL", "PARLEY_WORKER_SLOTS",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := config.Load(c.into, c.getenv)
			if domain.KindOf(err) != domain.KindConfiguration {
				t.Fatalf("want a configuration error, got %v", err)
			}
			if got := named(err); !slices.Equal(got, c.want) {
				t.Errorf("want problems of\n%q, got\n%q", c.want, got)
			}
		})
	}
}

// named returns what the lines of a configuration error begin with, sorted.
func named(err error) []string {
	var names []string
	for _, line := range strings.Split(err.Error(), "\n")[1:] {
		name, _, _ := strings.Cut(line, ":")
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// pricesName is what a problem of a model's prices begins with.
const pricesName = "PARLEY_MODEL_INPUT_PRICE, PARLEY_MODEL_OUTPUT_PRICE, PARLEY_MODEL_CURRENCY"

func prices(input, output, currency string) map[string]string {
	return map[string]string{"PARLEY_MODEL_INPUT_PRICE": input, "PARLEY_MODEL_OUTPUT_PRICE": output, "PARLEY_MODEL_CURRENCY": currency}
}

func TestModelPrice(t *testing.T) {
	t.Parallel()
	for want, changes := range map[string]map[string]string{"0.750000 USD": prices("0.15", "0.6", "usd"), "nil": nil} {
		var worker config.Worker
		if err := config.Load(&worker, with(changes)); err != nil {
			t.Fatal(err)
		}
		got := "nil"
		if price := worker.Price(); price != nil {
			got = price.Cost(1_000_000, 1_000_000).String()
		}
		if got != want {
			t.Errorf("a million tokens each way cost %s, want %s", got, want)
		}
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	webhook := func() any { return &config.Webhook{} }
	worker := func() any { return &config.Worker{} }
	simulator := func() any { return &config.Simulator{} }
	for _, c := range []struct {
		name    string
		process func() any
		changes map[string]string
		problem string // "": it is accepted
	}{
		{"any case of a level", webhook, map[string]string{"PARLEY_LOG_LEVEL": "DEBUG"}, ""},
		{"a level that is none", webhook, map[string]string{"PARLEY_LOG_LEVEL": "verbose"}, "PARLEY_LOG_LEVEL"},
		{"the other scheme of Postgres", webhook, map[string]string{"DATABASE_URL": "postgresql:///parley"}, ""},
		{"not a URL", webhook, map[string]string{"DATABASE_URL": "host=db user=parley"}, "DATABASE_URL"},
		{"only white space", webhook, map[string]string{"DATABASE_URL": "  "}, "DATABASE_URL"},
		{"a fixed admin port", webhook, map[string]string{"PARLEY_ADMIN_LISTEN": "127.0.0.1:9090"}, ""},
		{"an address without a port", webhook, map[string]string{"PARLEY_ADMIN_LISTEN": "127.0.0.1"}, "PARLEY_ADMIN_LISTEN"},
		{"a port alone is no address", webhook, map[string]string{"PARLEY_LISTEN": "8080"}, "PARLEY_LISTEN"},
		{"the keyset in a file", webhook, map[string]string{"PARLEY_KEYSET": "", "PARLEY_KEYSET_FILE": "/run/secrets/keyset"}, ""},
		{"a public URL behind a path", webhook, map[string]string{"PARLEY_PUBLIC_URL": "https://example.com/parley/"}, ""},
		{"a public URL with a query", webhook, map[string]string{"PARLEY_PUBLIC_URL": "https://example.com/?a=b"}, "PARLEY_PUBLIC_URL"},
		{"a public URL with a fragment", webhook, map[string]string{"PARLEY_PUBLIC_URL": "https://example.com/#rc=2"}, "PARLEY_PUBLIC_URL"},
		{"a public URL with a user", webhook, map[string]string{"PARLEY_PUBLIC_URL": "https://u:sesame@example.com"}, "PARLEY_PUBLIC_URL"},
		{"a host that Twilio refuses", webhook, map[string]string{"PARLEY_PUBLIC_URL": "https://my_host.example.com"}, "PARLEY_PUBLIC_URL"},
		{"two caller keys", webhook, map[string]string{"PARLEY_CALLER_KEYS": strings.Repeat("k", 32) + ", " + strings.Repeat("K", 40)}, ""},
		{"a caller key that can be guessed", webhook, map[string]string{"PARLEY_CALLER_KEYS": strings.Repeat("k", 32) + "," + strings.Repeat("K", 31)}, "PARLEY_CALLER_KEYS"},
		{"the simulator in place of Twilio", worker, map[string]string{"PARLEY_TWILIO_BASE_URL": "http://127.0.0.1:8090"}, ""},
		{"an owner for development, with Twilio's own API", worker, map[string]string{"PARLEY_DEVELOPMENT_OWNER": "acme"}, "PARLEY_DEVELOPMENT_OWNER"},
		{"an owner for development, with a region of Twilio's", worker, map[string]string{
			"PARLEY_DEVELOPMENT_OWNER": "acme", "PARLEY_TWILIO_BASE_URL": "https://API.dublin.ie1.twilio.com.",
		}, "PARLEY_DEVELOPMENT_OWNER"},
		{"an owner for development, with the simulator", worker, map[string]string{
			"PARLEY_DEVELOPMENT_OWNER": "acme", "PARLEY_TWILIO_BASE_URL": "http://127.0.0.1:8090",
		}, ""},
		{"a base URL without a scheme", worker, map[string]string{"PARLEY_TWILIO_BASE_URL": "127.0.0.1:8090"}, "PARLEY_TWILIO_BASE_URL"},
		{"openai, complete", worker, map[string]string{"PARLEY_MODEL_PROVIDER": "openai", "PARLEY_MODEL_NAME": "m", "OPENAI_API_KEY": "k"}, ""},
		{"a model's prices", worker, prices("0.15", "0.6", "usd"), ""},
		{"a model that costs nothing", worker, prices("0", "0", "EUR"), ""},
		{"prices without a currency", worker, prices("0.15", "0.6", ""), pricesName},
		{"one price", worker, prices("0.15", "", "USD"), pricesName},
		{"a price that is none", worker, prices("0.15", "cheap", "USD"), pricesName},
		{"a price in micro-units", worker, prices("150000", "600000", "USD"), pricesName},
		{"openai without a model", worker, map[string]string{"PARLEY_MODEL_PROVIDER": "openai", "OPENAI_API_KEY": "k"}, "PARLEY_MODEL_NAME"},
		{"openai without a key", worker, map[string]string{"PARLEY_MODEL_PROVIDER": "openai", "PARLEY_MODEL_NAME": "m"}, "OPENAI_API_KEY"},
		{"no such provider", worker, map[string]string{"PARLEY_MODEL_PROVIDER": "parrot"}, "PARLEY_MODEL_PROVIDER"},
		{"a base URL of another kind", worker, map[string]string{"PARLEY_MODEL_BASE_URL": "file:///model"}, "PARLEY_MODEL_BASE_URL"},
		{"some roles", worker, map[string]string{"PARLEY_ROLE": "billing, reply"}, ""},
		{"a role that is none", worker, map[string]string{"PARLEY_ROLE": "billing,accounting"}, "PARLEY_ROLE"},
		{"slots that are no number", worker, map[string]string{"PARLEY_WORKER_SLOTS": "many"}, "PARLEY_WORKER_SLOTS"},
		{"no slots", worker, map[string]string{"PARLEY_WORKER_SLOTS": "0"}, "PARLEY_WORKER_SLOTS"},
		{"too many slots", worker, map[string]string{"PARLEY_WORKER_SLOTS": "10001"}, "PARLEY_WORKER_SLOTS"},
		{"no room for flows", worker, map[string]string{"PARLEY_WORKFLOW_CACHE": "0"}, "PARLEY_WORKFLOW_CACHE"},
		{"loopback of IPv6", simulator, map[string]string{"PARLEY_SIMULATOR_LISTEN": "[::1]:0"}, ""},
		{"loopback by name", simulator, map[string]string{"PARLEY_SIMULATOR_LISTEN": "localhost:8090"}, ""},
		{"the simulator on every interface", simulator, map[string]string{"PARLEY_SIMULATOR_LISTEN": ":8090"}, "PARLEY_SIMULATOR_LISTEN"},
		{"the simulator on the network", simulator, map[string]string{"PARLEY_SIMULATOR_LISTEN": "10.0.0.1:8090"}, "PARLEY_SIMULATOR_LISTEN"},
		{"a simulator with nowhere to post to", simulator, map[string]string{"PARLEY_SIMULATOR_INBOUND_URL": "webhook"}, "PARLEY_SIMULATOR_INBOUND_URL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := config.Load(c.process(), with(c.changes))
			if c.problem == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatal("it is accepted")
			}
			if got := named(err); !slices.Equal(got, []string{c.problem}) {
				t.Errorf("want one problem, of %s; got %v", c.problem, err)
			}
		})
	}
}

// TestNoSecretInAnError gives every variable a value that is wrong and holds a password.
func TestNoSecretInAnError(t *testing.T) {
	t.Parallel()
	wrong := func(name string) string {
		if name == "PARLEY_CONFIG" {
			return ""
		}
		for _, section := range config.Environment() {
			for _, variable := range section.Variables {
				if variable.Name == name && (variable.Secret || strings.HasSuffix(name, "_URL")) {
					return "://sesame:open@\x7f"
				}
			}
		}
		return "nonsense"
	}
	for _, process := range []any{&config.Webhook{}, &config.Worker{}, &config.Doctor{}, &config.Simulator{}} {
		err := config.Load(process, wrong)
		if err == nil {
			t.Fatalf("%T is accepted", process)
		}
		if strings.Contains(err.Error(), "sesame") {
			t.Errorf("%T: %v", process, err)
		}
	}
}

// TestReadFillsWhatItCan is what doctor lives by: one variable that is wrong hides none of the others.
func TestReadFillsWhatItCan(t *testing.T) {
	t.Parallel()
	var doctor config.Doctor
	problems := config.Read(&doctor, with(map[string]string{"DATABASE_URL": "", "PARLEY_LOG_LEVEL": "loud"}))
	if len(problems) != 2 || !strings.HasPrefix(problems[0].Error(), "DATABASE_URL: ") || !strings.HasPrefix(problems[1].Error(), "PARLEY_LOG_LEVEL: ") {
		t.Errorf("problems: %v", problems)
	}
	if doctor.Keyset.Keyset == "" || doctor.PublicURL == "" {
		t.Errorf("read: %+v", doctor)
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"parley.yaml": "PARLEY_LISTEN: ':9000'\nPARLEY_LOG_LEVEL: debug\n",
		"parley.toml": "PARLEY_LISTEN = ':9000'\nPARLEY_LOG_LEVEL = 'debug'\n",
		"parley.json": `{"PARLEY_LISTEN": ":9000", "PARLEY_LOG_LEVEL": "debug"}`,
		"parley.env":  "PARLEY_LISTEN=:9000\nPARLEY_LOG_LEVEL=debug\n",
	}
	for name, content := range files {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var webhook config.Webhook
			if err := config.Load(&webhook, with(map[string]string{"PARLEY_CONFIG": write(t, name, content), "PARLEY_LOG_LEVEL": "error"})); err != nil {
				t.Fatal(err)
			}
			if webhook.Listen != ":9000" {
				t.Errorf("the file is above the default: got %q", webhook.Listen)
			}
			if webhook.Level() != slog.LevelError {
				t.Errorf("the file is below the environment: got %q", webhook.LogLevel)
			}
		})
	}
}

func TestUnreadableFile(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{
		"missing":    filepath.Join(t.TempDir(), "none.yaml"),
		"broken":     write(t, "parley.env", "OPENAI_API_KEY sesame\n"),
		"other kind": write(t, "parley.txt", "PARLEY_LISTEN=:9000\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := config.Load(&config.Webhook{}, with(map[string]string{"PARLEY_CONFIG": file}))
			if domain.KindOf(err) != domain.KindConfiguration || !strings.Contains(err.Error(), "PARLEY_CONFIG") {
				t.Errorf("want a configuration error that names PARLEY_CONFIG, got %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "sesame") {
				t.Errorf("a secret in %v", err)
			}
		})
	}
}

func TestPublicURLHasNoSlash(t *testing.T) {
	t.Parallel()
	var webhook config.Webhook
	if err := config.Load(&webhook, with(map[string]string{"PARLEY_PUBLIC_URL": "https://example.com/parley/"})); err != nil {
		t.Fatal(err)
	}
	if webhook.PublicURL != "https://example.com/parley" {
		t.Errorf("got %q", webhook.PublicURL)
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	for names, want := range map[string][]contract.Role{
		"all":                      contract.Roles(),
		"reply":                    {contract.RoleReply},
		"messaging, workflow":      {contract.RoleWorkflow, contract.RoleMessaging},
		"billing,billing,identity": {contract.RoleIdentity, contract.RoleBilling},
	} {
		got, err := (&config.Roles{Role: names}).List()
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: want %v, got %v, %v", names, want, got, err)
		}
	}
	for _, names := range []string{"", "everything", "billing,", "all,billing", "Billing"} {
		if got, err := (&config.Roles{Role: names}).List(); err == nil {
			t.Errorf("%q: accepted as %v", names, got)
		}
	}
}

// TestRolesAreDocumented keeps the meaning of PARLEY_ROLE equal to the roles.
func TestRolesAreDocumented(t *testing.T) {
	t.Parallel()
	for _, variable := range config.Variables(&config.Worker{}) {
		for _, role := range contract.Roles() {
			if variable.Name == "PARLEY_ROLE" && !strings.Contains(variable.Meaning, string(role)) {
				t.Errorf("PARLEY_ROLE does not name %s", role)
			}
		}
	}
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
