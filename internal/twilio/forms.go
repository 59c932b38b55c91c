package twilio

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"parley/internal/domain"
)

var (
	accountSid = regexp.MustCompile(`^AC[0-9a-f]{32}$`)
	messageSid = regexp.MustCompile(`^(SM|MM)[0-9a-f]{32}$`)
)

// IsAccountSid reports whether a text has the form of an account's sid.
func IsAccountSid(s string) bool { return accountSid.MatchString(s) }

// ParseInbound reads the form of an inbound message. The time of receipt is left to the caller. It returns KindInvalid
// where the account, the message, From or To is missing or malformed; the error repeats nothing of the form.
//
// From and To may be anything but empty: a WhatsApp sender may be an id without a phone number, and Twilio adds channels.
// https://www.twilio.com/docs/messaging/guides/webhook-request
func ParseInbound(form url.Values) (domain.Received, error) {
	f := fields{form: form, taken: map[string]bool{}}
	if err := f.once("AccountSid", "MessageSid", "From", "To", "Body"); err != nil {
		return domain.Received{}, err
	}
	received := domain.Received{
		AccountSid:          f.take("AccountSid"),
		MessageSid:          f.take("MessageSid"),
		MessagingServiceSid: f.take("MessagingServiceSid"),
		From:                f.take("From"),
		To:                  f.take("To"),
		Body:                f.take("Body"),
		ProfileName:         f.take("ProfileName"),
	}
	var err error
	if received.Media, err = f.takeMedia(); err != nil {
		return domain.Received{}, err
	}
	f.dropCopies(received.MessageSid, "SmsSid", "SmsMessageSid")
	received.Other = f.rest()
	if err := checkSids(received.AccountSid, received.MessageSid); err != nil {
		return domain.Received{}, err
	}
	if received.From == "" || received.To == "" {
		return domain.Received{}, domain.Errorf(domain.KindInvalid, "inbound form: From and To are required")
	}
	return received, nil
}

// ParseStatus reads a status callback: Twilio's form, and our parameters from the query (see CallbackURL), which stay zero
// where there are none. A status that Parley does not know is kept, escaped and cut. It returns KindInvalid where the account, the
// message or the status is missing or malformed, or our parameters are not what CallbackURL makes.
// https://www.twilio.com/docs/messaging/guides/track-outbound-message-status
func ParseStatus(query, form url.Values) (domain.StatusEvent, error) {
	f := fields{form: form, taken: map[string]bool{}}
	if err := f.once("AccountSid", "MessageSid", "MessageStatus"); err != nil {
		return domain.StatusEvent{}, err
	}
	event := domain.StatusEvent{
		AccountSid: f.take("AccountSid"),
		Sid:        f.take("MessageSid"),
		Status:     domain.Status(domain.Plain(f.take("MessageStatus"), maxStatus)),
		Source:     domain.SourceCallback,
	}
	if err := checkSids(event.AccountSid, event.Sid); err != nil {
		return domain.StatusEvent{}, err
	}
	if event.Status == "" {
		return domain.StatusEvent{}, domain.Errorf(domain.KindInvalid, "status form: MessageStatus is required")
	}
	if code, err := strconv.ParseInt(f.take("ErrorCode"), 10, 32); err == nil && code > 0 { // what is no code must not cost us the status
		event.ErrorCode = int(code)
	}
	var err error
	event.AttemptKey, err = parseAttemptKey(query)
	return event, err
}

func parseAttemptKey(query url.Values) (domain.AttemptKey, error) {
	id := query.Get(paramMessage)
	if id == "" {
		return domain.AttemptKey{}, nil
	}
	if len(id) > maxID {
		return domain.AttemptKey{}, domain.Errorf(domain.KindInvalid, "status URL: message is not an id of ours")
	}
	part, partErr := strconv.ParseInt(query.Get(paramPart), 10, 32)
	attempt, attemptErr := strconv.ParseInt(query.Get(paramAttempt), 10, 32)
	if partErr != nil || attemptErr != nil || part < 1 || attempt < 1 {
		return domain.AttemptKey{}, domain.Errorf(domain.KindInvalid, "status URL: part and attempt must be whole numbers from 1")
	}
	return domain.AttemptKey{MessageID: storable(id), Part: int(part), Attempt: int(attempt)}, nil
}

func checkSids(account, message string) error {
	if !accountSid.MatchString(account) {
		return domain.Errorf(domain.KindInvalid, "form: AccountSid is not an account's sid")
	}
	if !messageSid.MatchString(message) {
		return domain.Errorf(domain.KindInvalid, "form: MessageSid is not a message's sid")
	}
	return nil
}

// fields hands out a form's parameters and remembers which ones were taken.
type fields struct {
	form  url.Values
	taken map[string]bool
}

// once refuses a form that names one of the parameters twice. Twilio names each once, and its signature neither covers their order nor marks
// where a value ends: a request that was seen on its way, with "From" and a number in its body, could be cut anew into two senders.
func (f fields) once(names ...string) error {
	for _, name := range names {
		if len(f.form[name]) > 1 {
			return domain.Errorf(domain.KindInvalid, "form: %s is named twice", name)
		}
	}
	return nil
}

func (f fields) take(name string) string {
	f.taken[name] = true
	return storable(f.form.Get(name))
}

// takeMedia reads the attachments. NumMedia may count one whose URL is missing: what is there is taken.
func (f fields) takeMedia() ([]domain.Media, error) {
	number := f.take("NumMedia")
	if number == "" {
		return nil, nil
	}
	count, err := strconv.Atoi(number)
	if err != nil || count < 0 {
		return nil, domain.Errorf(domain.KindInvalid, "inbound form: NumMedia is not a number")
	}
	var media []domain.Media
	for n := range min(count, len(f.form)) {
		index := strconv.Itoa(n)
		m := domain.Media{URL: f.take("MediaUrl" + index), ContentType: f.take("MediaContentType" + index)}
		if m.URL != "" {
			media = append(media, m)
		}
	}
	return media, nil
}

// dropCopies leaves out parameters that only repeat a value: they would stand in every flow's history.
func (f fields) dropCopies(value string, names ...string) {
	for _, name := range names {
		if f.form.Get(name) == value {
			f.taken[name] = true
		}
	}
}

// rest returns the non-empty parameters that were not taken, nil where there are none.
func (f fields) rest() map[string][]string {
	var rest map[string][]string
	for name, values := range f.form {
		kept := slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })
		if f.taken[name] || len(kept) == 0 {
			continue
		}
		if rest == nil {
			rest = map[string][]string{}
		}
		for i, value := range kept {
			kept[i] = storable(value)
		}
		rest[storable(name)] = kept
	}
	return rest
}

const (
	maxStatus = 32 // characters; Twilio's longest status has 11
	maxID     = 64 // ours have 36
)

// storable replaces what Postgres cannot store in a text, NUL and invalid UTF-8, so that no message can be one that is
// never stored.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
