package deploy_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/viper"

	"parley/contract"
	"parley/internal/domain"
	"parley/internal/telemetry"
	"parley/webhook/accounts"
	"parley/webhook/edge"
	"parley/webhook/inbox"
)

// alert is one of Prometheus's alerting rules.
// https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/
type alert struct {
	Alert       string
	Expr        string
	For         time.Duration
	Labels      map[string]string
	Annotations map[string]string
}

func alerts(t *testing.T) []alert {
	t.Helper()
	file := viper.New()
	file.SetConfigFile("prometheus/alerts.yaml")
	if err := file.ReadInConfig(); err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct {
			Name  string
			Rules []alert
		}
	}
	if err := file.UnmarshalExact(&rules); err != nil {
		t.Fatal(err)
	}
	var list []alert
	for _, group := range rules.Groups {
		list = append(list, group.Rules...)
	}
	if len(list) == 0 {
		t.Fatal("no alerts")
	}
	return list
}

// TestAlerts checks that each alert asks for series that a process shows from its start, or from the first request that is not signed, and that
// operators are told what to do.
func TestAlerts(t *testing.T) {
	t.Parallel()
	shown, operations := scraped(t), read(t, "../docs/operations.md")
	selector := regexp.MustCompile(`(parley_\w+)(?:\{([^}]*)\})?[[)]`) // a counter's increase, or a gauge
	for _, a := range alerts(t) {
		selected := selector.FindAllStringSubmatch(a.Expr, -1)
		if len(selected) == 0 || strings.Count(a.Expr, "parley_") != len(selected) {
			t.Errorf("%s: its series cannot be read from %s", a.Alert, a.Expr)
		}
		for _, s := range selected {
			if !exists(shown, s[1], strings.Split(s[2], ",")) {
				t.Errorf("%s: no process shows %s", a.Alert, s[0])
			}
		}
		if a.Labels["severity"] == "" || a.Annotations["summary"] == "" || a.Annotations["description"] == "" {
			t.Errorf("%s: it needs a severity, a summary and a description", a.Alert)
		}
		if !strings.Contains(operations, a.Alert) {
			t.Errorf("docs/operations.md does not say what to do about %s", a.Alert)
		}
	}
}

// knownAccount is one that signs with a token of its own.
type knownAccount struct{}

func (knownAccount) Remembers(string) bool { return true }

func (knownAccount) Credentials(_ context.Context, sid string) (domain.Credentials, error) {
	return domain.Credentials{AccountSid: sid, AuthTokens: []string{"sesame"}}, nil
}

func (k knownAccount) Renewed(ctx context.Context, sid string) (domain.Credentials, error) {
	return k.Credentials(ctx, sid)
}

// scraped is what Prometheus reads of a process that has refused one request, and done nothing else yet.
func scraped(t *testing.T) string {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	metrics, err := telemetry.New(logger)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := telemetry.NewTwilioErrors(t.Context(), metrics.Meter("parley/worker"), logger); err != nil {
		t.Fatal(err)
	}
	if _, err := telemetry.NewUpkeep(t.Context(), metrics.Meter("parley/worker"), []string{contract.CloseEnded.Name}); err != nil {
		t.Fatal(err)
	}
	if _, err := inbox.New(t.Context(), inbox.Parts{Meter: metrics.Meter("parley/webhook")}); err != nil {
		t.Fatal(err)
	}
	if _, err := accounts.New(t.Context(), nil, metrics.Meter("parley/webhook"), time.Now); err != nil {
		t.Fatal(err)
	}
	handler, err := edge.New(t.Context(), edge.Parts{
		PublicURL: "https://parley.example", InFlight: 1, Accounts: knownAccount{}, Logger: logger, Meter: metrics.Meter("parley/webhook"), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	forged := httptest.NewRequest("POST", edge.InboundPath, strings.NewReader("AccountSid=AC"+strings.Repeat("0", 32)))
	forged.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	handler.ServeHTTP(httptest.NewRecorder(), forged)
	answer := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	return answer.Body.String()
}

// exists reports whether some series of a metric has all of some labels.
func exists(shown, metric string, labels []string) bool {
	for line := range strings.Lines(shown) {
		series, ours := strings.CutPrefix(line, metric)
		ours = ours && (strings.HasPrefix(series, "{") || strings.HasPrefix(series, " "))
		for _, label := range labels {
			ours = ours && strings.Contains(series, label)
		}
		if ours {
			return true
		}
	}
	return false
}
