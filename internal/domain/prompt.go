package domain

import (
	"math"
	"slices"
	"unicode/utf8"
)

// turnTokens is what a model's API adds to each message of a prompt, about.
const turnTokens = 4

// Tokens estimates how many tokens of a model a text has: one for every four bytes of its UTF-8, rounded up. That is the usual rule of thumb for
// English, four characters a token; letters of two and three bytes, which models cut into more tokens, count two and three times as much.
func Tokens(text string) int { return (len(text) + 3) / 4 }

// FitPrompt returns what a model is given of a conversation, within a budget of tokens: the messages that it is to answer, last, and before them
// as many of the latest others as fit whole, without a gap. What is to be answered always stays; where it does not fit by itself, the longest
// messages are cut, all to one length.
func FitPrompt(said, asked []Turn, budget int) []Turn {
	limit := evenly(asked, budget)
	var fitted []Turn
	for _, turn := range asked {
		turn.Body = shorten(turn.Body, limit)
		fitted = append(fitted, turn)
		budget -= turnTokens + Tokens(turn.Body)
	}
	first := len(said)
	for first > 0 && budget >= turnTokens+Tokens(said[first-1].Body) {
		first--
		budget -= turnTokens + Tokens(said[first].Body)
	}
	return slices.Concat(said[first:], fitted)
}

// evenly returns how many tokens each turn may have, so that all fit into a budget: what short ones do not need is the longer ones'.
func evenly(turns []Turn, budget int) int {
	var sizes []int
	for _, turn := range turns {
		sizes = append(sizes, Tokens(turn.Body))
	}
	slices.Sort(sizes)
	budget -= turnTokens * len(turns)
	for i, size := range sizes {
		if share := budget / (len(sizes) - i); size > share {
			return max(share, 1)
		}
		budget -= size
	}
	return math.MaxInt // all fit as they are
}

// shorten cuts a text to a number of tokens, with an ellipsis for what is left out.
func shorten(text string, tokens int) string {
	if Tokens(text) <= tokens {
		return text
	}
	const ellipsis = "…"
	end := 4*tokens - len(ellipsis)
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + ellipsis
}
