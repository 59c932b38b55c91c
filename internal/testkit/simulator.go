package testkit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
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
	CreatedAt time.Time `json:"created_at"`
}

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
	answer := s.Deliver(Inbound{From: from, Body: body})
	if answer.StatusCode != http.StatusOK {
		s.t.Fatalf("the webhook answered %d %s %s", answer.StatusCode, answer.Body, answer.Error)
	}
	return answer.MessageSid
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

// SentTo returns the messages that Twilio accepted for a person, oldest first.
func (s *Stack) SentTo(to string) []Message {
	s.t.Helper()
	var sent []Message
	for _, message := range s.Messages() {
		if message.To == to && message.Direction != "inbound" {
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

// Script tells the simulator how to treat the messages to one recipient; rule is the JSON of its PUT /simulate/script.
func (s *Stack) Script(rule map[string]any) {
	s.t.Helper()
	s.simulate(http.MethodPut, "/simulate/script", rule, nil)
}

// Creates returns how many creates the simulator received for a recipient, whatever became of them.
func (s *Stack) Creates(to string) int {
	s.t.Helper()
	var requests struct {
		ByTo map[string]int `json:"by_to"`
	}
	s.simulate(http.MethodGet, "/simulate/requests", nil, &requests)
	return requests.ByTo[to]
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
