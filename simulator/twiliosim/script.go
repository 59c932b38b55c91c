package twiliosim

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"parley/internal/domain"
)

// everybody is the recipient of the rule for those who have none of their own.
const everybody = ""

// priceDelay is how long Twilio may take to tell a price. https://www.twilio.com/docs/messaging/api/message-resource#message-properties
const priceDelay = 24 * time.Hour

// CallbackDelay is the time between two statuses of a message, where no rule says otherwise.
const CallbackDelay = 300 * time.Millisecond

// defaultDeliveryError is the code of a delivery that failed for no reason that a rule named: Twilio's "unknown error".
const defaultDeliveryError = 30008

// Rule scripts the messages to one recipient: how their creates are answered, what becomes of them, and how Twilio tells.
// A zero field means that Twilio does its usual.
type Rule struct {
	To    string `json:"to,omitempty"`    // the recipient, as Twilio writes addresses; empty: everybody without a rule of their own
	Times int    `json:"times,omitempty"` // how many creates it applies to before it is gone; 0: all

	// The answer to the create. With a StatusCode or an Answer there is no message, unless Accepted is set.
	StatusCode      int    `json:"status_code,omitempty"`       // with Code Twilio's error JSON, without it a gateway's page in HTML
	Code            int    `json:"code,omitempty"`              // Twilio's error code
	RetryAfter      int    `json:"retry_after,omitempty"`       // the Retry-After of StatusCode, in seconds; 0: no such header
	Answer          Answer `json:"answer,omitempty"`            // what comes in place of an answer
	Accepted        bool   `json:"accepted,omitempty"`          // the message exists all the same; an invalid request is refused
	ResponseDelayMS int    `json:"response_delay_ms,omitempty"` // between accepting or refusing and the answer

	// The delivery.
	Status          domain.Status `json:"status,omitempty"`            // how it ends: delivered, undelivered, failed or sent
	ErrorCode       int           `json:"error_code,omitempty"`        // of undelivered and failed; 30008 where it is left out
	Callbacks       Callbacks     `json:"callbacks,omitempty"`         // which statuses are told, and when
	CallbackDelayMS int           `json:"callback_delay_ms,omitempty"` // between two statuses; 300 where it is left out

	// What Twilio says when it is asked.
	ListDelayMS int  `json:"list_delay_ms,omitempty"` // between accepting and the list's showing it; a fetch by sid finds it at once
	Twin        bool `json:"twin,omitempty"`          // the list has a second message of the same content, which failed
	ReadDelayMS int  `json:"read_delay_ms,omitempty"` // before a list with this To, or a fetch, is answered; it uses up no Times

	// What Twilio takes.
	Price        string `json:"price,omitempty"`          // as Twilio writes it, such as -0.0158; 0.0079 a segment where it is left out
	PriceDelayMS int    `json:"price_delay_ms,omitempty"` // between accepting and its being shown, null before; a day where it is left out

	Random *Random `json:"random,omitempty"` // which creates meet a fault; nothing but To, Times and delays stands beside it

	fault string // the name of the fault that this rule is; empty for one that was scripted
}

// Answer says what a create gets that has no proper answer.
type Answer string

// The kinds of answers.
const (
	AnswerUsual   Answer = ""
	AnswerHold    Answer = "hold"    // none: the connection stays open until the caller or the simulator goes
	AnswerReset   Answer = "reset"   // none: the connection is reset
	AnswerGarbage Answer = "garbage" // 201 with a body that nobody can read
)

// Callbacks says which of a message's statuses are posted to its StatusCallback. None is posted before it is reached.
type Callbacks string

// The kinds of callbacks.
const (
	CallbacksNormal   Callbacks = "normal"
	CallbacksNone     Callbacks = "none"     // all are lost
	CallbacksTwice    Callbacks = "twice"    // all of them, then all once more
	CallbacksReversed Callbacks = "reversed" // the last one first
	CallbacksEarly    Callbacks = "early"    // all of them, before the create is answered
)

// check returns what is wrong with a rule, all of it.
func (r Rule) check() error {
	var problems []error
	report := func(wrong bool, format string, args ...any) {
		if wrong {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	if r.To != everybody {
		_, err := domain.ParseAddress(r.To)
		report(err != nil, "to: %w", err)
	}
	report(min(r.Times, r.RetryAfter, r.ResponseDelayMS, r.CallbackDelayMS, r.ListDelayMS, r.ReadDelayMS, r.PriceDelayMS) < 0,
		"times, retry_after and delays are not negative")
	_, err := domain.ParseMoney(cmp.Or(r.Price, "0"), priceUnit)
	report(err != nil, "price: %w", err)
	report(r.StatusCode != 0 && (r.StatusCode < 300 || r.StatusCode > 599), "status_code: want 300 to 599, got %d", r.StatusCode)
	report(r.Code != 0 && r.StatusCode < 400, "code: only a status_code of 400 to 599 has one")
	report(r.RetryAfter != 0 && r.StatusCode == 0, "retry_after: only a status_code has one")
	report(r.StatusCode != 0 && r.Answer != AnswerUsual, "answer: leave out status_code or answer")
	report(r.Accepted && !r.spoils(), "accepted: without status_code or answer the message is accepted anyway")
	report(r.Accepted && r.Code != 0 && r.StatusCode < 500, "accepted: Twilio's own 4xx accepts nothing")
	report(r.Twin && !r.accepts(), "twin: there is no message that it would be the twin of")
	switch r.Answer {
	case AnswerUsual, AnswerHold, AnswerReset, AnswerGarbage:
	default:
		report(true, "answer: want hold, reset or garbage, got %q", r.Answer)
	}
	switch r.Callbacks {
	case "", CallbacksNormal, CallbacksNone, CallbacksTwice, CallbacksReversed, CallbacksEarly:
	default:
		report(true, "callbacks: want normal, none, twice, reversed or early, got %q", r.Callbacks)
	}
	report(r.route() == nil, "status: want delivered, undelivered, failed or sent, got %q", r.Status)
	report(r.ErrorCode != 0 && !r.fails(), "error_code: only undelivered and failed have one")
	if r.Random != nil {
		report(r.Random.Rate <= 0 || r.Random.Rate > 1, "random: want a rate above 0, up to 1, got %v", r.Random.Rate)
		report(r != Rule{
			To: r.To, Times: r.Times, Random: r.Random,
			ResponseDelayMS: r.ResponseDelayMS, CallbackDelayMS: r.CallbackDelayMS, ListDelayMS: r.ListDelayMS, ReadDelayMS: r.ReadDelayMS,
			PriceDelayMS: r.PriceDelayMS,
		}, "random: only to, times and delays stand beside it")
	}
	return errors.Join(problems...)
}

// spoils reports whether the create gets another answer than Twilio's usual one.
func (r Rule) spoils() bool { return r.StatusCode != 0 || r.Answer != AnswerUsual }

// accepts reports whether there is a message, if the request is a valid one.
func (r Rule) accepts() bool { return r.Accepted || !r.spoils() }

// route returns the statuses of a message after the first one, nil for an end that is not known.
func (r Rule) route() []domain.Status {
	switch r.Status {
	case "", domain.StatusDelivered:
		return []domain.Status{domain.StatusSending, domain.StatusSent, domain.StatusDelivered}
	case domain.StatusUndelivered:
		return []domain.Status{domain.StatusSending, domain.StatusSent, domain.StatusUndelivered}
	case domain.StatusFailed:
		return []domain.Status{domain.StatusSending, domain.StatusFailed}
	case domain.StatusSent:
		return []domain.Status{domain.StatusSending, domain.StatusSent}
	default:
		return nil
	}
}

// told returns the statuses that are told, in the order in which they are.
func (r Rule) told() []domain.Status {
	route := r.route()
	switch r.Callbacks {
	case CallbacksNone:
		return nil
	case CallbacksTwice:
		return slices.Concat(route, route)
	case CallbacksReversed:
		slices.Reverse(route)
		return route
	default:
		return route
	}
}

// fails reports whether the delivery ends with an error.
func (r Rule) fails() bool {
	return r.Status == domain.StatusUndelivered || r.Status == domain.StatusFailed
}

// errorCode returns the code that a message has once it reached a status of its route.
func (r Rule) errorCode(status domain.Status) int {
	switch {
	case !r.fails() || status != r.Status:
		return 0
	case r.ErrorCode == 0:
		return defaultDeliveryError
	default:
		return r.ErrorCode
	}
}

func (r Rule) callbackDelay() time.Duration {
	if r.CallbackDelayMS == 0 {
		return CallbackDelay
	}
	return milliseconds(r.CallbackDelayMS)
}

func (r Rule) priceDelay() time.Duration {
	if r.PriceDelayMS == 0 {
		return priceDelay
	}
	return milliseconds(r.PriceDelayMS)
}

func milliseconds(n int) time.Duration { return time.Duration(n) * time.Millisecond }
