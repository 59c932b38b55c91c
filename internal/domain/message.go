package domain

// Direction says who wrote a message.
type Direction string

// The two directions of a message.
const (
	Inbound  Direction = "inbound"
	Outbound Direction = "outbound"
)

// Media is one attachment of a message.
type Media struct {
	URL         string `json:"url"`
	ContentType string `json:"content_type,omitempty"`
}

// ReplyState says what became of the duty that a message puts on us: to answer it (inbound) or to send it (outbound).
type ReplyState string

// The states of a reply. Only pending and parked are open.
const (
	ReplyPending    ReplyState = "pending"
	ReplyParked     ReplyState = "parked"     // a person must act
	ReplyAnswered   ReplyState = "answered"   // its first part was accepted by Twilio
	ReplySuperseded ReplyState = "superseded" // a newer message of the same person answers for both
	ReplyNotNeeded  ReplyState = "not_needed"
	ReplyFailed     ReplyState = "failed"
)

// AttemptState is what is known about one attempt to send one part of a message: one POST at most.
type AttemptState string

// The states of an attempt. Begun and unknown are not resolved: the message may have been sent.
const (
	AttemptBegun    AttemptState = "begun"    // claimed; the POST may be under way
	AttemptAccepted AttemptState = "accepted" // Twilio gave it a sid
	AttemptRefused  AttemptState = "refused"  // Twilio refused it; nothing was sent
	AttemptNotSent  AttemptState = "not_sent" // it never reached Twilio, or Twilio asked to come back later
	AttemptUnknown  AttemptState = "unknown"  // its fate could not be found out
)

// Outcome is how a flow ended.
type Outcome string

// The outcomes of a flow, inbound or outbound.
const (
	OutcomeReplied    Outcome = "replied"    // Twilio accepted the reply (inbound)
	OutcomeSent       Outcome = "sent"       // Twilio accepted the message (outbound)
	OutcomeSuperseded Outcome = "superseded" // a newer message answers for both
	OutcomeUnknown    Outcome = "unknown"    // given up; whether it was sent is not known
	OutcomeExpired    Outcome = "expired"    // its deadline passed first
	OutcomeAbandoned  Outcome = "abandoned"  // by an operator
	OutcomeCancelled  Outcome = "cancelled"
	OutcomeFailed     Outcome = "failed"
)

// Open reports whether something still has to be done for the message.
func (s ReplyState) Open() bool { return s == ReplyPending || s == ReplyParked }
