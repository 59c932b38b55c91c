package cli

import (
	"context"

	"github.com/spf13/cobra"

	"parley/internal/domain"
)

func (c *commands) sender() *cobra.Command {
	return group("sender", "Manage senders: our addresses and messaging services, each of one owner", c.senderAdd(), c.senderList(), c.senderRemove())
}

func (c *commands) senderAdd() *cobra.Command {
	var owner, replies string
	command := &cobra.Command{
		Use:   "add ACCOUNT_SID ADDRESS --owner OWNER_ID",
		Short: "Say whose messages arrive at an address of an account",
		Long: long("A message belongs to the owner of the address that it came to. Where nobody has that, it belongs to the owner of the messaging " +
			"service that it came through, whose sid (MG...) may be added in place of an address. Where nobody has that either, it belongs to the " +
			"owner of all other senders of the account; where these are of several owners, it is unroutable: 'starter unrouted list' shows it. " +
			"Messages are sent from addresses alone."),
		Example: "  starter sender add AC... +15551234567 --owner acme\n  starter sender add AC... whatsapp:+15551234567 --owner acme\n" +
			"  starter sender add AC... MG0123456789abcdef0123456789abcdef --owner acme",
		Args: cobra.ExactArgs(2),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			sender, err := parseSender(args)
			if err != nil {
				return nil, err
			}
			if replies != "" {
				if sender.OptOutReplies, err = domain.ParseOptOutReplies(replies, domain.Address{Channel: sender.Channel, Value: sender.Address}); err != nil {
					return nil, err
				}
			}
			directory, err := c.parts.Directory(ctx)
			if err != nil {
				return nil, err
			}
			sender.OwnerID = owner
			if err := directory.AddSender(ctx, sender); err != nil {
				return nil, named(err, "account or owner", sender.AccountSid+", "+owner)
			}
			return senderAdded{senderRowOf(sender)}, nil
		}),
	}
	requireOwner(command, &owner)
	command.Flags().StringVar(&replies, "opt-out-replies", "", "who answers STOP, START and HELP: twilio (as it does for long codes, toll-free\n"+
		"numbers and Advanced Opt-Out), or ours (as is needed for WhatsApp, RCS and short codes). Of a\n"+
		"messaging service: for its addresses of which this is not said")
	return command
}

func (c *commands) senderList() *cobra.Command {
	var owner string
	command := &cobra.Command{
		Use:   "list",
		Short: "List senders",
		Args:  cobra.NoArgs,
		RunE: c.do(func(ctx context.Context, _ []string) (result, error) {
			directory, err := c.parts.Directory(ctx)
			if err != nil {
				return nil, err
			}
			if err := ownerExists(ctx, directory, owner); err != nil {
				return nil, err
			}
			senders, err := directory.Senders(ctx, owner)
			if err != nil {
				return nil, err
			}
			list := sendersResult{Senders: []senderRow{}}
			for _, sender := range senders {
				list.Senders = append(list.Senders, senderRowOf(sender))
			}
			return list, nil
		}),
	}
	command.Flags().StringVar(&owner, "owner", "", "only those of this owner")
	return command
}

func (c *commands) senderRemove() *cobra.Command {
	return &cobra.Command{
		Use:   "remove ACCOUNT_SID ADDRESS",
		Short: "Remove a sender",
		Long: long("Messages to it then belong to the owner of their messaging service, or of all other senders of the account; where there is no such " +
			"owner, they are unroutable."),
		Args: cobra.ExactArgs(2),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			sender, err := parseSender(args)
			if err != nil {
				return nil, err
			}
			directory, err := c.parts.Directory(ctx)
			if err != nil {
				return nil, err
			}
			address := domain.Address{Channel: sender.Channel, Value: sender.Address}
			if err := directory.RemoveSender(ctx, sender.AccountSid, address); err != nil {
				return nil, named(err, "sender", args[0]+" "+args[1])
			}
			return senderRemoved{senderRowOf(sender)}, nil
		}),
	}
}

func parseSender(args []string) (domain.Sender, error) {
	if err := checkAccountSid(args[0]); err != nil {
		return domain.Sender{}, err
	}
	address, err := domain.ParseSender(args[1])
	if err != nil {
		return domain.Sender{}, err
	}
	return domain.Sender{AccountSid: args[0], Channel: address.Channel, Address: address.Value}, nil
}

// ownerExists returns KindNotFound for an owner that does not exist: a typing error must not look like an empty list.
func ownerExists(ctx context.Context, directory Directory, owner string) error {
	if owner == "" {
		return nil
	}
	_, err := directory.Owner(ctx, owner)
	return named(err, "owner", owner)
}

// senderRow is a sender with its address as Twilio writes it, which is how it is typed.
type senderRow struct {
	AccountSid string               `json:"account_sid"`
	Address    string               `json:"address"`
	OwnerID    string               `json:"owner_id,omitempty"`
	Replies    domain.OptOutReplies `json:"opt_out_replies"` // who answers STOP, START and HELP; empty for a service: as is usual for the address
}

func senderRowOf(s domain.Sender) senderRow {
	address := domain.Address{Channel: s.Channel, Value: s.Address}
	replies, err := domain.ParseOptOutReplies(string(s.OptOutReplies), address)
	if err != nil || address.Channel == domain.ChannelService {
		replies = s.OptOutReplies // a newer version's, or what holds for the service's addresses that have none of their own
	}
	return senderRow{s.AccountSid, address.String(), s.OwnerID, replies}
}

type senderAdded struct {
	Sender senderRow `json:"sender"`
}

func (r senderAdded) print(p *page) {
	p.line("added sender %s of %s", r.Sender.Address, r.Sender.OwnerID)
}

type senderRemoved struct {
	Sender senderRow `json:"sender"`
}

func (r senderRemoved) print(p *page) { p.line("removed sender %s", r.Sender.Address) }

type sendersResult struct {
	Senders []senderRow `json:"senders"`
}

func (r sendersResult) print(p *page) {
	rows := [][]string{{"OWNER", "ACCOUNT", "ADDRESS", "OPT-OUT REPLIES"}}
	for _, sender := range r.Senders {
		rows = append(rows, []string{sender.OwnerID, sender.AccountSid, sender.Address, string(sender.Replies)})
	}
	p.table(rows...)
}
