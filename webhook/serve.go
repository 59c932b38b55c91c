package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"parley/internal/domain"
	"parley/internal/telemetry"
)

// Bounds of the public listener. Twilio sends a few KB at once and gives up after 15 s.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second // header and body
	// From the end of the header: the body (below 10 s) and the longest handling, a status with its account, transaction and
	// signal (3 + 4 + 4 s), with 4 s to spare.
	writeTimeout = 25 * time.Second
	// Longer than any load balancer keeps one (Google's 600 s, most 60 s), so that they close first and never post into a closing connection. Where
	// there are too many, the gate cuts those that have waited longest.
	idleTimeout    = 620 * time.Second
	maxHeaderBytes = 16 << 10 // Twilio's headers have below 2 KB, behind proxies some more
	// connectionsPerRequest is for how many connections there is room for each request that may be handled at once: most of a proxy's
	// connections are idle, and some hundred slow ones should not cost anybody's place. With the 200 requests of the default that is 1000
	// connections, of which each may make us hold 16 KB of header and 64 KB of body: 80 MB at worst.
	connectionsPerRequest = 5
	// A stop waits for the requests under way: Twilio's bodies come at once, their handling takes 11 s at most, with 4 s to
	// spare; and for the spooled messages that are being started, 12 s at most. Whoever stops the process should wait for 20 s before
	// killing it.
	stopTimeout = 15 * time.Second
)

// serve listens for Twilio, then reports ready on the admin listener and starts what waits in the spool, until ctx ends; then it lets
// what is under way finish.
func (p *process) serve(ctx context.Context, listen, adminListen string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return domain.Errorf(domain.KindConfiguration, "PARLEY_LISTEN: %w", err)
	}
	gate := newGate(listener, p.room, p.cut)
	server := &http.Server{
		Handler:           gate.keep(p.handler),
		ConnState:         gate.watch,
		ConnContext:       gate.know,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(p.logger.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(gate) }()
	p.logger.Info("listening", "listener", "public", "address", listener.Addr().String())

	stopAdmin, err := telemetry.ServeAdmin(ctx, adminListen, p.logger, p.ready, p.metrics)
	if err != nil {
		_ = server.Close() // nothing that it serves was promised yet
		return err
	}
	draining, stopDraining := context.WithCancel(ctx)
	var drain sync.WaitGroup
	drain.Go(func() { p.inbox.Run(draining) })
	defer drain.Wait()
	defer stopDraining()
	select {
	case err = <-failed:
		err = fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
		p.logger.Info("stopping")
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	// The admin listener ends last: until then it says that this process takes nothing new.
	return errors.Join(err, stopped("public", server.Shutdown(bounded)), stopped("admin", stopAdmin(bounded)))
}

func stopped(listener string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("stop of the %s listener: %w", listener, err)
}
