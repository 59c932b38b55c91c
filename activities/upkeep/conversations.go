package upkeep

import (
	"context"

	"parley/contract"
)

// CloseIdle closes conversations in which nothing was written for their owner's time. Key: the conversation.
func (a *Activities) CloseIdle(ctx context.Context, _ contract.Nothing) (contract.UpkeepResult, error) {
	closed, err := a.store.CloseIdleConversations(ctx, idleBatch)
	return contract.UpkeepResult{Seen: closed, Done: closed, More: closed == idleBatch}, err
}
