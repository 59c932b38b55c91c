package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"parley/internal/domain"
)

func (c *commands) conversation() *cobra.Command {
	return group("conversation", "See what was said between a sender and a person, and decide how that goes on",
		c.conversationList(), c.conversationShow(), c.conversationClose(), c.conversationResume())
}

func (c *commands) conversationList() *cobra.Command {
	var filter domain.ConversationFilter
	var state, address string
	command := &cobra.Command{
		Use:     "list",
		Short:   "List conversations, the latest first",
		Example: "  starter conversation list --state looping",
		Args:    cobra.NoArgs,
		RunE: c.do(func(ctx context.Context, _ []string) (result, error) {
			if filter.Limit < 1 {
				return nil, domain.Errorf(domain.KindInvalid, "--limit: want 1 or more")
			}
			asked := filter
			var err error
			if state != "" {
				if asked.State, err = domain.ParseConversationState(state); err != nil {
					return nil, err
				}
			}
			if address != "" {
				if asked.Address, err = domain.ParseWriter(address); err != nil {
					return nil, err
				}
			}
			if err := c.checkOwnerExists(ctx, asked.OwnerID); err != nil {
				return nil, err
			}
			messages, err := c.parts.Messages(ctx)
			if err != nil {
				return nil, err
			}
			asked.Limit++ // to know whether there are more
			found, err := messages.Conversations(ctx, asked)
			shown := min(len(found), filter.Limit)
			return conversationsResult{found[:shown], len(found) > shown}, err
		}),
	}
	command.Flags().StringVar(&filter.OwnerID, "owner", "", "only those of this owner")
	command.Flags().StringVar(&state, "state", "", "only those that are open, looping or closed")
	command.Flags().StringVar(&address, "address", "", "only those with this address, a person's or one of ours")
	command.Flags().IntVar(&filter.Limit, "limit", 100, "list at most this many")
	return command
}

func (c *commands) conversationShow() *cobra.Command {
	var limit int
	command := &cobra.Command{
		Use:   "show CONVERSATION_ID",
		Short: "Show a conversation: its messages in their order, and what happened to it",
		Args:  cobra.ExactArgs(1),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			if limit < 1 || limit > domain.MaxConversation {
				return nil, domain.Errorf(domain.KindInvalid, "--limit: want 1 to %d", domain.MaxConversation)
			}
			return c.showConversation(ctx, args[0], limit)
		}),
	}
	command.Flags().IntVar(&limit, "limit", 100, "show at most this many messages, the latest")
	return command
}

func (c *commands) showConversation(ctx context.Context, id string, limit int) (result, error) {
	messages, err := c.parts.Messages(ctx)
	if err != nil {
		return nil, err
	}
	history, err := messages.Conversation(ctx, id, limit)
	if err != nil {
		return nil, named(err, "conversation", id)
	}
	return conversationResult{history}, nil
}

func (c *commands) conversationClose() *cobra.Command {
	var reason string
	command := &cobra.Command{
		Use:   "close CONVERSATION_ID --reason TEXT",
		Short: "Close a conversation: the next message opens another, linked to it",
		Args:  cobra.ExactArgs(1),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			return c.changeConversation(ctx, args[0], Messages.CloseConversation, reason)
		}),
	}
	command.Flags().StringVar(&reason, "reason", "", "why")
	_ = command.MarkFlagRequired("reason")
	return command
}

func (c *commands) conversationResume() *cobra.Command {
	var reason string
	command := &cobra.Command{
		Use:   "resume CONVERSATION_ID --reason TEXT",
		Short: "Have a looping conversation answered again",
		Long: long("Resume lifts the loop guard: messages that come from now on are answered again, and what was counted until now does not " +
			"count any more. Messages that have ended looping stay unanswered."),
		Args: cobra.ExactArgs(1),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			return c.changeConversation(ctx, args[0], Messages.ResumeConversation, reason)
		}),
	}
	command.Flags().StringVar(&reason, "reason", "", "why")
	_ = command.MarkFlagRequired("reason")
	return command
}

// changeConversation changes a conversation and shows how it then stands, without its messages.
func (c *commands) changeConversation(
	ctx context.Context, id string, change func(Messages, context.Context, string, string) error, reason string,
) (result, error) {
	messages, err := c.parts.Messages(ctx)
	if err != nil {
		return nil, err
	}
	if err := change(messages, ctx, id, reason); err != nil {
		return nil, named(err, "conversation", id)
	}
	return c.showConversation(ctx, id, 0)
}

type conversationsResult struct {
	Conversations []domain.Conversation `json:"conversations"`
	More          bool                  `json:"more"` // than --limit
}

func (r conversationsResult) print(p *page) {
	if len(r.Conversations) == 0 {
		p.line("no such conversation")
	}
	for _, conversation := range r.Conversations {
		printConversation(p, conversation)
	}
	if r.More {
		p.section("There are more: --limit shows them.")
	}
}

func printConversation(p *page, conversation domain.Conversation) {
	address := func(value string) string { return domain.Address{Channel: conversation.Channel, Value: value}.String() }
	p.section(conversation.ConversationID)
	p.field("owner", conversation.OwnerID)
	p.field("between", address(conversation.OurAddress)+" and "+address(conversation.TheirAddress))
	p.field("state", strings.Join(compact(string(conversation.State), conversation.Reason), ": "))
	p.field("opened", at(conversation.OpenedAt))
	p.field("last", at(conversation.LastMessageAt))
	p.field("closed", atOrEmpty(conversation.ClosedAt))
	p.field("before", conversation.PreviousID)
}

type conversationResult struct{ domain.ConversationHistory }

func (r conversationResult) print(p *page) {
	printConversation(p, r.Conversation)
	if len(r.Messages) > 0 {
		p.section("Messages")
	}
	for _, message := range r.Messages {
		p.line("  %s  %-8s  %s", at(message.ReceivedAt), message.Direction, message.MessageID)
		p.paragraph("    ", strings.Join(compact(string(message.ReplyState), string(message.Outcome), string(message.Status)), ", "))
		p.paragraph("    ", message.Body)
		for _, media := range message.Media {
			p.paragraph("    ", media.URL)
		}
	}
	p.section("What happened to it")
	for _, event := range r.Events {
		p.line("  %s  %s", at(event.At), fmt.Sprintf("%s by %s", event.Change, event.Actor))
		if event.Reason != "" {
			p.paragraph("    ", event.Reason)
		}
	}
}
