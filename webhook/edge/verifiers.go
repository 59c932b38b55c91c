package edge

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"

	"parley/internal/domain"
	"parley/internal/twilio"
)

// Verifier decides whether a request was signed by somebody who may speak for its account. One that accepts is enough.
type Verifier interface {
	Verify(credentials domain.Credentials, request Signed) bool
}

// Signed is what a signature can cover.
type Signed struct {
	// URL is the public URL as it is configured, with the raw path and query of the request line. Headers such as Host and
	// X-Forwarded-Proto have no say in it: whoever sends the request chooses them.
	URL    string
	Form   url.Values
	Header http.Header // carries the signature
}

var (
	_ Verifier = TwilioVerifier{}
	_ Verifier = CallerKeys{}
)

// TwilioVerifier accepts what is signed with an auth token of the account.
type TwilioVerifier struct{}

// Verify implements Verifier.
func (TwilioVerifier) Verify(credentials domain.Credentials, request Signed) bool {
	return twilio.Verify(credentials.AuthTokens, request.URL, request.Form, nil, request.Header.Get(twilio.SignatureHeader))
}

// CallerHeader carries the signature of a program of the deployment's own.
const CallerHeader = "X-Parley-Signature"

// CallerKeys accepts what is signed with one of some keys of the deployment's own, for whatever account it names: a gateway before the
// webhook, or a program that brings messages in, need not know any account's token. Such a program signs what Twilio signs, the URL and
// the form, and puts the HMAC-SHA256 in hexadecimal into CallerHeader.
type CallerKeys []string

// Verify implements Verifier.
func (k CallerKeys) Verify(_ domain.Credentials, request Signed) bool {
	valid := false
	for _, key := range k {
		mac := hmac.New(sha256.New, []byte(key))
		twilio.WriteSigned(mac, request.URL, request.Form)
		valid = hmac.Equal([]byte(hex.EncodeToString(mac.Sum(nil))), []byte(request.Header.Get(CallerHeader))) || valid
	}
	return valid
}
