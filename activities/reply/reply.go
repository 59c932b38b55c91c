// Package reply holds the steps of the reply role: a model writes an answer, which is stored before its id travels.
package reply

import (
	"context"

	"parley/contract"
	"parley/internal/domain"
)

// Provider writes replies: one call, no retries of its own. An answer without text is not an error.
type Provider interface {
	Complete(context.Context, domain.Prompt) (domain.Completion, error)
}

// Store keeps drafts. Draft returns KindNotFound where none is stored.
type Store interface {
	Draft(ctx context.Context, ownerID, messageID string) (domain.Draft, error)
	Prompt(ctx context.Context, ownerID, messageID string) (domain.Prompt, error)
	SaveReply(context.Context, domain.NewReply) (domain.SavedReply, error)
}

// Activities are the steps of the reply role.
type Activities struct {
	store    Store
	provider Provider
	price    *domain.ModelPrice
}

// New returns the steps over a store and a provider, and what that costs: nil where nobody knows.
func New(store Store, provider Provider, price *domain.ModelPrice) *Activities {
	return &Activities{store, provider, price}
}

// maxUnanswered is how often a model may give no text before a person is asked: it is worth one more call, not more.
const maxUnanswered = 2

// Generate has the model answer a message, and with it every older one that is still to be answered: one call. Key: the message and what
// the reply answers: a draft that is stored already is returned, and the model is not asked. An answer without text is KindUnavailable, and tried again; the second one is KindInvalid: the flow parks.
func (a *Activities) Generate(ctx context.Context, in contract.GenerateInput) (contract.Draft, error) {
	draft, err := a.store.Draft(ctx, in.OwnerID, in.MessageID)
	if domain.KindOf(err) != domain.KindNotFound || err == nil {
		return draft, err
	}
	prompt, err := a.store.Prompt(ctx, in.OwnerID, in.MessageID)
	if err != nil {
		return contract.Draft{}, err
	}
	completion, err := a.ask(ctx, in, prompt)
	if err != nil {
		return contract.Draft{}, err
	}
	saved, err := a.store.SaveReply(ctx, domain.NewReply{
		OwnerID: in.OwnerID, MessageID: in.MessageID, Answers: prompt.Answers, Completion: completion,
	})
	switch {
	case err != nil || completion.Text != "":
		return saved.Draft, err
	case saved.Unanswered < maxUnanswered:
		return contract.Draft{}, domain.Errorf(domain.KindUnavailable, "the model gave no text")
	default:
		return contract.Draft{}, domain.Errorf(domain.KindInvalid, "the model gave no text, %d times", saved.Unanswered)
	}
}

func (a *Activities) ask(ctx context.Context, in contract.GenerateInput, prompt domain.Prompt) (domain.Completion, error) {
	ctx, cancel := context.WithTimeout(ctx, in.Timeout)
	defer cancel()
	completion, err := a.provider.Complete(ctx, prompt)
	if err == nil && a.price != nil {
		cost := a.price.Cost(completion.InputTokens, completion.OutputTokens)
		completion.Cost = &cost
	}
	return completion, err
}
