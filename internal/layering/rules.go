package layering

import "slices"

// Libraries that more than one row names.
const (
	temporalAPI      = "go.temporal.io/api/..."
	temporalEnums    = "go.temporal.io/api/enums/v1"
	temporalActivity = "go.temporal.io/sdk/activity"
	temporalClient   = "go.temporal.io/sdk/client"
	temporalErrors   = "go.temporal.io/sdk/temporal"
	temporalSDK      = "go.temporal.io/sdk/..."
	temporalWorker   = "go.temporal.io/sdk/worker"
	temporalWorkflow = "go.temporal.io/sdk/workflow"
	pgx              = "github.com/jackc/pgx/..."
	gin              = "github.com/gin-gonic/gin/..."
)

// Rules returns the table of docs/architecture.md. A package that is in the table and not yet in the module is fine; a
// package of the module that is not in the table is a problem.
func Rules() []Rule {
	var (
		decisions = []string{"./workflows/...", "./activities/..."}
		processes = []string{"./webhook/...", "./starter/...", "./simulator/...", "./dev/..."}
		testOnly  = []string{"./internal/testkit/...", "./internal/localstack/...", "./internal/layering"}
	)
	return []Rule{
		// The core: no technology in the domain, no technology but Temporal's in the wire and the decisions.
		{
			Packages: "./internal/domain",
			Never:    []string{"net/http/...", "os/...", "database/sql/..."},
		},
		{
			// The enums, here and below, are the values of what SDK workflow and temporal take and return.
			Packages: "./contract",
			May:      []string{"./internal/domain", temporalWorkflow, temporalActivity, temporalWorker, temporalClient, temporalErrors, temporalEnums},
		},
		{
			Packages: "./workflows",
			May:      []string{"./contract", "./internal/domain", temporalWorkflow, temporalErrors, temporalEnums},
			Never:    []string{"net/...", "os/...", "database/sql/..."},
		},
		{
			// One row for all of them: no activity package knows another, nor any adapter. Each declares the small
			// interfaces it needs, and worker fills them.
			Packages: "./activities/*/...",
			May:      []string{"./contract", "./internal/domain", "./internal/failure", temporalActivity},
			Never:    []string{"net/http/...", "os/...", "database/sql/..."},
		},
		{
			Packages: "./internal/failure",
			May:      []string{"./internal/domain", temporalErrors, "go.temporal.io/sdk/interceptor"},
		},

		// The adapters: each knows the domain and its own library. All SQL is in internal/postgres.
		{Packages: "./internal/postgres", May: []string{"./internal/domain", pgx, "github.com/google/uuid"}},
		{Packages: "./internal/supabase", May: []string{"./internal/domain"}},
		{Packages: "./internal/twilio", May: []string{"./internal/domain", "github.com/twilio/twilio-go/..."}},
		{Packages: "./internal/llm", May: []string{"./internal/domain", "github.com/openai/openai-go/...", "github.com/anthropics/anthropic-sdk-go/..."}},
		{Packages: "./internal/secrets", May: []string{"./internal/domain", "github.com/tink-crypto/tink-go/..."}},
		{Packages: "./internal/config", May: []string{"./contract", "./internal/domain", "github.com/spf13/viper"}},
		{Packages: "./internal/healthcheck", May: []string{"./internal/domain"}},
		{
			// It counts Twilio's errors by class, for the webhook and the worker alike.
			Packages: "./internal/telemetry",
			May: []string{
				"./internal/domain", "./internal/twilio", "go.opentelemetry.io/otel/...", "github.com/prometheus/client_golang/...",
				temporalClient, "go.temporal.io/sdk/contrib/opentelemetry",
			},
		},
		{
			Packages: "./internal/temporalclient",
			May: []string{
				"./internal/domain", temporalClient, temporalErrors, temporalWorkflow, temporalAPI, "go.temporal.io/sdk/log",
				"go.temporal.io/sdk/converter", "go.temporal.io/sdk/contrib/envconfig", "google.golang.org/grpc/...", "google.golang.org/protobuf/...",
			},
		},
		{Packages: "./migrations", May: []string{"github.com/pressly/goose/..."}},

		// The processes.
		{
			Packages: "./webhook/...",
			May: []string{
				"./webhook/...", "./contract", "./internal/domain", "./internal/config", "./internal/telemetry",
				"./internal/temporalclient", "./internal/secrets", "./internal/twilio", "./internal/postgres",
				"./internal/supabase", "./internal/healthcheck",
				gin, temporalClient, temporalErrors, temporalAPI, "go.opentelemetry.io/otel/...", "golang.org/x/...",
			},
		},
		{
			Packages: "./starter/...",
			May: []string{
				"./starter/...", "./contract", "./internal/domain", "./internal/config", "./internal/temporalclient",
				"./internal/secrets", "./internal/postgres", "./internal/supabase", "./internal/twilio", "./migrations",
				"github.com/spf13/cobra", "github.com/google/uuid", "golang.org/x/...", "google.golang.org/grpc/...",
				"google.golang.org/protobuf/...", temporalClient, temporalErrors, "go.temporal.io/sdk/converter", temporalAPI,
			},
		},
		{
			// It plays the other side, so it knows nothing of ours but how Twilio signs.
			Packages: "./simulator/...",
			May:      []string{"./simulator/...", "./internal/domain", "./internal/config", "./internal/twilio"},
		},
		{
			// The only place that wires everything. It has pgx for the pool, which it hands from one store to the next.
			Packages: "./worker/...",
			May:      []string{"./...", pgx, temporalSDK, temporalAPI, "go.opentelemetry.io/otel/...", "golang.org/x/..."},
			Never:    slices.Concat(processes, testOnly),
		},

		// Clients of the built processes, tests included: they use the public interfaces, and never reach behind them.
		{
			Packages: "./dev/...",
			May: []string{
				"./dev/...", "./contract", "./internal/domain", "./internal/config", "./migrations", "./internal/localstack/...",
				"golang.org/x/...",
			},
			Tests: true,
		},
		{
			Packages: "./e2e/...",
			May: []string{
				"./e2e/...", "./contract", "./internal/domain", "./internal/config", "./migrations", "./internal/testkit/...",
				"./internal/localstack/...", temporalSDK, temporalAPI, pgx, "golang.org/x/...",
			},
			Never: decisions,
			Tests: true,
		},
		{
			Packages: "./bench/...",
			May: []string{
				"./bench/...", "./contract", "./internal/domain", "./internal/config", "./migrations", "./internal/testkit/...",
				"./internal/localstack/...", temporalSDK, temporalAPI, pgx, "golang.org/x/...",
			},
			Never: decisions,
			Tests: true,
		},

		// For tests and for dev only. No row above but those of their users names them.
		{
			Packages: "./internal/localstack/...",
			May:      []string{"./internal/localstack/...", "./contract", "./internal/domain", "./migrations", pgx, temporalSDK, temporalAPI, "golang.org/x/..."},
		},
		{
			Packages: "./internal/testkit/...",
			May:      []string{"./...", pgx, temporalSDK, temporalAPI, "github.com/google/uuid", "google.golang.org/...", "golang.org/x/..."},
			Never:    slices.Concat(processes, decisions, []string{"./worker/..."}),
		},
		{Packages: "./internal/layering"},
		{Packages: "./deploy/..."},
		{Packages: "./docs"},
	}
}
