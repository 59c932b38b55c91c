package main

import (
	"context"
	"errors"
	"testing"
	"time"
)

// A webhook is ready from when it reached the database first, and stays so for as long as what it remembers of the accounts is good.
func TestAWebhookStaysReadyWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	now, away := time.Now(), errors.New("the database does not answer")
	answer := away
	r := readiness{now: func() time.Time { return now }, ping: func(ctx context.Context) error {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("the ping has no bound")
		}
		return answer
	}}
	for _, step := range []struct {
		after  time.Duration
		answer error
		want   error
	}{
		{0, away, away}, // it remembers nothing yet
		{time.Hour, away, away},
		{0, nil, nil},
		{time.Second, away, nil},
		{9*time.Minute + 58*time.Second, away, nil}, // ten minutes, but for a second
		{time.Second, away, away},
		{time.Second, nil, nil},
		{10 * time.Minute, nil, nil},
		{9 * time.Minute, away, nil},
	} {
		now, answer = now.Add(step.after), step.answer
		if got := r.check(t.Context()); !errors.Is(got, step.want) {
			t.Errorf("%s later, the database says %v: got %v, want %v", step.after, step.answer, got, step.want)
		}
	}
}
