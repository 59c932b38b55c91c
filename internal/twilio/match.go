package twilio

import (
	"regexp"
	"strings"
	"time"
)

// directionAPI is the direction of messages that a POST to the API made. Replies by TwiML and messages of calls have others.
const directionAPI = "outbound-api"

// trialPrefix is what Twilio puts before the bodies of a trial account, less the space at its end.
const trialPrefix = "Sent from your Twilio trial account -"

// clockSkew is how much earlier than the attempt its message may seem to be created: Twilio's clock is not ours, and its times
// are cut to whole seconds.
const clockSkew = 2 * time.Second

var serviceSid = regexp.MustCompile(`^MG[0-9a-f]{32}$`)

// Sent is what one attempt posted, or may have posted.
type Sent struct {
	From  string // a sender, or the sid of a messaging service
	To    string
	Body  string
	Begun time.Time // nothing was posted before
	Until time.Time // nothing that was posted can have arrived after
}

// Search returns the search whose list shows the message, if there is one. A service's messages are sought by their recipient
// alone: nobody knows which of its senders it chose.
func (s Sent) Search() Search {
	search := Search{From: s.From, To: s.To, Since: s.Begun.Add(-clockSkew)}
	if serviceSid.MatchString(s.From) {
		search.From = ""
	}
	return search
}

// Match returns those of some listed messages that the attempt may have made, in their order. Messages of other attempts with
// the same text are among them, and those that failed at Twilio: an attempt's message is known only where exactly one is left
// that no other attempt has.
//
// Bodies are compared as they look after what Twilio may do to them: the prefix of trial accounts, Smart Encoding, white
// space. A link that Twilio shortened cannot be told from another one: such a message never matches.
func Match(sent Sent, list []Message) []Message {
	var candidates []Message
	body := plain(sent.Body)
	for _, m := range list {
		if m.Direction == directionAPI && m.To == sent.To && sent.by(m) && sent.during(m.DateCreated) && sameBody(body, m.Body) {
			candidates = append(candidates, m)
		}
	}
	return candidates
}

func (s Sent) by(m Message) bool {
	if serviceSid.MatchString(s.From) {
		return m.MessagingServiceSid == s.From
	}
	return m.From == s.From
}

func (s Sent) during(created time.Time) bool {
	return !created.Before(s.Begun.Add(-clockSkew)) && !created.After(s.Until)
}

// sameBody compares the plain form of the body that was sent with a body that is listed.
func sameBody(sent, listed string) bool {
	listed = plain(listed)
	if listed == sent {
		return true
	}
	rest, trial := strings.CutPrefix(listed, trialPrefix)
	return trial && strings.TrimSpace(rest) == sent
}

// plain returns a form of a body that stays the same whether Twilio changed the body or not. Smart Encoding makes one or two
// spaces of a foreign one and seven of a tab: every run of white space is one space here, none at the ends.
func plain(body string) string {
	var encoded strings.Builder
	for _, r := range body {
		encoded.WriteString(smartEncoded(r))
	}
	return strings.Join(strings.Fields(encoded.String()), " ")
}
