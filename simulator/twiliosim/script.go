package twiliosim

import (
	"errors"
	"fmt"
	"time"

	"parley/internal/domain"
)

// everybody is the recipient of the rule for those who have none of their own.
const everybody = ""

// CallbackDelay is the time between two statuses of a message, where no rule says otherwise.
const CallbackDelay = 300 * time.Millisecond

// defaultDeliveryError is the code of a delivery that failed for no reason that a rule named: Twilio's "unknown error".
const defaultDeliveryError = 30008

// Rule scripts the messages to one recipient: how their creates are answered and what becomes of them. A zero field means
// that Twilio does its usual.
type Rule struct {
	To    string `json:"to,omitempty"`    // the recipient, as Twilio writes addresses; empty: everybody without a rule of their own
	Times int    `json:"times,omitempty"` // how many creates it applies to before it is gone; 0: all

	// The answer to the create.
	StatusCode      int  `json:"status_code,omitempty"`       // refuse with this HTTP status and Code, before looking at the request
	Code            int  `json:"code,omitempty"`              // Twilio's error code of the refusal
	RetryAfter      int  `json:"retry_after,omitempty"`       // the refusal's Retry-After, in seconds
	Hold            Hold `json:"hold,omitempty"`              // never answer
	ResponseDelayMS int  `json:"response_delay_ms,omitempty"` // between accepting or refusing and the answer

	// The delivery.
	Status          domain.Status `json:"status,omitempty"`            // how it ends: delivered, undelivered, failed or sent
	ErrorCode       int           `json:"error_code,omitempty"`        // of undelivered and failed; 30008 where it is left out
	Callbacks       Callbacks     `json:"callbacks,omitempty"`         // whether the statuses are told
	CallbackDelayMS int           `json:"callback_delay_ms,omitempty"` // between two statuses; 300 where it is left out
}

// Hold says when a connection is left open without an answer, until the caller or the simulator goes.
type Hold string

// The holds.
const (
	HoldNever        Hold = ""
	HoldBeforeAccept Hold = "before_accept" // there is no message
	HoldAfterAccept  Hold = "after_accept"  // there is a message, with all its statuses; an invalid request is refused
)

// Callbacks says whether a message's statuses are posted to its StatusCallback.
type Callbacks string

// The kinds of callbacks.
const (
	CallbacksNormal Callbacks = "normal"
	CallbacksNone   Callbacks = "none"
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
	report(min(r.Times, r.RetryAfter, r.ResponseDelayMS, r.CallbackDelayMS) < 0, "times, retry_after and delays are not negative")
	report(r.StatusCode != 0 && (r.StatusCode < 400 || r.StatusCode > 599), "status_code: want 400 to 599, got %d", r.StatusCode)
	report((r.StatusCode == 0) != (r.Code == 0), "status_code and code: a refusal has both")
	report(r.RetryAfter != 0 && r.StatusCode == 0, "retry_after: only a refusal has one; set status_code and code")
	report(r.StatusCode != 0 && r.Hold != HoldNever, "hold: a refusal is answered; leave out status_code or hold")
	switch r.Hold {
	case HoldNever, HoldBeforeAccept, HoldAfterAccept:
	default:
		report(true, "hold: want before_accept or after_accept, got %q", r.Hold)
	}
	switch r.Callbacks {
	case "", CallbacksNormal, CallbacksNone:
	default:
		report(true, "callbacks: want normal or none, got %q", r.Callbacks)
	}
	report(r.route() == nil, "status: want delivered, undelivered, failed or sent, got %q", r.Status)
	report(r.ErrorCode != 0 && !r.fails(), "error_code: only undelivered and failed have one")
	return errors.Join(problems...)
}

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
	return time.Duration(r.CallbackDelayMS) * time.Millisecond
}

func (r Rule) responseDelay() time.Duration {
	return time.Duration(r.ResponseDelayMS) * time.Millisecond
}

// refusal returns the scripted refusal of a create, nil where there is none.
func (r Rule) refusal() *refusal {
	if r.StatusCode == 0 {
		return nil
	}
	refused := refuse(r.Code)
	refused.Status, refused.retryAfter = r.StatusCode, r.RetryAfter
	return refused
}
