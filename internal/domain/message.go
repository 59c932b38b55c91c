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
	OutcomeConsent    Outcome = "consent"    // it was a consent word: STOP, START, HELP
	OutcomeBlocked    Outcome = "blocked"    // the owner's plan is not active, or answers no unknown people; or nobody can write to the sender
	OutcomeDenied     Outcome = "denied"     // the person does not want to be written to
	OutcomeOverQuota  Outcome = "over_quota" // the owner's plan has nothing left
	OutcomeLooping    Outcome = "looping"    // the conversation looks like two machines talking
	OutcomeUnknown    Outcome = "unknown"    // given up; whether it was sent is not known
	OutcomeExpired    Outcome = "expired"    // its deadline passed first
	OutcomeAbandoned  Outcome = "abandoned"  // by an operator
	OutcomeCancelled  Outcome = "cancelled"
	OutcomeFailed     Outcome = "failed"
)

// Kept reports whether a message that ends so needed no answer from us; any other end without an answer is a failure.
func (o Outcome) Kept() bool {
	switch o {
	case OutcomeConsent, OutcomeBlocked, OutcomeDenied, OutcomeOverQuota, OutcomeLooping:
		return true
	default:
		return false
	}
}

// MessageKind says what a message of ours is, and with it which checks its claim skips.
type MessageKind string

// The kinds of a message of ours. All but the first are system texts: the owner's fixed words.
const (
	KindMessage           MessageKind = "message"
	KindStopConfirmation  MessageKind = "stop_confirmation"
	KindStartConfirmation MessageKind = "start_confirmation"
	KindHelp              MessageKind = "help"
	KindOverQuotaNotice   MessageKind = "over_quota_notice" // one a day
	KindRegisterFirst     MessageKind = "register_first"    // once
)

// System reports whether it is a system text, which answers a message of theirs.
func (k MessageKind) System() bool { return k != "" && k != KindMessage }

// SkipsConsent reports whether it goes out to somebody who does not want to be written to.
func (k MessageKind) SkipsConsent() bool { return k == KindStopConfirmation }

// SkipsQuota reports whether it goes out though the owner's plan has nothing left, or is not active.
func (k MessageKind) SkipsQuota() bool {
	switch k {
	case KindStopConfirmation, KindStartConfirmation, KindHelp, KindOverQuotaNotice:
		return true
	default:
		return false
	}
}

// Meter is what a plan limits and the ledger counts.
type Meter string

// The meters.
const (
	MeterReplies  Meter = "ai_replies"       // replies that a model wrote: one a turn
	MeterSegments Meter = "message_segments" // what carriers bill
)

// Open reports whether something still has to be done for the message.
func (s ReplyState) Open() bool { return s == ReplyPending || s == ReplyParked }

// QuotaState says whether an owner's plan has room for something.
type QuotaState string

// The answers of a plan.
const (
	QuotaGranted    QuotaState = "granted"
	QuotaUsedUp     QuotaState = "used_up"
	QuotaInactive   QuotaState = "inactive"   // the subscription is not active
	QuotaSuperseded QuotaState = "superseded" // nothing is needed: a newer message answers for both
)
