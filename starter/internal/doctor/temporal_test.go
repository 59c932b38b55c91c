package doctor_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"parley/contract"
	"parley/internal/domain"
	"parley/starter/internal/doctor"
	"parley/starter/internal/provision"
)

// system is a Temporal server that says who it is, or why it does not.
type system struct{ err error }

var _ doctor.System = system{}

func (s system) GetSystemInfo(context.Context, *workflowservice.GetSystemInfoRequest, ...grpc.CallOption) (*workflowservice.GetSystemInfoResponse, error) {
	return &workflowservice.GetSystemInfoResponse{ServerVersion: "1.29.1"}, s.err
}

func TestTemporal(t *testing.T) {
	t.Parallel()
	want(t, look(t, doctor.Temporal("db:7233", system{})), doctor.OK, "1.29.1", "db:7233")
	want(t, look(t, doctor.Temporal("db:7233", system{serviceerror.NewUnavailable("nobody listens")})), doctor.Failed, "db:7233", "nobody listens", "TEMPORAL_ADDRESS")
	want(t, look(t, doctor.Temporal("db:7233", system{serviceerror.NewPermissionDenied("no", "")})), doctor.Failed, "TEMPORAL_API_KEY")
}

// provisioned is a namespace and its search attributes.
type provisioned struct {
	namespace    provision.Namespace
	namespaceErr error
	missing      string
	attributeErr error
	schedules    []provision.Found
	scheduleErr  error
}

var _ doctor.Provisioned = provisioned{}

func (p provisioned) FindNamespace(context.Context) (provision.Namespace, error) {
	return p.namespace, p.namespaceErr
}

func (p provisioned) FindAttributes(context.Context) ([]provision.Attribute, error) {
	var list []provision.Attribute
	for _, name := range contract.SearchAttributes() {
		state := provision.Exists
		if name == p.missing {
			state = provision.Missing
		}
		list = append(list, provision.Attribute{Name: name, State: state})
	}
	return list, p.attributeErr
}

func (p provisioned) FindSchedules(context.Context) ([]provision.Found, error) {
	return p.schedules, p.scheduleErr
}

func TestNamespace(t *testing.T) {
	t.Parallel()
	is := func(state provision.State, days int) provisioned {
		return provisioned{namespace: provision.Namespace{Name: "parley", State: state, RetentionDays: days}}
	}
	for name, test := range map[string]struct {
		is    provisioned
		state doctor.State
		says  []string
	}{
		"well":      {is(provision.Exists, 30), doctor.OK, []string{"parley", "30 days"}},
		"unseen":    {is(provision.Exists, 0), doctor.OK, []string{"may not see"}},
		"forgetful": {is(provision.Exists, 1), doctor.Warning, []string{"1 days", "temporal operator namespace update --namespace parley --retention 30d"}},
		"forbidden": {is(provision.Missing, 0), doctor.Failed, []string{"may not use namespace parley"}},
		"none":      {provisioned{namespaceErr: domain.Errorf(domain.KindNotFound, "namespace parley does not exist")}, doctor.Failed, []string{"does not exist", "starter setup"}},
		"away":      {provisioned{namespaceErr: domain.Errorf(domain.KindUnavailable, "gone")}, doctor.Failed, []string{"gone"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want(t, look(t, doctor.Namespace(test.is)), test.state, test.says...)
		})
	}
}

func TestSearchAttributes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		is    provisioned
		state doctor.State
		says  []string
	}{
		"well":       {provisioned{}, doctor.OK, contract.SearchAttributes()},
		"missing":    {provisioned{missing: "ParleyStage"}, doctor.Failed, []string{"missing: ParleyStage", "starter setup"}},
		"wrong type": {provisioned{attributeErr: domain.Errorf(domain.KindConflict, "it has the type Text")}, doctor.Failed, []string{"the type Text", "TEMPORAL_NAMESPACE"}},
		"away":       {provisioned{attributeErr: domain.Errorf(domain.KindUnavailable, "gone")}, doctor.Failed, []string{"gone"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want(t, look(t, doctor.SearchAttributes(test.is)), test.state, test.says...)
		})
	}
}

// queues has, for each queue, when whom asked last.
type queues map[string]map[string]time.Time

var _ doctor.Queues = queues(nil)

func (q queues) DescribeTaskQueue(_ context.Context, queue string, kind enums.TaskQueueType) (*workflowservice.DescribeTaskQueueResponse, error) {
	if q == nil {
		return nil, serviceerror.NewUnavailable("gone")
	}
	response := &workflowservice.DescribeTaskQueueResponse{}
	if (kind == enums.TASK_QUEUE_TYPE_WORKFLOW) != (queue == contract.RoleWorkflow.Queue()) {
		return response, nil // nobody asks there for this kind of task
	}
	for identity, at := range q[queue] {
		response.Pollers = append(response.Pollers, &taskqueue.PollerInfo{Identity: identity, LastAccessTime: timestamppb.New(at)})
	}
	return response, nil
}

func TestWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		q := queues{}
		for _, role := range contract.Roles() {
			q[role.Queue()] = map[string]time.Time{"1@a": now.Add(-59 * time.Second)}
		}
		q[contract.RoleReply.Queue()]["1@b"] = now
		want(t, look(t, doctor.Workers(q)), doctor.OK, "workflow 1", "reply 2")

		delete(q, contract.RoleBilling.Queue())
		q[contract.RoleMessaging.Queue()] = map[string]time.Time{"1@a": now.Add(-2 * time.Minute)} // died, and is still listed
		got := look(t, doctor.Workers(q))
		want(t, got, doctor.Failed, "no worker has the role billing", "worker -role billing", "no worker has the role messaging", "reply 2")
		if len(got.Problems) != 2 {
			t.Errorf("got %+v", got.Problems)
		}
		got = look(t, doctor.Workers(queues(nil)))
		want(t, got, doctor.Failed, "gone")
		if len(got.Problems) != 1 {
			t.Errorf("the same is said for every role: %+v", got.Problems)
		}
	})
}

func TestParked(t *testing.T) {
	t.Parallel()
	count := func(n int64, err error) doctor.Check {
		return doctor.Parked(func(context.Context) (int64, error) { return n, err })
	}
	want(t, look(t, count(0, nil)), doctor.OK, "0")
	want(t, look(t, count(3, nil)), doctor.Warning, "3", "starter parked")
	want(t, look(t, count(0, domain.Errorf(domain.KindUnavailable, "gone"))), doctor.Failed, "gone")
}

func TestEveryRoleIsAmongTheWorkers(t *testing.T) {
	t.Parallel()
	got := look(t, doctor.Workers(queues{}))
	if len(got.Problems) != len(contract.Roles()) {
		t.Errorf("got %+v", got.Problems)
	}
	for _, role := range contract.Roles() {
		if !slices.ContainsFunc(got.Problems, func(p doctor.Problem) bool { return p.Advice == "start one: worker -role "+string(role) }) {
			t.Errorf("role %s is not named", role)
		}
	}
}
