package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"parley/contract"
	"parley/internal/domain"
	"parley/starter/internal/flow"
)

func (c *commands) parked() *cobra.Command {
	var owner string
	var limit int
	command := &cobra.Command{
		Use:   "parked",
		Short: "List flows that wait for a person, with the reason and what to do",
		Args:  cobra.NoArgs,
		RunE: c.do(func(ctx context.Context, _ []string) (result, error) {
			if limit < 1 {
				return nil, domain.Errorf(domain.KindInvalid, "--limit: want 1 or more")
			}
			if err := c.checkOwnerExists(ctx, owner); err != nil {
				return nil, err
			}
			flows, err := c.parts.Flows(ctx)
			if err != nil {
				return nil, err
			}
			parked, more, err := flows.Parked(ctx, owner, limit)
			if err != nil {
				return nil, err
			}
			return parkedResult{parked, more}, nil
		}),
	}
	command.Flags().StringVar(&owner, "owner", "", "only those of this owner")
	command.Flags().IntVar(&limit, "limit", 100, "list at most this many")
	return command
}

// checkOwnerExists opens the database only where an owner is named: the list itself needs none.
func (c *commands) checkOwnerExists(ctx context.Context, owner string) error {
	if owner == "" {
		return nil
	}
	directory, err := c.parts.Directory(ctx)
	if err != nil {
		return err
	}
	return ownerExists(ctx, directory, owner)
}

func (c *commands) retry() *cobra.Command {
	var word contract.Command
	command := &cobra.Command{
		Use:   "retry ID",
		Short: "Run the step again that parked a flow",
		Long: long("Retry tells a parked flow to run the step again that parked it; nothing else of the flow runs again. A send of " +
			"unknown fate is looked for once more first. Past the message's deadline it is only looked for, unless --anyway is given.\n\n" +
			"Where no worker answers within 10 s, the word is left as a signal, which the flow takes when a worker is back."),
		Args: cobra.ExactArgs(1),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			return c.command(ctx, args[0], contract.RetryCommand, word)
		}),
	}
	parkFlag(command, &word)
	command.Flags().BoolVar(&word.Anyway, "anyway", false, "send the message even though its deadline has passed")
	return command
}

func (c *commands) abandon() *cobra.Command {
	var word contract.Command
	command := &cobra.Command{
		Use:   "abandon ID",
		Short: "End a parked flow",
		Long: long("Abandon ends a parked flow; what it did not send stays unsent.\n\n" +
			"Where no worker answers within 10 s, the word is left as a signal, which the flow takes when a worker is back."),
		Args: cobra.ExactArgs(1),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			return c.command(ctx, args[0], contract.AbandonCommand, word)
		}),
	}
	parkFlag(command, &word)
	return command
}

func parkFlag(command *cobra.Command, word *contract.Command) {
	command.Flags().StringVar(&word.Park, "park", "", "the park that is meant, as 'parked' shows it (default: the present one)")
}

func (c *commands) command(ctx context.Context, id, name string, word contract.Command) (result, error) {
	workflowID, err := c.workflowID(ctx, id)
	if err != nil {
		return nil, err
	}
	flows, err := c.parts.Flows(ctx)
	if err != nil {
		return nil, err
	}
	if word.Park == "" {
		if word.Park, err = c.presentPark(ctx, flows, workflowID); err != nil {
			return nil, err
		}
	}
	via, err := flows.Command(ctx, workflowID, name, word)
	if err != nil {
		return nil, err
	}
	return commandResult{workflowID, name, word.Park, via}, nil
}

// presentPark names the park that the operator sees, so that the command is for it and for no later one. Where no worker
// answers, the row of the message names it; where nothing does, the flow itself decides what a nameless command may do.
func (c *commands) presentPark(ctx context.Context, flows *flow.Flows, workflowID string) (string, error) {
	status, err := flows.Status(ctx, workflowID)
	switch {
	case err == nil && status.Park != nil && status.Park.Unknown:
		return "", unknownSend(workflowID, status.Park.Name)
	case err == nil && status.Park != nil:
		return status.Park.Name, nil
	case err == nil:
		return "", domain.Errorf(domain.KindConflict, "flow %s is not parked: it is %s", workflowID, status.Stage)
	case domain.KindOf(err) == domain.KindNotFound:
		return "", err
	}
	if trace, err := c.trace(ctx, workflowID); err == nil {
		if trace.Message.ParkStep == contract.LookUp.Name {
			return "", unknownSend(workflowID, trace.Message.Park)
		}
		return trace.Message.Park, nil
	}
	return "", nil
}

func unknownSend(workflowID, park string) error {
	return domain.Errorf(domain.KindConflict,
		"whether the message of flow %s was sent is unknown: look at it first, then name the park that you saw: --park %s", workflowID, park)
}

func (c *commands) cancel() *cobra.Command {
	return &cobra.Command{
		Use:   "cancel ID",
		Short: "Cancel a running flow; what was sent stays sent",
		Args:  cobra.ExactArgs(1),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			workflowID, err := c.workflowID(ctx, args[0])
			if err != nil {
				return nil, err
			}
			flows, err := c.parts.Flows(ctx)
			if err != nil {
				return nil, err
			}
			if err := flows.Cancel(ctx, workflowID); err != nil {
				return nil, err
			}
			return cancelResult{workflowID, true}, nil
		}),
	}
}

// workflowID returns the flow that an id names: the flow itself, its message, or a message at Twilio.
func (c *commands) workflowID(ctx context.Context, id string) (string, error) {
	if isWorkflowID(id) {
		return id, nil
	}
	trace, err := c.trace(ctx, id)
	if err != nil {
		return "", notTraced(err, id)
	}
	return trace.Message.WorkflowID, nil
}

// isWorkflowID tells a workflow id from the other ids: only it has colons.
func isWorkflowID(id string) bool { return strings.Contains(id, ":") }

func notTraced(err error, id string) error {
	if domain.KindOf(err) != domain.KindNotFound {
		return err
	}
	return domain.Errorf(domain.KindNotFound, "no message is stored under %s; one that is not stored yet is found by its workflow id, "+
		"inbound:<account sid>:<message sid>", id)
}

type parkedResult struct {
	Parked []flow.Parked `json:"parked"`
	More   bool          `json:"more"` // than --limit
}

func (r parkedResult) print(p *page) {
	if len(r.Parked) == 0 {
		p.line("no flow is parked")
	}
	for _, parked := range r.Parked {
		p.section(parked.WorkflowID)
		owner := parked.OwnerID
		if owner == "" {
			owner = "not known yet"
		}
		p.field("owner", owner)
		p.field("our end", ourEnd(parked.AccountSid, parked.OurAddress))
		if parked.Park != nil {
			printPark(p, *parked.Park)
		} else {
			p.field("problem", "its reason could not be read: "+parked.Problem)
		}
	}
	if r.More {
		p.section("There are more: --limit shows them.")
	}
}

type commandResult struct {
	WorkflowID string   `json:"workflow_id"`
	Command    string   `json:"command"`
	Park       string   `json:"park,omitempty"`
	Via        flow.Via `json:"via"`
}

func (r commandResult) print(p *page) {
	p.line("%s", r.WorkflowID)
	if r.Via == flow.ViaSignal {
		p.field(r.Command, fmt.Sprintf("no worker of role %s answered; left as a signal, for when one is back", contract.RoleWorkflow))
		return
	}
	p.field(r.Command, "accepted")
}

type cancelResult struct {
	WorkflowID string `json:"workflow_id"`
	Requested  bool   `json:"cancel_requested"`
}

func (r cancelResult) print(p *page) {
	p.line("%s", r.WorkflowID)
	p.field("cancel", "requested")
}
