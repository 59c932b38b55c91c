package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"parley/internal/domain"
)

func (c *commands) spool() *cobra.Command {
	return group("spool", "See inbound messages whose flow could not be started yet", c.spoolList(), c.spoolRemove())
}

func (c *commands) spoolList() *cobra.Command {
	var limit int
	command := &cobra.Command{
		Use:   "list",
		Short: "List the messages that wait, those that were refused first",
		Long: long("The webhooks start what waits here by themselves as soon as Temporal takes it. A message that is refused, because it " +
			"does not decrypt or because Temporal will not have it, is tried every five minutes, and needs a person."),
		Args: cobra.NoArgs,
		RunE: c.do(func(ctx context.Context, _ []string) (result, error) {
			if limit < 1 {
				return nil, domain.Errorf(domain.KindInvalid, "--limit: want 1 or more")
			}
			spool, err := c.parts.Spool(ctx)
			if err != nil {
				return nil, err
			}
			entries, err := spool.List(ctx, limit+1)
			if err != nil {
				return nil, err
			}
			return spoolResult{entries[:min(len(entries), limit)], len(entries) > limit}, nil
		}),
	}
	command.Flags().IntVar(&limit, "limit", 100, "list at most this many")
	return command
}

func (c *commands) spoolRemove() *cobra.Command {
	return &cobra.Command{
		Use:   "remove ACCOUNT_SID MESSAGE_SID",
		Short: "Remove a message that will never be started: nobody answers it",
		Args:  cobra.ExactArgs(2),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			key := domain.SpoolKey{AccountSid: args[0], MessageSid: args[1]}
			spool, err := c.parts.Spool(ctx)
			if err != nil {
				return nil, err
			}
			if err := spool.Remove(ctx, key); err != nil {
				return nil, named(err, "spooled message", key.MessageSid)
			}
			return spoolRemoved{key}, nil
		}),
	}
}

type spoolResult struct {
	Spooled []domain.SpoolEntry `json:"spooled"`
	More    bool                `json:"more"` // there are others
}

func (r spoolResult) print(p *page) {
	if len(r.Spooled) == 0 {
		p.line("nothing waits")
	}
	for _, entry := range r.Spooled {
		p.section(entry.AccountSid + " " + entry.MessageSid)
		p.field("received", at(entry.ReceivedAt))
		p.field("next try", at(entry.DueAt))
		if entry.Refusals > 0 {
			p.field("refused", fmt.Sprintf("%d times: %s", entry.Refusals, entry.Refusal))
		}
	}
	if r.More {
		p.section("There are more: --limit shows them.")
	}
}

type spoolRemoved struct{ domain.SpoolKey }

func (r spoolRemoved) print(p *page) {
	p.line("removed %s %s", r.AccountSid, r.MessageSid)
}
