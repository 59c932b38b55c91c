package twilio

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
)

// SignatureHeader is the header of a request of Twilio's that carries its signature.
const SignatureHeader = "X-Twilio-Signature"

// Verify reports whether one of an account's tokens made the signature of a request.
//
// signedURL is the URL as it is configured at Twilio, with the raw path and query of the request line: every spelling counts. A nil form
// means a JSON body: its hash must stand in the query as bodySHA256. With a form, body is not looked at. Empty tokens are passed over:
// anybody can sign with one.
func Verify(authTokens []string, signedURL string, form url.Values, body []byte, signature string) bool {
	if form == nil && !bodyMatches(signedURL, body) {
		return false
	}
	otherPort := toggleStandardPort(signedURL)
	valid := false
	for _, token := range authTokens {
		if token == "" {
			continue
		}
		valid = equal(Sign(token, signedURL, form), signature) || valid
		if otherPort != "" { // some of Twilio's products sign with the standard port, some without
			valid = equal(Sign(token, otherPort, form), signature) || valid
		}
	}
	return valid
}

func bodyMatches(signedURL string, body []byte) bool {
	_, query, _ := strings.Cut(signedURL, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return false
	}
	sum := sha256.Sum256(body)
	return equal(hex.EncodeToString(sum[:]), values.Get("bodySHA256"))
}

// equal compares in constant time, so that a signature cannot be found out byte by byte.
func equal(a, b string) bool { return hmac.Equal([]byte(a), []byte(b)) }

// toggleStandardPort adds the scheme's standard port to a URL, or takes it away; it returns nothing for a URL with another port. It
// works on the text, since a signature covers the exact spelling.
func toggleStandardPort(rawURL string) string {
	scheme, rest, _ := strings.Cut(rawURL, "://")
	port := map[string]string{"https": ":443", "http": ":80"}[scheme]
	host, path := rest, ""
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		host, path = rest[:end], rest[end:]
	}
	bare, hasStandard := strings.CutSuffix(host, port)
	switch {
	case port == "" || host == "":
		return ""
	case hasStandard:
		return scheme + "://" + bare + path
	case strings.LastIndexByte(host, ':') > strings.LastIndexByte(host, ']'): // not one of an IPv6 address
		return ""
	default:
		return scheme + "://" + host + port + path
	}
}
