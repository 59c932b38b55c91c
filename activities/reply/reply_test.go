package reply_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"parley/activities/reply"
	"parley/contract"
	"parley/internal/domain"
)

// fakeStore keeps at most one draft, as the real one does for one message.
type fakeStore struct {
	draft     *domain.Draft
	draftErr  error
	promptErr error
	saveErr   error
	saved     []domain.NewReply

	unanswered int // answers without text, before this test too
}

var _ reply.Store = (*fakeStore)(nil)

func (s *fakeStore) Draft(_ context.Context, ownerID, messageID string) (domain.Draft, error) {
	switch {
	case s.draftErr != nil:
		return domain.Draft{}, s.draftErr
	case s.draft == nil || ownerID != "owner-1" || messageID != "message-1":
		return domain.Draft{}, domain.Errorf(domain.KindNotFound, "no draft")
	default:
		return *s.draft, nil
	}
}

func (s *fakeStore) Prompt(_ context.Context, ownerID, messageID string) (domain.Prompt, error) {
	return domain.Prompt{Instructions: ownerID, Turns: []domain.Turn{{Direction: domain.Inbound, Body: messageID}}}, s.promptErr
}

func (s *fakeStore) SaveReply(_ context.Context, in domain.NewReply) (domain.SavedReply, error) {
	s.saved = append(s.saved, in)
	if s.saveErr != nil {
		return domain.SavedReply{}, s.saveErr
	}
	if in.Completion.Text == "" {
		s.unanswered++
		return domain.SavedReply{Unanswered: s.unanswered}, nil
	}
	if s.draft == nil {
		s.draft = &domain.Draft{DraftID: "draft-1", Parts: len(domain.Parts(in.Completion.Text))}
	}
	return domain.SavedReply{Draft: *s.draft}, nil
}

// fakeProvider answers its calls one after the other.
type fakeProvider struct {
	answers []func(context.Context) (domain.Completion, error)
	prompts []domain.Prompt
	within  []time.Duration
}

var _ reply.Provider = (*fakeProvider)(nil)

func (p *fakeProvider) Complete(ctx context.Context, prompt domain.Prompt) (domain.Completion, error) {
	p.prompts = append(p.prompts, prompt)
	if deadline, ok := ctx.Deadline(); ok {
		p.within = append(p.within, time.Until(deadline))
	}
	return p.answers[len(p.prompts)-1](ctx)
}

func says(text string) func(context.Context) (domain.Completion, error) {
	return func(context.Context) (domain.Completion, error) {
		return domain.Completion{Text: text, Provider: "fake", Model: "m", InputTokens: 3, OutputTokens: 4}, nil
	}
}

func fails(err error) func(context.Context) (domain.Completion, error) {
	return func(context.Context) (domain.Completion, error) { return domain.Completion{}, err }
}

func generate(t *testing.T, store *fakeStore, provider *fakeProvider, timeout time.Duration) (contract.Draft, error) {
	t.Helper()
	in := contract.GenerateInput{OwnerID: "owner-1", MessageID: "message-1", Timeout: timeout}
	return reply.New(store, provider, nil).Generate(t.Context(), in)
}

func TestGenerate(t *testing.T) {
	t.Parallel()
	down := domain.Errorf(domain.KindUnavailable, "down")
	stored := contract.Draft{DraftID: "stored", Parts: 2}
	type answers = []func(context.Context) (domain.Completion, error)
	for name, test := range map[string]struct {
		store   fakeStore
		answers answers
		want    contract.Draft
		kind    domain.Kind
		saved   int
	}{
		"answered":               {answers: answers{says("hello")}, want: contract.Draft{DraftID: "draft-1", Parts: 1}, saved: 1},
		"stored before":          {store: fakeStore{draft: &stored}, want: stored},
		"drafts not readable":    {store: fakeStore{draftErr: down}, kind: domain.KindUnavailable},
		"prompt not readable":    {store: fakeStore{promptErr: down}, kind: domain.KindUnavailable},
		"empty":                  {answers: answers{says("")}, kind: domain.KindUnavailable, saved: 1},
		"empty for the second":   {store: fakeStore{unanswered: 1}, answers: answers{says("")}, kind: domain.KindInvalid, saved: 1},
		"empty, then answered":   {store: fakeStore{unanswered: 1}, answers: answers{says("hello")}, want: contract.Draft{DraftID: "draft-1", Parts: 1}, saved: 1},
		"down":                   {answers: answers{fails(down)}, kind: domain.KindUnavailable},
		"wrong key":              {answers: answers{fails(domain.Errorf(domain.KindConfiguration, "401"))}, kind: domain.KindConfiguration},
		"answer not storable":    {store: fakeStore{saveErr: down}, answers: answers{says("hello")}, kind: domain.KindUnavailable, saved: 1},
		"empty and not storable": {store: fakeStore{saveErr: down}, answers: answers{says("")}, kind: domain.KindUnavailable, saved: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			provider := &fakeProvider{answers: test.answers}
			got, err := generate(t, &test.store, provider, time.Minute)
			if test.kind == "" && err != nil || test.kind != "" && domain.KindOf(err) != test.kind || got != test.want {
				t.Errorf("got %+v, %v, want %+v, %q", got, err, test.want, test.kind)
			}
			if len(provider.prompts) != len(test.answers) || len(test.store.saved) != test.saved {
				t.Errorf("asked %d times and saved %d, want %d and %d", len(provider.prompts), len(test.store.saved), len(test.answers), test.saved)
			}
			for i, prompt := range provider.prompts {
				if prompt.Instructions != "owner-1" || len(prompt.Turns) != 1 || provider.within[i] <= 0 || provider.within[i] > time.Minute {
					t.Errorf("asked with %+v, given %s", prompt, provider.within[i])
				}
			}
			for _, saved := range test.store.saved {
				if saved.OwnerID != "owner-1" || saved.MessageID != "message-1" || saved.Completion.InputTokens != 3 {
					t.Errorf("saved %+v", saved)
				}
			}
		})
	}
}

// A second execution finds the draft of the first: the model is asked once, and the person gets one answer.
func TestGenerateTwice(t *testing.T) {
	t.Parallel()
	store, provider := &fakeStore{}, &fakeProvider{answers: []func(context.Context) (domain.Completion, error){says("one"), says("two")}}
	first, err := generate(t, store, provider, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	second, err := generate(t, store, provider, time.Minute)
	if err != nil || first != second || len(provider.prompts) != 1 {
		t.Errorf("first %+v, then %+v, %v, after %d calls of the model", first, second, err, len(provider.prompts))
	}
}

// A model that hangs is left after the owner's time, with the provider's own error.
func TestGenerateTimesOut(t *testing.T) {
	t.Parallel()
	slow := func(ctx context.Context) (domain.Completion, error) {
		<-ctx.Done()
		return domain.Completion{}, &domain.Error{Kind: domain.KindUnavailable, Message: "time-out", Err: ctx.Err()}
	}
	provider := &fakeProvider{answers: []func(context.Context) (domain.Completion, error){slow}}
	_, err := generate(t, &fakeStore{}, provider, 50*time.Millisecond)
	if domain.KindOf(err) != domain.KindUnavailable || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the provider's time-out", err)
	}
}

// What a call cost is stored with it, whether it gave a text or not; without a price it is not known, which is not nothing.
func TestGenerateCosts(t *testing.T) {
	t.Parallel()
	price, err := domain.ParseModelPrice("2", "3", "EUR")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		price *domain.ModelPrice
		text  string
		want  string
	}{
		"answered":            {&price, "hello", "0.000018 EUR"}, // 3 tokens in, 4 out
		"without a text":      {&price, "", "0.000018 EUR"},
		"the price not known": {nil, "hello", "not known"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, provider := &fakeStore{}, &fakeProvider{answers: []func(context.Context) (domain.Completion, error){says(test.text)}}
			_, _ = reply.New(store, provider, test.price).Generate(t.Context(), contract.GenerateInput{OwnerID: "owner-1", MessageID: "message-1", Timeout: time.Minute})
			got := "not known"
			if cost := store.saved[0].Completion.Cost; cost != nil {
				got = cost.String()
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
