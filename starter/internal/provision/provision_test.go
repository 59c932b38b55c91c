package provision_test

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/namespace/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
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

	schedules map[string]*client.ScheduleOptions
	paused    bool // what an operator chose
	ran       client.ScheduleInfo
	busy      int // so many questions about schedules are cut off

	describeErr, registerErr, listErr, addErr, countErr, createErr, updateErr error

	calls []string
}

var (
	_ provision.Namespaces = (*server)(nil)
	_ provision.Attributes = (*server)(nil)
	_ provision.Schedules  = (*server)(nil)
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
	if err := s.cut(); err != nil {
		return nil, err
	}
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

// cut answers a question that a busy server does not get to.
func (s *server) cut() error {
	if s.busy == 0 {
		return nil
	}
	s.busy--
	return serviceerror.NewCanceled("stream terminated by RST_STREAM with error code: CANCEL")
}

func (s *server) Create(_ context.Context, in client.ScheduleOptions) (client.ScheduleHandle, error) {
	if err := s.cut(); err != nil {
		return nil, err
	}
	if s.createErr != nil {
		return nil, s.createErr
	}
	if s.schedules[in.ID] != nil {
		return nil, temporal.ErrScheduleAlreadyRunning
	}
	s.calls = append(s.calls, "schedule "+in.ID)
	in.Action = stored(in.Action)
	s.schedules[in.ID] = &in
	return nil, nil
}

// stored is an action as a schedule's description has it: its input is encrypted, here with the key "current".
func stored(action client.ScheduleAction) client.ScheduleAction {
	does := *action.(*client.ScheduleWorkflowAction)
	does.Args = []any{&common.Payload{Data: []byte("current")}}
	return &does
}

func (s *server) GetHandle(_ context.Context, id string) client.ScheduleHandle {
	return &handle{server: s, id: id}
}

// handle is a schedule's. A method that it does not have panics: no test expects that call.
type handle struct {
	client.ScheduleHandle
	server *server
	id     string
}

func (h *handle) Update(_ context.Context, options client.ScheduleUpdateOptions) error {
	there := h.server.schedules[h.id]
	if there == nil {
		return h.server.updateErr
	}
	update, err := options.DoUpdate(client.ScheduleUpdateInput{Description: client.ScheduleDescription{Schedule: client.Schedule{
		Spec: &there.Spec, Action: there.Action, State: &client.ScheduleState{Paused: h.server.paused},
		Policy: &client.SchedulePolicies{Overlap: there.Overlap, CatchupWindow: there.CatchupWindow},
	}}})
	if errors.Is(err, temporal.ErrSkipScheduleUpdate) {
		return nil
	}
	if h.server.updateErr != nil {
		return h.server.updateErr
	}
	h.server.calls = append(h.server.calls, "update "+h.id)
	there.Spec, there.Action = *update.Schedule.Spec, stored(update.Schedule.Action)
	there.Overlap, there.CatchupWindow = update.Schedule.Policy.Overlap, update.Schedule.Policy.CatchupWindow
	h.server.paused = update.Schedule.State.Paused
	return err
}

func (h *handle) Describe(context.Context) (*client.ScheduleDescription, error) {
	if err := h.server.cut(); err != nil {
		return nil, err
	}
	there := h.server.schedules[h.id]
	if h.server.describeErr != nil {
		return nil, h.server.describeErr
	}
	if there == nil {
		return nil, serviceerror.NewNotFound("no such schedule")
	}
	return &client.ScheduleDescription{
		Schedule: client.Schedule{
			Spec: &there.Spec, Action: there.Action, State: &client.ScheduleState{Paused: h.server.paused},
			Policy: &client.SchedulePolicies{Overlap: there.Overlap, CatchupWindow: there.CatchupWindow},
		},
		Info: h.server.ran,
	}, nil
}

// What there is of the schedules is told, and nothing is made.
func TestFindSchedules(t *testing.T) {
	t.Parallel()
	s := &server{retention: provision.Retention, attributes: all(enums.INDEXED_VALUE_TYPE_KEYWORD)}
	if _, err := run(t, s, "parley"); err != nil {
		t.Fatal(err)
	}
	wanted := contract.Schedules()
	delete(s.schedules, wanted[0].ID())
	s.schedules[wanted[1].ID()].Overlap = enums.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL
	s.schedules[wanted[2].ID()].Action.(*client.ScheduleWorkflowAction).Args = []any{&common.Payload{Data: []byte("older")}} // as it is to be, all the same
	s.paused = true
	calls := len(s.calls)
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	for name, c := range map[string]struct {
		is   client.ScheduleInfo
		want time.Time
	}{
		"it has not run":       {client.ScheduleInfo{CreatedAt: at}, at},
		"it has":               {client.ScheduleInfo{CreatedAt: at, RecentActions: []client.ScheduleActionResult{{ActualTime: at.Add(time.Hour)}, {ActualTime: at.Add(2 * time.Hour)}}}, at.Add(2 * time.Hour)},
		"it was changed since": {client.ScheduleInfo{CreatedAt: at, LastUpdateAt: at.Add(3 * time.Hour), RecentActions: []client.ScheduleActionResult{{ActualTime: at.Add(2 * time.Hour)}}}, at.Add(3 * time.Hour)},
	} {
		s.ran = c.is
		found, err := provision.Parts{Schedules: s}.FindSchedules(t.Context())
		if err != nil || len(found) != len(wanted) {
			t.Fatalf("%s: found %+v, %v", name, found, err)
		}
		for i, schedule := range found {
			want := provision.Found{Schedule: wanted[i], Other: i == 1, Paused: true, Since: c.want}
			if i == 0 {
				want = provision.Found{Schedule: wanted[0], Missing: true}
			}
			if schedule != want {
				t.Errorf("%s: found %+v, want %+v", name, schedule, want)
			}
		}
	}
	if len(s.calls) != calls {
		t.Errorf("it made %v", s.calls[calls:])
	}
	s.describeErr = denied
	if _, err := (provision.Parts{Schedules: s}).FindSchedules(t.Context()); domain.KindOf(err) != domain.KindConfiguration {
		t.Errorf("got %v", err)
	}
}

// A schedule that this account may not change is told of where it should be.
func TestSchedulesThatMayNotBeChanged(t *testing.T) {
	t.Parallel()
	s := &server{retention: provision.Retention, attributes: all(enums.INDEXED_VALUE_TYPE_KEYWORD)}
	if _, err := run(t, s, "parley"); err != nil {
		t.Fatal(err)
	}
	s.updateErr = denied
	if again, err := run(t, s, "parley"); err != nil || !again.Ready || len(again.Notes) != 0 || again.Schedules[0].State != provision.Exists {
		t.Errorf("as they are to be: %+v, %v", again, err)
	}
	older := contract.Schedules()[1]
	s.schedules[older.ID()].Action.(*client.ScheduleWorkflowAction).Args = []any{&common.Payload{Data: []byte("older")}}
	report, err := run(t, s, "parley")
	if err != nil || !report.Ready || report.Schedules[1].State != provision.Outdated || len(report.Notes) != 1 || !strings.Contains(report.Notes[0], older.ID()) {
		t.Errorf("encrypted with an older key: %+v, %v", report, err)
	}
}

// A busy server cuts questions off: each is asked three times.
func TestSchedulesOfABusyServer(t *testing.T) {
	t.Parallel()
	for busy, kind := range map[int]domain.Kind{2: "", 3: domain.KindUnavailable} {
		s := &server{schedules: map[string]*client.ScheduleOptions{}}
		parts := provision.Parts{Schedules: s, Current: func(*common.Payload) bool { return true }}
		s.busy = busy
		if made, err := parts.MakeSchedules(t.Context()); (err == nil) != (kind == "") || (err != nil && domain.KindOf(err) != kind) {
			t.Errorf("cut off %d times: made %+v, %v", busy, made, err)
		}
		s.busy = busy
		if found, err := parts.FindSchedules(t.Context()); (err == nil) != (kind == "") || (err != nil && domain.KindOf(err) != kind) {
			t.Errorf("cut off %d times: found %+v, %v", busy, found, err)
		}
	}
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
	if s.schedules == nil {
		s.schedules = map[string]*client.ScheduleOptions{}
	}
	return provision.Run(t.Context(), provision.Parts{
		Migrate:    func(context.Context) (int64, error) { return 7, nil },
		Namespace:  namespace,
		Namespaces: s,
		Attributes: s,
		Schedules:  s,
		Current:    func(payload *common.Payload) bool { return string(payload.GetData()) == "current" },
	})
}

func TestSetupFromNothingAndAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{usableAt: time.Now().Add(20 * time.Second), busy: 2}
		report, err := run(t, s, "parley")
		if err != nil || !report.Ready || report.SchemaVersion != 7 {
			t.Fatalf("got %+v, %v", report, err)
		}
		if s.retention != 30*24*time.Hour || report.Namespace.State != provision.Created {
			t.Errorf("namespace: %+v, retention %s", report.Namespace, s.retention)
		}
		want := []string{"register parley", "add ParleyOwner Keyword", "add ParleyStage Keyword", "add ParleyOutcome Keyword"}
		for _, schedule := range contract.Schedules() {
			want = append(want, "schedule "+schedule.ID())
		}
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

// A schedule that another version made, or somebody changed, becomes what this version wants; that it is paused stays so.
func TestSchedulesFollowTheVersion(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*client.ScheduleOptions){
		"another interval": func(o *client.ScheduleOptions) { o.Spec.Intervals[0].Every = time.Hour },
		"another overlap":  func(o *client.ScheduleOptions) { o.Overlap = enums.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL },
		"a long catch-up":  func(o *client.ScheduleOptions) { o.CatchupWindow = 365 * 24 * time.Hour },
		"another workflow": func(o *client.ScheduleOptions) { o.Action.(*client.ScheduleWorkflowAction).Workflow = "Other" },
		"another queue":    func(o *client.ScheduleOptions) { o.Action.(*client.ScheduleWorkflowAction).TaskQueue = "other" },
		"an older key": func(o *client.ScheduleOptions) {
			o.Action.(*client.ScheduleWorkflowAction).Args = []any{&common.Payload{Data: []byte("older")}}
		},
		"without a time-out": func(o *client.ScheduleOptions) { o.Action.(*client.ScheduleWorkflowAction).WorkflowRunTimeout = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &server{retention: time.Hour, paused: true}
			if _, err := run(t, s, "parley"); err != nil {
				t.Fatal(err)
			}
			wanted := contract.Schedules()[0]
			there := s.schedules[wanted.ID()]
			made := *there
			action := *there.Action.(*client.ScheduleWorkflowAction)
			made.Spec.Intervals, there.Action = slices.Clone(made.Spec.Intervals), &action
			change(there)
			report, err := run(t, s, "parley")
			if err != nil || !report.Ready || report.Schedules[0] != (provision.Schedule{Name: wanted.ID(), State: provision.Updated}) {
				t.Fatalf("got %+v, %v", report, err)
			}
			if !reflect.DeepEqual(*there, made) || !s.paused {
				t.Errorf("it is %+v (paused: %t), want %+v, paused", *there, s.paused, made)
			}
		})
	}
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
		"no schedules": {
			server: server{retention: month, attributes: keywords, createErr: denied}, namespace: "parley",
			commands: scheduleCommands("parley"),
		},
		"it may make schedules, and not change them": {
			server:    server{retention: month, attributes: keywords, createErr: temporal.ErrScheduleAlreadyRunning, updateErr: denied},
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

func scheduleCommands(namespace string) []string {
	var commands []string
	for _, s := range contract.Schedules() {
		commands = append(commands, "temporal schedule create --namespace "+namespace+" --schedule-id "+s.ID()+" --interval "+s.Every.String()+
			" --overlap-policy Skip --catchup-window 1m0s --workflow-id "+s.ID()+" --type Upkeep --task-queue parley-workflow --run-timeout 10m0s"+
			` --input '{"job":"`+s.Job.Name+`"}'`)
	}
	return commands
}

func TestSetupFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		server server
		kind   domain.Kind
	}{
		"a search attribute of another type": {
			server{retention: time.Hour, attributes: all(enums.INDEXED_VALUE_TYPE_TEXT)}, domain.KindConflict},
		"no server":    {server{describeErr: serviceerror.NewUnavailable("gone")}, domain.KindUnavailable},
		"never usable": {server{usableAt: time.Now().AddDate(1000, 0, 0)}, domain.KindUnavailable},
		"no schedules for an odd reason": {
			server{retention: time.Hour, createErr: serviceerror.NewUnavailable("gone")}, domain.KindUnavailable},
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
