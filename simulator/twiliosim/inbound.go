package twiliosim

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"parley/internal/domain"
)

// Inbound is a message from a person, as POST /simulate/inbound takes it.
type Inbound struct {
	From       string            `json:"from"`
	To         string            `json:"to"`
	Body       string            `json:"body"`
	Media      []domain.Media    `json:"media"`
	MessageSid string            `json:"message_sid"` // empty: a new one. Twilio delivers a message twice, too
	Params     map[string]string `json:"params"`      // further form parameters; they win over the usual ones
}

// InboundAnswer is what the webhook answered. Where no answer came, Error says why.
type InboundAnswer struct {
	MessageSid string `json:"message_sid"`
	StatusCode int    `json:"status_code"`
	Body       string `json:"body"`
	Error      string `json:"error,omitempty"`
}

// simulateInbound receives a message from a person, lists it, and posts it to the inbound URL. Key of the list: the sid.
// It answers 200 whatever the webhook answered, and 502 where it did not answer.
func (s *Simulator) simulateInbound(w http.ResponseWriter, r *http.Request) {
	var in Inbound
	if !readJSON(w, r, &in) {
		return
	}
	if err := in.check(); err != nil {
		badRequest(w, err)
		return
	}
	if in.MessageSid == "" {
		in.MessageSid = newSid(in.sidPrefix())
	}
	now := time.Now()
	m := Message{
		Sid: in.MessageSid, Direction: directionInbound, From: in.From, To: in.To, Body: in.Body, Media: in.Media,
		Status: statusReceived, CreatedAt: now, UpdatedAt: now, SentAt: &now,
	}
	s.account.add(m)
	got, err := s.webhooks.post(r.Context(), s.account.signingToken(), s.inboundURL, s.inboundForm(m, in.Params))
	result, status := InboundAnswer{MessageSid: m.Sid, StatusCode: got.StatusCode, Body: got.Body}, http.StatusOK
	if err != nil {
		result.Error, status = err.Error(), http.StatusBadGateway
		s.logger.Warn("inbound webhook failed", "message_sid", m.Sid, "error", err)
	} else {
		s.logger.Info("inbound webhook made", "message_sid", m.Sid, "from", domain.Mask(m.From), "status_code", got.StatusCode)
	}
	writeJSON(w, status, result)
}

func (in Inbound) check() error {
	var problems []error
	if _, err := domain.ParseWriter(in.From); err != nil {
		problems = append(problems, fmt.Errorf("from: %w", err))
	}
	if _, err := domain.ParseAddress(in.To); err != nil {
		problems = append(problems, fmt.Errorf("to: %w", err))
	}
	if in.MessageSid != "" && !messageSid.MatchString(in.MessageSid) {
		problems = append(problems, errors.New("message_sid: want SM or MM and 32 hexadecimal digits"))
	}
	return errors.Join(problems...)
}

func (in Inbound) sidPrefix() string {
	if len(in.Media) > 0 {
		return "MM"
	}
	return "SM"
}

// inboundForm is the form of an inbound webhook. https://www.twilio.com/docs/messaging/guides/webhook-request
func (s *Simulator) inboundForm(m Message, params map[string]string) url.Values {
	form := url.Values{
		"MessageSid": {m.Sid}, "SmsSid": {m.Sid}, "SmsMessageSid": {m.Sid}, "AccountSid": {s.account.sid},
		"From": {m.From}, "To": {m.To}, "Body": {m.Body}, "NumSegments": {m.segments()}, "NumMedia": {strconv.Itoa(len(m.Media))},
		"SmsStatus": {string(statusReceived)}, "ApiVersion": {apiVersion},
	}
	for i, media := range m.Media {
		form.Set("MediaUrl"+strconv.Itoa(i), media.URL)
		form.Set("MediaContentType"+strconv.Itoa(i), media.ContentType)
	}
	from, _ := domain.ParseWriter(m.From) // checked
	switch from.Channel {                 //nolint:exhaustive // the other channels add nothing that we play
	case domain.ChannelSMS:
		for _, place := range []string{"City", "State", "Zip", "Country"} { // often empty, and signed all the same
			form.Set("From"+place, "")
			form.Set("To"+place, "")
		}
	case domain.ChannelWhatsApp:
		form.Set("ProfileName", "Sam")
		form.Set("MessageType", "text")
		if number, isNumber := strings.CutPrefix(from.Value, "+"); isNumber {
			form.Set("WaId", number)
		} else {
			form.Set("ExternalUserId", m.From) // a person who hides the number
		}
	}
	for name, value := range params {
		form.Set(name, value)
	}
	return form
}
