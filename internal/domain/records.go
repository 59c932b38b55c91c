package domain

import "time"

// Received is one inbound message as Twilio delivered it to the webhook.
type Received struct {
	AccountSid          string              `json:"account_sid"`
	MessageSid          string              `json:"message_sid"`
	MessagingServiceSid string              `json:"messaging_service_sid,omitempty"`
	From                string              `json:"from"` // the person, as Twilio writes addresses
	To                  string              `json:"to"`   // the company
	Body                string              `json:"body,omitempty"`
	Media               []Media             `json:"media,omitempty"`
	ProfileName         string              `json:"profile_name,omitempty"` // WhatsApp's name of the person
	ReceivedAt          time.Time           `json:"received_at"`            // by the webhook's clock
	Other               map[string][]string `json:"other,omitempty"`        // parameters that Parley does not name, non-empty ones
}

// OtherAddress is WhatsApp's id of the person, where Twilio tells it beside their number.
func (r Received) OtherAddress() string {
	for _, id := range r.Other["ExternalUserId"] {
		return id
	}
	return ""
}

// NewInbound is an inbound message to be stored. Key: (Received.AccountSid, Received.MessageSid).
type NewInbound struct {
	OwnerID    string    `json:"owner_id"`
	WorkflowID string    `json:"workflow_id"`
	Received   Received  `json:"received"`
	Deadline   time.Time `json:"deadline"` // no reply is claimed after it
}

// NewOutbound is a message of ours to be stored. Key: (OwnerID, Key).
type NewOutbound struct {
	OwnerID    string      `json:"owner_id"`
	WorkflowID string      `json:"workflow_id"`
	AccountSid string      `json:"account_sid"`
	From       string      `json:"from"` // the company, as Twilio writes addresses
	To         string      `json:"to"`   // the person
	Body       string      `json:"body,omitempty"`
	Media      []Media     `json:"media,omitempty"`
	Kind       MessageKind `json:"kind,omitempty"` // of a system text, whose body is the owner's; empty: message
	Key        string      `json:"key"`
	Deadline   time.Time   `json:"deadline"`

	MessagingServiceSid string `json:"messaging_service_sid,omitempty"` // that the message came through which a system text answers
}

// Recorded is a stored message, as the flow needs it.
type Recorded struct {
	MessageID   string      `json:"message_id"`
	ReplyState  ReplyState  `json:"reply_state"`
	Finished    bool        `json:"finished,omitempty"`     // a flow of it is over
	ConsentWord ConsentWord `json:"consent_word,omitempty"` // what an inbound message asks for: it needs no answer
	Confirm     MessageKind `json:"confirm,omitempty"`      // the system text that answers the consent word, where Twilio does not
	Looping     bool        `json:"looping,omitempty"`      // its conversation looks like two machines talking: it gets no answer
	Denied      bool        `json:"denied,omitempty"`       // the person does not want to be written to: a reply would not go out
	Unreachable bool        `json:"unreachable,omitempty"`  // nobody can write to where it came from, a name or a short code: it gets no answer
	DraftID     string      `json:"draft_id,omitempty"`     // the fixed answer to an inbound message without text
	Parts       int         `json:"parts,omitempty"`        // messages that the body, or that fixed answer, is sent as; 0 for an inbound message with text
}

// Closed reports whether nothing goes out for the message any more. One that is answered and not finished has further parts, and a
// delivery to follow: its flow was reset.
func (r Recorded) Closed() bool {
	return r.Finished || (!r.ReplyState.Open() && r.ReplyState != ReplyAnswered)
}

// Draft is a stored reply, not yet sent.
type Draft struct {
	DraftID string `json:"draft_id"`
	Parts   int    `json:"parts"` // messages that it is sent as
}

// AttemptKey names one attempt to send one part of a message. It travels in the status callback's URL.
type AttemptKey struct {
	MessageID string `json:"message_id"`
	Part      int    `json:"part"`    // from 1
	Attempt   int    `json:"attempt"` // from 1
}

// NewClaim asks for the right to make one POST.
type NewClaim struct {
	AttemptKey
	OwnerID    string
	DraftID    string        // empty: the message's own body is sent
	Anyway     bool          // an operator's word: the deadline does not count
	PostWithin time.Duration // how long after the claim the POST may still begin
	Timeout    time.Duration // how long the POST may then take
	Turns      TurnBounds    // how long a message waits for the next of the person
}

// NewReservation asks for a share of the unit of a turn. Key: MessageID.
type NewReservation struct {
	OwnerID    string     `json:"owner_id"`
	WorkflowID string     `json:"workflow_id"`
	MessageID  string     `json:"message_id"`
	Turns      TurnBounds `json:"turns"`
}

// TurnBounds bounds how long a person who keeps writing waits for an answer. Past either bound newer messages that are not answered themselves
// do not supersede any more: they form the next turn.
type TurnBounds struct {
	Wait     time.Duration `json:"wait"`     // since the oldest message of the turn was received
	Messages int           `json:"messages"` // superseded messages of the turn
}

// ClaimState is the answer to a claim.
type ClaimState string

// The answers to a claim.
const (
	ClaimGranted    ClaimState = "granted"    // the attempt is begun, by this claim: POST
	ClaimBegun      ClaimState = "begun"      // an earlier execution began it: its fate is unknown, do not POST
	ClaimResolved   ClaimState = "resolved"   // an earlier execution resolved it: return that
	ClaimExpired    ClaimState = "expired"    // the deadline has passed
	ClaimSuperseded ClaimState = "superseded" // a newer message answers for both
	ClaimDenied     ClaimState = "denied"     // the person does not want to be written to
	ClaimOverQuota  ClaimState = "over_quota" // the owner's plan has nothing left
	ClaimBlocked    ClaimState = "blocked"    // the owner's plan is not active
	ClaimLooping    ClaimState = "looping"    // the conversation looks like two machines talking
	ClaimStale      ClaimState = "stale"      // the draft does not answer what is to be answered by now: write another
	ClaimOvertaken  ClaimState = "overtaken"  // another reply has had the pair since the part before: the rest stays unsent
	ClaimClosed     ClaimState = "closed"     // the message is closed or its flow is over
)

// Claim is the answer to a NewClaim, with all that the POST needs where it is granted.
type Claim struct {
	State      ClaimState
	Resolved   Attempt   // where State is resolved
	BegunAt    time.Time // of one that is granted, by the database's clock: tells it from later claims of the same attempt
	AccountSid string
	From, To   string
	Body       string
	Media      []Media
	Refused    []string // ids of tokens that Twilio did not accept for this attempt
}

// Attempt is what is stored of one attempt.
type Attempt struct {
	Number    int
	State     AttemptState
	Sid       string
	Status    Status
	ErrorCode int
	ErrorKind Kind   // of a refusal: configuration or denied
	Error     string // what went wrong, for people
}

// Resolution is the answer to one POST, to be stored. Key: AttemptKey.
type Resolution struct {
	AttemptKey
	OwnerID   string
	BegunAt   time.Time // of the claim that the POST was made for: what failed says nothing of a later one; what was accepted counts whenever
	State     AttemptState
	Sid       string
	Status    Status
	Segments  int // as Twilio counts them, 0 where it does not know yet
	Price     *Money
	ErrorCode int
	ErrorKind Kind
	Error     string // Twilio's explanation
	Refused   string // the id of the token that Twilio did not accept, where that is why the message was not sent
}

// StatusEvent is one thing that Twilio said about a message of ours: a callback or a fetched status.
type StatusEvent struct {
	AttemptKey        // zero where the callback carried no parameters of ours
	AccountSid string // verified
	Sid        string
	Status     Status
	ErrorCode  int
	Price      *Money // what Twilio takes for the message, nil where it does not say yet
	Source     EventSource
}

// EventSource says how a status reached us.
type EventSource string

// The sources of a status.
const (
	SourceCallback EventSource = "callback"
	SourceFetch    EventSource = "fetch"
)

// StatusChange says what an event did to the rows.
type StatusChange struct {
	AttemptKey        // of the attempt that the event is about
	Found      bool   // it showed that an attempt was accepted whose flow may be looking for it, or be parked about it
	WorkflowID string // empty where no attempt of ours is known for it
	Status     Status // the attempt's status after it
	ErrorCode  int
	Moved      bool // false for an event that is repeated, late or not understood
	Ended      bool // it made the status final, which it was not before
	NewError   bool // it brought the error code
}

// Sought is an unresolved attempt, with what it takes to find its message in Twilio's list.
type Sought struct {
	Attempt
	AccountSid string
	From, To   string
	Body       string
	BegunAt    time.Time
	Until      time.Time // nothing of it can have reached Twilio later
}

// NewPark says why a flow waits for a person. Key: Park.
type NewPark struct {
	OwnerID   string `json:"owner_id"`
	MessageID string `json:"message_id"`
	Park      string `json:"park"` // <when it began>/<n>
	Step      string `json:"step"` // the activity that failed
	Reason    string `json:"reason"`
}

// NewFinish closes a message's flow. Key: the message.
type NewFinish struct {
	OwnerID    string  `json:"owner_id"`
	WorkflowID string  `json:"workflow_id"`
	MessageID  string  `json:"message_id"`
	Ending     Outcome `json:"ending"` // how the flow believes it ended; the rows decide
	Reason     string  `json:"reason,omitempty"`
	GiveUp     bool    `json:"give_up,omitempty"` // an attempt that is not resolved was looked for in vain: it is declared unknown
}

// Finished is how a message's flow ended, by the rows.
type Finished struct {
	Outcome   Outcome `json:"outcome"`
	Status    Status  `json:"status,omitempty"`
	ErrorCode int     `json:"error_code,omitempty"`
	// Void says that the message ended over quota and need not: there is a unit by now, and it has it. Nothing is finished.
	Void bool `json:"void,omitempty"`
	// Unresolved is an attempt that is not resolved: nothing is finished yet, it has to be looked for first.
	Unresolved *AttemptKey `json:"unresolved,omitempty"`
}

// Turn is one message of a conversation, as a model sees it.
type Turn struct {
	Direction Direction
	Body      string
}

// Prompt is what a model answers: the role it was given, what was said before, and the message itself as the last turn.
type Prompt struct {
	Language     Language
	Instructions string
	Turns        []Turn
	Answers      []string // the ids of the messages that a reply to it answers, oldest first
}

// Completion is a model's answer with what it cost.
type Completion struct {
	Text         string
	Provider     string
	Model        string
	InputTokens  int
	OutputTokens int
	Latency      time.Duration
	Cost         *Money // nil where no price is known
}

// SavedReply is what a model's answer came to.
type SavedReply struct {
	Draft      Draft // zero where the answer had no text
	Unanswered int   // how often a model was asked for this message and gave no text
}

// NewReply is a model's answer to a message, to be stored with its cost. Key: (MessageID, Answers).
type NewReply struct {
	OwnerID    string
	MessageID  string
	Answers    []string
	Completion Completion
}
