package main

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"parley/contract"
	"parley/internal/domain"
	"parley/workflows"
)

// The parts need no implementation to be registered: a method of a nil pointer is a function too.
var nobody parts

// Every schedule's job is a definition of the contract: what the flow Upkeep calls by its name exists.
func TestSchedulesRunJobs(t *testing.T) {
	t.Parallel()
	jobs, ids := defined(t), map[string]bool{}
	for _, schedule := range contract.Schedules() {
		if jobs[schedule.Job.Name] != contract.RoleUpkeep || schedule.Every < time.Minute || ids[schedule.ID()] {
			t.Errorf("%s every %s: want a job of the role upkeep, once, at most every minute", schedule.ID(), schedule.Every)
		}
		ids[schedule.ID()] = true
	}
	for name, role := range jobs {
		if role == contract.RoleUpkeep && !ids[name] {
			t.Errorf("no schedule runs %s", name)
		}
	}
}

// Every definition of the contract is registered under one role, its own, on a real worker, which refuses a name that it has.
func TestEveryDefinitionHasOneRole(t *testing.T) {
	t.Parallel()
	c, err := client.NewLazyClient(client.Options{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	registered := map[string][]contract.Role{}
	for _, role := range contract.Roles() {
		r := &recorder{Registry: worker.New(c, role.Queue(), options(role, 10, func(error) {}))}
		if err := register(r, role, nobody); err != nil {
			t.Fatal(err)
		}
		if len(r.names) == 0 {
			t.Errorf("the role %s has nothing to do", role)
		}
		for _, name := range r.names {
			registered[name] = append(registered[name], role)
		}
	}
	want := defined(t)
	for name, roles := range registered {
		if len(roles) != 1 || roles[0] != want[name] {
			t.Errorf("%s is registered under %v, the contract says %q", name, roles, want[name])
		}
	}
	for name := range want {
		if registered[name] == nil {
			t.Errorf("%s is registered nowhere", name)
		}
	}
}

func TestNameTwicePanics(t *testing.T) {
	t.Parallel()
	c, err := client.NewLazyClient(client.Options{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w := worker.New(c, contract.RoleBilling.Queue(), options(contract.RoleBilling, 10, func(error) {}))
	_ = register(w, contract.RoleBilling, nobody) // panics the second time
	defer func() {
		if recover() == nil {
			t.Error("a worker took the same names twice: the test above would not notice")
		}
	}()
	_ = register(w, contract.RoleBilling, nobody) // panics the second time
}

// A worker that is told to stop lets its longest step end: its stop time-out is longer than any StartToClose of its role.
func TestStopOutlastsTheLongestStep(t *testing.T) {
	t.Parallel()
	longest := map[string]time.Duration{}
	for name, in := range map[string]any{
		contract.InboundMessage.Name: contract.InboundMessageInput{Received: contract.Received{
			AccountSid: "AC1", MessageSid: "SM1", From: "+15550100002", To: "+15550100001", Body: "hello", ReceivedAt: time.Now(),
		}},
		contract.OutboundMessage.Name: contract.OutboundMessageInput{OwnerID: "owner-1", StartedAt: time.Now()},
		contract.Upkeep.Name:          contract.UpkeepInput{Job: contract.CloseEnded.Name},
	} {
		env := everyStep(t, func(info activity.Info) {
			longest[info.TaskQueue] = max(longest[info.TaskQueue], info.StartToCloseTimeout)
		})
		env.RegisterDelayedCallback(func() { env.SignalWorkflow(contract.RetryCommand, contract.Command{}) }, time.Minute)
		env.ExecuteWorkflow(name, in)
		if err := env.GetWorkflowError(); err != nil {
			t.Fatal(err)
		}
	}
	for _, role := range contract.Roles() {
		step, ran := longest[role.Queue()]
		if !ran && role != contract.RoleWorkflow {
			t.Errorf("no step of the role %s ran", role)
		}
		if stop := options(role, 10, func(error) {}).WorkerStopTimeout; stop <= step {
			t.Errorf("%s: stops within %s, but a step may take %s", role, stop, step)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, role := range contract.Roles() {
		failed := false
		o := options(role, 7, func(error) { failed = true })
		if o.OnFatalError(nil); !failed {
			t.Errorf("%s: a fatal error does not end the process", role)
		}
		if decides := role == contract.RoleWorkflow; o.DisableWorkflowWorker == decides || o.LocalActivityWorkerOnly != decides {
			t.Errorf("%s: %+v, want decisions in the workflow role alone", role, o)
		}
		if o.MaxConcurrentActivityExecutionSize != 7 || !o.DisableRegistrationAliasing || len(o.Interceptors) != 2 {
			t.Errorf("%s: %+v", role, o)
		}
	}
}

// everyStep returns an environment in which a flow meets every step that it can: the first send parks it, and nobody tells the delivery.
func everyStep(t *testing.T, saw func(activity.Info)) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(quiet())
	env := suite.NewTestWorkflowEnvironment()
	env.SetStartTime(time.Now())
	env.SetTestTimeout(time.Minute)
	env.SetWorkerOptions(worker.Options{
		Interceptors: options(contract.RoleBilling, 1, nil).Interceptors, DeadlockDetectionTimeout: time.Minute, // compilers run beside this test
	})
	env.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, _ converter.EncodedValues) { saw(*info) })
	contract.InboundMessage.Register(env, workflows.InboundMessage)
	contract.OutboundMessage.Register(env, workflows.OutboundMessage)
	contract.Upkeep.Register(env, workflows.Upkeep)
	timing := domain.DefaultSettings(domain.English).Timing
	answer(env, contract.ResolveAccount, contract.ResolveAccountResult{OwnerID: "owner-1", Timing: timing})
	answer(env, contract.RecordInbound, contract.Recorded{MessageID: "m", ReplyState: domain.ReplyPending})
	answer(env, contract.RecordOutbound, contract.Recorded{MessageID: "m", ReplyState: domain.ReplyPending, Parts: 1})
	answer(env, contract.ResolveIdentity, contract.ResolveIdentityResult{})
	answer(env, contract.Reserve, contract.ReserveResult{State: domain.QuotaGranted})
	answer(env, contract.Generate, contract.Draft{DraftID: "d", Parts: 1})
	answer(env, contract.Settle, contract.SettleResult{})
	answer(env, contract.FetchStatus, contract.FetchStatusResult{Status: domain.StatusDelivered})
	answer(env, contract.ParkMessage, contract.Nothing{})
	answer(env, contract.Finish, contract.Finished{Outcome: domain.OutcomeReplied})
	answer(env, contract.CloseEnded, contract.UpkeepResult{})
	answer(env, contract.CloseIdle, contract.UpkeepResult{})
	answer(env, contract.FetchPrices, contract.UpkeepResult{})
	contract.Send.Register(env, func(_ context.Context, in contract.SendInput) (contract.SendResult, error) {
		if in.Attempt == 1 {
			return contract.SendResult{}, domain.Errorf(domain.KindConfiguration, "no token")
		}
		return contract.SendResult{State: contract.SendAccepted, Attempt: in.Attempt, Status: domain.StatusQueued}, nil
	})
	return env
}

func answer[In, Out any](r worker.ActivityRegistry, definition contract.Activity[In, Out], out Out) {
	definition.Register(r, func(context.Context, In) (Out, error) { return out, nil })
}

// recorder notes the names that a worker is given.
type recorder struct {
	worker.Registry
	names []string
}

func (r *recorder) RegisterActivityWithOptions(implementation any, options activity.RegisterOptions) {
	r.names = append(r.names, options.Name)
	r.Registry.RegisterActivityWithOptions(implementation, options)
}

func (r *recorder) RegisterWorkflowWithOptions(implementation any, options workflow.RegisterOptions) {
	r.names = append(r.names, options.Name)
	r.Registry.RegisterWorkflowWithOptions(implementation, options)
}

// defined reads the contract's source: the names of all definitions, with their roles. Reading it finds one that was forgotten here too.
func defined(t *testing.T) map[string]contract.Role {
	t.Helper()
	roles := map[string]contract.Role{}
	for _, role := range contract.Roles() {
		roles["Role"+strings.ToUpper(string(role[:1]))+string(role[1:])] = role
	}
	definitions := map[string]contract.Role{}
	for _, file := range []string{"activities.go", "flows.go", "upkeep.go"} {
		parsed, err := parser.ParseFile(token.NewFileSet(), "../contract/"+file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(node ast.Node) bool {
			literal, ok := node.(*ast.CompositeLit)
			if !ok {
				return true
			}
			switch generic(literal.Type) {
			case "Activity":
				definitions[text(t, literal.Elts[0])] = roles[literal.Elts[1].(*ast.Ident).Name]
			case "Workflow":
				definitions[text(t, literal.Elts[0].(*ast.KeyValueExpr).Value)] = contract.RoleWorkflow
			}
			return true
		})
	}
	if len(definitions) < 16 {
		t.Fatalf("only %d definitions were found: %v", len(definitions), slices.Sorted(maps.Keys(definitions)))
	}
	return definitions
}

// generic returns the name of a generic type with two arguments.
func generic(expression ast.Expr) string {
	if index, ok := expression.(*ast.IndexListExpr); ok {
		if name, ok := index.X.(*ast.Ident); ok {
			return name.Name
		}
	}
	return ""
}

func text(t *testing.T, expression ast.Expr) string {
	t.Helper()
	value, err := strconv.Unquote(expression.(*ast.BasicLit).Value)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func quiet() log.Logger { return log.NewStructuredLogger(slog.New(slog.DiscardHandler)) }
