// Command simulator is a stand-in for Twilio on one machine, for development and tests only: Twilio's Messages API, signed
// webhooks, scripted faults. It listens on loopback and posts to loopback only. What it plays is in simulator/twiliosim;
// its settings are config.Simulator.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"parley/internal/config"
	"parley/internal/domain"
	"parley/simulator/twiliosim"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "simulator:", err)
		os.Exit(1)
	}
}

// Bounds of the server. A request is small and comes from this machine; a stop waits for answers that are being written,
// which takes no time: whatever waits on purpose ends with the context.
const (
	headerTimeout = 5 * time.Second
	stopTimeout   = 2 * time.Second
)

// run serves until ctx ends. It returns KindConfiguration for wrong settings.
func run(ctx context.Context, args []string, getenv func(string) string, _, stderr io.Writer) error {
	if len(args) > 0 {
		return domain.Errorf(domain.KindConfiguration, "takes no arguments: its settings are environment variables")
	}
	var settings config.Simulator
	if err := config.Load(&settings, getenv); err != nil {
		return err
	}
	logger := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: settings.Level()})).With("process", "simulator")
	simulator, err := twiliosim.New(ctx, settings.Simulated, logger)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", settings.SimulatorListen)
	if err != nil {
		return domain.Errorf(domain.KindConfiguration, "PARLEY_SIMULATOR_LISTEN: %w", err)
	}
	logger.Info("listening", "address", listener.Addr().String())
	return serve(ctx, &http.Server{Handler: simulator.Handler(), ReadHeaderTimeout: headerTimeout}, listener, simulator)
}

// serve answers on the listener until ctx ends, then lets go of everything within stopTimeout.
func serve(ctx context.Context, server *http.Server, listener net.Listener, simulator *twiliosim.Simulator) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := server.Shutdown(bounded); err != nil {
		_ = server.Close() // a connection that a caller opened and never used counts as busy for 5 s
	}
	simulator.Wait()
	return nil
}
