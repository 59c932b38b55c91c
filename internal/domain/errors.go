package domain

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what went wrong in the only terms that matter to a caller: may it be tried again, and who can mend it.
type Kind string

// The kinds. The comment says whether a retry alone can help.
const (
	KindInvalid        Kind = "invalid"         // the input itself is wrong; no retry helps
	KindNotFound       Kind = "not_found"       // what was named does not exist; somebody may add it
	KindDenied         Kind = "denied"          // a rule forbids it; no retry helps
	KindConflict       Kind = "conflict"        // it contradicts what is stored; no retry helps
	KindBusy           Kind = "busy"            // another flow has it at the moment; retry soon
	KindThrottled      Kind = "throttled"       // the other side asks for patience; retry after RetryAfter
	KindUnavailable    Kind = "unavailable"     // the other side does not answer; retry
	KindUnknownOutcome Kind = "unknown_outcome" // it may have happened; never repeat it blindly
	KindConfiguration  Kind = "configuration"   // an operator has to mend something; no retry helps before
	KindInternal       Kind = "internal"        // a defect of ours; retried, since a deploy can mend it
)

// Retryable reports whether the same call may succeed later without anybody mending anything.
// A kind that is not in the list counts as retryable: giving up is the choice that needs a reason.
func (k Kind) Retryable() bool {
	switch k {
	case KindInvalid, KindNotFound, KindDenied, KindConflict, KindUnknownOutcome, KindConfiguration:
		return false
	default:
		return true
	}
}

// Error is an error with a kind. Its text is read by operators and stands in logs, so it never holds a phone number, a
// body or a secret.
type Error struct {
	Kind       Kind
	Message    string
	Code       int           // the other side's code (Twilio's error code, a model's HTTP status), 0 where there is none
	RetryAfter time.Duration // how long the other side asked to wait; 0 where it did not say
	Err        error
}

// Errorf returns an *Error of a kind. A %w in the format becomes its cause.
func Errorf(kind Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Message: err.Error(), Err: errors.Unwrap(err)}
}

func (e *Error) Error() string { return e.Message }
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the first *Error in err's chain, KindInternal where there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return KindInternal
}
