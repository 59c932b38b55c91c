package twiliosim

import (
	"cmp"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"parley/internal/domain"
)

// Limits of one create. https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource
const (
	maxMedia          = 10
	maxValidityPeriod = 36_000 // seconds
)

// The numbers of text messages.
var (
	phoneNumber = regexp.MustCompile(`^\+[1-9][0-9]{4,14}$`)
	shortCode   = regexp.MustCompile(`^[0-9]{3,8}$`)
)

// request holds the parameters of a create that decide something; Twilio ignores unknown ones, and so does the simulator.
type request struct {
	To, From, Body      string
	MediaURLs           []string
	StatusCallback      string
	ValidityPeriod      string
	MessagingServiceSid string
	ContentSid          string
}

func readRequest(form url.Values) request {
	return request{
		To: form.Get("To"), From: form.Get("From"), Body: form.Get("Body"), MediaURLs: form["MediaUrl"],
		StatusCallback: form.Get("StatusCallback"), ValidityPeriod: form.Get("ValidityPeriod"),
		MessagingServiceSid: form.Get("MessagingServiceSid"), ContentSid: form.Get("ContentSid"),
	}
}

// refusal returns how Twilio refuses the request, nil where it accepts it. Each check returns an error code, 0 for none.
func (r request) refusal() *refusal {
	code := cmp.Or(r.checkTo(), r.checkFrom(), r.checkContent(), r.checkOptions(), r.checkMagic())
	if code == 0 {
		return nil
	}
	return refuse(code)
}

func (r request) checkTo() int {
	to, err := domain.ParseAddress(r.To)
	switch {
	case r.To == "":
		return codeNoTo
	case err != nil:
		return codeInvalidTo
	case to.Channel == domain.ChannelSMS && shortCode.MatchString(to.Value):
		return codeToIsShortCode
	case to.Channel == domain.ChannelSMS && !phoneNumber.MatchString(to.Value):
		return codeInvalidTo // a name can send and not receive
	}
	return 0
}

func (r request) checkFrom() int {
	_, err := domain.ParseAddress(r.From)
	switch {
	case r.MessagingServiceSid != "":
		return codeNoMessagingService
	case r.From == "":
		return codeNoFrom
	case err != nil || (strings.HasPrefix(r.From, "+") && !phoneNumber.MatchString(r.From)):
		return codeInvalidFrom
	case r.From == r.To:
		return codeToIsFrom
	}
	return 0
}

func (r request) checkContent() int {
	switch {
	case r.ContentSid != "":
		return codeInvalidContentTemplate
	case r.Body == "" && len(r.MediaURLs) == 0:
		return codeNoBody
	case utf8.RuneCountInString(r.Body) > domain.MaxBody:
		return codeBodyTooLong
	case len(r.MediaURLs) > maxMedia:
		return codeTooMuchMedia
	}
	for _, media := range r.MediaURLs {
		if _, err := parseWebURL(media); err != nil {
			return codeInvalidMedia
		}
	}
	return 0
}

func (r request) checkOptions() int {
	if r.StatusCallback != "" && checkLoopback(r.StatusCallback) != nil {
		return codeInvalidStatusCallback
	}
	if r.ValidityPeriod != "" {
		if seconds, err := strconv.Atoi(r.ValidityPeriod); err != nil || seconds < 1 || seconds > maxValidityPeriod {
			return codeInvalidValidityPeriod
		}
	}
	return 0
}

// checkMagic plays Twilio's magic numbers. https://www.twilio.com/docs/iam/test-credentials#magic-input
func (r request) checkMagic() int {
	switch r.From {
	case "+15005550001":
		return codeInvalidFrom
	case "+15005550007":
		return codeFromNotYours
	case "+15005550008":
		return codeQueueFull
	}
	switch r.To {
	case "+15005550001":
		return codeInvalidTo
	case "+15005550002":
		return codeUnreachable
	case "+15005550003":
		return codeNoPermission
	case "+15005550004":
		return codeOptedOut
	case "+15005550009":
		return codeNotMobile
	}
	return 0
}

// media returns the attachments. Twilio would learn their type by fetching them; the simulator fetches nothing.
func (r request) media() []domain.Media {
	var list []domain.Media
	for _, u := range r.MediaURLs {
		list = append(list, domain.Media{URL: u})
	}
	return list
}
