// Package wrong registers an implementation under the definition of another activity: it must not compile.
package wrong

import (
	"context"

	"go.temporal.io/sdk/worker"

	"parley/contract"
)

func implement(context.Context, contract.ResolveIdentityInput) (contract.ResolveIdentityResult, error) {
	return contract.ResolveIdentityResult{}, nil
}

func register(r worker.Registry) {
	contract.ResolveAccount.Register(r, implement)
}
