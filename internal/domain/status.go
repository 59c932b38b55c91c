package domain

// Status is the delivery status of a message at Twilio.
// https://www.twilio.com/docs/messaging/api/message-resource#message-status-values
type Status string

// Twilio's delivery statuses of outbound messages.
const (
	StatusAccepted    Status = "accepted"
	StatusScheduled   Status = "scheduled"
	StatusQueued      Status = "queued"
	StatusSending     Status = "sending"
	StatusSent        Status = "sent"
	StatusCanceled    Status = "canceled"
	StatusFailed      Status = "failed"
	StatusUndelivered Status = "undelivered"
	StatusDelivered   Status = "delivered"
	StatusRead        Status = "read"
)

// rankUnknown is the rank of a status that is not in the list: it moves nothing.
const rankUnknown = -1

// Rank orders the statuses: a message's status only ever moves to a higher rank, since callbacks come late, twice and
// out of order. A status that is not known has the rank -1: it is kept as an event and moves nothing.
func (s Status) Rank() int {
	switch s {
	case StatusAccepted, StatusScheduled:
		return 0
	case StatusQueued:
		return 1
	case StatusSending:
		return 2
	case StatusSent:
		return 3
	case StatusCanceled:
		return 4
	case StatusFailed:
		return 5
	case StatusUndelivered:
		return 6
	case StatusDelivered:
		return 7
	case StatusRead:
		return 8
	default:
		return rankUnknown
	}
}

// OptedOut reports whether one of Twilio's error codes says that the person takes no more messages from this sender: 21610 comes in the
// answer to a POST, 63014 and 63033 in a status.
// https://www.twilio.com/docs/api/errors
func OptedOut(errorCode int) bool {
	return errorCode == 21610 || errorCode == 63014 || errorCode == 63033
}

// Due reports whether a message that Twilio accepted is charged, as far as its status tells: one that failed or was canceled is not.
func (s Status) Due() bool { return s != StatusFailed && s != StatusCanceled }

// Final reports whether Twilio has nothing more to say about the delivery (a read receipt may still follow).
func (s Status) Final() bool { return s.Rank() >= StatusCanceled.Rank() }
