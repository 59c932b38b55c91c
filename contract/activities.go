package contract

import "time"

// The steps of a flow. Each names the role that runs it; the key that makes a second run harmless stands at the
// implementation.
var (
	ResolveAccount  = Activity[ResolveAccountInput, ResolveAccountResult]{"account.Resolve", RoleAccount}
	KeepUnrouted    = Activity[KeepUnroutedInput, Nothing]{"account.KeepUnrouted", RoleAccount}
	RecordInbound   = Activity[NewInbound, Recorded]{"persistence.RecordInbound", RolePersistence}
	RecordOutbound  = Activity[NewOutbound, Recorded]{"persistence.RecordOutbound", RolePersistence}
	Finish          = Activity[NewFinish, Finished]{"persistence.Finish", RolePersistence}
	ParkMessage     = Activity[NewPark, Nothing]{"persistence.Park", RolePersistence}
	ResolveIdentity = Activity[ResolveIdentityInput, ResolveIdentityResult]{"identity.Resolve", RoleIdentity}
	Reserve         = Activity[NewReservation, ReserveResult]{"billing.Reserve", RoleBilling}
	Settle          = Activity[SettleInput, SettleResult]{"billing.Settle", RoleBilling}
	Generate        = Activity[GenerateInput, Draft]{"reply.Generate", RoleReply}
	Send            = Activity[SendInput, SendResult]{"messaging.Send", RoleMessaging}
	LookUp          = Activity[LookUpInput, SendResult]{"messaging.LookUp", RoleMessaging}
	FetchStatus     = Activity[FetchStatusInput, FetchStatusResult]{"messaging.FetchStatus", RoleMessaging}
)

// Nothing is the result of a step that has none.
type Nothing struct{}

// ResolveAccountInput asks whose an address of an account is: whose sender, and nobody else's where it is to be sent from.
type ResolveAccountInput struct {
	AccountSid string `json:"account_sid"`
	Address    string `json:"address"` // our end, as Twilio writes it
	// Inbound says that a message came to the address, or is answered from it: where it is nobody's sender, the messaging service tells
	// whose it is, then the account.
	Inbound             bool   `json:"inbound,omitempty"`
	MessagingServiceSid string `json:"messaging_service_sid,omitempty"` // that the message came through, if any
}

// ResolveAccountResult is the owner with the settings that the flow waits by.
type ResolveAccountResult struct {
	OwnerID       string        `json:"owner_id"`
	Timing        Timing        `json:"timing"`
	UnknownPeople UnknownPeople `json:"unknown_people,omitempty"` // what becomes of their messages
}

// KeepUnroutedInput is an inbound message that has no owner, or could not be stored. Key: (Received.AccountSid, Received.MessageSid).
type KeepUnroutedInput struct {
	Received Received `json:"received"`
	Reason   string   `json:"reason"` // why it has none
}

// ResolveIdentityInput asks who is behind an address.
type ResolveIdentityInput struct {
	OwnerID      string `json:"owner_id"`
	Address      string `json:"address"`                 // their end, as Twilio writes it
	OtherAddress string `json:"other_address,omitempty"` // another one of theirs, told beside it
	ProfileName  string `json:"profile_name,omitempty"`
}

// ResolveIdentityResult is the contact.
type ResolveIdentityResult struct {
	ContactID  string `json:"contact_id"`
	Registered bool   `json:"registered,omitempty"` // the owner knows them
}

// ReserveResult says whether a model is to write a reply.
type ReserveResult struct {
	State QuotaState `json:"state"`
}

// SettleInput charges what was sent for a message. Key: MessageID.
type SettleInput struct {
	OwnerID    string `json:"owner_id"`
	WorkflowID string `json:"workflow_id"`
	MessageID  string `json:"message_id"`
}

// SettleResult is what was charged.
type SettleResult struct {
	Segments int `json:"segments"`
}

// GenerateInput asks for a reply to a message. Key: MessageID and the messages that a reply to it answers at the moment.
type GenerateInput struct {
	OwnerID   string        `json:"owner_id"`
	MessageID string        `json:"message_id"`
	Timeout   time.Duration `json:"timeout"` // of one call of the model
}

// SendInput asks for one part of a message to be sent. Key: AttemptKey: one POST an attempt.
type SendInput struct {
	AttemptKey
	OwnerID        string        `json:"owner_id"`
	DraftID        string        `json:"draft_id,omitempty"` // empty: the message's own body
	Anyway         bool          `json:"anyway,omitempty"`   // the deadline does not count
	PostWithin     time.Duration `json:"post_within"`
	SendTimeout    time.Duration `json:"send_timeout"`
	ValidityPeriod time.Duration `json:"validity_period"`
	Turns          TurnBounds    `json:"turns"`
}

// SendState is how a send ended for good. What may be mended or tried again is an error instead.
type SendState string

// The ends of a send.
const (
	SendAccepted   SendState = "accepted"   // Twilio has it
	SendRefused    SendState = "refused"    // Twilio refused it, and would again
	SendExpired    SendState = "expired"    // the deadline passed before the claim
	SendClosed     SendState = "closed"     // the message was closed meanwhile
	SendSuperseded SendState = "superseded" // a newer message answers for both
	SendDenied     SendState = "denied"     // the person does not want to be written to
	SendOverQuota  SendState = "over_quota" // the owner's plan has nothing left
	SendBlocked    SendState = "blocked"    // the owner's plan is not active
	SendLooping    SendState = "looping"    // the conversation looks like two machines talking
	SendStale      SendState = "stale"      // the draft does not answer what is to be answered by now: another has to be written
	SendOvertaken  SendState = "overtaken"  // another reply went out between two parts: the rest stays unsent
	SendPending    SendState = "pending"    // of a look-up: nothing found yet
	SendSettled    SendState = "settled"    // of a look-up: the attempt was not accepted, and its row says why: run the same send again
)

// SendResult is how a send ended.
type SendResult struct {
	State     SendState `json:"state"`
	Attempt   int       `json:"attempt,omitempty"` // the attempt that was accepted
	Status    Status    `json:"status,omitempty"`
	ErrorCode int       `json:"error_code,omitempty"`
}

// LookUpInput asks what became of an attempt of unknown fate. Running it twice is harmless: a message found is bound once.
type LookUpInput struct {
	AttemptKey
	OwnerID string `json:"owner_id"`
	Alone   bool   `json:"alone,omitempty"` // whatever became of the other attempts of its part
	Last    bool   `json:"last,omitempty"`  // where nothing is found, the attempt is declared unknown: an error of that kind
}

// FetchStatusInput asks Twilio for the status of an accepted attempt. It reads; running it twice is harmless.
type FetchStatusInput struct {
	AttemptKey
	OwnerID string `json:"owner_id"`
}

// FetchStatusResult is the status of the attempt after asking.
type FetchStatusResult struct {
	Status    Status `json:"status"`
	ErrorCode int    `json:"error_code,omitempty"`
}
