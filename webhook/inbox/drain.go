package inbox

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"parley/internal/domain"
)

const (
	// atOnce is how many waiting flows a process starts at once: enough to catch up with an hour in a minute, and few beside what comes in.
	atOnce = 16
	// lease is for how long a process has what it took: longer than to start it (6 s) and to say so (3 s), with 6 s to spare. What a
	// process took that died waits for so long.
	lease = 15 * time.Second
	// idle is how often a process looks for messages: the spool is nearly always empty.
	idle = time.Second
	// longestPause is the longest wait for a Temporal or a Postgres that is away.
	longestPause = 4 * time.Second
	// observeEvery is how often a process looks how many messages wait.
	observeEvery = 10 * time.Second
)

// Run starts the flows of what waits in the spool until ctx ends. What it has begun it finishes, which takes 12 s at most.
func (i *Inbox) Run(ctx context.Context) {
	var observing sync.WaitGroup
	observing.Go(func() {
		for ctx.Err() == nil {
			i.observe(ctx)
			sleep(ctx, observeEvery)
		}
	})
	defer observing.Wait()
	most, pause := atOnce, time.Duration(0)
	for ctx.Err() == nil {
		done, err := i.drain(context.WithoutCancel(ctx), most)
		switch {
		case err != nil && done == 0: // it is away: one message finds out whether it works again
			most, pause = 1, min(max(2*pause, idle), longestPause)
		case err != nil: // it has too much to do
			most, pause = max(most/2, 1), idle
		case done < most:
			most, pause = min(most+1, atOnce), idle
		default:
			most, pause = min(most+1, atOnce), 0
		}
		sleep(ctx, pause)
	}
}

// sleep waits until ctx ends, or for about so long, so that the processes do not all come at once.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d - time.Duration(rand.Float64()*float64(d)/4))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// drain takes some messages and starts their flows. It returns how many it is done with, and an error where Temporal or the spool is away,
// or Temporal has too much to do for some of them.
func (i *Inbox) drain(ctx context.Context, most int) (done int, err error) {
	bounded, cancel := context.WithTimeout(ctx, spoolTimeout)
	messages, err := i.spool.Take(bounded, most, lease)
	cancel()
	if err != nil {
		i.logger.WarnContext(ctx, "spool not read", "error", err.Error())
		return 0, err
	}
	errs := make([]error, len(messages))
	var starting sync.WaitGroup
	for n, message := range messages {
		starting.Go(func() {
			if errs[n] = message.Err; errs[n] == nil {
				_, errs[n] = i.start(ctx, message.Received)
			}
		})
	}
	starting.Wait()
	bounded, cancel = context.WithTimeout(ctx, spoolTimeout)
	defer cancel()
	back, err := i.settle(bounded, messages, errs)
	return len(messages) - back, err
}

// settle writes down how the starts went, and returns how many it gave back, and why. What it cannot write is taken again, and is a duplicate
// then.
func (i *Inbox) settle(ctx context.Context, messages []domain.Spooled, errs []error) (waiting int, away error) {
	var started, back []domain.SpoolKey
	for n, message := range messages {
		switch err := errs[n]; {
		case err == nil:
			started = append(started, message.SpoolKey)
		case message.Err != nil || theMessagesOwn(err):
			i.logger.ErrorContext(ctx, "spooled message refused", "error", err.Error(), "message_sid", message.MessageSid, "account_sid", message.AccountSid)
			i.note(ctx, i.spool.Refuse(ctx, message.SpoolKey, err.Error()))
		default:
			back, away = append(back, message.SpoolKey), err
		}
	}
	if len(started) > 0 {
		i.counts.drained.Add(ctx, int64(len(started)))
		i.logger.InfoContext(ctx, "spooled messages started", "count", len(started))
		i.note(ctx, i.spool.Drop(ctx, started))
	}
	if len(back) > 0 {
		i.note(ctx, i.spool.PutBack(ctx, back))
	}
	return len(back), away
}

// note logs what could not be written.
func (i *Inbox) note(ctx context.Context, err error) {
	if err != nil {
		i.logger.WarnContext(ctx, "spool not written", "error", err.Error())
	}
}

// observe shows how full the spool is, and how many messages nobody owns. While it cannot be read, the figures stay as they were.
func (i *Inbox) observe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, spoolTimeout)
	defer cancel()
	if state, err := i.spool.State(ctx); err == nil {
		i.counts.observe(ctx, state)
	}
	if state, err := i.unrouted.State(ctx); err == nil {
		i.counts.observeUnrouted(ctx, state)
	}
}
