// Package wrong starts a workflow with the input of another: it must not compile.
package wrong

import (
	"context"

	"go.temporal.io/sdk/client"

	"parley/contract"
)

func start(ctx context.Context, c client.Client) error {
	_, err := contract.InboundMessage.Start(ctx, c, client.StartWorkflowOptions{}, contract.OutboundMessageInput{})
	return err
}
