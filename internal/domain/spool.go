package domain

import "time"

// SpoolKey names a message that waits in the spool.
type SpoolKey struct {
	AccountSid string `json:"account_sid"`
	MessageSid string `json:"message_sid"`
}

// Spooled is a message taken from the spool, so that its flow is started.
type Spooled struct {
	SpoolKey
	Received Received
	Err      error // why the message cannot be read: Received is empty
}

// SpoolEntry is what an operator sees of a message in the spool.
type SpoolEntry struct {
	SpoolKey
	ReceivedAt time.Time `json:"received_at"`
	DueAt      time.Time `json:"due_at"`             // when its flow is tried next
	Refusals   int       `json:"refusals,omitempty"` // how often that failed for a reason of its own
	Refusal    string    `json:"refusal,omitempty"`  // the last of these reasons
}

// SpoolState is how full the spool is.
type SpoolState struct {
	Waiting int           // messages; a count that is large is cut
	Refused int           // of these, the ones that could not be started for a reason of their own
	Oldest  time.Duration // how long the oldest has waited that was not refused
}
