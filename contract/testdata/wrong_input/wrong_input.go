// Package wrong calls an activity with the input of another: it must not compile.
package wrong

import (
	"go.temporal.io/sdk/workflow"

	"parley/contract"
)

func call(ctx workflow.Context) (contract.ResolveAccountResult, error) {
	return contract.ResolveAccount.Do(ctx, workflow.ActivityOptions{}, contract.ResolveIdentityInput{})
}
