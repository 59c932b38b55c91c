package provision_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/namespace/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"parley/contract"
	"parley/internal/domain"
	"parley/starter/internal/provision"
)

var denied = serviceerror.NewPermissionDenied("not yours", "")

// server is Temporal as setup sees it. Errors answer a call instead of what the server would do.
type server struct {
	retention  time.Duration // 0: there is no such namespace
	attributes map[string]enums.IndexedValueType
	usableAt   time.Time // counts fail before

	describeErr, registerErr, listErr, addErr, countErr error

	calls []string
}

var (
	_ provision.Namespaces = (*server)(nil)
	_ provision.Attributes = (*server)(nil)
)

func (s *server) DescribeNamespace(context.Context, *workflowservice.DescribeNamespaceRequest, ...grpc.CallOption) (*workflowservice.DescribeNamespaceResponse, error) {
	if s.describeErr != nil {
		return nil, s.describeErr
	}
	if s.retention == 0 {
		return nil, serviceerror.NewNamespaceNotFound("parley")
	}
	return &workflowservice.DescribeNamespaceResponse{
		Config: &namespace.NamespaceConfig{WorkflowExecutionRetentionTtl: durationpb.New(s.retention)},
	}, nil
}

func (s *server) RegisterNamespace(_ context.Context, in *workflowservice.RegisterNamespaceRequest, _ ...grpc.CallOption) (*workflowservice.RegisterNamespaceResponse, error) {
	s.calls = append(s.calls, "register "+in.GetNamespace())
	if s.registerErr != nil {
		return nil, s.registerErr
	}
	s.retention = in.GetWorkflowExecutionRetentionPeriod().AsDuration()
	return &workflowservice.RegisterNamespaceResponse{}, nil
}

func (s *server) CountWorkflowExecutions(_ context.Context, in *workflowservice.CountWorkflowExecutionsRequest, _ ...grpc.CallOption) (*workflowservice.CountWorkflowExecutionsResponse, error) {
	if s.countErr != nil {
		return nil, s.countErr
	}
	for _, name := range contract.SearchAttributes() {
		if _, there := s.attributes[name]; !there && strings.Contains(in.GetQuery(), name) {
			return nil, serviceerror.NewInvalidArgument("no such search attribute")
		}
	}
	if time.Now().Before(s.usableAt) {
		return nil, serviceerror.NewInvalidArgument("no such search attribute yet")
	}
	return &workflowservice.CountWorkflowExecutionsResponse{}, nil
}

func (s *server) ListSearchAttributes(context.Context, *operatorservice.ListSearchAttributesRequest, ...grpc.CallOption) (*operatorservice.ListSearchAttributesResponse, error) {
	return &operatorservice.ListSearchAttributesResponse{CustomAttributes: s.attributes}, s.listErr
}

func (s *server) AddSearchAttributes(_ context.Context, in *operatorservice.AddSearchAttributesRequest, _ ...grpc.CallOption) (*operatorservice.AddSearchAttributesResponse, error) {
	for name, kind := range in.GetSearchAttributes() {
		s.calls = append(s.calls, "add "+name+" "+kind.String())
	}
	if s.addErr != nil {
		return nil, s.addErr
	}
	maps.Copy(s.attributes, in.GetSearchAttributes())
	return &operatorservice.AddSearchAttributesResponse{}, nil
}

func all(kind enums.IndexedValueType) map[string]enums.IndexedValueType {
	attributes := map[string]enums.IndexedValueType{}
	for _, name := range contract.SearchAttributes() {
		attributes[name] = kind
	}
	return attributes
}

func run(t *testing.T, s *server, namespace string) (provision.Report, error) {
	t.Helper()
	if s.attributes == nil {
		s.attributes = map[string]enums.IndexedValueType{}
	}
	return provision.Run(t.Context(), provision.Parts{
		Migrate:    func(context.Context) (int64, error) { return 7, nil },
		Namespace:  namespace,
		Namespaces: s,
		Attributes: s,
	})
}

func TestSetupFromNothingAndAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{usableAt: time.Now().Add(20 * time.Second)}
		report, err := run(t, s, "parley")
		if err != nil || !report.Ready || report.SchemaVersion != 7 {
			t.Fatalf("got %+v, %v", report, err)
		}
		if s.retention != 30*24*time.Hour || report.Namespace.State != provision.Created {
			t.Errorf("namespace: %+v, retention %s", report.Namespace, s.retention)
		}
		want := []string{"register parley", "add ParleyOwner Keyword", "add ParleyStage Keyword", "add ParleyOutcome Keyword"}
		if !slices.Equal(s.calls, want) {
			t.Errorf("calls: %v", s.calls)
		}
		if time.Now().Before(s.usableAt) {
			t.Error("setup did not wait until the namespace was usable")
		}
		again, err := run(t, s, "parley")
		if err != nil || !again.Ready || again.Namespace.State != provision.Exists || len(s.calls) != len(want) {
			t.Errorf("the second run made something: %+v, %v, %v", again, err, s.calls)
		}
	})
}

func TestWhatMayNotBeCreatedBecomesACommand(t *testing.T) {
	t.Parallel()
	const month = 30 * 24 * time.Hour
	keywords := all(enums.INDEXED_VALUE_TYPE_KEYWORD)
	for name, test := range map[string]struct {
		server    server
		namespace string
		ready     bool
		commands  []string
	}{
		"no namespace, on a server of one's own": {
			server: server{registerErr: denied}, namespace: "parley",
			commands: []string{
				"temporal operator namespace create --namespace parley --retention 30d",
				"temporal operator search-attribute create --namespace parley --type Keyword --name ParleyOwner --name ParleyStage --name ParleyOutcome",
			},
		},
		"no search attributes, on Temporal Cloud": {
			server: server{retention: month, addErr: serviceerror.NewUnimplemented("not here")}, namespace: "parley.a1b2c",
			commands: []string{"tcld namespace search-attributes add --namespace parley.a1b2c" +
				" --search-attribute ParleyOwner=Keyword --search-attribute ParleyStage=Keyword --search-attribute ParleyOutcome=Keyword"},
		},
		"one is missing": {
			server: server{retention: month, addErr: denied, attributes: map[string]enums.IndexedValueType{
				"ParleyOwner": enums.INDEXED_VALUE_TYPE_KEYWORD, "ParleyOutcome": enums.INDEXED_VALUE_TYPE_KEYWORD,
			}}, namespace: "parley",
			commands: []string{"temporal operator search-attribute create --namespace parley --type Keyword --name ParleyStage"},
		},
		"it may neither look nor create, and all is there": {
			server: server{describeErr: denied, listErr: denied, addErr: denied, attributes: keywords}, namespace: "parley.a1b2c",
			ready: true,
		},
		"it may neither look nor create, and nothing is there": {
			server: server{describeErr: denied, listErr: denied, addErr: denied, countErr: denied}, namespace: "parley.a1b2c",
			commands: []string{
				"tcld namespace create --namespace parley --retention-days 30 --region <region> --auth-method api_key",
				"tcld namespace search-attributes add --namespace parley.a1b2c" +
					" --search-attribute ParleyOwner=Keyword --search-attribute ParleyStage=Keyword --search-attribute ParleyOutcome=Keyword",
			},
		},
		"somebody else was faster": {
			server: server{
				registerErr: serviceerror.NewNamespaceAlreadyExists("it exists"), addErr: serviceerror.NewAlreadyExists("it exists"),
				listErr: denied, attributes: keywords,
			},
			namespace: "parley", ready: true,
		},
		"a short retention is only noted": {
			server: server{retention: 24 * time.Hour, attributes: keywords}, namespace: "default", ready: true,
			commands: []string{"temporal operator namespace update --namespace default --retention 30d"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, err := run(t, &test.server, test.namespace)
			if err != nil || report.Ready != test.ready || !slices.Equal(report.Commands, test.commands) {
				t.Errorf("got %+v, %v", report, err)
			}
		})
	}
}

func TestSetupFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		server server
		kind   domain.Kind
	}{
		"a search attribute of another type": {
			server{retention: time.Hour, attributes: all(enums.INDEXED_VALUE_TYPE_TEXT)}, domain.KindConflict},
		"no server":     {server{describeErr: serviceerror.NewUnavailable("gone")}, domain.KindUnavailable},
		"never usable":  {server{usableAt: time.Now().AddDate(1000, 0, 0)}, domain.KindUnavailable},
		"an odd answer": {server{describeErr: errors.New("odd")}, domain.KindInternal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if report, err := run(t, &test.server, "parley"); domain.KindOf(err) != test.kind || err == nil {
					t.Errorf("got %+v, %v", report, err)
				}
			})
		})
	}
}

func TestAFailedMigrationEndsSetup(t *testing.T) {
	t.Parallel()
	_, err := provision.Run(t.Context(), provision.Parts{
		Migrate: func(context.Context) (int64, error) { return 0, domain.Errorf(domain.KindUnavailable, "no database") },
	})
	if domain.KindOf(err) != domain.KindUnavailable {
		t.Errorf("got %v", err)
	}
}
