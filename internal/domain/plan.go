package domain

import "time"

// Plan is what an owner may use in a calendar month (UTC).
type Plan struct {
	PlanID string          `json:"plan_id"`
	Name   string          `json:"name"`
	Quotas map[Meter]int64 `json:"quotas"` // a meter that is not there has no limit
}

// Meters returns every meter.
func Meters() []Meter { return []Meter{MeterReplies, MeterSegments} }

// SubscriptionState says whether an owner's plan is in force. Only an active one answers.
type SubscriptionState string

// The states of a subscription.
const (
	SubscriptionActive   SubscriptionState = "active"
	SubscriptionPastDue  SubscriptionState = "past_due"
	SubscriptionCanceled SubscriptionState = "canceled"
)

// ParseSubscriptionState reads a subscription's state.
func ParseSubscriptionState(s string) (SubscriptionState, error) {
	switch state := SubscriptionState(s); state {
	case SubscriptionActive, SubscriptionPastDue, SubscriptionCanceled:
		return state, nil
	default:
		return "", Errorf(KindInvalid, "want active, past_due or canceled, got %q", s)
	}
}

// Subscription is an owner's plan.
type Subscription struct {
	OwnerID string            `json:"owner_id"`
	PlanID  string            `json:"plan_id"`
	State   SubscriptionState `json:"state"`
}

// Unlimited is the plan of who chose none.
const Unlimited = "unlimited"

// Usage is what an owner has used of one meter in one month.
type Usage struct {
	Meter    Meter     `json:"meter"`
	Period   time.Time `json:"period"` // the first day of the month, UTC
	Used     int64     `json:"used"`
	Reserved int64     `json:"reserved"` // for messages that are not sent yet
	Quota    *int64    `json:"quota"`    // of the present plan; null for no limit
}

// CostSource is who takes money for a message.
type CostSource string

// The sources of costs.
const (
	CostOfModel  CostSource = "model"
	CostOfTwilio CostSource = "twilio"
)

// Cost is what one source took in one currency for an owner's messages of a month.
type Cost struct {
	Source       CostSource `json:"source"`
	Count        int64      `json:"count"` // calls of a model, used or not; messages that Twilio accepted
	InputTokens  int64      `json:"input_tokens,omitempty"`
	OutputTokens int64      `json:"output_tokens,omitempty"`
	Sum          *Money     `json:"sum"` // null for those whose price is not known, or not known yet
}

// Unpriced is an attempt that Twilio accepted, and whose price Twilio has not told.
type Unpriced struct {
	OwnerID string
	AttemptKey
	AccountSid string
	Sid        string
	Status     Status // as we hold it
}

// LedgerEntry is one change of an owner's usage.
type LedgerEntry struct {
	CreatedAt      time.Time `json:"created_at"`
	Kind           string    `json:"kind"` // reserve, settle, release, credit
	Meter          Meter     `json:"meter"`
	Quantity       int64     `json:"quantity"`
	Period         time.Time `json:"period"` // the month that it counts in: its first day, UTC
	For            string    `json:"for"`    // reply, or the kind of the message of ours
	WorkflowID     string    `json:"workflow_id"`
	MessageID      string    `json:"message_id"`
	ConversationID string    `json:"conversation_id,omitempty"`
}

// LedgerSearch says which entries of a ledger are wanted: those of the month of a time, of one workflow, or of both. A zero field selects all.
type LedgerSearch struct {
	Month      time.Time
	WorkflowID string
}

// MaxLedger is the most entries that are listed at once.
const MaxLedger = 1000
