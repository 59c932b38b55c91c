package upkeep_test

import (
	"context"
	"errors"
	"testing"

	"parley/contract"
	"parley/internal/domain"
)

func (w *world) CloseIdleConversations(_ context.Context, most int) (int, error) {
	w.did("close %d", most)
	return w.idle, w.failing
}

func TestCloseIdle(t *testing.T) {
	t.Parallel()
	for idle, more := range map[int]bool{0: false, 7: false, 500: true} {
		w := &world{t: t, idle: idle}
		got, err := newJobs(w).CloseIdle(t.Context(), contract.Nothing{})
		if err != nil || got.Done != idle || got.Seen != idle || got.More != more || len(w.calls) != 1 || w.calls[0] != "close 500" {
			t.Errorf("%d closed: %+v, %v, calls %v", idle, got, err, w.calls)
		}
	}
	w := &world{t: t, failing: domain.Errorf(domain.KindUnavailable, "down")}
	if _, err := newJobs(w).CloseIdle(t.Context(), contract.Nothing{}); !errors.Is(err, w.failing) {
		t.Errorf("got %v", err)
	}
}
