package llm_test

import (
	"strings"
	"testing"

	"parley/internal/domain"
	"parley/internal/llm"
)

// The scripted provider always says the same to the same words, and says that it is no model.
func TestScripted(t *testing.T) {
	t.Parallel()
	first, err := llm.Scripted{}.Complete(t.Context(), prompt())
	if err != nil || !strings.Contains(first.Text, words) || !strings.Contains(first.Text, "scripted") || first.Provider != "scripted" {
		t.Errorf("got %+v, %v", first, err)
	}
	second, err := llm.Scripted{}.Complete(t.Context(), prompt())
	if err != nil || second.Text != first.Text {
		t.Errorf("then %+v, %v", second, err)
	}
	if empty, err := (llm.Scripted{}).Complete(t.Context(), domain.Prompt{}); err != nil || empty.Text == "" {
		t.Errorf("to nothing: %+v, %v", empty, err)
	}
}
