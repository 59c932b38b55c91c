package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"parley/contract"
)

// demoText is what the demo customer says first.
const demoText = "Hello! Are you open on Saturday?"

// answerWithin is how long an answer may take, a first one on a slow machine included.
const answerWithin = 2 * time.Minute

// serve shows the first exchange and waits until ctx ends.
func (s *stack) serve(ctx context.Context) error {
	if s.twilio {
		s.explainTwilio()
	} else if err := s.demonstrate(ctx); err != nil {
		if s.once || ctx.Err() != nil {
			return err
		}
		s.out.Say("%v", err) // everything runs: let the developer see why
	}
	if s.once {
		return nil
	}
	<-ctx.Done()
	return nil
}

// demonstrate sends the first message and prints what came of it.
func (s *stack) demonstrate(ctx context.Context) error {
	x, err := exchangeOver(ctx, s.endpoints, demoText)
	if x.WorkflowID != "" {
		x.link = s.link(x.WorkflowID)
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, x.trail())
	}
	s.out.Print("\n%s", x)
	if !s.once {
		s.out.Print("\nSay more: make say TEXT=\"...\" (in another terminal). Stop: Ctrl-C.\n")
	}
	return nil
}

func (s *stack) explainTwilio() {
	base := s.baseURL
	if base == "" {
		base = "Twilio"
	}
	s.out.Print("\nParley answers messages to %s through %s, as %s%s.\nLet your tunnel lead to %s. Stop: Ctrl-C.\n",
		s.CompanyNumber, base, s.publicURL, inboundPath, s.WebhookURL)
}

// say sends the running stack one message and prints the answer.
func (d *dev) say(ctx context.Context, text string) error {
	if strings.TrimSpace(text) == "" {
		return errors.New(`say what? make say TEXT="..."`)
	}
	e, err := d.readEndpoints()
	if err != nil {
		return err
	}
	if e.SimulatorURL == "" {
		return errors.New("this run uses the real Twilio: text the number instead")
	}
	x, err := exchangeOver(ctx, e, text)
	if x.WorkflowID != "" {
		x.link = (&stack{endpoints: e}).link(x.WorkflowID)
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, x.trail())
	}
	d.out.Print("%s", x)
	return nil
}

// exchange is one message of the customer and what the company answered.
type exchange struct {
	endpoints
	WorkflowID string
	Said       string
	Answers    []simulated
	link       string
}

// String is the exchange for people.
func (x exchange) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s  %s\n", x.CustomerNumber, x.Said)
	for _, answer := range x.Answers {
		fmt.Fprintf(&text, "%s  %s  (%s)\n", x.CompanyNumber, answer.Body, answer.Status)
	}
	return text.String() + x.trail()
}

// trail says where the exchange can be looked at.
func (x exchange) trail() string {
	if x.WorkflowID == "" {
		return ""
	}
	text := "workflow      " + x.WorkflowID
	if x.link != "" {
		text += "\nin Temporal   " + x.link
	}
	return text
}

// simulated is a message as GET /simulate/messages lists it, as far as it matters here.
type simulated struct {
	Sid       string `json:"sid"`
	Direction string `json:"direction"`
	To        string `json:"to"`
	Body      string `json:"body"`
	Status    string `json:"status"`
	Callbacks []struct {
		Status     string `json:"status"`
		StatusCode int    `json:"status_code"`
	} `json:"callbacks"`
}

// deliveredStatus is Twilio's word for a message that has arrived.
const deliveredStatus = "delivered"

// underway reports whether the message has yet to arrive, or the webhook to take note of it.
func (m simulated) underway() bool {
	for _, callback := range m.Callbacks {
		if callback.Status == deliveredStatus && callback.StatusCode/100 == 2 {
			return false
		}
	}
	return true
}

// exchangeOver lets the demo customer say something and waits until an answer is delivered. The exchange is returned as
// far as it came.
func exchangeOver(ctx context.Context, e endpoints, said string) (exchange, error) {
	x := exchange{endpoints: e, Said: said}
	before, err := answersTo(ctx, e, nil)
	if err != nil {
		return x, err
	}
	known := map[string]bool{}
	for _, message := range before {
		known[message.Sid] = true
	}
	sid, err := sayTo(ctx, e, said)
	if err != nil {
		return x, err
	}
	x.WorkflowID = contract.InboundWorkflowID(e.AccountSid, sid)
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	for {
		x.Answers, err = answersTo(ctx, e, known)
		if err == nil && len(x.Answers) > 0 && !slices.ContainsFunc(x.Answers, simulated.underway) {
			return x, nil
		}
		select {
		case <-ctx.Done():
			return x, fmt.Errorf("no answer was delivered within %s", answerWithin)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// answersTo lists the messages to the demo customer that are not known yet.
func answersTo(ctx context.Context, e endpoints, known map[string]bool) ([]simulated, error) {
	var list struct {
		Messages []simulated `json:"messages"`
	}
	if err := call(ctx, http.MethodGet, e.SimulatorURL+"/simulate/messages", nil, &list); err != nil {
		return nil, err
	}
	var answers []simulated
	for _, message := range list.Messages {
		if message.To == e.CustomerNumber && message.Direction != "inbound" && !known[message.Sid] {
			answers = append(answers, message)
		}
	}
	return answers, nil
}

// sayTo lets the simulator deliver a message of the demo customer and returns its sid.
func sayTo(ctx context.Context, e endpoints, text string) (string, error) {
	var answer struct {
		MessageSid string `json:"message_sid"`
		StatusCode int    `json:"status_code"`
		Error      string `json:"error"`
	}
	message := map[string]string{"from": e.CustomerNumber, "to": e.CompanyNumber, "body": text}
	if err := call(ctx, http.MethodPost, e.SimulatorURL+"/simulate/inbound", message, &answer); err != nil {
		return "", err
	}
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the webhook answered %d %s", answer.StatusCode, answer.Error)
	}
	return answer.MessageSid, nil
}

// callTimeout bounds one call of the simulator, which waits for the webhook.
const callTimeout = 20 * time.Second

// call speaks to the simulator: JSON in, JSON out.
func call(ctx context.Context, method, address string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("the simulator does not answer (does make run run?): %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	if err != nil {
		return err
	}
	if response.StatusCode >= 400 && response.StatusCode != http.StatusBadGateway {
		return fmt.Errorf("the simulator answered %d: %s", response.StatusCode, text)
	}
	return json.Unmarshal(text, out)
}
