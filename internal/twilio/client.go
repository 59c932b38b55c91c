package twilio

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/mail"
	"net/url"
	"strconv"
	"time"

	twiliogo "github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"parley/internal/domain"
)

// DefaultBaseURL is Twilio's own.
const DefaultBaseURL = "https://api.twilio.com"

// Client calls the Messages API. It is safe for concurrent use and keeps connections open: make one a process. How long a
// call may take is the caller's to say, by its context.
type Client struct {
	base      *url.URL
	transport http.RoundTripper
}

// NewClient returns a client of the API at a base URL, which the configuration has checked; empty means Twilio's own.
// Every call goes there and nowhere else.
func NewClient(baseURL string) *Client {
	if baseURL == "" {
		baseURL = DefaultBaseURL
	}
	base, err := url.Parse(baseURL)
	if err != nil {
		base = &url.URL{} // every call then fails before a connection is made
	}
	return &Client{base: base, transport: newTransport()}
}

// NewMessage is a message to be sent.
type NewMessage struct {
	From           string // a sender of the account, as Twilio writes addresses
	To             string
	Body           string
	MediaURLs      []string      // at most 10
	StatusCallback string        // see CallbackURL
	ValidityPeriod time.Duration // in whole seconds, rounded up; 0 leaves Twilio's default of 10 h
}

// Message is a message as Twilio shows it.
type Message struct {
	Sid                 string
	Direction           string // inbound, outbound-api, outbound-call or outbound-reply
	From                string // may be empty while a messaging service has not chosen a sender
	To                  string
	MessagingServiceSid string
	Body                string    // as Twilio changed it, see Match
	DateCreated         time.Time // in whole seconds, zero where Twilio did not say
	Status              domain.Status
	Segments            int           // 0 where Twilio does not know yet
	Price               *domain.Money // what Twilio takes for it; nil where Twilio does not say, as in the first hours
	ErrorCode           int           // why it was not delivered, 0 where it was or still may be
}

// Created is what came of one POST.
type Created struct {
	// State is accepted, refused, not_sent or unknown. Only of not_sent is it certain that a repetition sends once.
	State domain.AttemptState

	Sid      string        // accepted
	Status   domain.Status // accepted
	Segments int           // accepted; 0 where Twilio does not know yet
	Price    *domain.Money // accepted; nil where Twilio does not know yet

	ErrorCode  int           // Twilio's, 0 where it gave none
	ErrorKind  domain.Kind   // refused: denied or configuration; not_sent: throttled or unavailable; unknown: unknown_outcome
	Error      string        // what went wrong, for people, without addresses
	RetryAfter time.Duration // not_sent: how long Twilio asked to wait, 0 where it did not say

	// LoginRefused says of a refusal that it is about the login alone: with another one the message may be taken.
	LoginRefused bool

	RequestID string // Twilio's, for its support; empty where no answer came
}

// Create posts a message once: nothing in it repeats a request, and Twilio knows no idempotency key. It does not return an
// error, since every way in which a POST can end is one of the four states of Created.
func (c *Client) Create(ctx context.Context, login domain.Login, m NewMessage) Created {
	call := c.newExchange(ctx)
	message, err := call.api(login).CreateMessage(m.params(login.AccountSid))
	created := call.created(message, err)
	created.RequestID = call.header.Get("Twilio-Request-Id")
	return created
}

func (m NewMessage) params(accountSid string) *api.CreateMessageParams {
	params := (&api.CreateMessageParams{}).SetPathAccountSid(accountSid).SetFrom(m.From).SetTo(m.To)
	if m.Body != "" {
		params.SetBody(m.Body)
	}
	if len(m.MediaURLs) > 0 {
		params.SetMediaUrl(m.MediaURLs)
	}
	if m.StatusCallback != "" {
		params.SetStatusCallback(m.StatusCallback)
	}
	if m.ValidityPeriod > 0 {
		params.SetValidityPeriod(int(math.Ceil(m.ValidityPeriod.Seconds())))
	}
	return params
}

// Fetch reads a message, with the first of the account's logins that Twilio accepts. Its errors are KindNotFound, KindThrottled, KindUnavailable, or KindConfiguration for all else that
// Twilio refuses; KindInvalid for what is not a message's sid.
func (c *Client) Fetch(ctx context.Context, credentials domain.Credentials, sid string) (Message, error) {
	if !messageSid.MatchString(sid) {
		return Message{}, domain.Errorf(domain.KindInvalid, "not a message's sid")
	}
	return withEach(credentials, func(login domain.Login) (Message, error) {
		call := c.newExchange(ctx)
		params := (&api.FetchMessageParams{}).SetPathAccountSid(login.AccountSid)
		message, err := call.api(login).FetchMessage(sid, params)
		if err == nil && call.status == http.StatusOK && readable(message) {
			return newMessage(message), nil
		}
		return Message{}, call.readError("fetching a message", domain.KindNotFound, err)
	})
}

// withEach reads with one login after the other until Twilio accepts one. What the last one is told is the answer.
func withEach[T any](credentials domain.Credentials, read func(domain.Login) (T, error)) (answer T, err error) {
	err = domain.Errorf(domain.KindConfiguration, "account %s has no auth token and no API key", credentials.AccountSid)
	for _, login := range credentials.Logins {
		answer, err = read(login)
		if failure, ok := errors.AsType[*domain.Error](err); !ok || !refusesLogin(failure.Code) {
			return answer, err
		}
	}
	return answer, err
}

func (c *Client) newExchange(ctx context.Context) *exchange {
	return &exchange{ctx: ctx, base: c.base, next: c.transport}
}

// api returns twilio-go over this exchange.
func (e *exchange) api(login domain.Login) *api.ApiService {
	return api.NewApiServiceWithClient(&twiliogo.Client{
		Credentials: twiliogo.NewCredentials(login.User, login.Password),
		HTTPClient:  &http.Client{Transport: e},
	})
}

// readable reports whether an answer is a message: twilio-go takes any JSON for one.
func readable(m *api.ApiV2010Message) bool {
	return m != nil && m.Sid != nil && messageSid.MatchString(*m.Sid)
}

func newMessage(m *api.ApiV2010Message) Message {
	message := Message{
		Sid:                 *m.Sid,
		Direction:           value(m.Direction),
		From:                value(m.From),
		To:                  value(m.To),
		MessagingServiceSid: value(m.MessagingServiceSid),
		Body:                value(m.Body),
		Status:              domain.Status(value(m.Status)),
		ErrorCode:           value(m.ErrorCode),
		Price:               price(m),
	}
	if created, err := mail.ParseDate(value(m.DateCreated)); err == nil { // RFC 2822, as mail writes it
		message.DateCreated = created.UTC()
	}
	message.Segments, _ = strconv.Atoi(value(m.NumSegments)) // a number as text; anything else means not known
	return message
}

// price returns what Twilio takes for a message, nil where it does not say so in a way that can be read exactly. Twilio writes what it takes
// as less than nothing. https://www.twilio.com/docs/messaging/api/message-resource#message-properties
func price(m *api.ApiV2010Message) *domain.Money {
	change, err := domain.ParseMoney(value(m.Price), value(m.PriceUnit))
	if err != nil {
		return nil
	}
	change.Micros = -change.Micros
	return &change
}

// value returns a field of an answer, zero where it is null or missing.
func value[T any](field *T) (v T) {
	if field != nil {
		v = *field
	}
	return v
}

// created sorts the end of a POST into the four states.
func (e *exchange) created(message *api.ApiV2010Message, err error) Created {
	code := errorCode(err)
	explained := Explain(code)
	switch {
	case err == nil && e.status == http.StatusCreated && readable(message):
		m := newMessage(message)
		return Created{State: domain.AttemptAccepted, Sid: m.Sid, Status: m.Status, Segments: m.Segments, Price: m.Price, ErrorCode: m.ErrorCode}
	case e.status == http.StatusTooManyRequests || (e.refused(code) && explained.Class == ClassThrottled):
		return Created{
			State: domain.AttemptNotSent, ErrorCode: code, ErrorKind: domain.KindThrottled,
			Error: e.explain(explained), RetryAfter: retryAfter(e.header),
		}
	case e.refused(code) && explained.Class != ClassAmbiguous:
		kind := domain.KindDenied
		if explained.Class == ClassConfiguration {
			kind = domain.KindConfiguration
		}
		return Created{
			State: domain.AttemptRefused, ErrorCode: code, ErrorKind: kind, Error: e.explain(explained), LoginRefused: refusesLogin(code),
		}
	case !e.connected:
		return Created{State: domain.AttemptNotSent, ErrorKind: domain.KindUnavailable, Error: "Twilio could not be reached: " + e.explain(explained)}
	default:
		return Created{State: domain.AttemptUnknown, ErrorCode: code, ErrorKind: domain.KindUnknownOutcome, Error: e.explain(explained)}
	}
}

// readError says why something could not be read. The kind of Twilio's 404 depends on what was asked for.
func (e *exchange) readError(doing string, missing domain.Kind, err error) error {
	code := errorCode(err)
	explained := Explain(code)
	kind := domain.KindUnavailable
	switch {
	case e.status == http.StatusTooManyRequests || (e.refused(code) && explained.Class == ClassThrottled):
		kind = domain.KindThrottled
	case e.refused(code) && e.status == http.StatusNotFound:
		kind = missing
	case e.refused(code) && explained.Class != ClassAmbiguous:
		kind = domain.KindConfiguration
	}
	failure := domain.Errorf(kind, "%s: %s", doing, e.explain(explained))
	failure.Code, failure.RetryAfter, failure.Err = code, retryAfter(e.header), e.err
	return failure
}

// refused reports whether the answer is Twilio's own no: a 4xx with its JSON, other than 408. A gateway's 4xx has none and
// tells nothing. Without a request the no is twilio-go's, to credentials of odd characters.
func (e *exchange) refused(code int) bool {
	if code == 0 || e.status == http.StatusRequestTimeout {
		return false
	}
	return !e.used || (e.status >= 400 && e.status < 500)
}

// explain says what went wrong, in words of ours: Twilio's repeat phone numbers.
func (e *exchange) explain(explained ErrorClass) string {
	switch {
	case explained.Code != 0:
		return explained.Meaning
	case e.err != nil:
		return e.err.Error()
	case e.status == http.StatusTooManyRequests:
		return Explain(codeTooManyRequests).Meaning
	case !e.used:
		return "the request could not be made"
	default:
		return fmt.Sprintf("the answer could not be read (HTTP %d)", e.status)
	}
}

// refusesLogin reports whether a code is about the login that was used, and about nothing else.
func refusesLogin(code int) bool {
	return code == codeAuthenticate || code == codeOddUser || code == codeOddPassword
}

const (
	codeAuthenticate    = 20003
	codeOddUser         = 21222 // twilio-go's own, before a request is made
	codeOddPassword     = 21224 // likewise
	codeTooManyRequests = 20429
	leastCode           = 10_000 // Twilio's codes have five digits or more; a gateway's JSON may repeat the HTTP status
)

// errorCode returns the code of Twilio's error JSON, 0 where the answer had none.
func errorCode(err error) int {
	if e, ok := errors.AsType[*twiliogo.TwilioRestError](err); ok && e.Code >= leastCode {
		return e.Code
	}
	return 0
}
