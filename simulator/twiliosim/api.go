package twiliosim

import (
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
		if !path || user != s.account.sid || password != s.account.authToken() {
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
	if rule.Hold == HoldBeforeAccept {
		hang(r)
	}
	refused := rule.refusal()
	if refused == nil {
		refused = asked.refusal()
	}
	if refused != nil {
		s.logger.Info("message refused", "code", refused.Code, "to", domain.Mask(asked.To))
		pause(r, rule.responseDelay())
		refused.write(w)
		return
	}
	accepted := s.accept(asked, rule)
	if rule.Hold == HoldAfterAccept {
		hang(r)
	}
	pause(r, rule.responseDelay())
	writeJSON(w, http.StatusCreated, s.account.resource(accepted)) // as it was when it was accepted
}

// accept stores the message and starts its delivery.
func (s *Simulator) accept(asked request, rule Rule) Message {
	prefix := "SM"
	if len(asked.MediaURLs) > 0 {
		prefix = "MM"
	}
	now := time.Now()
	m := Message{
		Sid: newSid(prefix), Direction: directionOutbound, From: asked.From, To: asked.To, Body: asked.Body, Media: asked.media(),
		Status: domain.StatusQueued, StatusCallback: asked.StatusCallback, CreatedAt: now, UpdatedAt: now,
	}
	s.account.add(m)
	s.logger.Info("message accepted", "message_sid", m.Sid, "to", domain.Mask(m.To))
	s.deliver(m, rule)
	return m
}

func (s *Simulator) fetch(w http.ResponseWriter, r *http.Request) {
	sid, isJSON := strings.CutSuffix(r.PathValue("File"), ".json")
	m, known := s.account.message(sid)
	if !known || !isJSON {
		s.notFound(w, r)
		return
	}
	writeJSON(w, http.StatusOK, s.account.resource(m))
}

func (s *Simulator) notFound(w http.ResponseWriter, _ *http.Request) { refuse(codeNotFound).write(w) }

// pause waits before an answer. When the caller or the simulator goes meanwhile, there is nobody to answer.
func pause(r *http.Request, d time.Duration) {
	if d > 0 && !sleep(r.Context(), d) {
		panic(http.ErrAbortHandler)
	}
}

// hang never answers: it holds the connection until the caller or the simulator goes, and then drops it.
func hang(r *http.Request) {
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}
