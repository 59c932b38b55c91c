package main

import (
	"context"
	"time"

	"parley/internal/localstack"
)

// Waits before a process that died is started again: the first is short, so that a kill is only a hiccup; one that lived
// for a while begins anew.
const (
	firstBackoff   = 500 * time.Millisecond
	longestBackoff = 10 * time.Second
	livedLong      = 30 * time.Second
)

// keeper keeps processes running: one that ends is started again, with back-off, and said so.
type keeper struct {
	out  *console
	kept []*keptProcess
}

type keptProcess struct {
	name  string
	start func(context.Context) (*localstack.Process, error)
	stop  context.CancelFunc
	done  chan struct{}
}

// keep starts a process and keeps it. An error of the first start is returned; of later ones, tried again.
func (k *keeper) keep(ctx context.Context, name string, start func(context.Context) (*localstack.Process, error)) error {
	process, err := start(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // it ends by stop, in the stack's own order
	p := &keptProcess{name, start, cancel, make(chan struct{})}
	k.kept = append(k.kept, p)
	go func() {
		defer close(p.done)
		k.watch(ctx, p, process)
	}()
	return nil
}

// watch starts the process again whenever it ends, until ctx does; then it stops it.
func (k *keeper) watch(ctx context.Context, p *keptProcess, process *localstack.Process) {
	backoff := firstBackoff
	for {
		begun := time.Now()
		if process != nil {
			select {
			case <-process.Ended():
			case <-ctx.Done():
				process.Stop()
				return
			}
			if time.Since(begun) > livedLong {
				backoff = firstBackoff
			}
			k.out.Say("%s ended (%s); it is started again in %s", p.name, process.Cause(), backoff)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, longestBackoff)
		var err error
		if process, err = p.start(ctx); err != nil && ctx.Err() == nil {
			k.out.Say("%s could not be started: %v; next try in %s", p.name, err, backoff)
		}
	}
}

// stop stops all of them at once and returns when they have ended.
func (k *keeper) stop() {
	for _, p := range k.kept {
		p.stop()
	}
	for _, p := range k.kept {
		<-p.done
	}
}
