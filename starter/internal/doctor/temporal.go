package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"

	"parley/contract"
	"parley/internal/domain"
	"parley/starter/internal/fault"
	"parley/starter/internal/provision"
)

const (
	temporal         = "temporal"
	namespace        = "namespace"
	searchAttributes = "search attributes"
	workers          = "workers"
	parked           = "parked flows"
)

// System is the part of Temporal's workflow service that tells about the server.
type System interface {
	GetSystemInfo(context.Context, *workflowservice.GetSystemInfoRequest, ...grpc.CallOption) (*workflowservice.GetSystemInfoResponse, error)
}

// Temporal looks whether the server at an address answers.
func Temporal(address string, system System) Check {
	return Check{Name: temporal, Look: func(ctx context.Context) Finding {
		info, err := system.GetSystemInfo(ctx, &workflowservice.GetSystemInfoRequest{})
		if err = fault.From(err, "Temporal at %s", address); err != nil {
			if unavailable(err) {
				return failed("start it, and see that TEMPORAL_ADDRESS and TEMPORAL_TLS fit it and that no firewall stands between", "%s", err)
			}
			return failed("compare TEMPORAL_API_KEY, or the client certificate, with what the server knows", "%s", err)
		}
		return found("server %s at %s", info.GetServerVersion(), address)
	}}
}

// Provisioned finds what setup makes in Temporal.
type Provisioned interface {
	FindNamespace(context.Context) (provision.Namespace, error)
	FindAttributes(context.Context) ([]provision.Attribute, error)
	FindSchedules(context.Context) ([]provision.Found, error)
}

// Namespace looks whether the namespace is there and keeps closed flows long enough.
func Namespace(p Provisioned) Check {
	return Check{Name: namespace, Needs: []string{temporal}, Look: func(ctx context.Context) Finding {
		is, err := p.FindNamespace(ctx)
		if err != nil && domain.KindOf(err) == domain.KindNotFound {
			return failed("run starter setup, or let TEMPORAL_NAMESPACE name another one", "%s", err)
		}
		if err != nil {
			return failed("try again; if it stays so, the server's log has the reason", "%s", err)
		}
		if is.State == provision.Missing {
			return failed("let somebody who may give this account access to it, or let TEMPORAL_NAMESPACE name another one",
				"this account may not use namespace %s, if it exists", is.Name)
		}
		if is.RetentionDays == 0 {
			return found("%s; for how long it keeps closed flows, this account may not see", is.Name)
		}
		f := found("%s, keeps closed flows for %d days", is.Name, is.RetentionDays)
		if command := provision.LongerRetention(is); command != "" {
			f.warn("run "+command, "after so long Temporal forgets a message that it has seen; only the database refuses it then")
		}
		return f
	}}
}

// SearchAttributes looks whether the namespace has them all, with the right type.
func SearchAttributes(p Provisioned) Check {
	return Check{Name: searchAttributes, Needs: []string{namespace}, Look: func(ctx context.Context) Finding {
		attributes, err := p.FindAttributes(ctx)
		switch {
		case err != nil && domain.KindOf(err) == domain.KindConflict:
			return failed("let TEMPORAL_NAMESPACE name a namespace of Parley's own, and run starter setup", "%s", err)
		case err != nil:
			return failed("try again; if it stays so, the server's log has the reason", "%s", err)
		}
		var there, missing []string
		for _, attribute := range attributes {
			if attribute.State == provision.Missing {
				missing = append(missing, attribute.Name)
			} else {
				there = append(there, attribute.Name)
			}
		}
		f := found("%s", strings.Join(there, ", "))
		if len(missing) > 0 {
			f.fail("run starter setup", "missing: %s", strings.Join(missing, ", "))
		}
		return f
	}}
}

// Queues tells about task queues.
type Queues interface {
	DescribeTaskQueue(ctx context.Context, queue string, kind enums.TaskQueueType) (*workflowservice.DescribeTaskQueueResponse, error)
}

// awake is how long ago a worker that lives has asked for work at most: it asks again after a minute. The server tells of
// each for some minutes more, however it ended.
const awake = 90 * time.Second

// Workers looks whether some worker takes the work of each role.
func Workers(queues Queues) Check {
	return Check{Name: workers, Needs: []string{namespace}, Look: func(ctx context.Context) Finding {
		var f Finding
		var counts []string
		for _, role := range contract.Roles() {
			n, err := processes(ctx, queues, role, time.Now().Add(-awake))
			if err != nil {
				f.fail("try again; if it stays so, the server's log has the reason", "%s", err)
				break
			}
			counts = append(counts, fmt.Sprintf("%s %d", role, n))
			if n == 0 {
				f.fail("start one: worker -role "+string(role), "no worker has the role %s: flows wait there", role)
			}
		}
		f.Found = "processes: " + strings.Join(counts, ", ")
		return f
	}}
}

// processes counts the worker processes that have asked for a role's work since a time.
func processes(ctx context.Context, queues Queues, role contract.Role, since time.Time) (int, error) {
	kind := enums.TASK_QUEUE_TYPE_ACTIVITY
	if role == contract.RoleWorkflow {
		kind = enums.TASK_QUEUE_TYPE_WORKFLOW
	}
	description, err := queues.DescribeTaskQueue(ctx, role.Queue(), kind)
	if err != nil {
		return 0, fault.From(err, "look at task queue %s", role.Queue())
	}
	var identities []string
	for _, poller := range description.GetPollers() {
		if poller.GetLastAccessTime().AsTime().After(since) {
			identities = append(identities, poller.GetIdentity())
		}
	}
	slices.Sort(identities)
	return len(slices.Compact(identities)), nil
}

// Parked counts the flows that wait for a person.
func Parked(count func(context.Context) (int64, error)) Check {
	return Check{Name: parked, Needs: []string{searchAttributes}, Look: func(ctx context.Context) Finding {
		n, err := count(ctx)
		if err != nil {
			return failed("try again; if it stays so, the server's log has the reason", "%s", err)
		}
		f := found("%d", n)
		if n > 0 {
			f.warn("see starter parked, mend the cause, and starter retry ID", "flows that wait for a person: %d", n)
		}
		return f
	}}
}
