// Package inbox makes inbound messages durable before they are acknowledged: a flow is started, or, while Temporal does not take
// it, the message is kept in the spool, from where its flow is started later. The edge hands it what it has verified.
//
//	Accept: start --ok--> started, duplicate
//	          '--failed, or Temporal failed a moment ago--> spool --ok--> spooled
//	                                                          '--failed--> start, where that was not tried --failed--> KindUnavailable
//	Run:    spool --take--> start --ok, duplicate--> drop
//	                          |--Temporal is away, or too busy--> put back, and one message at a time until it is there, or fewer at once
//	                          '--the message cannot be started--> refuse: it stays, and is tried ever less often
//
// Start, spool and Twilio's repetitions may race, and a message that was taken from the spool may be taken again: the workflow id makes the
// first start win, and every other a duplicate. A process may die between any two of these arrows.
package inbox

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"

	"parley/contract"
	"parley/internal/domain"
)

// Flows starts flows.
type Flows interface {
	// StartInbound starts the flow of a message, and reports false where it was started before. Key: account and message. It returns
	// KindInvalid for a message that Temporal will not take, and another kind where it may take it later.
	StartInbound(ctx context.Context, received domain.Received) (started bool, err error)
}

// Spool keeps messages until their flow is started.
type Spool interface {
	// Put keeps a message. Key: account and message.
	Put(ctx context.Context, received domain.Received) error
	// Take takes the messages that are due longest, at most so many: nobody else is given them within a time.
	Take(ctx context.Context, most int, within time.Duration) ([]domain.Spooled, error)
	// PutBack gives messages back that were taken.
	PutBack(ctx context.Context, keys []domain.SpoolKey) error
	// Refuse notes why a message cannot be started. It stays, and is due again later.
	Refuse(ctx context.Context, key domain.SpoolKey, reason string) error
	// Drop removes messages whose flows were started.
	Drop(ctx context.Context, keys []domain.SpoolKey) error
	// State returns how full the spool is.
	State(ctx context.Context) (domain.SpoolState, error)
}

// Unrouted is the messages whose flow was started, and that have no owner.
type Unrouted interface {
	State(ctx context.Context) (domain.UnroutedState, error)
}

// Parts is what an inbox is made of.
type Parts struct {
	Flows    Flows
	Spool    Spool
	Unrouted Unrouted
	Logger   *slog.Logger
	Meter    metric.Meter
}

// Inbox accepts messages, and starts the flows of those that wait.
type Inbox struct {
	flows    Flows
	spool    Spool
	unrouted Unrouted
	away     outage
	logger   *slog.Logger
	counts   counters
}

// New returns an inbox. Its Run has to be running.
func New(ctx context.Context, parts Parts) (*Inbox, error) {
	counts, err := newCounters(ctx, parts.Meter)
	if err != nil {
		return nil, err
	}
	return &Inbox{flows: parts.Flows, spool: parts.Spool, unrouted: parts.Unrouted, logger: parts.Logger, counts: counts}, nil
}

// Acceptance is how a message was made durable.
type Acceptance string

// The ways to accept a message.
const (
	Started   Acceptance = "started"
	Duplicate Acceptance = "duplicate" // its flow had been started before
	Spooled   Acceptance = "spooled"   // its flow is started later
)

const (
	// startTimeout bounds the start of a flow. Temporal's SDK gives one call half of what is left of its context, so this is 3 s for the
	// server, and as long when nothing listens there: the client goes on connecting.
	startTimeout = 6 * time.Second
	// spoolTimeout bounds one statement about the spool, which waits for nobody.
	spoolTimeout = 3 * time.Second
)

// Accept makes a message durable. It returns KindUnavailable where neither Temporal nor the spool takes it. Key: account and message.
func (i *Inbox) Accept(ctx context.Context, received domain.Received) (Acceptance, error) {
	// Right after a failure the spool is the short way: it keeps requests short, and few, for as long as Temporal is away.
	tried := i.away.mayTry(time.Now())
	if tried {
		if acceptance, err := i.start(ctx, received); err == nil {
			return acceptance, nil
		}
	}
	spooled := i.put(ctx, received)
	if spooled == nil {
		i.counts.spooled.Add(ctx, 1)
		return Spooled, nil
	}
	if !tried {
		if acceptance, err := i.start(ctx, received); err == nil {
			return acceptance, nil
		}
	}
	return "", domain.Errorf(domain.KindUnavailable, "neither Temporal nor the spool takes the message: %w", spooled)
}

func (i *Inbox) put(ctx context.Context, received domain.Received) error {
	ctx, cancel := context.WithTimeout(ctx, spoolTimeout)
	defer cancel()
	return i.spool.Put(ctx, received)
}

// start starts a message's flow, and remembers whether Temporal is there.
func (i *Inbox) start(ctx context.Context, received domain.Received) (acceptance Acceptance, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	there := false // also where it panics
	defer func() { i.away.report(time.Now(), there) }()
	started, err := i.flows.StartInbound(ctx, received)
	there = err == nil || theMessagesOwn(err)
	switch {
	case err != nil:
		i.counts.startFailures.Add(ctx, 1)
		i.logger.WarnContext(ctx, "flow not started", "error", err.Error(), "message_sid", received.MessageSid,
			"account_sid", received.AccountSid, "workflow_id", contract.InboundWorkflowID(received.AccountSid, received.MessageSid))
		return "", err
	case !started:
		return Duplicate, nil
	default:
		return Started, nil
	}
}

// theMessagesOwn reports whether an error is about the message: the next one may be taken.
func theMessagesOwn(err error) bool { return domain.KindOf(err) == domain.KindInvalid }
