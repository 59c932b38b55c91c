package contract

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"

	"parley/internal/domain"
)

// Domain types that travel.
type (
	Address        = domain.Address
	Media          = domain.Media
	Outcome        = domain.Outcome
	MessageKind    = domain.MessageKind
	Received       = domain.Received
	Status         = domain.Status
	Timing         = domain.Timing
	TurnBounds     = domain.TurnBounds
	QuotaState     = domain.QuotaState
	UnknownPeople  = domain.UnknownPeople
	NewInbound     = domain.NewInbound
	NewOutbound    = domain.NewOutbound
	NewPark        = domain.NewPark
	NewReservation = domain.NewReservation
	NewFinish      = domain.NewFinish
	Recorded       = domain.Recorded
	Draft          = domain.Draft
	Finished       = domain.Finished
	AttemptKey     = domain.AttemptKey
)

// The workflows.
var (
	InboundMessage  = Workflow[InboundMessageInput, MessageResult]{Name: "InboundMessage"}
	OutboundMessage = Workflow[OutboundMessageInput, MessageResult]{Name: "OutboundMessage"}
)

// InboundMessageInput starts the flow of one message that Twilio delivered.
type InboundMessageInput struct {
	Received Received `json:"received"`
	// Anyway says that an operator had the flow started, when the message had waited for an owner: it is answered however late.
	Anyway bool `json:"anyway,omitempty"`
}

// OutboundMessageInput starts the flow of one message of ours.
type OutboundMessageInput struct {
	OwnerID    string      `json:"owner_id"`
	AccountSid string      `json:"account_sid"`
	From       string      `json:"from"` // a sender of the owner, as Twilio writes addresses
	To         string      `json:"to"`
	Body       string      `json:"body,omitempty"`
	Media      []Media     `json:"media,omitempty"`
	Kind       MessageKind `json:"kind,omitempty"` // of a system text: its body is the owner's, at the time
	Key        string      `json:"key"`            // the caller's idempotency key, unique within the owner
	StartedAt  time.Time   `json:"started_at"`

	// MessagingServiceSid is what the message came through that a system text answers: From is then the owner's as that message's To was.
	MessagingServiceSid string `json:"messaging_service_sid,omitempty"`
}

// MessageResult is how a flow ended.
type MessageResult struct {
	MessageID string  `json:"message_id,omitempty"`
	Outcome   Outcome `json:"outcome"`
	Status    Status  `json:"status,omitempty"`
	ErrorCode int     `json:"error_code,omitempty"`
}

// InboundWorkflowID is the id of the flow of an inbound message: the same message always has the same flow.
func InboundWorkflowID(accountSid, messageSid string) string {
	return "inbound:" + accountSid + ":" + messageSid
}

// OutboundWorkflowID is the id of the flow of a message of ours. The key is hashed: it may hold a phone number, and
// workflow ids are plain text.
func OutboundWorkflowID(ownerID, key string) string {
	sum := sha256.Sum256([]byte(key))
	return "outbound:" + ownerID + ":" + hex.EncodeToString(sum[:16])
}

// Search attributes of every flow, all of the type Keyword. They are plain text: never a phone number or a body.
var (
	SearchOwner   = temporal.NewSearchAttributeKeyKeyword("ParleyOwner")
	SearchStage   = temporal.NewSearchAttributeKeyKeyword("ParleyStage")
	SearchOutcome = temporal.NewSearchAttributeKeyKeyword("ParleyOutcome")
)

// SearchAttributes returns the names of the search attributes that a namespace needs; all are Keywords.
func SearchAttributes() []string {
	return []string{SearchOwner.GetName(), SearchStage.GetName(), SearchOutcome.GetName()}
}

// Stage says where a flow stands, as a search attribute.
type Stage string

// The stages of a flow.
const (
	StageReceived   Stage = "received"   // not yet known whose message it is
	StageWorking    Stage = "working"    // being answered, or sent
	StageDelivering Stage = "delivering" // Twilio has it; the delivery is followed
	StageParked     Stage = "parked"     // a person must act
	StageClosed     Stage = "closed"
)

// Names of what a running flow takes and answers.
const (
	// DeliverySignal tells a flow that the delivery status of one of its attempts is final, or that one that it may be looking for was
	// accepted. Payload: Delivery.
	DeliverySignal = "delivery"
	// RetryCommand runs the step again that parked the flow. An update, and a signal for batches. Payload: Command.
	RetryCommand = "retry"
	// AbandonCommand ends a parked flow. An update, and a signal for batches. Payload: Command.
	AbandonCommand = "abandon"
	// StatusQuery asks a flow where it stands. Result: StatusResult.
	StatusQuery = "status"
)

// Delivery is the payload of DeliverySignal.
type Delivery struct {
	Part      int    `json:"part"`
	Attempt   int    `json:"attempt"`
	Status    Status `json:"status"`
	ErrorCode int    `json:"error_code,omitempty"`
}

// Command is an operator's word to a parked flow. A command for a park that is over is refused (a signal: dropped).
type Command struct {
	Park   string `json:"park,omitempty"`   // the park it is for; required for an unknown send
	Anyway bool   `json:"anyway,omitempty"` // retry: send even though the deadline has passed
}

// StatusResult is where a flow stands.
type StatusResult struct {
	AccountSid string       `json:"account_sid,omitempty"`
	OurAddress string       `json:"our_address,omitempty"` // our end, as Twilio writes it; the person's is not told
	OwnerID    string       `json:"owner_id,omitempty"`
	MessageID  string       `json:"message_id,omitempty"`
	Stage      Stage        `json:"stage"`
	Outcome    Outcome      `json:"outcome,omitempty"`
	Reason     string       `json:"reason,omitempty"` // why the flow did not come to its intended end
	Steps      []StepStatus `json:"steps"`
	Park       *Park        `json:"park,omitempty"`
}

// StepStatus is one step of a flow.
type StepStatus struct {
	Name  string    `json:"name"`           // the activity's name, or "delivery" for the wait for Twilio's status
	Part  int       `json:"part,omitempty"` // of a message that is sent in several, for the steps that send one
	State StepState `json:"state"`
	Note  string    `json:"note,omitempty"`
}

// Title names a step for people.
func (s StepStatus) Title() string { return title(s.Name, s.Part) }

func title(step string, part int) string {
	if part == 0 {
		return step
	}
	return fmt.Sprintf("%s part %d", step, part)
}

// StepState says how far a step is.
type StepState string

// The states of a step.
const (
	StepRunning StepState = "running"
	StepDone    StepState = "done"
	StepParked  StepState = "parked"
	StepEnded   StepState = "ended" // it did not succeed, and is not tried again
)

// Park is why a flow waits for a person.
type Park struct {
	Name    string    `json:"name"` // <run id>/<n>
	Step    string    `json:"step"`
	Part    int       `json:"part,omitempty"` // as of StepStatus
	Reason  string    `json:"reason"`         // what is wrong
	Advice  string    `json:"advice"`         // what to do about it
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"`   // when the flow gives up
	Unknown bool      `json:"unknown"` // the message may have been sent
	// Deadline is until when the message may be claimed: after it a retry leads to a send only with Anyway. Zero where all is sent.
	Deadline time.Time `json:"deadline,omitzero"`
}

// Title names the step that parked, for people.
func (p Park) Title() string { return title(p.Step, p.Part) }
