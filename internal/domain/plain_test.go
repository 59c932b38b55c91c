package domain_test

import (
	"strings"
	"testing"

	"parley/internal/domain"
)

func TestPlain(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"":                         "",
		"undelivered":              "undelivered",
		"https://a.example/?b=%20": "https://a.example/?b=%20"[:20],
		"a\x1b[2J\nb":              `a\x1b[2J\nb`,
		"é":                        `\u00e9`,
		"\xff\x00":                 `\xff\x00`,
		strings.Repeat("é", 1000):  strings.Repeat(`\u00e9`, 4)[:20],
		"1234567890123456789é":     `1234567890123456789\`,
	} {
		if got := domain.Plain(s, 20); got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
}
