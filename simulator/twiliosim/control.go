package twiliosim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

func (s *Simulator) showMessages(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string][]Message{"messages": s.account.all()})
}

func (s *Simulator) showRequests(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.account.requests())
}

func (s *Simulator) setRule(w http.ResponseWriter, r *http.Request) {
	var rule Rule
	if !readJSON(w, r, &rule) {
		return
	}
	if err := rule.check(); err != nil {
		badRequest(w, err)
		return
	}
	s.account.setRule(rule)
	w.WriteHeader(http.StatusNoContent)
}

func (s *Simulator) clearScript(w http.ResponseWriter, _ *http.Request) {
	s.account.clearScript()
	w.WriteHeader(http.StatusNoContent)
}

// setDoor answers where the door is, for a base URL.
func (s *Simulator) setDoor(w http.ResponseWriter, r *http.Request) {
	var wanted struct {
		State   DoorState `json:"state"`
		Address string    `json:"address"`
	}
	if !readJSON(w, r, &wanted) {
		return
	}
	switch wanted.State {
	case DoorOpen, DoorClosed, DoorStalled:
	default:
		badRequest(w, fmt.Errorf("state: want open, closed or stalled, got %q", wanted.State))
		return
	}
	address, err := s.door.set(r.Context(), wanted.State, wanted.Address)
	if err != nil {
		writeJSON(w, http.StatusConflict, map[string]string{"error": err.Error()}) // somebody took the port meanwhile
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"address": address})
}

func (s *Simulator) setToken(w http.ResponseWriter, r *http.Request) {
	var wanted struct {
		AuthToken string `json:"auth_token"`
		APIOnly   bool   `json:"api_only"`
		Secondary bool   `json:"secondary"`
	}
	if !readJSON(w, r, &wanted) {
		return
	}
	if wanted.AuthToken == "" {
		badRequest(w, errors.New("auth_token: is required"))
		return
	}
	if wanted.Secondary {
		s.account.setSecond(wanted.AuthToken)
	} else {
		s.account.setToken(wanted.AuthToken, wanted.APIOnly)
	}
	w.WriteHeader(http.StatusNoContent)
}

// readJSON reads a request of the control API. For one that it does not understand, a misspelt field included, it answers
// 400 and reports false.
func readJSON(w http.ResponseWriter, r *http.Request, into any) bool {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		badRequest(w, fmt.Errorf("read the request: %w", err))
		return false
	}
	return true
}

func badRequest(w http.ResponseWriter, err error) {
	writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
}
