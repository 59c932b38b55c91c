package domain

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxBody is the longest body that Twilio takes in one message, in characters (error 21617 above it).
const MaxBody = 1600

// Parts cuts a long body into messages of at most MaxBody characters: after a paragraph where it can, else after a
// sentence, else after a word, and never inside a character. White space at the cuts is dropped. A body without text has no parts.
func Parts(body string) []string {
	var parts []string
	for rest := strings.TrimSpace(body); rest != ""; {
		head := rest[:cut(rest)]
		parts = append(parts, strings.TrimRightFunc(head, unicode.IsSpace))
		rest = strings.TrimLeftFunc(rest[len(head):], unicode.IsSpace)
	}
	return parts
}

// cut returns the length in bytes of the first part of a text.
func cut(text string) int {
	if utf8.RuneCountInString(text) <= MaxBody {
		return len(text)
	}
	limit := 0
	for range MaxBody {
		_, size := utf8.DecodeRuneInString(text[limit:])
		limit += size
	}
	window := text[:limit]
	for _, end := range []func(string) int{paragraphEnd, sentenceEnd, wordEnd} {
		if at := end(window); at > len(window)/2 { // a cut in the first half would make many small messages
			return at
		}
	}
	return graphemeEnd(text, limit)
}

func paragraphEnd(s string) int { return strings.LastIndex(s, "\n\n") }

func sentenceEnd(s string) int {
	best := -1
	for i, r := range s {
		if strings.ContainsRune(".!?…。", r) {
			end := i + utf8.RuneLen(r)
			if next, _ := utf8.DecodeRuneInString(s[end:]); end < len(s) && unicode.IsSpace(next) {
				best = end
			}
		}
	}
	return best
}

func wordEnd(s string) int { return strings.LastIndexFunc(s, unicode.IsSpace) }

// graphemeEnd moves a cut back so that a combining mark, a joiner or a skin tone stays with its character, and the two
// letters of a flag stay together.
func graphemeEnd(s string, at int) int {
	for end := at; end > 0; {
		next, _ := utf8.DecodeRuneInString(s[end:])
		previous, size := utf8.DecodeLastRuneInString(s[:end])
		if !joins(next) && previous != '\u200d' && !splitsFlag(s[:end], next) {
			return end
		}
		end -= size
	}
	return at
}

// joins reports whether a character belongs to the one before it: a mark, a joiner, a skin tone, a tag of a regional flag.
func joins(r rune) bool {
	return unicode.Is(unicode.M, r) || r == '\u200d' || (r >= 0x1F3FB && r <= 0x1F3FF) || (r >= 0xE0020 && r <= 0xE007F)
}

// splitsFlag reports whether a cut before next parts the two letters that make a flag.
func splitsFlag(before string, next rune) bool {
	flagLetter := func(r rune) bool { return unicode.Is(unicode.Regional_Indicator, r) }
	letters := before[len(strings.TrimRightFunc(before, flagLetter)):]
	return flagLetter(next) && utf8.RuneCountInString(letters)%2 == 1
}
