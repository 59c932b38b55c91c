package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"parley/contract"
	"parley/internal/domain"
)

// The exit codes. Scripts depend on them: a code is never given another meaning.
const (
	codeFailed        = 1
	codeUsage         = 2
	codeNotFound      = 3
	codeRefused       = 4
	codeConfiguration = 5
	codeUnavailable   = 6
	codeIncomplete    = 7
	codeUnwell        = 8
	codeNotSent       = 10
	codeUnknown       = 11
	codeUndelivered   = 12
	codeInterrupted   = 130
)

// exitCode is one row of the table that is documented, and by which errors end the process.
type exitCode struct {
	code    int
	meaning string
	kinds   []domain.Kind
}

func exitCodes() []exitCode {
	return []exitCode{
		{0, "done", nil},
		{codeFailed, "failed for a reason that has no code of its own", []domain.Kind{domain.KindInternal}},
		{codeUsage, "the command line or a value in it is wrong", []domain.Kind{domain.KindInvalid}},
		{codeNotFound, "what was named does not exist", []domain.Kind{domain.KindNotFound}},
		{codeRefused, "refused: it contradicts what there is", []domain.Kind{domain.KindConflict, domain.KindDenied}},
		{codeConfiguration, "the configuration is wrong, or a permission is missing", []domain.Kind{domain.KindConfiguration}},
		{codeUnavailable, "a server does not answer; try again", []domain.Kind{domain.KindUnavailable, domain.KindBusy, domain.KindThrottled}},
		{codeIncomplete, "setup: somebody else must create what is missing", nil},
		{codeUnwell, "doctor: something has failed", nil},
		{codeNotSent, "send --wait: the message was not sent", nil},
		{codeUnknown, "send --wait: the message may have been sent", []domain.Kind{domain.KindUnknownOutcome}},
		{codeUndelivered, "send --wait: the message was sent but not delivered", nil},
		{codeInterrupted, "interrupted; a flow that was started goes on", nil},
	}
}

// exitError is an error that ends the process with a code of its own.
type exitError struct {
	code int
	error
}

func (e *exitError) Unwrap() error { return e.error }

// ExitCode returns the code that the process ends with.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	if own, ok := errors.AsType[*exitError](err); ok {
		return own.code
	}
	kind := domain.KindOf(err)
	for _, row := range exitCodes() {
		for _, k := range row.kinds {
			if k == kind {
				return row.code
			}
		}
	}
	return codeFailed
}

// sendError says how a flow that was waited for ended, where it did not end well.
func sendError(result contract.MessageResult) error {
	fail := func(code int, format string, args ...any) error {
		return &exitError{code, fmt.Errorf(format, args...)}
	}
	switch {
	case result.Outcome == domain.OutcomeUnknown:
		return fail(codeUnknown, "it is not known whether the message was sent")
	case result.Outcome == domain.OutcomeDenied:
		return fail(codeNotSent, "the message was not sent: the person does not want to be written to; 'starter consent show' tells how that came about")
	case result.Outcome != domain.OutcomeSent:
		return fail(codeNotSent, "the message was not sent: %s", result.Outcome)
	case result.Status.Final() && result.Status.Rank() < domain.StatusDelivered.Rank():
		return fail(codeUndelivered, "the message was sent but not delivered: %s", result.Status)
	default:
		return nil
	}
}

func exitCodesTopic() *cobra.Command {
	var text strings.Builder
	text.WriteString("Starter ends with one of these codes:\n\n")
	for _, row := range exitCodes() {
		fmt.Fprintf(&text, "%5d  %s\n", row.code, row.meaning)
	}
	return &cobra.Command{Use: "exit-codes", Short: "The codes that starter ends with", Long: text.String()}
}
