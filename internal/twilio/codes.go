package twilio

import "fmt"

// Phase says when Twilio reports an error.
type Phase string

// The phases of a message that an error may come in.
const (
	PhaseCreate   Phase = "create"   // in the answer to the POST
	PhaseDelivery Phase = "delivery" // in a status, after Twilio took the message
)

// Class says what an error code means for the message. After delivery failed it only explains: nothing is sent again.
type Class string

// The classes of errors.
const (
	ClassPermanent     Class = "permanent"     // the same content would fail again
	ClassConfiguration Class = "configuration" // an operator has to mend something; other messages fail too
	ClassThrottled     Class = "throttled"     // not processed; safe to try again later
	ClassTransient     Class = "transient"     // it may pass by itself
	ClassAmbiguous     Class = "ambiguous"     // the message may exist
	ClassUnknown       Class = "unknown"       // not in our table; final, like permanent: guessing could send twice
)

// Classes returns all of them.
func Classes() []Class {
	return []Class{ClassPermanent, ClassConfiguration, ClassThrottled, ClassTransient, ClassAmbiguous, ClassUnknown}
}

// ErrorClass is what one of Twilio's error codes means.
type ErrorClass struct {
	Code    int
	Phase   Phase // empty where the class is unknown
	Class   Class
	Meaning string // a sentence for people, without full stop; it never holds an address
}

// Explain returns what a Twilio error code means. A code that is not in the table has ClassUnknown and the address of
// Twilio's own page about it.
// https://www.twilio.com/docs/api/errors
func Explain(code int) ErrorClass {
	create := func(class Class, meaning string) ErrorClass { return ErrorClass{code, PhaseCreate, class, meaning} }
	delivery := func(class Class, meaning string) ErrorClass { return ErrorClass{code, PhaseDelivery, class, meaning} }
	switch code {
	case 14107:
		return create(ClassThrottled, "Twilio limits the replies to this person: it takes the exchange for a loop")
	case 20001, 20422:
		return create(ClassPermanent, "a parameter of the request is not valid")
	case 20003:
		return create(ClassConfiguration, "Twilio did not accept the account's auth token")
	case 20005, 20006, 20403:
		return create(ClassConfiguration, "the Twilio account is not active, or access to it was denied")
	case 20404:
		return create(ClassPermanent, "Twilio found no such resource")
	case 20429:
		return create(ClassThrottled, "too many requests at once; this one was not processed")
	case 20500, 20503:
		return create(ClassAmbiguous, "Twilio had an internal error; the message may exist all the same")
	case 21211, 21604:
		return create(ClassPermanent, "the recipient's address is missing or not valid")
	case 21212, 21603, 21606:
		return create(ClassConfiguration, "the sender's address is missing, not valid, or not one of this account")
	case 21222, 21224:
		return create(ClassConfiguration, "the account's sid or auth token has characters other than letters and digits: it was not stored as Twilio shows it")
	case 21265, 21266:
		return create(ClassPermanent, "the recipient is a short code, or the sender itself")
	case 21408:
		return create(ClassConfiguration, "the account may not send to the recipient's region: see its geographic permissions at Twilio")
	case 21602, 21618, 21619:
		return create(ClassPermanent, "the message has no body, or one that cannot be sent")
	case 21608:
		return create(ClassConfiguration, "a trial account sends to verified recipients only")
	case 21609:
		return create(ClassConfiguration, "the URL for status callbacks is not valid: see PARLEY_PUBLIC_URL")
	case 21610:
		return create(ClassPermanent, "the recipient has opted out of this sender's messages")
	case 21611:
		return create(ClassThrottled, "the sender's queue at Twilio is full")
	case 21612:
		return create(ClassPermanent, "the recipient cannot be reached from this sender")
	case 21614:
		return create(ClassPermanent, "the recipient is not a mobile number")
	case 21617, 21658:
		return create(ClassPermanent, "the body is longer than 1600 characters, or another parameter is over its limit")
	case 21620, 21621, 21622, 21623:
		return create(ClassPermanent, "the media is not valid, not enabled for this sender, or too many")
	case 21624, 21635:
		return create(ClassPermanent, "the validity period is not valid, or the recipient is a landline")
	case 21654, 21655, 21656:
		return create(ClassPermanent, "the content template is missing or not valid")
	case 21659, 21660:
		return create(ClassConfiguration, "the sender is not a Twilio number of this account or country")
	case 21701, 21702, 21703, 21704, 21705:
		return create(ClassConfiguration, "the messaging service does not exist, or has no senders")

	case 30001:
		return delivery(ClassThrottled, "the queue at Twilio overflowed")
	case 30002, 30037:
		return delivery(ClassConfiguration, "the Twilio account is suspended, or may not send")
	case 30003:
		return delivery(ClassTransient, "the phone is switched off or out of reach")
	case 30004, 30005, 30006:
		return delivery(ClassPermanent, "the recipient is blocked, unknown, a landline, or of a carrier that cannot be reached")
	case 30007:
		return delivery(ClassPermanent, "the carrier filtered the message")
	case 30008:
		return delivery(ClassTransient, "the carrier reported an error that it did not explain")
	case 30009, 30019:
		return delivery(ClassPermanent, "a segment is missing, or the content is too large")
	case 30017:
		return delivery(ClassTransient, "the carrier's network is congested")
	case 30018, 30024, 30032, 30034:
		return delivery(ClassConfiguration, "the sender is not registered or not provisioned for this kind of traffic")
	case 30020, 30021, 30047, 30500:
		return delivery(ClassTransient, "Twilio had an internal error")
	case 30022:
		return delivery(ClassThrottled, "the sender is over its 10DLC rate limit")
	case 30023, 30027:
		return delivery(ClassThrottled, "the sender is over the carrier's daily limit")
	case 30036:
		return delivery(ClassPermanent, "the message's validity period ended before it was sent")
	case 30039:
		return delivery(ClassPermanent, "Twilio suppressed a loop of messages")
	case 30410:
		return delivery(ClassAmbiguous, "the carrier did not answer in time; Twilio does not repeat, to avoid duplicates")
	case 30450:
		return delivery(ClassPermanent, "the message was blocked as traffic pumping")
	case 30610:
		return delivery(ClassThrottled, "it is quiet hours at the recipient")
	case 63001, 63002, 63007:
		return delivery(ClassConfiguration, "the channel does not know this sender, or did not accept its credentials")
	case 63003, 63024:
		return delivery(ClassPermanent, "the recipient is not on this channel")
	case 63005, 63006:
		return delivery(ClassPermanent, "the channel rejected the content")
	case 63010, 63012:
		return delivery(ClassTransient, "the channel's provider had an internal error")
	case 63013:
		return delivery(ClassPermanent, "the message violates the channel's policy")
	case 63014, 63033:
		return delivery(ClassPermanent, "the recipient has blocked the sender or opted out")
	case 63015:
		return delivery(ClassConfiguration, "the recipient has not joined the WhatsApp sandbox")
	case 63016:
		return delivery(ClassPermanent, "more than 24 hours since the person's last message: WhatsApp then takes approved templates only")
	case 63017, 63018:
		return delivery(ClassThrottled, "the sender is over the channel's rate limit")
	case 63019, 63021:
		return delivery(ClassPermanent, "the channel rejected the media or the content")
	case 63027, 63028, 63029, 63030, 63041:
		return delivery(ClassPermanent, "something is wrong with the template")
	case 63038:
		return delivery(ClassThrottled, "the account is over its daily limit")

	default:
		return ErrorClass{code, "", ClassUnknown, fmt.Sprintf("Twilio's error %d: https://www.twilio.com/docs/api/errors/%d", code, code)}
	}
}
