package domain_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"parley/internal/domain"
)

func TestKinds(t *testing.T) {
	t.Parallel()
	for kind, retryable := range map[domain.Kind]bool{
		domain.KindInvalid: false, domain.KindNotFound: false, domain.KindDenied: false, domain.KindConflict: false,
		domain.KindUnknownOutcome: false, domain.KindConfiguration: false,
		domain.KindBusy: true, domain.KindThrottled: true, domain.KindUnavailable: true, domain.KindInternal: true,
		"of a later version": true,
	} {
		if kind.Retryable() != retryable {
			t.Errorf("%s: want retryable to be %v", kind, retryable)
		}
	}
}

func TestKindOf(t *testing.T) {
	t.Parallel()
	denied := domain.Errorf(domain.KindDenied, "no")
	for _, c := range []struct {
		name string
		err  error
		want domain.Kind
	}{
		{"the error itself", denied, domain.KindDenied},
		{"wrapped", fmt.Errorf("send: %w", denied), domain.KindDenied},
		{"wrapped twice", fmt.Errorf("flow: %w", fmt.Errorf("send: %w", denied)), domain.KindDenied},
		{"joined", errors.Join(io.EOF, denied), domain.KindDenied},
		{"the outermost kind counts", domain.Errorf(domain.KindUnavailable, "later: %w", denied), domain.KindUnavailable},
		{"no kind", io.EOF, domain.KindInternal},
		{"no error", nil, domain.KindInternal},
	} {
		if got := domain.KindOf(c.err); got != c.want {
			t.Errorf("%s: want %s, got %s", c.name, c.want, got)
		}
	}
}

func TestErrorf(t *testing.T) {
	t.Parallel()
	err := domain.Errorf(domain.KindUnavailable, "store %d: %w", 7, io.ErrUnexpectedEOF)
	if got, want := err.Error(), "store 7: unexpected EOF"; got != want {
		t.Errorf("want %q, got %q", want, got)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("its cause is lost")
	}
	if domain.Errorf(domain.KindInvalid, "no cause").Unwrap() != nil {
		t.Error("a cause out of nowhere")
	}
}
