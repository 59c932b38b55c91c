package main

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"parley/activities/messaging"
	"parley/internal/domain"
	"parley/internal/telemetry"
)

// storing is a store whose every answer is given.
type storing struct {
	messaging.Store
	change domain.StatusChange
	err    error
}

func (s storing) Resolve(context.Context, domain.Resolution) (domain.Attempt, error) {
	return domain.Attempt{Number: 7}, s.err
}

func (s storing) ApplyStatus(context.Context, domain.StatusEvent) (domain.StatusChange, error) {
	return s.change, s.err
}

// Every error code that is stored is counted once, in the phase that it came in.
func TestErrorsOfTwilioAreCounted(t *testing.T) {
	t.Parallel()
	resolve := func(state domain.AttemptState, code int) func(messaging.Store) error {
		return func(s messaging.Store) error {
			attempt, err := s.Resolve(t.Context(), domain.Resolution{State: state, ErrorCode: code})
			if attempt.Number != 7 {
				t.Errorf("the row is not passed on: %+v", attempt)
			}
			return err
		}
	}
	apply := func(s messaging.Store) error {
		_, err := s.ApplyStatus(t.Context(), domain.StatusEvent{ErrorCode: 30034})
		return err
	}
	down := domain.Errorf(domain.KindUnavailable, "no database")
	for name, c := range map[string]struct {
		store storing
		do    func(messaging.Store) error
		want  string // the series with 1; empty: all are 0
	}{
		"refused":                {storing{}, resolve(domain.AttemptRefused, 21610), `class="permanent",phase="create"`},
		"refused, configuration": {storing{}, resolve(domain.AttemptRefused, 20003), `class="configuration",phase="create"`},
		"refused, not known":     {storing{}, resolve(domain.AttemptRefused, 98765), `class="unknown",phase="create"`},
		"not sent":               {storing{}, resolve(domain.AttemptNotSent, 20429), `class="throttled",phase="create"`},
		"found, not delivered":   {storing{}, resolve(domain.AttemptAccepted, 30003), `class="transient",phase="delivery"`},
		"accepted":               {storing{}, resolve(domain.AttemptAccepted, 0), ""},
		"not stored":             {storing{err: down}, resolve(domain.AttemptRefused, 20003), ""},
		"fetched":                {storing{change: domain.StatusChange{ErrorCode: 30034, NewError: true}}, apply, `class="configuration",phase="delivery"`},
		"fetched, known before":  {storing{change: domain.StatusChange{ErrorCode: 30034}}, apply, ""},
		"fetched, not stored":    {storing{change: domain.StatusChange{ErrorCode: 30034, NewError: true}, err: down}, apply, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			logger := slog.New(slog.DiscardHandler)
			metrics, err := telemetry.New(logger)
			if err != nil {
				t.Fatal(err)
			}
			twilioErrors, err := telemetry.NewTwilioErrors(t.Context(), metrics.Meter("test"), logger)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.do(counted{c.store, twilioErrors}); (err == nil) != (c.store.err == nil) {
				t.Errorf("got %v, want %v", err, c.store.err)
			}
			answer := httptest.NewRecorder()
			metrics.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
			var found []string
			for line := range strings.Lines(answer.Body.String()) {
				if series, counted := strings.CutSuffix(strings.TrimSpace(line), " 1"); counted && strings.HasPrefix(series, "parley_twilio_errors_total{") {
					found = append(found, strings.TrimSuffix(strings.TrimPrefix(series, "parley_twilio_errors_total{"), "}"))
				}
			}
			if got := strings.Join(found, " "); got != c.want {
				t.Errorf("counted %s, want %s", got, c.want)
			}
		})
	}
}
