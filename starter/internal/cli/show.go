package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"parley/contract"
	"parley/internal/domain"
	"parley/starter/internal/flow"
)

// resultWithin bounds the wait for a closed flow's result, which the server has.
const resultWithin = 5 * time.Second

func (c *commands) show() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show a message: its flow's state and steps, attempts, costs",
		Long: long("Show prints what Temporal knows about a message's flow beside what the database holds. Either may be missing: " +
			"Temporal forgets flows after a while, and a message that has no owner yet is not stored."),
		Args: cobra.ExactArgs(1),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) { return c.showMessage(ctx, args[0]) }),
	}
}

func (c *commands) showMessage(ctx context.Context, id string) (result, error) {
	shown := showResult{WorkflowID: id, Notes: []string{}, Explanations: map[int]string{}}
	trace, stored := c.trace(ctx, id)
	switch {
	case stored == nil:
		shown.Trace, shown.WorkflowID = &trace, trace.Message.WorkflowID
		shown.explainAll(c.parts.Explain)
	case !isWorkflowID(id):
		return nil, notTraced(stored, id)
	case domain.KindOf(stored) == domain.KindNotFound:
		shown.note("nothing is stored: the flow has not got so far, or does not know whose message it is")
	default:
		shown.note("the database could not be read: %v", stored)
	}
	known := c.lookAtFlow(ctx, &shown)
	switch {
	case known == nil:
	case shown.Trace == nil && domain.KindOf(stored) != domain.KindNotFound:
		return nil, stored // neither side is known: the one that may answer later decides
	case shown.Trace == nil:
		return nil, known
	case domain.KindOf(known) == domain.KindNotFound:
		shown.note("Temporal does not keep this flow any more")
	default:
		shown.note("Temporal could not be asked: %v", known)
	}
	return shown, nil
}

func (c *commands) trace(ctx context.Context, id string) (domain.Trace, error) {
	messages, err := c.parts.Messages(ctx)
	if err != nil {
		return domain.Trace{}, err
	}
	return messages.Trace(ctx, id)
}

// lookAtFlow adds what Temporal knows.
func (c *commands) lookAtFlow(ctx context.Context, shown *showResult) error {
	flows, err := c.parts.Flows(ctx)
	if err != nil {
		return err
	}
	found, err := flows.Describe(ctx, shown.WorkflowID)
	if err != nil {
		return err
	}
	shown.Flow = &found
	if status, err := flows.Status(ctx, shown.WorkflowID); err == nil {
		shown.Status = &status
	} else {
		shown.note("the flow's own account of its steps could not be read: %v", err)
	}
	switch {
	case found.Stopped():
		shown.stopped()
	case !found.Running():
		ctx, cancel := context.WithTimeout(ctx, resultWithin)
		defer cancel()
		if ended, err := flows.Result(ctx, shown.WorkflowID); err == nil {
			shown.Result = &ended
		} else {
			shown.note("%v", err)
		}
	}
	return nil
}

// showResult is all that is known about a message.
type showResult struct {
	WorkflowID   string                  `json:"workflow_id"`
	Flow         *flow.Flow              `json:"flow"`            // by Temporal's server; null where it knows none
	Status       *contract.StatusResult  `json:"status"`          // by the flow itself; null where no worker answers
	Result       *contract.MessageResult `json:"result"`          // of a closed flow
	Trace        *domain.Trace           `json:"trace"`           // by the database; null where nothing is stored
	Explanations map[int]string          `json:"explanations"`    // of Twilio's error codes
	Notes        []string                `json:"notes"`           // what could not be found out, and why
	GoOn         string                  `json:"go_on,omitempty"` // the command that lets a flow go on that was stopped in Temporal
}

func (r *showResult) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

func (r showResult) explain(code int) string { return r.Explanations[code] }

// explainAll collects a sentence for every error code of the trace.
func (r *showResult) explainAll(sentence func(int) string) {
	codes := []int{r.Trace.Message.ErrorCode}
	for _, attempt := range r.Trace.Attempts {
		codes = append(codes, attempt.ErrorCode)
	}
	for _, event := range r.Trace.Events {
		codes = append(codes, event.ErrorCode)
	}
	for _, code := range codes {
		if code != 0 {
			r.Explanations[code] = sentence(code)
		}
	}
}

func (r showResult) print(p *page) {
	p.line("%s", r.WorkflowID)
	r.printFlow(p)
	if r.Trace != nil {
		printMessage(p, r.Trace.Message)
	}
	r.printStatus(p)
	r.printWaits(p)
	if r.Trace != nil {
		printParts(p, r.Trace.Parts)
		printStandings(p, standings(*r.Trace, r.explain))
		printEvents(p, r.Trace.Events)
		printCosts(p, *r.Trace)
	}
	printNotes(p, r.Notes)
	if r.GoOn != "" {
		p.section("To let it go on")
		p.line("  %s", r.GoOn)
	}
}

// printStatus prints the flow's own account. One that was stopped waits for nobody, whatever it said last.
func (r showResult) printStatus(p *page) {
	switch {
	case r.Status == nil:
	case r.Flow != nil && r.Flow.Stopped():
		p.section("Steps, as they stood when the flow was stopped")
		printSteps(p, r.Status.Steps)
	default:
		p.section("Steps")
		printStatus(p, *r.Status)
		if r.Status.Park != nil && r.Flow != nil && r.Flow.Running() {
			p.field("then", "starter retry ID, or starter abandon ID")
		}
	}
}

func printNotes(p *page, notes []string) {
	if len(notes) == 0 {
		return
	}
	p.section("Notes")
	for _, note := range notes {
		p.paragraph("  ", note)
	}
}

func (r showResult) printFlow(p *page) {
	if r.Flow == nil {
		return
	}
	state := r.Flow.State
	if r.Flow.Running() && r.Flow.Stage != "" {
		state += ", " + string(r.Flow.Stage)
	}
	p.field("flow", r.Flow.Type+", "+state)
	p.field("started", at(r.Flow.StartedAt))
	p.field("closed", atOrEmpty(r.Flow.ClosedAt))
	if r.Result != nil {
		p.field("ended", strings.Join(compact(string(r.Result.Outcome), string(r.Result.Status)), ", "))
	}
	if r.Status != nil && r.Trace == nil { // what the rows would say
		p.field("our end", ourEnd(r.Status.AccountSid, r.Status.OurAddress))
		p.field("why", r.Status.Reason)
	}
}

// ourEnd says which of our addresses a message came to, or goes out from.
func ourEnd(accountSid, address string) string {
	if address == "" {
		return ""
	}
	return address + " of account " + accountSid
}

// stopped says of a flow that was ended from outside what the rows tell, and how it may go on.
func (r *showResult) stopped() {
	r.note("The flow was stopped in Temporal, from outside: no step of it goes on, and nobody is asked any more. It may go on from where it " +
		"was; what the rows know to be sent is not sent again.")
	if r.Trace != nil {
		r.note("%s", sentByRows(*r.Trace))
	}
	r.GoOn = "temporal workflow reset --workflow-id " + r.WorkflowID + " --type LastWorkflowTask --reason \"stopped by mistake\""
}

func (r showResult) printWaits(p *page) {
	if r.Flow == nil || len(r.Flow.Waits) == 0 {
		return
	}
	p.section("Waits")
	for _, wait := range r.Flow.Waits {
		p.line("  %s", wait.Step)
		p.paragraph("    ", waiting(wait))
		if wait.State != flow.WaitRetrying && wait.Since != nil {
			p.paragraph("    ", fmt.Sprintf("since %s, on task queue %s", at(*wait.Since), wait.Queue))
		}
		if wait.Failure != "" {
			p.paragraph("    ", "last failure: "+strings.Join(compact(wait.FailureKind, wait.Failure), ": "))
		}
	}
}

func printMessage(p *page, message domain.TracedMessage) {
	p.section("Message " + message.MessageID)
	p.field("owner", message.OwnerID)
	p.field("within", message.ConversationID)
	p.field("account", message.AccountSid)
	p.field("sid", message.TwilioSid)
	p.field("direction", string(message.Direction))
	p.field("from", message.From)
	p.field("to", message.To)
	p.field("received", at(message.ReceivedAt))
	p.field("body", message.Body)
	for _, media := range message.Media {
		p.field("media", media.URL)
	}
	printState(p, message)
	p.field("deadline", atOrEmpty(message.Deadline))
}

// printState says what became of the duty to answer or to send.
func printState(p *page, message domain.TracedMessage) {
	p.field("state", strings.Join(compact(string(message.ReplyState), string(message.Outcome), string(message.Status)), ", "))
	p.field("why", message.Reason)
	if message.Park != "" {
		p.field("parked", "at "+message.ParkStep+": "+message.ParkReason)
	}
}

func printParts(p *page, parts []domain.TracedMessage) {
	if len(parts) > 0 {
		p.section("Parts")
	}
	for _, part := range parts {
		p.line("  %d  %s  %s", part.Part, part.MessageID, part.Status)
		p.paragraph("     ", part.Body)
	}
}

func printEvents(p *page, events []domain.TracedEvent) {
	if len(events) > 0 {
		p.section("All that Twilio said")
	}
	for _, event := range events {
		line := fmt.Sprintf("  %s  %d.%d  %-9s %s", at(event.ReceivedAt), event.Part, event.Attempt, event.Source, event.Status)
		if event.ErrorCode != 0 {
			line += fmt.Sprintf(" (%d)", event.ErrorCode)
		}
		p.line("%s", line)
	}
}

func printCosts(p *page, trace domain.Trace) {
	if len(trace.Ledger)+len(trace.AIRuns) == 0 {
		return
	}
	p.section("Costs")
	for _, entry := range trace.Ledger {
		p.line("  %s  %-8s %d %s", at(entry.CreatedAt), entry.Kind, entry.Quantity, entry.Meter)
	}
	for _, run := range trace.AIRuns {
		p.line("  %s  %s %s: %d tokens in, %d out, %d ms", at(run.CreatedAt), run.Provider, run.Model,
			run.InputTokens, run.OutputTokens, run.LatencyMS)
	}
}
