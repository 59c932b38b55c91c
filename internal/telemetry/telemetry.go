// Package telemetry is how a process tells about itself: its log, its metrics, and the listener that shows health and
// metrics to operators.
package telemetry

import (
	"context"
	"io"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/opentelemetry"

	"parley/internal/domain"
)

// NewLogger returns the logger of a process: JSON lines from a level on, each naming the process.
func NewLogger(w io.Writer, level slog.Level, process string) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})).With("process", process)
}

// Telemetry holds the metrics of one process: ours, Temporal's and Go's own.
type Telemetry struct {
	registry *prometheus.Registry
	provider *sdkmetric.MeterProvider
	logger   *slog.Logger
}

// New returns the metrics of one process.
func New(logger *slog.Logger) (*Telemetry, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry), otelprometheus.WithoutScopeInfo())
	if err != nil {
		return nil, domain.Errorf(domain.KindInternal, "metrics: %w", err)
	}
	return &Telemetry{registry, sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter)), logger}, nil
}

// Meter returns a source of instruments named after the package that uses it.
func (t *Telemetry) Meter(name string) metric.Meter { return t.provider.Meter(name) }

// Temporal returns the handler of the Temporal client's and worker's own metrics.
func (t *Telemetry) Temporal() client.MetricsHandler {
	return opentelemetry.NewMetricsHandler(opentelemetry.MetricsHandlerOptions{
		Meter:   t.Meter("temporal-sdk-go"),
		OnError: func(err error) { t.logger.Warn("metric not recorded", "error", err.Error()) }, // its default panics
	})
}

// Handler answers with all metrics in Prometheus's format.
func (t *Telemetry) Handler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{})
}

// Shutdown flushes and closes the metrics.
func (t *Telemetry) Shutdown(ctx context.Context) error { return t.provider.Shutdown(ctx) }
