package twiliosim

import (
	"cmp"
	"net/http"
	"strings"
	"time"

	"parley/internal/domain"
)

// counted counts a create before anything else happens to it, so that a test sees every POST that arrived.
func (s *Simulator) counted(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm() // a form that cannot be read lacks its To, and is refused for that
		s.account.countCreate(r.PostForm.Get("To"))
		next(w, r)
	}
}

// authenticated lets a request pass that has the account's sid and token.
func (s *Simulator) authenticated(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Twilio-Request-Id", newSid("RQ"))
		user, password, _ := r.BasicAuth()
		path := strings.HasPrefix(r.URL.Path, "/"+apiVersion+"/Accounts/"+s.account.sid+"/")
		if !path || !s.account.admits(user, password) {
			s.logger.Warn("request refused", "code", codeAuthenticate)
			refuse(codeAuthenticate).write(w)
			return
		}
		next(w, r)
	}
}

// create accepts a message, or does what the script says. Like Twilio's, it has no idempotency key: every POST is a message.
func (s *Simulator) create(w http.ResponseWriter, r *http.Request) {
	asked := readRequest(r.PostForm)
	rule := s.account.ruleFor(asked.To)
	if !rule.accepts() {
		s.logger.Info("message not accepted", "fault", rule.fault, "to", domain.Mask(asked.To))
		rule.spoil(w, r)
		return
	}
	if refused := asked.refusal(); refused != nil {
		s.logger.Info("message refused", "code", refused.Code, "to", domain.Mask(asked.To))
		pause(r, milliseconds(rule.ResponseDelayMS))
		refused.write(w)
		return
	}
	accepted, told := s.accept(asked, rule)
	if rule.Callbacks == CallbacksEarly {
		await(r, told)
	}
	if rule.spoils() {
		rule.spoil(w, r)
		return
	}
	pause(r, milliseconds(rule.ResponseDelayMS))
	writeJSON(w, http.StatusCreated, s.account.resource(accepted)) // as it was when it was accepted
}

// accept stores the message, and its twin, and starts its delivery. The channel is closed when the callbacks are made.
func (s *Simulator) accept(asked request, rule Rule) (m Message, told <-chan struct{}) {
	m = asked.message()
	m.StatusCallback, m.Fault = asked.StatusCallback, rule.fault
	m.listedAt = m.CreatedAt.Add(milliseconds(rule.ListDelayMS))
	m.price, m.pricedAt = cmp.Or(rule.Price, m.usualPrice()), m.CreatedAt.Add(rule.priceDelay())
	s.account.accept(m)
	if rule.Twin {
		twin := asked.message()
		twin.Twin, twin.Status, twin.ErrorCode = true, domain.StatusFailed, defaultDeliveryError
		s.account.add(twin)
	}
	s.logger.Info("message accepted", "fault", rule.fault, "message_sid", m.Sid, "to", domain.Mask(m.To))
	return m, s.deliver(m, rule)
}

// message returns the message as it is when Twilio has just accepted it.
func (r request) message() Message {
	prefix := "SM"
	if len(r.MediaURLs) > 0 {
		prefix = "MM"
	}
	now := time.Now()
	return Message{
		Sid: newSid(prefix), Direction: directionOutbound, From: r.From, To: r.To, Body: r.Body, Media: r.media(),
		Status: domain.StatusQueued, CreatedAt: now, UpdatedAt: now,
	}
}

func (s *Simulator) fetch(w http.ResponseWriter, r *http.Request) {
	sid, isJSON := strings.CutSuffix(r.PathValue("File"), ".json")
	m, known := s.account.message(sid)
	if !known || !isJSON {
		s.notFound(w, r)
		return
	}
	s.slow(r, m.To)
	m, _ = s.account.message(sid) // as it is now
	writeJSON(w, http.StatusOK, s.account.resource(m))
}

// slow takes as long over a read as the recipient's rule says.
func (s *Simulator) slow(r *http.Request, to string) {
	pause(r, milliseconds(s.account.readRule(to).ReadDelayMS))
}

func (s *Simulator) notFound(w http.ResponseWriter, _ *http.Request) { refuse(codeNotFound).write(w) }
