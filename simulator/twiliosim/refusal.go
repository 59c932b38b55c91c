package twiliosim

import (
	"fmt"
	"net/http"
)

// Twilio's error codes that the simulator gives by itself. https://www.twilio.com/docs/api/errors
const (
	codeInvalidParameter       = 20001
	codeAuthenticate           = 20003
	codeNotFound               = 20404
	codeTooManyRequests        = 20429
	codeInvalidTo              = 21211
	codeInvalidFrom            = 21212
	codeToIsShortCode          = 21265
	codeToIsFrom               = 21266
	codeNoPermission           = 21408
	codeNoFrom                 = 21603
	codeNoTo                   = 21604
	codeFromNotYours           = 21606
	codeInvalidStatusCallback  = 21609
	codeOptedOut               = 21610
	codeQueueFull              = 21611
	codeUnreachable            = 21612
	codeNotMobile              = 21614
	codeBodyTooLong            = 21617
	codeNoBody                 = 21619
	codeInvalidMedia           = 21620
	codeTooMuchMedia           = 21623
	codeInvalidValidityPeriod  = 21624
	codeInvalidContentTemplate = 21655
	codeNoMessagingService     = 21701
	codeOutsideWindow          = 63016
)

// refusal is Twilio's error JSON.
type refusal struct {
	Code     int    `json:"code"`
	Message  string `json:"message"`
	MoreInfo string `json:"more_info"`
	Status   int    `json:"status"`

	retryAfter int // seconds; 0: no such header
}

// refuse returns the refusal of a code, with the HTTP status that Twilio gives it.
func refuse(code int) *refusal {
	status := http.StatusBadRequest
	switch code {
	case codeAuthenticate:
		status = http.StatusUnauthorized
	case codeNotFound:
		status = http.StatusNotFound
	}
	return &refusal{Code: code, Message: describe(code), MoreInfo: fmt.Sprintf("https://www.twilio.com/docs/errors/%d", code), Status: status}
}

func (r *refusal) write(w http.ResponseWriter) {
	writeRetryAfter(w, r.retryAfter)
	if r.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="Twilio API"`)
	}
	writeJSON(w, r.Status, r)
}

// describe returns the sentence of an error code, for people; programs read the code.
func describe(code int) string {
	switch code {
	case codeInvalidParameter:
		return "Invalid parameter"
	case codeAuthenticate:
		return "Authenticate"
	case codeNotFound:
		return "The requested resource was not found"
	case codeTooManyRequests:
		return "Too Many Requests"
	case codeInvalidTo:
		return "Invalid 'To' phone number"
	case codeInvalidFrom:
		return "Invalid 'From' phone number"
	case codeToIsShortCode:
		return "'To' number cannot be a short code"
	case codeToIsFrom:
		return "'To' and 'From' number cannot be the same"
	case codeNoPermission:
		return "Permission to send an SMS has not been enabled for the region of the 'To' number"
	case codeNoFrom:
		return "A 'From' phone number is required"
	case codeNoTo:
		return "A 'To' phone number is required"
	case codeFromNotYours:
		return "The 'From' number is not a message-capable number of your account"
	case codeInvalidStatusCallback:
		return "The 'StatusCallback' URL is not valid; the simulator posts to loopback only"
	case codeOptedOut:
		return "Attempt to send to an unsubscribed recipient"
	case codeQueueFull:
		return "This 'From' number has exceeded the maximum number of queued messages"
	case codeUnreachable:
		return "The 'To' number is not reachable from this 'From' number"
	case codeNotMobile:
		return "'To' number is not a valid mobile number"
	case codeBodyTooLong:
		return "The message body exceeds the limit of 1600 characters"
	case codeNoBody:
		return "A text message body or media URLs must be specified"
	case codeInvalidMedia:
		return "Invalid media URL"
	case codeTooMuchMedia:
		return "The number of media URLs exceeds the limit of 10"
	case codeInvalidValidityPeriod:
		return "The validity period is not within 1 to 36000 seconds"
	case codeInvalidContentTemplate:
		return "The content template is not valid; the simulator has none"
	case codeNoMessagingService:
		return "The messaging service does not exist; the simulator has none"
	case codeOutsideWindow:
		return "Failed to send freeform message because you are outside the allowed window"
	default:
		return fmt.Sprintf("Error %d", code)
	}
}
