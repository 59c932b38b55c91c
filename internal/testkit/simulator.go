package testkit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Inbound is a message from a person, as the simulator's POST /simulate/inbound takes it.
type Inbound struct {
	From       string            `json:"from"`
	To         string            `json:"to"` // empty: the company's number
	Body       string            `json:"body"`
	Media      []InboundMedia    `json:"media,omitempty"`
	MessageSid string            `json:"message_sid,omitempty"` // empty: a new one
	Params     map[string]string `json:"params,omitempty"`      // further form parameters
}

// InboundMedia is one file of a message.
type InboundMedia struct {
	URL         string `json:"url"`
	ContentType string `json:"content_type"`
}

// InboundAnswer is what the webhook answered.
type InboundAnswer struct {
	MessageSid string `json:"message_sid"`
	StatusCode int    `json:"status_code"` // 0: it did not answer
	Body       string `json:"body"`
	Error      string `json:"error"`
}

// Message is one message that the simulated Twilio knows.
type Message struct {
	Sid       string    `json:"sid"`
	Direction string    `json:"direction"` // inbound, outbound-api
	From      string    `json:"from"`
	To        string    `json:"to"`
	Body      string    `json:"body"`
	Status    string    `json:"status"`
	ErrorCode int       `json:"error_code"`
	Twin      bool      `json:"twin"`  // listed beside a message, and sent by nobody: see Rule.Twin
	Fault     string    `json:"fault"` // the fault that it met by chance or by a magic number
	CreatedAt time.Time `json:"created_at"`

	StatusCallback string `json:"status_callback"` // the URL that the create gave
}

// Rule is a rule of the simulator, as its PUT /simulate/script takes it. What the fields mean stands at the simulator's own
// Rule (simulator/twiliosim/script.go).
type Rule struct {
	To    string `json:"to,omitempty"` // empty: everybody without a rule of their own
	Times int    `json:"times,omitempty"`

	StatusCode      int    `json:"status_code,omitempty"`
	Code            int    `json:"code,omitempty"`
	RetryAfter      int    `json:"retry_after,omitempty"`
	Answer          string `json:"answer,omitempty"` // hold, reset, garbage
	Accepted        bool   `json:"accepted,omitempty"`
	ResponseDelayMS int    `json:"response_delay_ms,omitempty"`

	Status          string `json:"status,omitempty"` // delivered, undelivered, failed, sent
	ErrorCode       int    `json:"error_code,omitempty"`
	Callbacks       string `json:"callbacks,omitempty"` // normal, none, twice, reversed, early
	CallbackDelayMS int    `json:"callback_delay_ms,omitempty"`

	ListDelayMS int  `json:"list_delay_ms,omitempty"`
	Twin        bool `json:"twin,omitempty"`
	ReadDelayMS int  `json:"read_delay_ms,omitempty"`

	Price        string `json:"price,omitempty"`
	PriceDelayMS int    `json:"price_delay_ms,omitempty"`

	Random *Random `json:"random,omitempty"`
}

// Random lets a share of the creates meet a fault, the same ones for the same seed and the same people.
type Random struct {
	Seed uint64  `json:"seed"`
	Rate float64 `json:"rate"`
}

// Requests counts creates, as the simulator's GET /simulate/requests does.
type Requests struct {
	Creates      int            `json:"creates"` // that arrived, whatever became of them
	ByTo         map[string]int `json:"by_to"`
	Accepted     int            `json:"accepted"` // that became a message, whatever was answered
	AcceptedByTo map[string]int `json:"accepted_by_to"`
	Faults       map[string]int `json:"faults"` // that met a fault by chance or by a magic number, by its name
}

// DoorState says how the simulator's second address behaves.
type DoorState string

// The states of the door.
const (
	DoorOpen    DoorState = "open"
	DoorClosed  DoorState = "closed"  // connections are refused
	DoorStalled DoorState = "stalled" // over https, the TLS handshake never ends
)

// Deliver lets the simulator deliver a message to the webhook and returns the answer, whatever it is.
func (s *Stack) Deliver(in Inbound) InboundAnswer {
	s.t.Helper()
	if in.To == "" {
		in.To = s.Company
	}
	var answer InboundAnswer
	s.simulate(http.MethodPost, "/simulate/inbound", in, &answer)
	return answer
}

// Say lets a person write to the company and returns the message's sid. The test fails unless the webhook accepts it.
func (s *Stack) Say(from, body string) (messageSid string) {
	s.t.Helper()
	return s.SayTo(s.Company, from, body)
}

// sayWithin bounds how often a message is delivered again that the webhook of a busy machine answers with 503, as it may: come back.
const sayWithin = 30 * time.Second

// SayTo is Say to a number.
func (s *Stack) SayTo(to, from, body string) (messageSid string) {
	s.t.Helper()
	Eventually(s.t, sayWithin, func() error {
		answer := s.Deliver(Inbound{From: from, To: to, Body: body, MessageSid: messageSid})
		messageSid = answer.MessageSid
		switch answer.StatusCode {
		case http.StatusOK:
			return nil
		case http.StatusServiceUnavailable:
			return fmt.Errorf("the webhook answered %+v", answer)
		default:
			s.t.Fatalf("the webhook answered %+v", answer)
			return nil
		}
	})
	return messageSid
}

// CallBack tells the webhook a status of a message, as Twilio would, and whatever the rules say. The test fails unless the webhook takes it.
func (s *Stack) CallBack(message Message, status string) {
	s.t.Helper()
	form := url.Values{
		"AccountSid": {s.AccountSid}, "MessageSid": {message.Sid}, "MessageStatus": {status}, "From": {message.From}, "To": {message.To},
	}.Encode()
	if code := Post(s.t, message.StatusCallback, form, Sign(s.AuthToken, message.StatusCallback, form)); code != http.StatusNoContent {
		s.t.Fatalf("the webhook answered %d to a status callback", code)
	}
}

// Messages returns every message that the simulated Twilio knows, oldest first.
func (s *Stack) Messages() []Message {
	s.t.Helper()
	var list struct {
		Messages []Message `json:"messages"`
	}
	s.simulate(http.MethodGet, "/simulate/messages", nil, &list)
	return list.Messages
}

// SentTo returns the messages that Twilio accepted for a person, oldest first; twins are none.
func (s *Stack) SentTo(to string) []Message {
	s.t.Helper()
	var sent []Message
	for _, message := range s.Messages() {
		if message.To == to && message.Direction != "inbound" && !message.Twin {
			sent = append(sent, message)
		}
	}
	return sent
}

// AwaitAnswers waits until a person has so many delivered messages, and returns all that were sent to that person.
func (s *Stack) AwaitAnswers(to string, count int, within time.Duration) []Message {
	s.t.Helper()
	var sent []Message
	Eventually(s.t, within, func() error {
		sent = s.SentTo(to)
		delivered := 0
		for _, message := range sent {
			if message.Status == "delivered" {
				delivered++
			}
		}
		if delivered < count {
			return fmt.Errorf("%d of %d messages sent to %s are delivered, want %d", delivered, len(sent), to, count)
		}
		return nil
	})
	return sent
}

// Script tells the simulator how to treat the messages to one recipient, or to everybody.
func (s *Stack) Script(rule Rule) {
	s.t.Helper()
	s.simulate(http.MethodPut, "/simulate/script", rule, nil)
}

// Unscript makes the simulator treat everybody as usual again.
func (s *Stack) Unscript() {
	s.t.Helper()
	s.simulate(http.MethodDelete, "/simulate/script", nil, nil)
}

// Requests returns what the simulator has counted.
func (s *Stack) Requests() Requests {
	s.t.Helper()
	var requests Requests
	s.simulate(http.MethodGet, "/simulate/requests", nil, &requests)
	return requests
}

// Creates returns how many creates the simulator received for a recipient, whatever became of them.
func (s *Stack) Creates(to string) int { s.t.Helper(); return s.Requests().ByTo[to] }

// Accepted returns how many messages to a recipient the simulator accepted, whatever it answered.
func (s *Stack) Accepted(to string) int { s.t.Helper(); return s.Requests().AcceptedByTo[to] }

// AddToken makes a secondary token at the simulated Twilio: its API takes it beside the present one, which signs its webhooks.
func (s *Stack) AddToken(token string) {
	s.t.Helper()
	s.simulate(http.MethodPut, "/simulate/token", map[string]any{"auth_token": token, "secondary": true}, nil)
}

// PromoteToken makes a token the only one of the account at the simulated Twilio: its webhooks are signed with it, and its API takes no other.
func (s *Stack) PromoteToken(token string) {
	s.t.Helper()
	s.simulate(http.MethodPut, "/simulate/token", map[string]any{"auth_token": token}, nil)
	s.AuthToken = token
}

// SetAPIToken changes what the simulated Twilio takes for the account's token, AuthToken making it right again. Its
// webhooks stay signed with AuthToken.
func (s *Stack) SetAPIToken(token string) {
	s.t.Helper()
	s.simulate(http.MethodPut, "/simulate/token", map[string]any{"auth_token": token, "api_only": true}, nil)
}

// Door puts the simulator's second address of Twilio's API into a state and returns it as host:port, always the same. It is
// for what goes wrong before a request is written: a worker is sent there by AddWorker with
// PARLEY_TWILIO_BASE_URL=http://<address>, or https:// for a handshake that stalls.
func (s *Stack) Door(state DoorState) (address string) {
	s.t.Helper()
	if s.door == "" { // a port that the system chose could be somebody else's while the door is closed
		s.door = Port(s.t)
	}
	s.simulate(http.MethodPut, "/simulate/door", map[string]string{"state": string(state), "address": s.door}, nil)
	return s.door
}

// simulateTimeout bounds one call of the simulator, which waits for the webhook.
const simulateTimeout = 30 * time.Second

func (s *Stack) simulate(method, path string, in, out any) {
	s.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		s.t.Fatalf("simulator: %v", err)
	}
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.Simulator.URL("")+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatalf("simulator: %v", err)
	}
	response, err := (&http.Client{Timeout: simulateTimeout}).Do(request)
	if err != nil {
		s.t.Fatalf("simulator: %v", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatalf("simulator: %v", err)
	}
	if response.StatusCode >= 400 && response.StatusCode != http.StatusBadGateway { // 502: the webhook did not answer
		s.t.Fatalf("simulator: %s %s: %s: %s", method, path, response.Status, text)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(text, out); err != nil {
		s.t.Fatalf("simulator: %s %s: %v", method, path, err)
	}
}
