package twilio

import (
	"crypto/hmac"
	"crypto/sha1" // Twilio's choice; collisions of SHA-1 do not break HMAC-SHA1
	"encoding/base64"
	"io"
	"maps"
	"net/url"
	"slices"
)

// Sign returns the X-Twilio-Signature of a form POST to a URL, as the holder of an account's auth token makes it. A nil
// form signs the URL alone, which is how Twilio signs JSON bodies (their hash stands in the URL).
//
// Keys go in byte order; the values of a repeated key are a set, sorted; empty values count.
// https://www.twilio.com/docs/usage/security#validating-requests
func Sign(authToken, signedURL string, form url.Values) string {
	mac := hmac.New(sha1.New, []byte(authToken))
	write := func(s string) { _, _ = io.WriteString(mac, s) } // a hash never fails
	write(signedURL)
	for _, key := range slices.Sorted(maps.Keys(form)) {
		for _, value := range slices.Compact(slices.Sorted(slices.Values(form[key]))) {
			write(key)
			write(value)
		}
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
