// Package provision makes what Parley needs outside its own processes: the schema of its database, Temporal's namespace
// with its search attributes, and the schedules that run upkeep.
//
// It may run any number of times and at once: what is there is left as it is. What this account may not create, as on
// Temporal Cloud, becomes a command for somebody who may.
package provision

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"parley/contract"
	"parley/internal/domain"
	"parley/starter/internal/fault"
)

// Retention is how long a namespace of ours keeps closed flows: for so long Temporal itself refuses a message that it
// has seen; after it only the database does.
const Retention = 30 * 24 * time.Hour

const (
	callWithin = 10 * time.Second
	tryEvery   = 500 * time.Millisecond
	// Frontends learn of a new namespace within 10 s and of new search attributes within 60 s.
	usableWithin = 90 * time.Second
)

// Namespaces is the part of Temporal's workflow service that this needs.
type Namespaces interface {
	DescribeNamespace(context.Context, *workflowservice.DescribeNamespaceRequest, ...grpc.CallOption) (*workflowservice.DescribeNamespaceResponse, error)
	RegisterNamespace(context.Context, *workflowservice.RegisterNamespaceRequest, ...grpc.CallOption) (*workflowservice.RegisterNamespaceResponse, error)
	CountWorkflowExecutions(context.Context, *workflowservice.CountWorkflowExecutionsRequest, ...grpc.CallOption) (*workflowservice.CountWorkflowExecutionsResponse, error)
}

// Attributes is the part of Temporal's operator service that this needs.
type Attributes interface {
	ListSearchAttributes(context.Context, *operatorservice.ListSearchAttributesRequest, ...grpc.CallOption) (*operatorservice.ListSearchAttributesResponse, error)
	AddSearchAttributes(context.Context, *operatorservice.AddSearchAttributesRequest, ...grpc.CallOption) (*operatorservice.AddSearchAttributesResponse, error)
}

// Parts are what there is to set up.
type Parts struct {
	Migrate    func(context.Context) (version int64, err error)
	Namespace  string
	Namespaces Namespaces
	Attributes Attributes
	Schedules  Schedules
	Current    func(*common.Payload) bool // a payload is encrypted as payloads are now
}

// State says what became of one thing.
type State string

// The states of a thing.
const (
	Exists  State = "exists"  // it was there
	Created State = "created" // by this run
	Updated State = "updated" // it was there, and another version's or encrypted with an older key
	Missing State = "missing" // this account may not create it

	// Outdated is another version's or encrypted with an older key, and this account may not change it.
	Outdated State = "outdated"
)

// Report is what was found and made.
type Report struct {
	SchemaVersion    int64       `json:"schema_version"`
	Namespace        Namespace   `json:"namespace"`
	SearchAttributes []Attribute `json:"search_attributes"`
	Schedules        []Schedule  `json:"schedules"`
	Commands         []string    `json:"commands"` // for somebody who may mend what is missing or noted
	Notes            []string    `json:"notes"`
	Ready            bool        `json:"ready"` // nothing is missing
}

// Namespace is Temporal's namespace. RetentionDays is 0 where this account may not see it.
type Namespace struct {
	Name          string `json:"name"`
	State         State  `json:"state"`
	RetentionDays int    `json:"retention_days,omitempty"`
}

// Attribute is a search attribute, always of the type Keyword.
type Attribute struct {
	Name  string `json:"name"`
	State State  `json:"state"`
}

// Run sets everything up and waits until it can be used. A report that is not Ready names what is missing. It returns
// KindConflict where a search attribute has another type than ours, and KindUnavailable where a server does not answer.
func Run(ctx context.Context, parts Parts) (Report, error) {
	report := Report{Commands: []string{}, Notes: []string{}, SearchAttributes: []Attribute{}, Schedules: []Schedule{}}
	var err error
	if report.SchemaVersion, err = parts.Migrate(ctx); err != nil {
		return Report{}, err
	}
	p := provisioner{parts}
	if report.Namespace, err = p.namespace(ctx); err != nil {
		return Report{}, err
	}
	if report.SearchAttributes, err = p.searchAttributes(ctx, report.Namespace.State); err != nil {
		return Report{}, err
	}
	if report.Ready = p.explain(&report); !report.Ready {
		return report, nil
	}
	if err := p.waitUntilUsable(ctx); err != nil {
		return Report{}, err
	}
	if report.Schedules, err = p.MakeSchedules(ctx); err != nil {
		return Report{}, err
	}
	for i, wanted := range contract.Schedules() {
		switch report.Schedules[i].State {
		case Missing:
			report.Commands, report.Ready = append(report.Commands, createSchedule(p.Namespace, wanted)), false
		case Outdated:
			report.Notes = append(report.Notes, fmt.Sprintf("schedule %s is another version's, or encrypted with an older key, and this account may not change it", wanted.ID()))
		case Exists, Created, Updated:
		}
	}
	return report, nil
}

type provisioner struct{ Parts }

// FindNamespace looks for the namespace, and makes none. It returns KindNotFound where there is none; Missing is one that this
// account may neither look at nor use.
func (p Parts) FindNamespace(ctx context.Context) (Namespace, error) {
	found := Namespace{Name: p.Namespace, State: Exists}
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	description, err := p.Namespaces.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: p.Namespace})
	switch {
	case err == nil:
		found.RetentionDays = days(description.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration())
		return found, nil
	case fault.Is(err, codes.NotFound):
		return Namespace{}, domain.Errorf(domain.KindNotFound, "namespace %s does not exist", p.Namespace)
	case forbidden(err):
		// It may be there all the same: an account that may use it need not be one that may look at its settings.
		if err := p.answers(ctx, ""); err != nil {
			found.State = Missing
		}
		return found, nil
	default:
		return Namespace{}, fault.From(err, "look at namespace %s", p.Namespace)
	}
}

func (p provisioner) namespace(ctx context.Context) (Namespace, error) {
	found, err := p.FindNamespace(ctx)
	if err != nil && domain.KindOf(err) == domain.KindNotFound {
		return p.register(ctx)
	}
	return found, err
}

func (p provisioner) register(ctx context.Context) (Namespace, error) {
	made := Namespace{Name: p.Namespace, State: Created, RetentionDays: days(Retention)}
	_, err := p.Namespaces.RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace:                        p.Namespace,
		Description:                      "Parley: one workflow a message",
		WorkflowExecutionRetentionPeriod: durationpb.New(Retention),
	})
	switch {
	case fault.Is(err, codes.AlreadyExists): // another run was faster
		made.State = Exists
	case forbidden(err):
		made.State, made.RetentionDays = Missing, 0
	case err != nil:
		return Namespace{}, fault.From(err, "register namespace %s", p.Namespace)
	}
	return made, nil
}

func (p provisioner) searchAttributes(ctx context.Context, namespace State) ([]Attribute, error) {
	var attributes []Attribute
	for _, name := range contract.SearchAttributes() {
		attributes = append(attributes, Attribute{name, Missing})
	}
	if namespace == Missing {
		return attributes, nil
	}
	for i := range attributes {
		err := p.eventually(ctx, "search attribute "+attributes[i].Name, func(ctx context.Context) (err error) {
			attributes[i].State, err = p.searchAttribute(ctx, attributes[i].Name)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return attributes, nil
}

func (p provisioner) searchAttribute(ctx context.Context, name string) (State, error) {
	there, err := p.hasAttribute(ctx, name)
	if err != nil || there {
		return Exists, err
	}
	_, err = p.Attributes.AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
		Namespace:        p.Namespace,
		SearchAttributes: map[string]enums.IndexedValueType{name: enums.INDEXED_VALUE_TYPE_KEYWORD},
	})
	switch {
	case fault.Is(err, codes.AlreadyExists): // another run was faster
		return Exists, nil
	case forbidden(err):
		return Missing, nil
	default:
		return Created, err
	}
}

// FindAttributes looks for the search attributes in a namespace that exists, and makes none. It returns KindConflict where
// one has another type than ours.
func (p Parts) FindAttributes(ctx context.Context) ([]Attribute, error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	var attributes []Attribute
	for _, name := range contract.SearchAttributes() {
		there, err := p.hasAttribute(ctx, name)
		if err != nil {
			return nil, fault.From(err, "look for search attribute %s", name)
		}
		attributes = append(attributes, Attribute{name, map[bool]State{true: Exists, false: Missing}[there]})
	}
	return attributes, nil
}

func (p Parts) hasAttribute(ctx context.Context, name string) (bool, error) {
	list, err := p.Attributes.ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: p.Namespace})
	if forbidden(err) {
		return p.answers(ctx, equals(name)) == nil, nil
	}
	if err != nil {
		return false, err
	}
	kind, there := list.GetCustomAttributes()[name]
	if there && kind != enums.INDEXED_VALUE_TYPE_KEYWORD {
		return false, domain.Errorf(domain.KindConflict,
			"search attribute %s of namespace %s has the type %s; Parley needs Keyword", name, p.Namespace, kind)
	}
	return there, nil
}

// waitUntilUsable asks as a flow's start would: by every search attribute.
func (p provisioner) waitUntilUsable(ctx context.Context) error {
	var conditions []string
	for _, name := range contract.SearchAttributes() {
		conditions = append(conditions, equals(name))
	}
	query := strings.Join(conditions, " AND ")
	return p.eventually(ctx, "namespace "+p.Namespace, func(ctx context.Context) error {
		return p.answers(ctx, query)
	})
}

// answers reports whether the namespace understands a query of the visibility list.
func (p Parts) answers(ctx context.Context, query string) error {
	_, err := p.Namespaces.CountWorkflowExecutions(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: p.Namespace, Query: query})
	return err
}

// eventually tries until the server has learned of what was just made.
func (p provisioner) eventually(ctx context.Context, what string, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, usableWithin)
	defer cancel()
	ticker := time.NewTicker(tryEvery)
	defer ticker.Stop()
	for {
		call, done := context.WithTimeout(ctx, callWithin)
		err := try(call)
		done()
		if !learning(err) {
			return fault.From(err, "%s", what)
		}
		select {
		case <-ctx.Done():
			return domain.Errorf(domain.KindUnavailable, "%s is not usable after %s: %w", what, usableWithin, err)
		case <-ticker.C:
		}
	}
}

// learning reports whether a server may say this while it does not know of something yet.
func learning(err error) bool {
	return busy(err) || fault.Is(err, codes.NotFound, codes.InvalidArgument, codes.Internal)
}

// busy reports whether a server may say this that did not get to what was asked.
func busy(err error) bool {
	return fault.Is(err, codes.Canceled, codes.DeadlineExceeded, codes.Unavailable)
}

// forbidden reports whether this account may not do what was asked, here or anywhere: Temporal Cloud has no operator
// service for its users.
func forbidden(err error) bool { return fault.Is(err, codes.PermissionDenied, codes.Unimplemented) }

func equals(name string) string { return fmt.Sprintf("%s = 'none'", name) }

func days(d time.Duration) int { return int(d / (24 * time.Hour)) }

// explain adds what somebody else must do, and reports whether everything is there.
func (p provisioner) explain(report *Report) bool {
	if report.Namespace.State == Missing {
		report.Commands = append(report.Commands, createNamespace(p.Namespace))
	}
	var missing []string
	for _, attribute := range report.SearchAttributes {
		if attribute.State == Missing {
			missing = append(missing, attribute.Name)
		}
	}
	if len(missing) > 0 {
		report.Commands = append(report.Commands, createAttributes(p.Namespace, missing))
	}
	complete := len(report.Commands) == 0
	if command := LongerRetention(report.Namespace); command != "" {
		report.Notes = append(report.Notes, fmt.Sprintf(
			"Parley wants closed flows to be kept for %d days: until then Temporal itself refuses a message it has seen", days(Retention)))
		report.Commands = append(report.Commands, command)
	}
	return complete
}
