// Package llm holds the providers that write replies, behind one small interface that the reply activities declare.
//
// Temporal owns the retries: a provider makes one call and says, as the kind of its error, whether another may help.
package llm

import (
	"context"
	"fmt"
	"strings"
	"time"

	"parley/internal/domain"
)

// Scripted is the provider without a model: a fixed, deterministic answer to the last turn. It needs no key and costs nothing.
type Scripted struct{}

// Complete answers the last turn of a prompt.
func (Scripted) Complete(_ context.Context, prompt domain.Prompt) (domain.Completion, error) {
	started := time.Now()
	said := ""
	if n := len(prompt.Turns); n > 0 {
		said = prompt.Turns[n-1].Body
	}
	return domain.Completion{
		Text:     fmt.Sprintf(domain.TextScripted.In(prompt.Language), said),
		Provider: "scripted", Model: "scripted",
		InputTokens: len(strings.Fields(said)), OutputTokens: 0, Latency: time.Since(started),
	}, nil
}
