package twiliosim

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"parley/internal/domain"
)

// doneDate is the layout of RawDlrDoneDate: the carrier's time to the minute, YYMMDDhhmm.
const doneDate = "0601021504"

// deliver moves a message through the statuses of its rule and tells them, both beside the caller: a receiver that is slow
// holds up the next callback, not the delivery. The channel is closed when the callbacks are made.
func (s *Simulator) deliver(m Message, rule Rule) (told <-chan struct{}) {
	route := rule.route()
	reached := make(map[domain.Status]chan struct{}, len(route)) // each is closed once the message is there
	for _, status := range route {
		reached[status] = make(chan struct{})
	}
	s.deliveries.Go(func() {
		for _, status := range route {
			if !sleep(s.ctx, rule.callbackDelay()) {
				return
			}
			s.account.setStatus(m.Sid, status, rule.errorCode(status), time.Now())
			close(reached[status])
		}
	})
	finished := make(chan struct{})
	s.deliveries.Go(func() {
		defer close(finished)
		if m.StatusCallback == "" {
			return
		}
		for _, status := range rule.told() {
			select {
			case <-reached[status]:
				s.callBack(m, status, rule.errorCode(status))
			case <-s.ctx.Done():
				return
			}
		}
	})
	return finished
}

// callBack posts one status to the message's StatusCallback and records what came back.
func (s *Simulator) callBack(m Message, status domain.Status, errorCode int) {
	form := s.statusForm(m, status, errorCode)
	answer, err := s.webhooks.post(s.ctx, s.account.signingToken(), m.StatusCallback, form)
	made := Callback{Status: status, StatusCode: answer.StatusCode, At: time.Now()}
	if err != nil {
		made.Error = err.Error()
		s.logger.Warn("status callback failed", "message_sid", m.Sid, "status", status, "error", err)
	} else {
		s.logger.Debug("status callback made", "message_sid", m.Sid, "status", status, "status_code", answer.StatusCode)
	}
	s.account.addCallback(m.Sid, made)
}

// statusForm is the form of a status callback.
// https://www.twilio.com/docs/messaging/guides/track-outbound-message-status
func (s *Simulator) statusForm(m Message, status domain.Status, errorCode int) url.Values {
	form := url.Values{
		"MessageSid": {m.Sid}, "SmsSid": {m.Sid}, "MessageStatus": {string(status)}, "SmsStatus": {string(status)},
		"AccountSid": {s.account.sid}, "From": {m.From}, "To": {m.To}, "ApiVersion": {apiVersion},
	}
	if errorCode != 0 {
		form.Set("ErrorCode", strconv.Itoa(errorCode))
	}
	receipt := status == domain.StatusDelivered || status == domain.StatusUndelivered
	if receipt && !strings.Contains(m.To, ":") { // carriers give receipts, other channels have their own
		form.Set("RawDlrDoneDate", time.Now().UTC().Format(doneDate))
	}
	return form
}
