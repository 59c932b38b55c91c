package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"parley/internal/domain"
)

func (c *commands) contact() *cobra.Command {
	return group("contact", "See and change what an owner knows of people", c.contactList(), c.contactShow(), c.contactSet())
}

func (c *commands) contactList() *cobra.Command {
	var owner string
	var unregistered bool
	var limit int
	command := &cobra.Command{
		Use:   "list --owner OWNER_ID",
		Short: "List people who wrote, or were written to, the newest first",
		Args:  cobra.NoArgs,
		RunE: c.do(func(ctx context.Context, _ []string) (result, error) {
			if limit < 1 {
				return nil, domain.Errorf(domain.KindInvalid, "--limit: want at least 1, got %d", limit)
			}
			messages, err := c.messagesOf(ctx, owner)
			if err != nil {
				return nil, err
			}
			contacts, err := messages.Contacts(ctx, owner, unregistered, limit)
			return contactsResult{append([]domain.Contact{}, contacts...)}, err
		}),
	}
	requireOwner(command, &owner)
	command.Flags().BoolVar(&unregistered, "unregistered", false, "only those whom nobody registered")
	command.Flags().IntVar(&limit, "limit", 100, "how many are listed at most")
	return command
}

func (c *commands) contactShow() *cobra.Command {
	return c.showPerson("Show a person: name, addresses, whether they are registered",
		func(ctx context.Context, messages Messages, owner string, person domain.Address) (result, error) {
			return contactResultOf(ctx, messages, owner, person)
		})
}

// showPerson is a command that shows something of a person of an owner's.
func (c *commands) showPerson(
	short string, look func(ctx context.Context, messages Messages, owner string, person domain.Address) (result, error),
) *cobra.Command {
	var owner string
	command := &cobra.Command{
		Use:   "show ADDRESS --owner OWNER_ID",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			person, err := domain.ParseWriter(args[0])
			if err != nil {
				return nil, err
			}
			messages, err := c.messagesOf(ctx, owner)
			if err != nil {
				return nil, err
			}
			return look(ctx, messages, owner, person)
		}),
	}
	requireOwner(command, &owner)
	return command
}

func (c *commands) contactSet() *cobra.Command {
	var owner, name string
	var registered bool
	command := &cobra.Command{
		Use:   "set ADDRESS --owner OWNER_ID",
		Short: "Name a person, or register them, before they ever wrote too",
		Long: long("A name that is set here is kept, whatever the person calls themselves; an empty one takes it back. Where the owner's " +
			"setting unknown_people is register_first or ignore, only people who are registered here are answered."),
		Example: "  starter contact set +15551234567 --owner acme --name \"Ana Souza\" --registered\n" +
			"  starter contact set whatsapp:+15551234567 --owner acme --registered=false",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var change domain.ContactChange
			if cmd.Flags().Changed("name") {
				change.Name = &name
			}
			if cmd.Flags().Changed("registered") {
				change.Registered = &registered
			}
			return c.do(func(ctx context.Context, args []string) (result, error) {
				address, err := domain.ParseRecipient(args[0])
				if err != nil {
					return nil, err
				}
				messages, err := c.messagesOf(ctx, owner)
				if err != nil {
					return nil, err
				}
				if err := messages.SetContact(ctx, owner, address, change); err != nil {
					return nil, err
				}
				return contactResultOf(ctx, messages, owner, address)
			})(cmd, args)
		},
	}
	requireOwner(command, &owner)
	command.Flags().StringVar(&name, "name", "", "what to call them")
	command.Flags().BoolVar(&registered, "registered", false, "whether the owner knows them")
	command.MarkFlagsOneRequired("name", "registered")
	return command
}

// messagesOf opens what is stored, for an owner that exists.
func (c *commands) messagesOf(ctx context.Context, owner string) (Messages, error) {
	directory, err := c.parts.Directory(ctx)
	if err != nil {
		return nil, err
	}
	if err := ownerExists(ctx, directory, owner); err != nil {
		return nil, err
	}
	return c.parts.Messages(ctx)
}

func contactResultOf(ctx context.Context, messages Messages, owner string, address domain.Address) (result, error) {
	contact, err := messages.Contact(ctx, owner, address)
	if err != nil {
		return nil, named(err, "contact", address.String())
	}
	return contactResult{contact}, nil
}

type contactResult struct {
	Contact domain.Contact `json:"contact"`
}

func (r contactResult) print(p *page) {
	p.line("%s", strings.Join(r.Contact.Addresses, ", "))
	p.field("contact", r.Contact.ContactID)
	p.field("name", r.Contact.Name)
	p.field("profile", r.Contact.ProfileName)
	p.field("known", registeredAt(r.Contact))
	p.field("since", at(r.Contact.CreatedAt))
	p.field("wrote", wrote(r.Contact))
}

func registeredAt(c domain.Contact) string {
	if c.RegisteredAt == nil {
		return "not registered"
	}
	return "registered at " + at(*c.RegisteredAt)
}

func wrote(c domain.Contact) string {
	if c.LastAt == nil {
		return "nothing"
	}
	return fmt.Sprintf("%d messages, the last at %s", c.Messages, at(*c.LastAt))
}

type contactsResult struct {
	Contacts []domain.Contact `json:"contacts"`
}

func (r contactsResult) print(p *page) {
	rows := [][]string{{"ADDRESS", "REGISTERED", "MESSAGES", "NAME"}}
	for _, contact := range r.Contacts {
		registered := "no"
		if contact.RegisteredAt != nil {
			registered = "yes"
		}
		rows = append(rows, []string{contact.Addresses[0], registered, strconv.Itoa(contact.Messages), contact.DisplayName()})
		for _, address := range contact.Addresses[1:] {
			rows = append(rows, []string{address, "", "", ""})
		}
	}
	p.table(rows...)
}
