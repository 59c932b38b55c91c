package domain

import "time"

// Person is what a message shows of the person at its other end.
type Person struct {
	Address     Address  // that they write from, or are written to at
	Other       *Address // beside it, their id at WhatsApp; nil where Twilio does not tell it
	ProfileName string   // what they call themselves
}

// NewPerson reads the addresses of a person as Twilio writes them. It returns KindInvalid where the first is none. The other is Twilio's
// extra: one that is not an id of the same channel is not one of theirs.
func NewPerson(address, other, profileName string) (Person, error) {
	first, err := ParseWriter(address)
	if err != nil {
		return Person{}, err
	}
	person := Person{Address: first, ProfileName: profileName}
	if second, err := ParseRecipient(other); err == nil && second.IsID() && second.Channel == first.Channel && second != first {
		person.Other = &second
	}
	return person, nil
}

// IsID reports whether an address is WhatsApp's id of a person, who need not have a phone number.
func (a Address) IsID() bool { return a.Channel == ChannelWhatsApp && whatsAppID.MatchString(a.Value) }

// UnknownPeople says what becomes of a message from somebody whom its owner has not registered.
type UnknownPeople string

// What becomes of it.
const (
	AnswerUnknown UnknownPeople = ""               // it is answered like any other
	RegisterFirst UnknownPeople = "register_first" // they are told, once, to register
	IgnoreUnknown UnknownPeople = "ignore"         // it is stored, and nothing is answered
)

// Contact is a person as an owner knows them: one, whatever addresses of a channel they write from.
type Contact struct {
	ContactID    string     `json:"contact_id"`
	Addresses    []string   `json:"addresses"`              // as Twilio writes them, the oldest first
	Name         string     `json:"name,omitempty"`         // set by hand
	ProfileName  string     `json:"profile_name,omitempty"` // what they call themselves
	RegisteredAt *time.Time `json:"registered_at,omitempty"`
	CreatedAt    time.Time  `json:"created_at"`
	Messages     int        `json:"messages"` // that they wrote
	LastAt       *time.Time `json:"last_message_at,omitempty"`
}

// DisplayName is what to call them: as they call themselves only while nobody set a name by hand.
func (c Contact) DisplayName() string {
	if c.Name != "" {
		return c.Name
	}
	return c.ProfileName
}

// ContactChange is what an operator says of a person. Nil is not said.
type ContactChange struct {
	Name       *string // empty: as they call themselves
	Registered *bool
}
