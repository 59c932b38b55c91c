// Package edge is Parley's side of Twilio's webhooks: it verifies a request, makes durable what it says, and only then
// acknowledges it. It decides nothing about the message.
//
// The webhook process calls it. It declares the little it needs of stores and of Temporal, and knows none of them.
//
// What each answer tells Twilio:
//
//	200, 204  it is durable: a flow runs, or a row holds it, from which one is started (a repeated message: the same flow)
//	400, 413, 415  the request is not one of Twilio's; sending it again changes nothing
//	403       the account is not known, or the signature is not its own
//	429       one of these, where they were too many
//	5xx       not durable; try again (Twilio does, where the URL is configured with connection overrides)
package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel/metric"

	"parley/contract"
	"parley/internal/domain"
	"parley/internal/telemetry"
	"parley/internal/twilio"
	"parley/webhook/inbox"
)

// The paths that are configured at Twilio, below the public URL. The status callback's is twilio.StatusPath.
const (
	InboundPath  = "/webhooks/twilio/inbound"
	FallbackPath = "/webhooks/twilio/fallback" // the same message again, after the inbound URL failed
)

// Accounts knows the Twilio accounts of all owners.
type Accounts interface {
	// Credentials returns an account's credentials, which may be some seconds old. It returns KindNotFound for one that is not ours,
	// and another kind where that cannot be told.
	Credentials(ctx context.Context, accountSid string) (domain.Credentials, error)
	// Renewed returns them as they are now, for a request that those of Credentials did not sign.
	Renewed(ctx context.Context, accountSid string) (domain.Credentials, error)
	// Remembers reports whether Credentials needs no store to answer for an account, not even while that is away.
	Remembers(accountSid string) bool
}

// Statuses keeps what Twilio says about messages of ours.
type Statuses interface {
	// ApplyStatus keeps an event and moves the attempt's status forward, in one transaction. Running it twice moves nothing.
	ApplyStatus(ctx context.Context, event domain.StatusEvent) (domain.StatusChange, error)
}

// Inbox makes inbound messages durable.
type Inbox interface {
	// Accept makes a message durable, or returns KindUnavailable. Key: account and message.
	Accept(ctx context.Context, received domain.Received) (inbox.Acceptance, error)
}

// Flows tells flows what happened.
type Flows interface {
	// SignalDelivery tells a flow how a delivery ended. A flow that is closed or unknown is no error: the row holds it.
	SignalDelivery(ctx context.Context, workflowID string, delivery contract.Delivery) error
}

// Parts is what the edge is made of.
type Parts struct {
	PublicURL string // as it is configured at Twilio, without a trailing slash
	InFlight  int    // messages that are handled at once; as many statuses; as many of accounts that are not remembered; more get 503
	Verifiers []Verifier
	Accounts  Accounts
	Inbox     Inbox
	Statuses  Statuses
	Flows     Flows
	Logger    *slog.Logger
	Meter     metric.Meter
	Errors    *telemetry.TwilioErrors
	Now       func() time.Time // the clock
}

// edge holds the parts at work.
type edge struct {
	accounts  Accounts
	inbox     Inbox
	statuses  Statuses
	flows     Flows
	places    places // for messages to accounts that are remembered
	updates   places // for statuses of theirs
	newcomers places // for the other accounts
	verifiers []Verifier
	strangers *strangers
	logger    *slog.Logger
	counts    counters
	errors    *telemetry.TwilioErrors
}

// New returns the handler of Twilio's webhooks.
func New(ctx context.Context, parts Parts) (http.Handler, error) {
	counts, err := newCounters(ctx, parts.Meter)
	if err != nil {
		return nil, err
	}
	e := &edge{
		accounts: parts.Accounts, inbox: parts.Inbox, statuses: parts.Statuses, flows: parts.Flows,
		places: make(places, parts.InFlight), updates: make(places, parts.InFlight), newcomers: make(places, parts.InFlight),
		verifiers: parts.Verifiers, strangers: newStrangers(parts.Now), logger: parts.Logger, counts: counts, errors: parts.Errors,
	}
	gin.SetMode(gin.ReleaseMode) // gin's own global; its debug mode prints to stdout
	engine := gin.New()          // without gin's logger: it prints query strings
	// A redirect turns Twilio's POST into a GET and loses the form.
	engine.RedirectTrailingSlash, engine.RedirectFixedPath = false, false
	engine.HandleMethodNotAllowed = true
	engine.Use(gin.CustomRecoveryWithWriter(nil, e.panicked))
	engine.NoRoute(func(c *gin.Context) { c.AbortWithStatus(http.StatusNotFound) })
	engine.NoMethod(func(c *gin.Context) { c.AbortWithStatus(http.StatusMethodNotAllowed) })
	for prefix, base := range bases(parts.PublicURL) {
		engine.POST(prefix+InboundPath, e.handle(InboundPath, base, e.inbound, answerTwiML))
		engine.POST(prefix+FallbackPath, e.handle(FallbackPath, base, e.inbound, answerTwiML))
		engine.POST(prefix+twilio.StatusPath, e.handle(twilio.StatusPath, base, e.status, answerNothing))
	}
	return engine, nil
}

// bases returns below which prefixes of the path requests arrive, each with what stands before their URI at Twilio. Where the public URL
// has a prefix, a proxy may take it away before it hands a request on, or leave it.
func bases(publicURL string) map[string]string {
	scheme, rest, _ := strings.Cut(publicURL, "://")
	host, path, hasPath := strings.Cut(rest, "/")
	if !hasPath {
		return map[string]string{"": publicURL}
	}
	return map[string]string{"": publicURL, "/" + path: scheme + "://" + host}
}

// handle answers one request: it is verified, then processed, then answered. base is what stands before its URI at Twilio.
func (e *edge) handle(path, base string, process func(context.Context, *request) error, answer gin.HandlerFunc) gin.HandlerFunc {
	return func(c *gin.Context) {
		// Who hangs up early gets what was asked for all the same: half a start helps nobody. Every step has its own bound.
		ctx := context.WithoutCancel(c.Request.Context())
		r := &request{path: path, url: base + c.Request.RequestURI}
		status := http.StatusInternalServerError // of a defect of ours, which panicked answers
		defer func() { e.counts.request(ctx, r.path, status, r.verified) }()
		if err := e.process(ctx, c, r, process); err != nil {
			e.refuse(ctx, c, r, err)
		} else {
			answer(c)
		}
		status = c.Writer.Status()
	}
}

// comeBack is what a 503 says, in seconds. Twilio has its own idea of it; whatever stands before us may listen.
const comeBack = "1"

// refuse answers a request that is not taken. Of those that were not verified only so many are told what is wrong with them, and logged.
func (e *edge) refuse(ctx context.Context, c *gin.Context, r *request, err error) {
	status, how := statusOf(err), refusal{logged: true}
	if !r.verified {
		how = e.strangers.refuse(c.Request.RemoteAddr, r.known)
	}
	if how.tooMany && status < http.StatusInternalServerError { // a 5xx is no stranger's doing: Twilio is to try again
		status = http.StatusTooManyRequests
		c.Header("Retry-After", retryAfter)
	}
	if status == http.StatusServiceUnavailable {
		c.Header("Retry-After", comeBack)
	}
	if how.logged {
		e.logRefusal(ctx, r, status, how.spared, err)
	}
	c.AbortWithStatus(status)
}

// emptyTwiML answers a message with nothing: the reply is sent by its flow. A text/plain body would be sent as the reply.
const emptyTwiML = `<?xml version="1.0" encoding="UTF-8"?><Response/>`

func answerTwiML(c *gin.Context) { c.Data(http.StatusOK, "text/xml", []byte(emptyTwiML)) }

func answerNothing(c *gin.Context) { c.Status(http.StatusNoContent) }

// errMediaType is a body that is not a form.
var errMediaType = errors.New("the body is not application/x-www-form-urlencoded")

// errCutShort is a body whose end did not come: the sender's doing, and no loss of ours.
var errCutShort = errors.New("the body was cut short")

// statusOf is the one table from what went wrong to an HTTP status.
func statusOf(err error) int {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return http.StatusRequestEntityTooLarge
	}
	if errors.Is(err, errMediaType) {
		return http.StatusUnsupportedMediaType
	}
	if errors.Is(err, errCutShort) {
		return http.StatusRequestTimeout
	}
	switch domain.KindOf(err) {
	case domain.KindInvalid:
		return http.StatusBadRequest
	case domain.KindDenied:
		return http.StatusForbidden
	case domain.KindNotFound:
		return http.StatusNotFound
	case domain.KindConflict:
		return http.StatusConflict
	case domain.KindBusy, domain.KindThrottled, domain.KindUnavailable, domain.KindConfiguration:
		return http.StatusServiceUnavailable // also where an operator has to mend something first: Twilio may try again
	case domain.KindUnknownOutcome, domain.KindInternal:
		return http.StatusInternalServerError
	default:
		return http.StatusInternalServerError
	}
}

// maxLogged is the most that is logged of what a stranger wrote, in bytes. The URLs that are configured at Twilio are shorter.
const maxLogged = 512

// logRefusal is the one place that logs a request that was not taken, and how many like it the log was spared before. A signature that does not match an
// account of ours is loud: after a change of token at Twilio every message is lost this way.
func (e *edge) logRefusal(ctx context.Context, r *request, status, spared int, err error) {
	level := slog.LevelWarn
	if status >= http.StatusInternalServerError || (r.known && !r.verified) {
		level = slog.LevelError
	}
	e.logger.Log(ctx, level, "request refused", "path", r.path, "status", status, "error", err.Error(),
		"url", domain.Plain(r.url, maxLogged), "account_sid", r.accountSid, "message_sid", r.messageSid, "not_logged", spared)
}

// panicked answers a request that met a defect of ours. The stack has no values in it, and the panic's own may be of the
// form.
func (e *edge) panicked(c *gin.Context, recovered any) {
	e.logger.ErrorContext(c.Request.Context(), "handler panicked", "path", c.FullPath(), "panic_type", fmt.Sprintf("%T", recovered), "stack", string(debug.Stack()))
	c.AbortWithStatus(http.StatusInternalServerError)
}
