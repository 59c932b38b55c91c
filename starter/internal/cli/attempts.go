package cli

import (
	"fmt"
	"strings"

	"parley/internal/domain"
)

// standing is how an attempt stands: what we hold of it, and what Twilio said of it.
type standing struct {
	domain.TracedAttempt
	Said     *domain.TracedEvent `json:"twilio_said"`       // the last of it; null where it said nothing but that it accepts
	Asked    *asked              `json:"asked,omitempty"`   // with --fetch
	OptedOut bool                `json:"opted_out"`         // the person takes no more messages from this sender
	Meaning  string              `json:"meaning,omitempty"` // what it comes to, where that is not delivery
}

// standings returns the attempts of a message, each beside what Twilio said last.
func standings(trace domain.Trace, explain func(int) string) []standing {
	list := make([]standing, len(trace.Attempts))
	for i, attempt := range trace.Attempts {
		list[i] = standing{TracedAttempt: attempt, OptedOut: domain.OptedOut(attempt.ErrorCode), Meaning: meaning(attempt, explain)}
		for _, event := range trace.Events { // in the order they came
			if event.Part == attempt.Part && event.Attempt == attempt.Attempt {
				list[i].Said = &event
			}
		}
	}
	return list
}

// meaning says in a sentence what became of an attempt, where it is not simply under way or delivered.
func meaning(attempt domain.TracedAttempt, explain func(int) string) string {
	why := attempt.Error
	if attempt.ErrorCode != 0 {
		why = fmt.Sprintf("%s (error %d)", explain(attempt.ErrorCode), attempt.ErrorCode)
	}
	undelivered := attempt.Status.Final() && attempt.Status.Rank() < domain.StatusDelivered.Rank()
	switch {
	case attempt.State == domain.AttemptBegun:
		return "It may have been sent: no clear answer has come yet."
	case attempt.State == domain.AttemptUnknown:
		return "It may have been sent: no clear answer came, and Twilio's list did not show it."
	case attempt.State == domain.AttemptNotSent:
		return sentence("It was not sent, and may be tried again", why)
	case attempt.State == domain.AttemptRefused:
		return sentence("Twilio refused it", why)
	case undelivered && why == "":
		return "It was not delivered, and Twilio did not say why. It is not sent again by itself."
	case undelivered:
		return sentence("It was not delivered", why) + " It is not sent again by itself."
	case why != "":
		return sentence("Twilio reports an error", why)
	default:
		return ""
	}
}

func sentence(what, why string) string { return strings.Join(compact(what, why), ": ") + "." }

// sentByRows says in a sentence how much of a message was sent.
func sentByRows(trace domain.Trace) string {
	states := map[domain.AttemptState]bool{}
	for _, attempt := range trace.Attempts {
		states[attempt.State] = true
	}
	switch {
	case states[domain.AttemptBegun] || states[domain.AttemptUnknown]:
		return "By the rows it is not known whether the message was sent: see the attempts."
	case states[domain.AttemptAccepted]:
		return "By the rows Twilio accepted the message, or a part of it: see the attempts."
	default:
		return "By the rows nothing was sent."
	}
}

// aside stands under an attempt's number.
const aside = "       "

func printStandings(p *page, list []standing) {
	if len(list) > 0 {
		p.section("Attempts")
	}
	for _, s := range list {
		p.line("  %d.%d  %-9s %s", s.Part, s.Attempt, s.State, s.TwilioSid)
		began := at(s.BegunAt)
		if s.ResolvedAt != nil {
			began += ", resolved " + at(*s.ResolvedAt)
		}
		s.label(p, "begun", began)
		if s.State == domain.AttemptAccepted {
			s.label(p, "we hold", s.ours())
			s.label(p, "Twilio said", s.theirs())
		}
		for _, token := range s.Refused { // another one was tried
			s.label(p, "refused", "token "+token)
		}
		if s.OptedOut {
			s.label(p, "opted out", "the person takes no more messages from this sender")
		}
		if s.Meaning != "" {
			p.paragraph(aside, s.Meaning)
		}
	}
}

func (s standing) label(p *page, label, value string) {
	p.line("%s%-12s %s", aside, label, value)
}

func (s standing) ours() string {
	status := stated(s.Status, s.ErrorCode)
	if s.Asked != nil && s.Asked.Moved {
		status += ", before " + stated(s.Asked.Before, 0)
	}
	return status
}

func (s standing) theirs() string {
	switch {
	case s.Asked != nil && s.Asked.Problem != "":
		return "could not be asked: " + s.Asked.Problem
	case s.Said == nil:
		return "nothing since it accepted the message"
	default:
		return fmt.Sprintf("%s (%s, %s)", stated(s.Said.Status, s.Said.ErrorCode), s.Said.Source, at(s.Said.ReceivedAt))
	}
}

func stated(status domain.Status, errorCode int) string {
	if status == "" {
		status = "no status"
	}
	if errorCode != 0 {
		return fmt.Sprintf("%s, error %d", status, errorCode)
	}
	return string(status)
}
