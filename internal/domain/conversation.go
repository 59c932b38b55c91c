package domain

import "time"

// ConversationState says how a conversation stands. All but a closed one are live: a message of their two addresses is filed there.
type ConversationState string

// The states of a conversation.
const (
	ConversationOpen    ConversationState = "open"
	ConversationLooping ConversationState = "looping" // it looks like two machines talking: nothing is answered until an operator resumes it
	ConversationClosed  ConversationState = "closed"
)

// ParseConversationState reads a conversation's state.
func ParseConversationState(s string) (ConversationState, error) {
	switch state := ConversationState(s); state {
	case ConversationOpen, ConversationLooping, ConversationClosed:
		return state, nil
	default:
		return "", Errorf(KindInvalid, "want open, looping or closed, got %q", s)
	}
}

// ConversationChange is something that happened to a conversation.
type ConversationChange string

// What may happen to a conversation.
const (
	ConversationOpened  ConversationChange = "opened"
	ConversationLoops   ConversationChange = "looping"
	ConversationResumed ConversationChange = "resumed"
	ConversationEnded   ConversationChange = "closed"
)

// Actor is who changed something.
type Actor string

// Who changes conversations.
const (
	ActorPerson   Actor = "person"
	ActorParley   Actor = "parley"
	ActorOperator Actor = "operator"
)

// ConversationBounds are an owner's settings of conversations.
type ConversationBounds struct {
	Idle         time.Duration // a conversation without a message for so long is closed
	PromptTokens int           // how much of what was said a model is given
	Loop         LoopBounds
}

// LoopBounds say what still counts as people talking: past either bound a conversation is looping.
type LoopBounds struct {
	Texts   int // identical texts within Window
	Window  time.Duration
	Replies int // within LoopMinute
}

// LoopMinute is the time in which replies are counted.
const LoopMinute = time.Minute

// Conversation is what was said between one of our addresses and a person, until it was quiet for a while.
type Conversation struct {
	ConversationID string            `json:"conversation_id"`
	OwnerID        string            `json:"owner_id"`
	Channel        Channel           `json:"channel"`
	OurAddress     string            `json:"our_address"`
	TheirAddress   string            `json:"their_address"`
	State          ConversationState `json:"state"`
	Reason         string            `json:"reason,omitempty"`      // why it is in this state
	PreviousID     string            `json:"previous_id,omitempty"` // the conversation of the two before
	OpenedAt       time.Time         `json:"opened_at"`
	LastMessageAt  time.Time         `json:"last_message_at"`
	ClosedAt       *time.Time        `json:"closed_at,omitempty"`
}

// ConversationEvent is one change of a conversation.
type ConversationEvent struct {
	Change ConversationChange `json:"change"`
	Actor  Actor              `json:"actor"`
	Reason string             `json:"reason,omitempty"`
	At     time.Time          `json:"at"`
}

// ConversationHistory is a conversation with its latest messages, in their order, and every change of it, oldest first.
type ConversationHistory struct {
	Conversation Conversation        `json:"conversation"`
	Messages     []TracedMessage     `json:"messages"`
	Events       []ConversationEvent `json:"events"`
}

// ConversationFilter says which conversations are asked for. What is empty does not count.
type ConversationFilter struct {
	OwnerID string
	State   ConversationState
	Address Address // ours or theirs
	Limit   int     // the latest ones
}

// MaxConversation is the most messages of one conversation that are shown at once.
const MaxConversation = 1000
