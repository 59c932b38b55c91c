package contract_test

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"parley/contract"
)

// TestWrongTypesDoNotCompile builds small packages against the definitions. Through the bare SDK each wrong one would
// compile, and its activity or workflow would run with a zero struct.
func TestWrongTypesDoNotCompile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ folder, refusal string }{
		{"right", ""},
		{"wrong_input", "cannot use contract.ResolveIdentityInput{}"},
		{"wrong_result", "cannot use contract.ResolveAccount.Start"},
		{"wrong_implementation", "cannot use implement"},
		{"wrong_workflow_input", "cannot use contract.OutboundMessageInput{}"},
		{"wrong_workflow_implementation", "cannot use run"},
	} {
		t.Run(c.folder, func(t *testing.T) {
			t.Parallel()
			out, err := exec.CommandContext(t.Context(), "go", "build", "./testdata/"+c.folder).CombinedOutput()
			var failed *exec.ExitError
			if err != nil && !errors.As(err, &failed) {
				t.Fatal(err)
			}
			if c.refusal == "" && err != nil {
				t.Errorf("it does not compile:\n%s", out)
			}
			if c.refusal != "" && (err == nil || !strings.Contains(string(out), c.refusal)) {
				t.Errorf("want the compiler to say %q, got %v:\n%s", c.refusal, err, out)
			}
		})
	}
}

// TestActivityRunsByItsDefinition calls a definition in a workflow and sees name, queue, argument and result arrive.
func TestActivityRunsByItsDefinition(t *testing.T) {
	t.Parallel()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(time.Minute)
	env.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: time.Minute}) // compilers run beside this test
	contract.ResolveAccount.Register(env, func(_ context.Context, in contract.ResolveAccountInput) (contract.ResolveAccountResult, error) {
		return contract.ResolveAccountResult{OwnerID: "owner of " + in.AccountSid}, nil
	})
	var name, queue string
	env.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, _ converter.EncodedValues) {
		name, queue = info.ActivityType.Name, info.TaskQueue
	})
	env.ExecuteWorkflow(func(ctx workflow.Context) (contract.ResolveAccountResult, error) {
		return contract.ResolveAccount.Do(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute}, contract.ResolveAccountInput{AccountSid: "AC1"})
	})
	var result contract.ResolveAccountResult
	if err := env.GetWorkflowResult(&result); err != nil || result.OwnerID != "owner of AC1" {
		t.Errorf("got %+v, %v", result, err)
	}
	if name != "account.Resolve" || queue != "parley-account" {
		t.Errorf("ran %q on %q", name, queue)
	}
}
