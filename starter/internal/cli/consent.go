package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"parley/internal/domain"
)

func (c *commands) consent() *cobra.Command {
	return group("consent", "See and change whether a person may be written to", c.consentShow(), c.consentSet())
}

func (c *commands) consentShow() *cobra.Command {
	return c.showPerson("Show whether a person may be written to, and how that came about",
		func(ctx context.Context, messages Messages, owner string, person domain.Address) (result, error) {
			history, err := messages.Consents(ctx, owner, person)
			return consentResult{person.String(), history}, err
		})
}

func (c *commands) consentSet() *cobra.Command {
	var owner, from, reason string
	command := &cobra.Command{
		Use:     "set ADDRESS given|withdrawn --owner OWNER_ID --from SENDER --reason TEXT",
		Short:   "Note what you know of a person's consent with a sender",
		Example: "  starter consent set +15551234567 withdrawn --owner acme --from +15557654321 --reason \"asked on the phone\"",
		Args:    cobra.ExactArgs(2),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			theirs, err := domain.ParseRecipient(args[0])
			if err != nil {
				return nil, err
			}
			state := domain.ConsentState(args[1])
			if state != domain.ConsentGiven && state != domain.ConsentWithdrawn {
				return nil, domain.Errorf(domain.KindInvalid, "want given or withdrawn, got %q", args[1])
			}
			messages, err := c.messagesOf(ctx, owner)
			if err != nil {
				return nil, err
			}
			sender, err := c.consentSender(ctx, owner, from, theirs)
			if err != nil {
				return nil, err
			}
			if err := messages.SetConsent(ctx, owner, domain.Consent{
				Channel: theirs.Channel, Sender: sender, Address: theirs.Value, State: state, Source: domain.ConsentByOperator, Reason: reason,
			}); err != nil {
				return nil, err
			}
			history, err := messages.Consents(ctx, owner, theirs)
			return consentResult{args[0], history}, err
		}),
	}
	requireOwner(command, &owner)
	command.Flags().StringVar(&from, "from", "", "the sender of ours that it is about, or the sid (MG...) of the messaging\nservice that senders of ours belong to")
	command.Flags().StringVar(&reason, "reason", "", "how you know")
	_ = command.MarkFlagRequired("from")
	_ = command.MarkFlagRequired("reason")
	return command
}

// consentSender reads what a consent is about: a sender of the owner's, or a messaging service that one belongs to. It returns KindNotFound
// for any other: a typing error must not look like a consent.
func (c *commands) consentSender(ctx context.Context, owner, from string, theirs domain.Address) (string, error) {
	directory, err := c.parts.Directory(ctx)
	if err != nil {
		return "", err
	}
	senders, err := directory.Senders(ctx, owner)
	if err != nil {
		return "", err
	}
	if domain.IsMessagingService(from) {
		if !slices.ContainsFunc(senders, func(s domain.Sender) bool {
			return (s.Channel == theirs.Channel && s.MessagingServiceSid == from) || (s.Channel == domain.ChannelService && s.Address == from)
		}) {
			return "", domain.Errorf(domain.KindNotFound, "--from: this messaging service is not a sender of %s, and no message has come through it", owner)
		}
		return from, nil
	}
	ours, err := domain.ParseAddress(from)
	if err == nil {
		err = domain.SameChannel(ours, theirs)
	}
	if err == nil && !slices.ContainsFunc(senders, func(s domain.Sender) bool { return s.Channel == ours.Channel && s.Address == ours.Value }) {
		err = domain.Errorf(domain.KindNotFound, "--from is not a sender of %s: 'starter sender list --owner %s' shows which there are", owner, owner)
	}
	return ours.Value, err
}

func requireOwner(command *cobra.Command, owner *string) {
	command.Flags().StringVar(owner, "owner", "", "the owner's id")
	_ = command.MarkFlagRequired("owner")
}

type consentResult struct {
	Address string `json:"address"`
	domain.ConsentHistory
}

func (r consentResult) print(p *page) {
	if len(r.Consents) == 0 {
		p.line("%s has said nothing: they may be written to", r.Address)
	}
	for _, consent := range r.Consents {
		address := domain.Address{Channel: consent.Channel, Value: consent.Address}
		p.paragraph("", fmt.Sprintf("%s %s %s since %s", address, whether(consent.State), consent.Sender, at(consent.At)))
	}
	if len(r.Consents) > 1 {
		p.paragraph("", "For a sender, and the messaging service that it belongs to, the latest counts.")
	}
	if len(r.Events) > 0 {
		p.section("How it came about")
	}
	for _, event := range r.Events {
		p.line("  %s  %s, sender %s, by %s", at(event.At), event.State, event.Sender, event.Source)
		if event.Reason != "" {
			p.paragraph("    ", event.Reason)
		}
	}
}

func whether(state domain.ConsentState) string {
	if state == domain.ConsentWithdrawn {
		return "takes no messages from"
	}
	return "takes messages from"
}
