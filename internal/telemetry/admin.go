package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"parley/internal/domain"
)

// The admin listener serves operators and probes: small requests, quick answers.
const (
	adminHeaderTimeout = 5 * time.Second
	adminWriteTimeout  = 30 * time.Second // a scrape of many series on a busy machine
	readyTimeout       = 2 * time.Second  // below the usual probe time-out
)

// ServeAdmin listens on an address and serves /healthz (the process runs), /readyz (ready returns no error) and
// /metrics, until stop is called. Port 0 takes a free port; the one taken is logged.
func ServeAdmin(ctx context.Context, listen string, logger *slog.Logger, ready func(context.Context) error, metrics http.Handler) (stop func(context.Context) error, err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return nil, domain.Errorf(domain.KindConfiguration, "PARLEY_ADMIN_LISTEN: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		if err := ready(ctx); err != nil {
			logger.Warn("not ready", "error", err.Error())
			answer(w, http.StatusServiceUnavailable, "not ready: the log says why")
			return
		}
		answer(w, http.StatusOK, "ready")
	})
	mux.Handle("GET /metrics", metrics)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: adminHeaderTimeout, ReadTimeout: adminHeaderTimeout, WriteTimeout: adminWriteTimeout}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("the admin listener ended", "error", err.Error())
		}
	}()
	logger.Info("listening", "listener", "admin", "address", listener.Addr().String())
	return server.Shutdown, nil
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // the prober may be gone
}
