// Package temporalclient makes the one kind of Temporal client that all of Parley's processes use.
//
// The standard TEMPORAL_* variables and Temporal's profile file say where the server is, through contrib/envconfig.
package temporalclient

import (
	"cmp"
	"log/slog"
	"os"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/log"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"parley/internal/domain"
)

// reconnect bounds the back-off after an outage: gRPC's default of two minutes would leave a webhook blind long after
// the server is back.
func reconnect() grpc.DialOption {
	return grpc.WithConnectParams(grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
		MinConnectTimeout: 5 * time.Second,
	})
}

// Options returns the client options that TEMPORAL_* and the profile file describe, for payloads and failure texts that are encrypted with
// a cipher. It returns KindConfiguration where they make no sense.
func Options(getenv func(string) string, payloads Cipher, logger *slog.Logger, metrics client.MetricsHandler) (client.Options, error) {
	options, err := load(getenv)
	if err != nil {
		return client.Options{}, err
	}
	options.Logger = log.NewStructuredLogger(logger)
	options.MetricsHandler = metrics
	options.DataConverter = NewDataConverter(payloads)
	options.FailureConverter = newFailureConverter(options.DataConverter)
	options.ConnectionOptions.DialOptions = append(options.ConnectionOptions.DialOptions, reconnect())
	options.ConnectionOptions.GrpcCompression = &client.GrpcCompressionNone{} // payloads are compressed, and encrypted after that: they shrink no more
	return options, nil
}

func load(getenv func(string) string) (client.Options, error) {
	options, err := envconfig.LoadClientOptions(envconfig.LoadClientOptionsRequest{EnvLookup: environment{getenv}})
	if err != nil {
		return client.Options{}, domain.Errorf(domain.KindConfiguration, "TEMPORAL_*: %w", err)
	}
	return options, nil
}

// Where returns the server and the namespace that TEMPORAL_* and the profile file name, Temporal's own defaults where they name none.
func Where(getenv func(string) string) (address, namespace string, err error) {
	options, err := load(getenv)
	if err != nil {
		return "", "", err
	}
	return cmp.Or(options.HostPort, client.DefaultHostPort), cmp.Or(options.Namespace, client.DefaultNamespace), nil
}

// New returns a lazy client: it connects with its first call, so that a process starts while Temporal is away.
func New(getenv func(string) string, payloads Cipher, logger *slog.Logger, metrics client.MetricsHandler) (client.Client, error) {
	options, err := Options(getenv, payloads, logger, metrics)
	if err != nil {
		return nil, err
	}
	c, err := client.NewLazyClient(options)
	if err != nil {
		return nil, domain.Errorf(domain.KindConfiguration, "TEMPORAL_*: %w", err)
	}
	return c, nil
}

// environment lets envconfig read through the process's getenv. It lists the real environment only to find
// TEMPORAL_GRPC_META_*, whose names are open.
type environment struct{ getenv func(string) string }

func (e environment) Environ() []string { return os.Environ() }

func (e environment) LookupEnv(name string) (string, bool) {
	value := e.getenv(name)
	return value, value != ""
}
