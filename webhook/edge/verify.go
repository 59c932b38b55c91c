package edge

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
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
	path, url        string // the route; the URL that was signed, as it may be logged
	accountSid       string // as the form says; empty where it does not have the form of a sid, since it is logged
	messageSid       string // once it is parsed
	idempotencyToken string // Twilio's, the same in each of its own retries; for the log, the message's sid is the key
	known            bool   // the account is ours
	verified         bool   // it signed the request
	form, query      url.Values
}

// verify reads a request and checks that the holder of its account's auth token signed it. It returns KindDenied where
// nobody of ours did, and KindInvalid, errMediaType or *http.MaxBytesError for what is not a form.
func (e *edge) verify(ctx context.Context, c *gin.Context, r *request) error {
	if err := r.read(c.Writer, c.Request); err != nil {
		return err
	}
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

// signed reports whether a request is signed with its account's credentials.
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
	signature := c.Request.Header.Get("X-Twilio-Signature")
	return e.verifier.Verify(credentials.AuthTokens, c.Request.RequestURI, r.form, nil, signature), nil
}

// read reads the form. Its errors repeat nothing of it.
func (r *request) read(w http.ResponseWriter, from *http.Request) error {
	if mediaType, _, err := mime.ParseMediaType(from.Header.Get("Content-Type")); err != nil || mediaType != "application/x-www-form-urlencoded" {
		return errMediaType
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, from.Body, maxBody))
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		return err
	}
	if err != nil {
		return domain.Errorf(domain.KindUnavailable, "the body was cut short: %w", err) // sending it again may help
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
