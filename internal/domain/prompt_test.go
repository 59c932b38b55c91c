package domain_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"parley/internal/domain"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"": 0, "a": 1, "four": 1, "fives": 2, "Are you open on Saturday?": 7, "ação": 2, "привет": 3, "日本語": 3, "👍": 1,
	} {
		if got := domain.Tokens(text); got != want {
			t.Errorf("%q: %d tokens, want %d", text, got, want)
		}
	}
}

func theirs(bodies ...string) (turns []domain.Turn) {
	for _, body := range bodies {
		turns = append(turns, domain.Turn{Direction: domain.Inbound, Body: body})
	}
	return turns
}

// Each turn of eight bytes costs two tokens, and four for itself.
func TestFitPrompt(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 400)
	for name, c := range map[string]struct {
		said, asked []string
		budget      int
		want        []string
	}{
		"all fits":                          {[]string{"said one", "said two"}, []string{"question"}, 100, []string{"said one", "said two", "question"}},
		"just":                              {[]string{"said one", "said two"}, []string{"question"}, 18, []string{"said one", "said two", "question"}},
		"the oldest is left out":            {[]string{"said one", "said two"}, []string{"question"}, 17, []string{"said two", "question"}},
		"no gap before what fits":           {[]string{"hi", long, "said two"}, []string{"question"}, 50, []string{"said two", "question"}},
		"nothing but the question":          {[]string{"said one"}, []string{"question"}, 11, []string{"question"}},
		"nothing was said":                  {nil, []string{"question"}, 100, []string{"question"}},
		"the question is longer than all":   {[]string{"said one"}, []string{long}, 14, []string{strings.Repeat("x", 37) + "…"}},
		"several are asked, one is longer":  {nil, []string{"one", long, "three"}, 32, []string{"one", strings.Repeat("x", 65) + "…", "three"}},
		"several are asked, all are longer": {nil, []string{long, long}, 28, []string{strings.Repeat("x", 37) + "…", strings.Repeat("x", 37) + "…"}},
		"no budget at all":                  {[]string{"said one"}, []string{"one question", "another"}, 1, []string{"o…", "a…"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, want := domain.FitPrompt(theirs(c.said...), theirs(c.asked...), c.budget), theirs(c.want...); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// A text that is cut stays one: no letter is cut in two, and it is as long as it may be.
func TestFitPromptCutsBetweenLetters(t *testing.T) {
	t.Parallel()
	for _, letter := range []string{"a", "é", "日", "👍"} {
		text := strings.Repeat(letter, 100)
		for budget := 5; budget < 40; budget++ {
			body := domain.FitPrompt(nil, theirs(text), budget)[0].Body
			if tokens := domain.Tokens(body); !utf8.ValidString(body) || tokens > budget-4 || (tokens < budget-5 && body != text) {
				t.Errorf("a budget of %d: %q", budget, body)
			}
		}
	}
}
