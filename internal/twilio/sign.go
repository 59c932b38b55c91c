package twilio

import (
	"crypto/hmac"
	"crypto/sha1" // Twilio's choice; collisions of SHA-1 do not break HMAC-SHA1
	"encoding/base64"
	"hash"
	"io"
	"maps"
	"net/url"
	"slices"
)

// Sign returns the X-Twilio-Signature of a form POST to a URL, as the holder of an account's auth token makes it. A nil
// form signs the URL alone, which is how Twilio signs JSON bodies (their hash stands in the URL).
// https://www.twilio.com/docs/usage/security#validating-requests
func Sign(authToken, signedURL string, form url.Values) string {
	mac := hmac.New(sha1.New, []byte(authToken))
	WriteSigned(mac, signedURL, form)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// WriteSigned writes what a signature covers: the URL, then each parameter. Keys go in byte order; the values of a repeated key are a
// set, sorted; empty values count. Nothing stands between a key and its value, so moving a byte from one to the other goes unnoticed, as
// does repeating a value: that is the scheme's own weakness, which makes no parameter with a known name say anything else.
func WriteSigned(mac hash.Hash, signedURL string, form url.Values) {
	write := func(s string) { _, _ = io.WriteString(mac, s) } // a hash never fails
	write(signedURL)
	for _, key := range slices.Sorted(maps.Keys(form)) {
		for _, value := range slices.Compact(slices.Sorted(slices.Values(form[key]))) {
			write(key)
			write(value)
		}
	}
}
