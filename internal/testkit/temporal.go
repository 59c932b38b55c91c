package testkit

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"

	"parley/contract"
	"parley/internal/localstack"
	"parley/internal/secrets"
	"parley/internal/temporalclient"
)

// Namespace is a Temporal namespace of one test, with Parley's search attributes.
type Namespace struct {
	Address string
	Name    string
	Client  client.Client // of this namespace; closed when the test ends
}

// Temporal makes a namespace that can be used at once.
func Temporal(t testing.TB) Namespace {
	t.Helper()
	n := EmptyTemporal(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := register(ctx, n); err != nil {
		t.Fatalf("testkit: temporal: namespace %s: %v", n.Name, err)
	}
	return n
}

// EmptyTemporal returns the name of a namespace that does not exist yet, for tests of what makes it.
func EmptyTemporal(t testing.TB) Namespace {
	t.Helper()
	address, err := get(t).temporal()
	if err != nil {
		t.Fatalf("testkit: temporal: %v", err)
	}
	return emptyNamespace(t, address)
}

func emptyNamespace(t testing.TB, address string) Namespace {
	t.Helper()
	n := Namespace{Address: address, Name: "test-" + strings.ToLower(rand.Text()[:12])}
	var err error
	if n.Client, err = localstack.DialTemporal(n.Address, n.Name); err != nil {
		t.Fatalf("testkit: temporal: %v", err)
	}
	t.Cleanup(n.Client.Close)
	t.Logf("testkit: namespace %s at %s", n.Name, n.Address)
	return n
}

// BareTemporal makes a namespace without any of Parley's search attributes, which keeps closed flows for one day.
func BareTemporal(t testing.TB) Namespace {
	t.Helper()
	n := EmptyTemporal(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := n.create(ctx); err != nil {
		t.Fatalf("testkit: temporal: namespace %s: %v", n.Name, err)
	}
	return n
}

// create makes the namespace, whose name nobody else has: where it exists already, a busy server made it and did not say so in time.
func (n Namespace) create(ctx context.Context) error {
	return until(ctx, func() error {
		_, err := n.Client.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
			Namespace: n.Name, WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour),
		})
		if _, exists := errors.AsType[*serviceerror.NamespaceAlreadyExists](err); exists {
			return nil
		}
		return err
	})
}

// encrypted returns a client of the namespace that reads and writes as the processes with a payload keyset do.
func (n Namespace) encrypted(t testing.TB, keysetFile string) client.Client {
	t.Helper()
	cipher, err := secrets.Load("PARLEY_PAYLOAD_KEYSET", "", keysetFile)
	if err != nil {
		t.Fatalf("testkit: temporal: %v", err)
	}
	variables := map[string]string{"TEMPORAL_ADDRESS": n.Address, "TEMPORAL_NAMESPACE": n.Name, "TEMPORAL_CONFIG_FILE": os.DevNull}
	c, err := temporalclient.New(func(name string) string { return variables[name] }, cipher, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatalf("testkit: temporal: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// register makes the namespace and waits until the server's caches know it with its search attributes.
func register(ctx context.Context, n Namespace) error {
	if err := n.create(ctx); err != nil {
		return err
	}
	attributes := map[string]enums.IndexedValueType{}
	var query []string
	for _, name := range contract.SearchAttributes() {
		attributes[name] = enums.INDEXED_VALUE_TYPE_KEYWORD
		query = append(query, name+" = 'x'")
	}
	if err := until(ctx, func() error {
		_, err := n.Client.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
			Namespace: n.Name, SearchAttributes: attributes,
		})
		return err
	}); err != nil {
		return err
	}
	return until(ctx, func() error {
		_, err := n.Client.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: n.Name, Query: strings.Join(query, " OR ")})
		return err
	})
}

// until tries until it works or ctx has ended.
func until(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}
