package domain_test

import (
	"testing"

	"parley/internal/domain"
)

// TestStatusRanks holds the order of the design: accepted, scheduled < queued < sending < sent < canceled < failed <
// undelivered < delivered < read.
func TestStatusRanks(t *testing.T) {
	t.Parallel()
	order := [][]domain.Status{
		{"received", "partially_delivered", ""}, // not understood: below everything, so they move nothing
		{domain.StatusAccepted, domain.StatusScheduled},
		{domain.StatusQueued}, {domain.StatusSending}, {domain.StatusSent}, {domain.StatusCanceled},
		{domain.StatusFailed}, {domain.StatusUndelivered}, {domain.StatusDelivered}, {domain.StatusRead},
	}
	for i, statuses := range order {
		for _, status := range statuses {
			if got := status.Rank(); got != i-1 {
				t.Errorf("%q: want rank %d, got %d", status, i-1, got)
			}
			if got, want := status.Final(), i-1 >= 4; got != want {
				t.Errorf("%q: want final to be %v", status, want)
			}
		}
	}
}

func TestOptedOut(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]bool{21610: true, 63014: true, 63033: true, 0: false, 21611: false, 63016: false, 30003: false} {
		if domain.OptedOut(code) != want {
			t.Errorf("%d: want %v", code, want)
		}
	}
}

func TestReplyStatesThatAreOpen(t *testing.T) {
	t.Parallel()
	for state, want := range map[domain.ReplyState]bool{
		domain.ReplyPending: true, domain.ReplyParked: true,
		domain.ReplyAnswered: false, domain.ReplySuperseded: false, domain.ReplyNotNeeded: false, domain.ReplyFailed: false,
	} {
		if state.Open() != want {
			t.Errorf("%s: want open to be %v", state, want)
		}
	}
}
