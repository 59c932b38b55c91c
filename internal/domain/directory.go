package domain

import "time"

// Owner is a tenant: a company whose messages Parley answers.
type Owner struct {
	OwnerID   string    `json:"owner_id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
}

// Account is a Twilio account or subaccount.
type Account struct {
	AccountSid string    `json:"account_sid"`
	Name       string    `json:"name,omitempty"`
	CreatedAt  time.Time `json:"created_at"`
	Tokens     []Token   `json:"tokens"` // the best first
}

// Token is one secret of an account, without the secret: an auth token, which signs webhooks and opens the API, or the secret of an API
// key, which only opens the API. An account has several while one takes the place of another.
type Token struct {
	TokenID    string     `json:"token_id"`
	APIKey     string     `json:"api_key,omitempty"` // the sid of the API key; empty for an auth token
	AddedBy    string     `json:"added_by"`
	AddedAt    time.Time  `json:"added_at"`
	ValidUntil *time.Time `json:"valid_until,omitempty"` // null: until another one takes its place
}

// NewToken is a secret of an account, to be stored.
type NewToken struct {
	APIKey  string // the sid of the API key that the secret belongs to; empty for an auth token
	Secret  string
	AddedBy string
}

// Credentials are the secrets of an account that are valid now.
type Credentials struct {
	AccountSid string
	AuthTokens []string // newest first; each may have signed a webhook
	Logins     []Login  // the best first: API keys before auth tokens, newer before older
}

// Login is one way into Twilio's API, as basic authentication has it.
type Login struct {
	AccountSid string // whose messages it is about
	TokenID    string // names the secret in rows and logs
	User       string // the account's sid, or that of an API key
	Password   string
}

// Sender is one of our addresses, or a messaging service: a message to it, or through it, belongs to its owner.
type Sender struct {
	AccountSid    string        `json:"account_sid"`
	Channel       Channel       `json:"channel"`
	Address       string        `json:"address"`
	OwnerID       string        `json:"owner_id"`
	CreatedAt     time.Time     `json:"created_at"`
	OptOutReplies OptOutReplies `json:"opt_out_replies"` // who answers STOP, START and HELP

	MessagingServiceSid string `json:"messaging_service_sid,omitempty"` // that it belongs to, as its latest message told
}

// Trace is all that is stored about one message: what was said, what was tried, what it cost.
type Trace struct {
	Message  TracedMessage   `json:"message"`
	Parts    []TracedMessage `json:"parts,omitempty"` // what was sent for it
	Attempts []TracedAttempt `json:"attempts,omitempty"`
	Events   []TracedEvent   `json:"events,omitempty"`
	Ledger   []TracedEntry   `json:"ledger,omitempty"`
	AIRuns   []TracedAIRun   `json:"ai_runs,omitempty"`
}

// TracedMessage is a row of messages.
type TracedMessage struct {
	MessageID      string     `json:"message_id"`
	OwnerID        string     `json:"owner_id"`
	ConversationID string     `json:"conversation_id,omitempty"` // that it is filed under; none for one from before there were conversations
	WorkflowID     string     `json:"workflow_id"`
	Direction      Direction  `json:"direction"`
	AccountSid     string     `json:"account_sid"`
	TwilioSid      string     `json:"twilio_sid,omitempty"`
	From           string     `json:"from"`
	To             string     `json:"to"`
	Body           string     `json:"body"`
	Media          []Media    `json:"media,omitempty"`
	Part           int        `json:"part"`
	ReplyState     ReplyState `json:"reply_state,omitempty"`
	Status         Status     `json:"status,omitempty"`
	ErrorCode      int        `json:"error_code,omitempty"`
	Segments       int        `json:"segments,omitempty"`
	Park           string     `json:"park,omitempty"`
	ParkStep       string     `json:"park_step,omitempty"`
	ParkReason     string     `json:"park_reason,omitempty"`
	Outcome        Outcome    `json:"outcome,omitempty"`
	Reason         string     `json:"reason,omitempty"`
	Deadline       *time.Time `json:"deadline,omitempty"`
	ReceivedAt     time.Time  `json:"received_at"`
	FinishedAt     *time.Time `json:"finished_at,omitempty"`
	Fallback       string     `json:"fallback,omitempty"` // why Twilio delivered it by the fallback URL: its error, and the URL that it met
}

// TracedAttempt is a row of send_attempts.
type TracedAttempt struct {
	Part       int          `json:"part"`
	Attempt    int          `json:"attempt"`
	State      AttemptState `json:"state"`
	TwilioSid  string       `json:"twilio_sid,omitempty"`
	Status     Status       `json:"status,omitempty"`
	ErrorCode  int          `json:"error_code,omitempty"`
	Error      string       `json:"error,omitempty"`
	Refused    []string     `json:"refused_tokens,omitempty"` // ids of tokens that Twilio did not accept, before it was asked with another
	BegunAt    time.Time    `json:"begun_at"`
	ResolvedAt *time.Time   `json:"resolved_at,omitempty"`
	Price      *Money       `json:"price,omitempty"` // what Twilio takes for it, once Twilio says so
}

// TracedEvent is a row of message_events.
type TracedEvent struct {
	Part       int         `json:"part"`
	Attempt    int         `json:"attempt"`
	Source     EventSource `json:"source"`
	Status     Status      `json:"status"`
	ErrorCode  int         `json:"error_code,omitempty"`
	ReceivedAt time.Time   `json:"received_at"`
}

// TracedEntry is a row of the ledger.
type TracedEntry struct {
	Kind      string    `json:"kind"`
	Meter     string    `json:"meter"`
	Quantity  int64     `json:"quantity"`
	CreatedAt time.Time `json:"created_at"`
}

// TracedAIRun is a row of ai_runs.
type TracedAIRun struct {
	Provider     string    `json:"provider"`
	Model        string    `json:"model"`
	InputTokens  int       `json:"input_tokens"`
	OutputTokens int       `json:"output_tokens"`
	LatencyMS    int       `json:"latency_ms"`
	CreatedAt    time.Time `json:"created_at"`
	Cost         *Money    `json:"cost,omitempty"` // missing where no price was known
}
