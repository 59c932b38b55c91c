package domain

import "strconv"

// Plain makes a stranger's text fit to be kept beside our own words, and to be logged: at most so many bytes of printable ASCII. Anything
// else is escaped as in Go's strings, and what is too long is cut.
func Plain(s string, most int) string {
	quoted := strconv.QuoteToASCII(s[:min(len(s), most)]) // escaped, it only grows
	escaped := quoted[1 : len(quoted)-1]
	return escaped[:min(len(escaped), most)]
}
