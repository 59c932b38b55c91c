package domain

import (
	"regexp"
	"strings"
	"unicode"
)

// Channel is the way a message travels, in Twilio's words.
type Channel string

// The channels of Twilio's Programmable Messaging. MMS shares SMS's addresses, so it is the same channel.
const (
	ChannelSMS       Channel = "sms"
	ChannelWhatsApp  Channel = "whatsapp"
	ChannelRCS       Channel = "rcs"
	ChannelMessenger Channel = "messenger"
)

// ChannelService is of a sender alone: its address is a messaging service, through which messages of several channels come.
const ChannelService Channel = "service"

// Address is a person's or a company's end of a channel. Value has no channel prefix; it is not always a phone number:
// a short code, an alphanumeric sender, or a WhatsApp id such as "US.1234".
type Address struct {
	Channel Channel
	Value   string
}

var (
	phoneNumber  = regexp.MustCompile(`^\+[1-9][0-9]{4,14}$`)
	shortCode    = regexp.MustCompile(`^[0-9]{3,8}$`)
	smsSender    = regexp.MustCompile(`^[A-Za-z0-9 _&+-]{1,11}$`)        // with a letter in it, or it is a mistyped number
	whatsAppID   = regexp.MustCompile(`^[A-Z]{2}\.[A-Za-z0-9.]{1,124}$`) // of a person without a number: country, id
	otherAddress = regexp.MustCompile(`^[!-~]{1,128}$`)
	serviceSid   = regexp.MustCompile(`^MG[0-9a-f]{32}$`)
)

// ParseAddress reads an address as Twilio writes it: "+15551234567", "12345", "whatsapp:+15551234567", "whatsapp:US.1234".
// It returns KindInvalid for anything else; the error does not repeat the address.
func ParseAddress(s string) (Address, error) {
	prefix, value, found := strings.Cut(s, ":")
	if !found {
		if !smsAddress(s) {
			return Address{}, Errorf(KindInvalid, "not an SMS address: want E.164 (+15551234567), a short code or an alphanumeric sender")
		}
		return Address{ChannelSMS, s}, nil
	}
	switch channel := Channel(prefix); channel {
	case ChannelWhatsApp, ChannelRCS, ChannelMessenger:
		if !otherAddress.MatchString(value) {
			return Address{}, Errorf(KindInvalid, "not a %s address", channel)
		}
		return Address{channel, value}, nil
	default:
		return Address{}, Errorf(KindInvalid, "unknown channel: want an SMS address, whatsapp:, rcs: or messenger:")
	}
}

// longestWriter bounds what ParseWriter takes; it is a part of several indexes.
const longestWriter = 128

// ParseWriter reads an address that somebody writes from: besides what ParseAddress takes, the name of a company, which may have any characters
// ("O2.co.uk"). It returns KindInvalid for another channel's; the error does not repeat the address.
func ParseWriter(s string) (Address, error) {
	address, err := ParseAddress(s)
	if err != nil && s != "" && len(s) <= longestWriter && !strings.Contains(s, ":") {
		return Address{ChannelSMS, s}, nil
	}
	return address, err
}

// ParseRecipient reads an address that a person can have: a phone number, for WhatsApp also an id. Names and short codes only
// ever send. It returns KindInvalid for anything else; the error does not repeat the address.
func ParseRecipient(s string) (Address, error) {
	address, err := ParseAddress(s)
	switch {
	case err != nil:
	case address.Channel == ChannelMessenger, phoneNumber.MatchString(address.Value):
	case address.Channel == ChannelWhatsApp && whatsAppID.MatchString(address.Value):
	case address.Channel == ChannelWhatsApp:
		err = Errorf(KindInvalid, "not a person's WhatsApp address: want whatsapp:+15551234567 or an id as Twilio writes it (whatsapp:US.1234)")
	default:
		err = Errorf(KindInvalid, "not a person's phone number: want E.164 (+15551234567)")
	}
	return address, err
}

// ParseSender reads what may be registered as a sender of ours: an address, on WhatsApp always a number's, or the sid of a messaging service
// (MG...). It returns KindInvalid for anything else.
func ParseSender(s string) (Address, error) {
	if IsMessagingService(s) {
		return Address{ChannelService, s}, nil
	}
	address, err := ParseAddress(s)
	if err == nil && address.Channel == ChannelWhatsApp && !phoneNumber.MatchString(address.Value) {
		err = Errorf(KindInvalid, "not a WhatsApp sender: want whatsapp:+15551234567")
	}
	return address, err
}

// IsMessagingService reports whether a text is the sid of a messaging service.
func IsMessagingService(s string) bool { return serviceSid.MatchString(s) }

// Route reads both ends of a message of ours. It returns KindInvalid where either cannot be one, or where they are of two channels.
func Route(from, to string) (ours, theirs Address, err error) {
	if ours, err = ParseAddress(from); err != nil {
		return ours, theirs, Errorf(KindInvalid, "the sender: %w", err)
	}
	if theirs, err = ParseRecipient(to); err != nil {
		return ours, theirs, Errorf(KindInvalid, "the recipient: %w", err)
	}
	return ours, theirs, SameChannel(ours, theirs)
}

// SameChannel returns KindInvalid where two addresses are of two channels: no message goes from one to the other.
func SameChannel(ours, theirs Address) error {
	if ours.Channel != theirs.Channel {
		return Errorf(KindInvalid, "no message goes between %s, our end, and %s, theirs", ours.Channel, theirs.Channel)
	}
	return nil
}

func smsAddress(s string) bool {
	return phoneNumber.MatchString(s) || shortCode.MatchString(s) || (smsSender.MatchString(s) && strings.ContainsFunc(s, unicode.IsLetter))
}

// String returns the address as Twilio writes it.
func (a Address) String() string {
	if a.Channel == ChannelSMS || a.Channel == ChannelService || a.Channel == "" {
		return a.Value
	}
	return string(a.Channel) + ":" + a.Value
}

// Mask returns an address that may stand in a log: its first two and last two characters.
func Mask(address string) string {
	prefix, value, found := strings.Cut(address, ":")
	if !found {
		prefix, value = "", address
	} else {
		prefix += ":"
	}
	if len(value) <= 6 {
		return prefix + "****"
	}
	return prefix + value[:2] + "****" + value[len(value)-2:]
}
