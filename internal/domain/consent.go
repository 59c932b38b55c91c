package domain

import (
	"slices"
	"strings"
	"time"
	"unicode"
)

// ConsentWord is what a consent word asks for.
type ConsentWord string

// The consent words' meanings.
const (
	WordStop  ConsentWord = "stop"  // write no more
	WordStart ConsentWord = "start" // write again
	WordHelp  ConsentWord = "help"
)

// ConsentWords are the words that an owner adds to Twilio's own: in upper case, with commas between them.
type ConsentWords struct {
	Stop, Start, Help string
}

// The words that Twilio knows. https://help.twilio.com/articles/223134027
const (
	twilioStop  = "STOP,STOPALL,UNSUBSCRIBE,CANCEL,END,QUIT,REVOKE,OPTOUT"
	twilioStart = "START,UNSTOP"
	twilioYes   = "YES"
	twilioHelp  = "HELP,INFO"
)

// The words of the other languages that Parley has texts in. They hold for every owner: nobody knows a person's language before they write.
const (
	moreStop = "SAIR,PARAR,PARE,CANCELAR"
	moreBack = "VOLTAR"
	moreHelp = "AJUDA"
)

// MaxConsentWord is the longest consent word, in bytes: a longer message is an ordinary text.
const MaxConsentWord = 24

// Meaning returns what a message asks for, empty where it is an ordinary text: a consent word stands alone, in any case. optOutType is
// Twilio's own reading (STOP, START, HELP), which wins; withdrawn says that the person does not want to be written to at the moment. What
// may as well be the answer to a question (YES, or a word for coming back) gives consent only to who withdrew it.
func (w ConsentWords) Meaning(body, optOutType string, withdrawn bool) ConsentWord {
	switch word := ConsentWord(strings.ToLower(optOutType)); word {
	case WordStop, WordStart, WordHelp:
		return word
	}
	switch word := consentWord(body); {
	case word == "" || len(word) > MaxConsentWord:
		return ""
	case among(word, twilioStop, moreStop, w.Stop):
		return WordStop
	case among(word, twilioStart, w.Start), withdrawn && among(word, twilioYes, moreBack):
		return WordStart
	case among(word, twilioHelp, moreHelp, w.Help):
		return WordHelp
	default:
		return ""
	}
}

// consentWord is what a text says, without what nobody sees around it: keyboards of languages that are written from the right put marks there.
func consentWord(body string) string {
	return strings.ToUpper(strings.TrimFunc(body, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }))
}

func among(word string, lists ...string) bool {
	return slices.ContainsFunc(lists, func(list string) bool { return slices.Contains(strings.Split(list, ","), word) })
}

// ConsentState is whether a person may be written to. Nobody has said anything where there is none.
type ConsentState string

// The states of a consent.
const (
	ConsentGiven     ConsentState = "given"
	ConsentWithdrawn ConsentState = "withdrawn"
)

// ConsentSource says how a consent came to change.
type ConsentSource string

// The sources of a consent.
const (
	ConsentByPerson   ConsentSource = "message"  // they sent a consent word
	ConsentByTwilio   ConsentSource = "twilio"   // a message to them was refused, or failed, since they opted out
	ConsentByOperator ConsentSource = "operator" // by the command line
)

// OptOutReplies says who answers consent words.
type OptOutReplies string

// Who answers consent words.
const (
	RepliesByTwilio OptOutReplies = "twilio" // long codes, toll-free numbers, services with Advanced Opt-Out
	RepliesByUs     OptOutReplies = "ours"   // WhatsApp, RCS, short codes: nobody else does
)

// TwilioAnswers reports whether Twilio answers a consent word: one that it read itself and, at its senders, one that it knows. Nobody but
// us answers a word that an owner added.
func (r OptOutReplies) TwilioAnswers(body, optOutType string) bool {
	return optOutType != "" || (r == RepliesByTwilio && among(strings.ToUpper(strings.TrimSpace(body)), twilioStop, twilioStart, twilioYes, twilioHelp))
}

// ParseOptOutReplies reads who answers consent words; nothing means the channel's usual.
func ParseOptOutReplies(s string, sender Address) (OptOutReplies, error) {
	switch r := OptOutReplies(s); r {
	case RepliesByTwilio, RepliesByUs:
		return r, nil
	case "":
		if sender.Channel == ChannelSMS && strings.HasPrefix(sender.Value, "+") {
			return RepliesByTwilio, nil
		}
		return RepliesByUs, nil
	default:
		return "", Errorf(KindInvalid, "who answers consent words: want twilio or ours, got %q", s)
	}
}

// Consent is whether a person may be written to by a sender of ours, or by a messaging service.
type Consent struct {
	Channel Channel       `json:"channel"`
	Sender  string        `json:"sender"`
	Address string        `json:"address"`
	State   ConsentState  `json:"state"`
	Source  ConsentSource `json:"source"`
	Reason  string        `json:"reason,omitempty"`
	At      time.Time     `json:"at"`
}

// ConsentHistory is what is known of a person's consent, and every change of it, oldest first.
type ConsentHistory struct {
	Consents []Consent `json:"consents"`
	Events   []Consent `json:"events"`
}
