// Package wrong takes the result of an activity for that of another: it must not compile.
package wrong

import (
	"go.temporal.io/sdk/workflow"

	"parley/contract"
)

func call(ctx workflow.Context) (contract.ResolveIdentityResult, error) {
	return contract.ResolveAccount.Start(ctx, workflow.ActivityOptions{}, contract.ResolveAccountInput{}).Get(ctx)
}
