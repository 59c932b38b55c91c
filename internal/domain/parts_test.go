package domain_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"parley/internal/domain"
)

func TestParts(t *testing.T) {
	t.Parallel()
	word := func(n int) string { return strings.Repeat("a", n) }
	england := "\U0001F3F4\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F"
	for _, c := range []struct {
		name, body string
		want       []string
	}{
		{"nothing", "", nil},
		{"only white space", " \n\t ", nil},
		{"short", "  Hello.  ", []string{"Hello."}},
		{"as long as one message may be", word(1600), []string{word(1600)}},
		{"limits count characters, not bytes", strings.Repeat("日", 1600), []string{strings.Repeat("日", 1600)}},
		{"a word that is too long", word(1601), []string{word(1600), "a"}},
		{"after a paragraph", word(1000) + ". b\n\n" + word(700), []string{word(1000) + ". b", word(700)}},
		{"after a sentence", word(1000) + "! b " + word(700), []string{word(1000) + "!", "b " + word(700)}},
		{"after a word", word(1000) + " b " + word(700), []string{word(1000) + " b", word(700)}},
		{"a point within a word ends no sentence", word(1000) + ".b " + word(700), []string{word(1000) + ".b", word(700)}},
		{"not in the first half", "a. " + word(1700), []string{"a. " + word(1597), word(103)}},
		{"a mark stays with its letter", word(1599) + "e\u0301" + "b", []string{word(1599), "e\u0301b"}},
		{"a family stays together", word(1598) + "👩\u200d👧" + "b", []string{word(1598), "👩\u200d👧b"}},
		{"a skin tone stays with its hand", word(1599) + "👋🏽" + "b", []string{word(1599), "👋🏽b"}},
		{"a flag stays whole", word(1599) + "🇧🇷" + "b", []string{word(1599), "🇧🇷b"}},
		{"flags stay whole", word(1597) + "🇧🇷🇧🇷" + "b", []string{word(1597) + "🇧🇷", "🇧🇷b"}},
		{"a region's flag stays whole", word(1597) + england + "b", []string{word(1597), england + "b"}},
		{"a key stays whole", word(1599) + "1\ufe0f\u20e3" + "b", []string{word(1599), "1\ufe0f\u20e3b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := domain.Parts(c.body); !slices.Equal(got, c.want) {
				t.Errorf("want lengths %v, got %v; first difference in %.40q", lengths(c.want), lengths(got), got)
			}
		})
	}
}

// TestPartsOfAnything cuts random texts: no part is empty or too long, none ends within a character, and nothing but
// white space is lost.
func TestPartsOfAnything(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"a", "é", "e\u0301", "日", "😀", "👩\u200d👧", "👋🏽", " ", "\n", "\n\n", ". ", "! ", "…", "。", "word ", "https://example.com/", "\u00a0", "\x00"}
	for range 300 {
		var b strings.Builder
		from := random.IntN(len(pieces)) // some texts know few pieces, and so have no place that is good for a cut
		for range random.IntN(6000) {
			b.WriteString(pieces[from+random.IntN(len(pieces)-from)])
		}
		body := b.String()
		parts := domain.Parts(body)
		for _, part := range parts {
			if n := utf8.RuneCountInString(part); n == 0 || n > domain.MaxBody || !utf8.ValidString(part) || part != strings.TrimSpace(part) {
				t.Fatalf("a part of %d characters: %.60q", n, part)
			}
			if first, _ := utf8.DecodeRuneInString(part); first == '\u0301' || first == '\u200d' || first == '🏽' || strings.HasSuffix(part, "\u200d") {
				t.Fatalf("a cut within a character: %.20q", part)
			}
		}
		if visible(strings.Join(parts, "")) != visible(body) {
			t.Fatal("a part of the text is lost")
		}
	}
}

// visible returns a text without its white space.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}

func lengths(parts []string) []int {
	var list []int
	for _, part := range parts {
		list = append(list, utf8.RuneCountInString(part))
	}
	return list
}
