package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"parley/contract"
	"parley/internal/domain"
	"parley/starter/internal/flow"
)

func (c *commands) unrouted() *cobra.Command {
	command := group("unrouted", "See inbound messages that have no owner, and have them answered",
		c.unroutedList(), c.unroutedShow(), c.unroutedStart(), c.unroutedRemove())
	command.Long = long("A message to an address that is nobody's is kept, encrypted, until it is stored as somebody's, and its flow is parked at " +
		"account.Resolve. Say whose the address is with 'starter sender add'; then 'starter retry ID --anyway' has the flow go on, however late, and where that is over, " +
		"'starter unrouted start' starts it again.")
	return command
}

func (c *commands) unroutedList() *cobra.Command {
	var limit int
	command := &cobra.Command{
		Use:   "list",
		Short: "List the messages that have no owner, the oldest first",
		Args:  cobra.NoArgs,
		RunE: c.do(func(ctx context.Context, _ []string) (result, error) {
			if limit < 1 {
				return nil, domain.Errorf(domain.KindInvalid, "--limit: want 1 or more")
			}
			unrouted, err := c.parts.Unrouted(ctx)
			if err != nil {
				return nil, err
			}
			found, err := unrouted.List(ctx, limit+1)
			if err != nil {
				return nil, err
			}
			list := unroutedResult{Unrouted: []unroutedRow{}, More: len(found) > limit}
			for _, message := range found[:min(len(found), limit)] {
				list.Unrouted = append(list.Unrouted, unroutedRowOf(message))
			}
			return list, nil
		}),
	}
	command.Flags().IntVar(&limit, "limit", 100, "list at most this many")
	return command
}

func (c *commands) unroutedShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show ACCOUNT_SID MESSAGE_SID",
		Short: "Show a message that has no owner, and what to do to have it answered",
		Args:  cobra.ExactArgs(2),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			message, err := c.unroutedMessage(ctx, args)
			if err != nil {
				return nil, err
			}
			shown := unroutedShown{
				unroutedRow: unroutedRowOf(message), From: message.Received.From, Body: message.Received.Body, Media: message.Received.Media,
				WorkflowID: contract.InboundWorkflowID(message.AccountSid, message.MessageSid),
				Next:       fmt.Sprintf("starter unrouted start %s %s", message.AccountSid, message.MessageSid),
			}
			if shown.Flow, err = c.flowOf(ctx, shown.WorkflowID); err != nil {
				return nil, err
			}
			if shown.Flow != nil && shown.Flow.Running() {
				shown.Next = "starter retry " + shown.WorkflowID + " --anyway" // however late, as start
			}
			return shown, nil
		}),
	}
}

func (c *commands) unroutedStart() *cobra.Command {
	return &cobra.Command{
		Use:   "start ACCOUNT_SID MESSAGE_SID",
		Short: "Start the flow of a message again that is over, now that somebody owns its address",
		Long: long("The message is stored and answered, however long ago it came: look at it first, with 'starter unrouted show'. A flow that is not over " +
			"is left alone, and a message that has been stored is not started again."),
		Args: cobra.ExactArgs(2),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			message, err := c.unroutedMessage(ctx, args)
			if err != nil {
				return nil, err
			}
			if message.Err != nil {
				return nil, message.Err
			}
			flows, err := c.parts.Flows(ctx)
			if err != nil {
				return nil, err
			}
			started, err := flows.StartInbound(ctx, message.Received)
			if err != nil {
				return nil, err
			}
			return unroutedStarted{started.WorkflowID, started.RunID}, nil
		}),
	}
}

func (c *commands) unroutedRemove() *cobra.Command {
	return &cobra.Command{
		Use:   "remove ACCOUNT_SID MESSAGE_SID",
		Short: "Forget a message that nobody will own: what is kept of it is erased",
		Long:  long("Its flow has to be over, since it would keep the message again: 'starter abandon ID' ends one that is parked."),
		Args:  cobra.ExactArgs(2),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			workflowID := contract.InboundWorkflowID(args[0], args[1])
			if found, err := c.flowOf(ctx, workflowID); err != nil {
				return nil, err
			} else if found != nil && found.Running() {
				return nil, domain.Errorf(domain.KindConflict, "its flow is not over: 'starter abandon %s' ends it", workflowID)
			}
			unrouted, err := c.parts.Unrouted(ctx)
			if err != nil {
				return nil, err
			}
			if err := unrouted.Remove(ctx, args[0], args[1]); err != nil {
				return nil, named(err, "unrouted message", args[1])
			}
			return unroutedRemoved{args[0], args[1]}, nil
		}),
	}
}

// flowOf returns what Temporal knows about a flow, nil where that is nothing.
func (c *commands) flowOf(ctx context.Context, workflowID string) (*flow.Flow, error) {
	flows, err := c.parts.Flows(ctx)
	if err != nil {
		return nil, err
	}
	found, err := flows.Describe(ctx, workflowID)
	if domain.KindOf(err) == domain.KindNotFound {
		return nil, nil
	}
	return &found, err
}

func (c *commands) unroutedMessage(ctx context.Context, args []string) (domain.Unrouted, error) {
	unrouted, err := c.parts.Unrouted(ctx)
	if err != nil {
		return domain.Unrouted{}, err
	}
	message, err := unrouted.Get(ctx, args[0], args[1])
	return message, named(err, "unrouted message", args[1])
}

// unroutedRow is a message that has no owner, without what the person says.
type unroutedRow struct {
	AccountSid          string    `json:"account_sid"`
	MessageSid          string    `json:"message_sid"`
	To                  string    `json:"to,omitempty"` // our end, which is to be added
	MessagingServiceSid string    `json:"messaging_service_sid,omitempty"`
	ReceivedAt          time.Time `json:"received_at"`
	KeptAt              time.Time `json:"kept_at"`
	Reason              string    `json:"reason"`
	Problem             string    `json:"problem,omitempty"` // why it cannot be read
}

func unroutedRowOf(m domain.Unrouted) unroutedRow {
	row := unroutedRow{
		AccountSid: m.AccountSid, MessageSid: m.MessageSid, To: m.Received.To, MessagingServiceSid: m.Received.MessagingServiceSid,
		ReceivedAt: m.ReceivedAt, KeptAt: m.KeptAt, Reason: m.Reason,
	}
	if m.Err != nil {
		row.Problem = m.Err.Error()
	}
	return row
}

func (r unroutedRow) print(p *page) {
	p.section(r.AccountSid + " " + r.MessageSid)
	p.field("to", r.To)
	p.field("through", r.MessagingServiceSid)
	p.field("received", at(r.ReceivedAt))
	p.field("reason", r.Reason)
	p.field("problem", r.Problem)
}

type unroutedResult struct {
	Unrouted []unroutedRow `json:"unrouted"`
	More     bool          `json:"more"` // there are others
}

func (r unroutedResult) print(p *page) {
	if len(r.Unrouted) == 0 {
		p.line("every message has an owner")
	}
	for _, row := range r.Unrouted {
		row.print(p)
	}
	if r.More {
		p.section("There are more: --limit shows them.")
	}
}

// unroutedShown is all that is kept of a message.
type unroutedShown struct {
	unroutedRow
	From       string         `json:"from,omitempty"`
	Body       string         `json:"body,omitempty"`
	Media      []domain.Media `json:"media,omitempty"`
	WorkflowID string         `json:"workflow_id"`
	Flow       *flow.Flow     `json:"flow"` // by Temporal's server; null where it knows none any more
	Next       string         `json:"next"` // the command that has it answered, once its address has an owner
}

func (r unroutedShown) print(p *page) {
	r.unroutedRow.print(p)
	p.field("from", r.From)
	p.field("body", r.Body)
	for _, media := range r.Media {
		p.field("media", media.URL)
	}
	state := "forgotten by Temporal"
	if r.Flow != nil {
		state = r.Flow.State
	}
	p.field("flow", state)
	p.section("Once its address has an owner (starter sender add):")
	p.line("  %s", r.Next)
}

type unroutedStarted struct {
	WorkflowID string `json:"workflow_id"`
	RunID      string `json:"run_id"`
}

func (r unroutedStarted) print(p *page) {
	p.line("%s", r.WorkflowID)
	p.field("note", "started: 'starter show ID' tells how it goes")
}

type unroutedRemoved struct {
	AccountSid string `json:"account_sid"`
	MessageSid string `json:"message_sid"`
}

func (r unroutedRemoved) print(p *page) { p.line("removed %s %s", r.AccountSid, r.MessageSid) }
