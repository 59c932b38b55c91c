// Package fault is the starter's one table from the errors of Temporal's services to Parley's error kinds.
package fault

import (
	"errors"
	"fmt"
	"slices"

	"go.temporal.io/api/serviceerror"
	"google.golang.org/grpc/codes"

	"parley/internal/domain"
)

// From returns a domain error that says what Temporal was asked. Nil and domain errors pass.
func From(err error, format string, args ...any) error {
	if _, ok := errors.AsType[*domain.Error](err); ok || err == nil {
		return err
	}
	return domain.Errorf(kind(err), "%s: %w", fmt.Sprintf(format, args...), err)
}

// Is reports whether Temporal answered with one of the codes.
func Is(err error, wanted ...codes.Code) bool {
	return err != nil && slices.Contains(wanted, serviceerror.ToStatus(err).Code())
}

func kind(err error) domain.Kind {
	if _, ok := errors.AsType[*serviceerror.NamespaceNotFound](err); ok { // setup was not run, or TEMPORAL_NAMESPACE is wrong
		return domain.KindConfiguration
	}
	switch serviceerror.ToStatus(err).Code() {
	case codes.NotFound:
		return domain.KindNotFound
	case codes.AlreadyExists, codes.FailedPrecondition:
		return domain.KindConflict
	case codes.InvalidArgument:
		return domain.KindInvalid
	case codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented:
		return domain.KindConfiguration
	case codes.ResourceExhausted:
		return domain.KindThrottled
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Aborted:
		return domain.KindUnavailable
	default:
		return domain.KindInternal
	}
}
