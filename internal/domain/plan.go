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

// LedgerEntry is one change of an owner's usage.
type LedgerEntry struct {
	CreatedAt  time.Time `json:"created_at"`
	Kind       string    `json:"kind"` // reserve, settle, release, credit
	Meter      Meter     `json:"meter"`
	Quantity   int64     `json:"quantity"`
	WorkflowID string    `json:"workflow_id"`
	MessageID  string    `json:"message_id"`
}

// MaxLedger is the most entries that are listed at once.
const MaxLedger = 1000
