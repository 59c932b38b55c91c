// Package right uses the definitions as they are meant: it has to compile.
package right

import (
	"context"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"parley/contract"
)

func call(ctx workflow.Context) (contract.ResolveAccountResult, error) {
	return contract.ResolveAccount.Do(ctx, workflow.ActivityOptions{}, contract.ResolveAccountInput{})
}

func implement(context.Context, contract.ResolveAccountInput) (contract.ResolveAccountResult, error) {
	return contract.ResolveAccountResult{}, nil
}

func run(workflow.Context, contract.InboundMessageInput) (contract.MessageResult, error) {
	return contract.MessageResult{}, nil
}

func register(r worker.Registry) {
	contract.ResolveAccount.Register(r, implement)
	contract.InboundMessage.Register(r, run)
}

func start(ctx context.Context, c client.Client) error {
	_, err := contract.InboundMessage.Start(ctx, c, client.StartWorkflowOptions{}, contract.InboundMessageInput{})
	return err
}
