// Package wrong registers an implementation under the definition of another workflow: it must not compile.
package wrong

import (
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"parley/contract"
)

func run(workflow.Context, contract.OutboundMessageInput) (contract.MessageResult, error) {
	return contract.MessageResult{}, nil
}

func register(r worker.Registry) {
	contract.InboundMessage.Register(r, run)
}
