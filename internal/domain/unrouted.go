package domain

import "time"

// Unrouted is an inbound message that has no owner yet, or could not be stored as its owner's, and that is stored nowhere else but in its flow.
type Unrouted struct {
	AccountSid string
	MessageSid string
	Received   Received
	Err        error // why the message cannot be read: Received is empty
	ReceivedAt time.Time
	KeptAt     time.Time
	Reason     string // why it has none
}

// UnroutedState is how many messages have no owner.
type UnroutedState struct {
	Waiting int           // messages; a count that is large is cut
	Oldest  time.Duration // how long the oldest has waited
}
