package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"parley/internal/domain"
	"parley/internal/twilio"
)

const (
	// maxBody is the most that is read of a request. Twilio's forms have a few KB, their body at most 1600 characters.
	maxBody = 64 << 10
	// accountTimeout bounds the look-ups of an account, two at most.
	accountTimeout = 3 * time.Second
)

// request is one request of Twilio, as far as it is known.
type request struct {
	path, url        string // the route; the URL as it is configured at Twilio, which was signed
	accountSid       string // as the form says; empty where it does not have the form of a sid, since it is logged
	messageSid       string // once it is parsed
	idempotencyToken string // Twilio's, the same in each of its own retries; for the log, the message's sid is the key
	known            bool   // the account is ours
	verified         bool   // it signed the request
	form, query      url.Values
}

// verify checks that the holder of a request's account's auth token signed it. It returns KindDenied where nobody of ours did.
func (e *edge) verify(ctx context.Context, c *gin.Context, r *request) error {
	if r.accountSid == "" {
		return domain.Errorf(domain.KindDenied, "the form names no account")
	}
	ctx, cancel := context.WithTimeout(ctx, accountTimeout)
	defer cancel()
	signed, err := e.signed(ctx, c, r, e.accounts.Credentials)
	if err == nil && !signed { // with a token that is newer than what is remembered?
		signed, err = e.signed(ctx, c, r, e.accounts.Renewed)
	}
	if err != nil {
		return err
	}
	if !signed {
		e.counts.signatureFailure(ctx, r.accountSid)
		return domain.Errorf(domain.KindDenied, "the signature does not match: compare the url with the one configured at Twilio, and the account's auth token with its primary one")
	}
	r.verified = true
	return nil
}

// signed reports whether a request is signed by somebody who may speak for its account.
func (e *edge) signed(
	ctx context.Context, c *gin.Context, r *request, credentialsOf func(context.Context, string) (domain.Credentials, error),
) (bool, error) {
	credentials, err := credentialsOf(ctx, r.accountSid)
	if err != nil && domain.KindOf(err) == domain.KindNotFound {
		return false, domain.Errorf(domain.KindDenied, "the account is not one of ours: %w", err)
	}
	if err != nil {
		return false, err
	}
	r.known = true
	return slices.ContainsFunc(e.verifiers, func(v Verifier) bool {
		return v.Verify(credentials, Signed{r.url, r.form, c.Request.Header})
	}), nil
}

// read reads the form. It returns KindInvalid, errMediaType, errCutShort or *http.MaxBytesError for what is none. Its errors repeat nothing of it.
func (r *request) read(w http.ResponseWriter, from *http.Request) error {
	if mediaType, _, err := mime.ParseMediaType(from.Header.Get("Content-Type")); err != nil || mediaType != "application/x-www-form-urlencoded" {
		return errMediaType
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, from.Body, maxBody))
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		return err
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errCutShort, err)
	}
	r.query, r.idempotencyToken = from.URL.Query(), domain.Plain(from.Header.Get("I-Twilio-Idempotency-Token"), maxLogged)
	if r.form, err = url.ParseQuery(string(body)); err != nil {
		return domain.Errorf(domain.KindInvalid, "the body is not a form")
	}
	if sid := r.form.Get("AccountSid"); twilio.IsAccountSid(sid) {
		r.accountSid = sid
	}
	return nil
}
