package doctor

import (
	"context"
	"time"

	"parley/internal/domain"
)

const (
	spool    = "spool"
	unrouted = "unrouted messages"
)

// As the alerts have it: the webhooks start what waits within seconds.
const (
	spoolAge   = 2 * time.Minute
	spoolDepth = 1000
)

// Spool looks whether acknowledged messages wait to be started, and for how long.
func Spool(state func(context.Context) (domain.SpoolState, error)) Check {
	return Check{Name: spool, Needs: []string{schema}, Look: func(ctx context.Context) Finding {
		is, err := state(ctx)
		if err != nil {
			return failed("see what is said of the database", "%s", err)
		}
		f := found("messages that wait: %d, the oldest for %s", is.Waiting, is.Oldest.Round(time.Second))
		const advice = "see that a webhook runs, and what is said of Temporal; the webhooks' log (\"flow not started\") has the reason"
		switch {
		case is.Oldest > spoolAge:
			f.fail(advice, "the flow of a message could not be started for %s", is.Oldest.Round(time.Second))
		case is.Waiting-is.Refused > spoolDepth:
			f.warn(advice, "many messages wait to be started: %d", is.Waiting-is.Refused)
		}
		if is.Refused > 0 {
			f.fail("see starter spool list for the reason of each", "messages that cannot be started for a reason of their own: %d", is.Refused)
		}
		return f
	}}
}

// Unrouted looks whether messages wait for an owner.
func Unrouted(state func(context.Context) (domain.UnroutedState, error)) Check {
	return Check{Name: unrouted, Needs: []string{schema}, Look: func(ctx context.Context) Finding {
		is, err := state(ctx)
		if err != nil {
			return failed("see what is said of the database", "%s", err)
		}
		f := found("%d", is.Waiting)
		if is.Waiting > 0 {
			f.warn("see starter unrouted list, and add the addresses with starter sender add; starter unrouted show tells what comes next",
				"messages that nobody owns: %d, the oldest for %s", is.Waiting, is.Oldest.Round(time.Second))
		}
		return f
	}}
}
