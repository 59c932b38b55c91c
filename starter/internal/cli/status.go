package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"parley/contract"
	"parley/internal/domain"
	"parley/internal/twilio"
)

// askWithin bounds one question to Twilio, which reads one message.
const askWithin = 20 * time.Second

func (c *commands) status() *cobra.Command {
	var fetch bool
	command := &cobra.Command{
		Use:   "status ID",
		Short: "Show what we hold of a message beside what Twilio said; --fetch asks it",
		Long: long("Status prints how each attempt to send a message stands: what we hold, and what Twilio said last.\n\n" +
			"With --fetch Twilio is asked about each attempt that it accepted. Where it is further than we are, the row moves forward, as with " +
			"a callback. A sid that is not stored is looked for in every account."),
		Args: cobra.ExactArgs(1),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			trace, err := c.trace(ctx, args[0])
			switch {
			case fetch && domain.KindOf(err) == domain.KindNotFound && !isWorkflowID(args[0]):
				return c.fetchStranger(ctx, args[0])
			case domain.KindOf(err) == domain.KindNotFound && !isWorkflowID(args[0]):
				return nil, domain.Errorf(domain.KindNotFound, "no message is stored under %s; --fetch looks for a sid in every account", args[0])
			case err != nil:
				return nil, notTraced(err, args[0])
			case fetch:
				return c.fetchStatus(ctx, trace)
			default:
				return c.statusOf(trace), nil
			}
		}),
	}
	command.Flags().BoolVar(&fetch, "fetch", false, "ask Twilio")
	return command
}

func (c *commands) statusOf(trace domain.Trace) *statusResult {
	return &statusResult{Message: trace.Message, Attempts: standings(trace, c.parts.Explain), Notes: []string{}}
}

// asked is what asking Twilio about an attempt came to.
type asked struct {
	Before  domain.Status `json:"before"`            // what we held
	Moved   bool          `json:"moved"`             // our row moved forward
	Problem string        `json:"problem,omitempty"` // why Twilio could not be asked
}

// fetchStatus asks Twilio about every attempt that it accepted. What could not be asked is an error beside the rest.
func (c *commands) fetchStatus(ctx context.Context, before domain.Trace) (result, error) {
	answers := map[domain.AttemptKey]*asked{}
	var notes []string
	var problems []error
	for _, attempt := range before.Attempts {
		if attempt.State != domain.AttemptAccepted {
			continue
		}
		key := domain.AttemptKey{MessageID: before.Message.MessageID, Part: attempt.Part, Attempt: attempt.Attempt}
		change, err := c.ask(ctx, before.Message.AccountSid, attempt.TwilioSid, key)
		answers[key] = &asked{Before: attempt.Status, Moved: change.Moved}
		if err != nil {
			answers[key].Problem = err.Error()
			problems = append(problems, fmt.Errorf("attempt %d.%d: %w", attempt.Part, attempt.Attempt, err))
		} else if err := c.tell(ctx, change); err != nil {
			notes = append(notes, fmt.Sprintf("the flow could not be told; it will ask by itself: %v", err))
		}
	}
	after, err := c.trace(ctx, before.Message.MessageID)
	if err != nil {
		return nil, errors.Join(append(problems, err)...)
	}
	shown := c.statusOf(after)
	for i, s := range shown.Attempts {
		shown.Attempts[i].Asked = answers[domain.AttemptKey{MessageID: after.Message.MessageID, Part: s.Part, Attempt: s.Attempt}]
	}
	shown.Notes = append(shown.Notes, notes...)
	return shown, errors.Join(problems...)
}

// ask asks Twilio about an attempt, and moves its row forward, as the step messaging.FetchStatus does. Running it twice is harmless.
func (c *commands) ask(ctx context.Context, accountSid, sid string, key domain.AttemptKey) (change domain.StatusChange, err error) {
	said, err := c.fetch(ctx, accountSid, sid)
	if err != nil {
		return change, err
	}
	messages, err := c.parts.Messages(ctx)
	if err != nil {
		return change, err
	}
	return messages.ApplyStatus(ctx, domain.StatusEvent{
		AttemptKey: key, AccountSid: accountSid, Sid: sid, Status: said.Status, ErrorCode: said.ErrorCode, Price: said.Price, Source: domain.SourceFetch,
	})
}

// fetch reads a message at Twilio.
func (c *commands) fetch(ctx context.Context, accountSid, sid string) (message twilio.Message, err error) {
	directory, err := c.parts.Directory(ctx)
	if err != nil {
		return message, err
	}
	credentials, err := directory.Credentials(ctx, accountSid)
	if err != nil {
		return message, err
	}
	client, err := c.parts.Twilio(ctx)
	if err != nil {
		return message, err
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	return client.Fetch(ctx, credentials, sid)
}

// tell signals the flow where it waits for this, as the webhook does: else it would ask at its next check, which may be an hour away.
func (c *commands) tell(ctx context.Context, change domain.StatusChange) error {
	if !change.Moved || !change.Status.Final() {
		return nil
	}
	flows, err := c.parts.Flows(ctx)
	if err != nil {
		return err
	}
	return flows.Deliver(ctx, change.WorkflowID, contract.Delivery{
		Part: change.Part, Attempt: change.Attempt, Status: change.Status, ErrorCode: change.ErrorCode,
	})
}

// fetchStranger looks in every account for a message that is not stored. It returns KindNotFound where none has it.
func (c *commands) fetchStranger(ctx context.Context, sid string) (result, error) {
	directory, err := c.parts.Directory(ctx)
	if err != nil {
		return nil, err
	}
	accounts, err := directory.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	var problems []error
	for _, account := range accounts {
		message, err := c.fetch(ctx, account.AccountSid, sid)
		if err == nil {
			return c.strangerOf(account, message), nil
		}
		if kind := domain.KindOf(err); kind != domain.KindNotFound && kind != domain.KindInvalid {
			problems = append(problems, fmt.Errorf("account %s could not be asked: %w", account.AccountSid, err))
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return nil, domain.Errorf(domain.KindNotFound, "no message is stored under %s, and none of the accounts has it at Twilio", sid)
}

func (c *commands) strangerOf(account domain.Account, m twilio.Message) strangerResult {
	stranger := strangerResult{
		Sid: m.Sid, AccountSid: account.AccountSid, Direction: m.Direction, From: m.From, To: m.To, CreatedAt: m.DateCreated,
		Status: m.Status, ErrorCode: m.ErrorCode,
	}
	if m.ErrorCode != 0 {
		stranger.Meaning = c.parts.Explain(m.ErrorCode)
	}
	return stranger
}

// statusResult is how a message's attempts stand.
type statusResult struct {
	Message  domain.TracedMessage `json:"message"`
	Attempts []standing           `json:"attempts"`
	Notes    []string             `json:"notes"`
}

func (r *statusResult) print(p *page) {
	p.line("%s", r.Message.WorkflowID)
	p.field("message", r.Message.MessageID+" of owner "+r.Message.OwnerID)
	printState(p, r.Message)
	printStandings(p, r.Attempts)
	if len(r.Attempts) == 0 {
		p.section("No attempt was made to send anything for it.")
	}
	printNotes(p, r.Notes)
}

// strangerResult is a message of one of our accounts at Twilio that Parley knows nothing of.
type strangerResult struct {
	Sid        string        `json:"sid"`
	Stored     bool          `json:"stored"` // false
	AccountSid string        `json:"account_sid"`
	Direction  string        `json:"direction"`
	From       string        `json:"from"`
	To         string        `json:"to"`
	CreatedAt  time.Time     `json:"created_at,omitzero"`
	Status     domain.Status `json:"status"`
	ErrorCode  int           `json:"error_code,omitempty"`
	Meaning    string        `json:"meaning,omitempty"` // of the error code
}

func (r strangerResult) print(p *page) {
	p.line("%s", r.Sid)
	p.field("note", "not one of ours: nothing is stored of it, but it is a message of account "+r.AccountSid)
	p.field("direction", r.Direction)
	p.field("from", r.From)
	p.field("to", r.To)
	if !r.CreatedAt.IsZero() {
		p.field("created", at(r.CreatedAt))
	}
	p.field("status", strings.Join(compact(stated(r.Status, r.ErrorCode), r.Meaning), ": "))
}
