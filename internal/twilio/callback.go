package twilio

import (
	"net/url"
	"strconv"

	"parley/internal/domain"
)

// StatusPath is the path of the status callback below the public URL.
const StatusPath = "/webhooks/twilio/status"

// The parameters of ours in the status callback's URL. Twilio's signature covers them.
const (
	paramMessage = "message"
	paramPart    = "part"
	paramAttempt = "attempt"
)

// CallbackURL returns the URL that Twilio reports the delivery of an attempt to. It names the attempt, so that a callback
// finds it even when it comes before the answer to the POST.
func CallbackURL(publicURL string, key domain.AttemptKey) string {
	return publicURL + StatusPath +
		"?" + paramMessage + "=" + url.QueryEscape(key.MessageID) +
		"&" + paramPart + "=" + strconv.Itoa(key.Part) +
		"&" + paramAttempt + "=" + strconv.Itoa(key.Attempt)
}
