package twilio

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
)

// Verifier checks that a request was signed by the holder of an account's auth token.
//
// The signed URL is built from the configured public URL and the raw request URI. Headers such as Host and
// X-Forwarded-Proto have no say: whoever sends the request chooses them.
type Verifier struct {
	publicURL string
	otherPort string // the public URL with the standard port toggled, empty where another port is used
}

// NewVerifier returns the verifier of requests to a public URL, as it is configured at Twilio, without a trailing slash.
func NewVerifier(publicURL string) *Verifier {
	return &Verifier{publicURL: publicURL, otherPort: toggleStandardPort(publicURL)}
}

// URL returns the URL that Twilio signed for a request, as it is configured. It is what a log needs to show when a
// signature is refused: most often the public URL is not the one configured at Twilio.
func (v *Verifier) URL(requestURI string) string { return v.publicURL + requestURI }

// Verify reports whether one of the account's tokens made the signature. requestURI is the raw path and query of the
// request line. A nil form means a JSON body: its hash must stand in the query as bodySHA256. With a form, body is not
// looked at. Empty tokens are passed over: anybody can sign with one.
func (v *Verifier) Verify(authTokens []string, requestURI string, form url.Values, body []byte, signature string) bool {
	if form == nil && !bodyMatches(requestURI, body) {
		return false
	}
	valid := false
	for _, token := range authTokens {
		if token == "" {
			continue
		}
		valid = equal(Sign(token, v.publicURL+requestURI, form), signature) || valid
		if v.otherPort != "" { // some of Twilio's products sign with the standard port, some without
			valid = equal(Sign(token, v.otherPort+requestURI, form), signature) || valid
		}
	}
	return valid
}

func bodyMatches(requestURI string, body []byte) bool {
	_, query, _ := strings.Cut(requestURI, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return false
	}
	sum := sha256.Sum256(body)
	return equal(hex.EncodeToString(sum[:]), values.Get("bodySHA256"))
}

// equal compares in constant time, so that a signature cannot be found out byte by byte.
func equal(a, b string) bool { return hmac.Equal([]byte(a), []byte(b)) }

// toggleStandardPort adds the scheme's standard port to a URL, or takes it away. It works on the text, since a signature
// covers the exact spelling.
func toggleStandardPort(rawURL string) string {
	scheme, rest, _ := strings.Cut(rawURL, "://")
	port := map[string]string{"https": ":443", "http": ":80"}[scheme]
	u, err := url.Parse(rawURL)
	if err != nil || port == "" || !strings.HasPrefix(rest, u.Host) {
		return ""
	}
	switch path := rest[len(u.Host):]; ":" + u.Port() {
	case ":":
		return scheme + "://" + u.Host + port + path
	case port:
		return scheme + "://" + strings.TrimSuffix(u.Host, port) + path
	default:
		return ""
	}
}
