package cli

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"parley/contract"
	"parley/internal/domain"
	"parley/starter/internal/flow"
)

const (
	maxMedia = 10  // Twilio's limit of attachments to one message
	maxParts = 100 // a longer text is a file that was named by mistake
)

// outgoing is a message as the command line describes it.
type outgoing struct {
	from, to       string
	body           string
	media          []string
	key            string
	owner, account string
	wait           bool
}

func (c *commands) send() *cobra.Command {
	var message outgoing
	command := &cobra.Command{
		Use:   "send --from SENDER --to ADDRESS --body TEXT",
		Short: "Send a message",
		Long: long("Send starts the flow of a message of ours. Addresses are written as Twilio does: +15551234567, " +
			"whatsapp:+15551234567. A long text is sent as several messages.\n\n" +
			"A key makes it safe to repeat the command: with a key that was used before, nothing is sent, and the " +
			"earlier message's flow is shown. Without --key a new one is made, and printed.\n\n" +
			"Without --wait, exit code 0 means that the flow is started: whether the message may go out (consent, plan, deadline) is decided later, right " +
			"before it is sent. 'starter show ID' tells, and --wait waits for it and ends with a code of its own where it was not sent."),
		Example: "  starter send --from +15551230000 --to +15557654321 --body \"Hello\" --wait\n" +
			"  starter send --from +15551230000 --to +15557654321 --body @notice.txt --key notice-2026-05",
		Args: cobra.NoArgs,
		RunE: c.do(func(ctx context.Context, _ []string) (result, error) { return c.sendMessage(ctx, message) }),
	}
	flags := command.Flags()
	flags.StringVar(&message.from, "from", "", "our address: a sender of an owner")
	flags.StringVar(&message.to, "to", "", "their address")
	flags.StringVar(&message.body, "body", "", "the text; @FILE reads a file, - the standard input, @@ stands for a leading @")
	flags.StringArrayVar(&message.media, "media", nil, "URL of an attachment; may be given up to 10 times")
	flags.StringVar(&message.key, "key", "", "idempotency key, unique within the owner")
	flags.StringVar(&message.owner, "owner", "", "the owner, where several have the sender")
	flags.StringVar(&message.account, "account", "", "the Twilio account, where several have the sender")
	flags.BoolVar(&message.wait, "wait", false, "show the flow's states until it closes; the exit code tells how it ended")
	_ = command.MarkFlagRequired("from")
	_ = command.MarkFlagRequired("to")
	command.MarkFlagsOneRequired("body", "media")
	return command
}

func (c *commands) sendMessage(ctx context.Context, message outgoing) (result, error) {
	in, err := c.outboundInput(ctx, message)
	if err != nil {
		return nil, err
	}
	flows, err := c.parts.Flows(ctx)
	if err != nil {
		return nil, err
	}
	started, err := flows.Start(ctx, in)
	if err != nil {
		return nil, err
	}
	sent := sendResult{Started: started, OwnerID: in.OwnerID, Key: in.Key, Parts: max(1, len(domain.Parts(in.Body)))}
	if message.wait {
		return c.waitFor(ctx, flows, sent)
	}
	if started.AlreadyStarted {
		if status, err := flows.Status(ctx, started.WorkflowID); err == nil {
			sent.Status = &status
		}
	}
	return sent, nil
}

// waitFor prints what was started at once, so that an interrupted wait has told the key and the flow.
func (c *commands) waitFor(ctx context.Context, flows *flow.Flows, sent sendResult) (result, error) {
	show := func(flow.Progress) {}
	if !c.json {
		if err := c.print(sent); err != nil {
			return nil, err
		}
		show = (&watcher{out: c.streams.Out, terminal: c.streams.Terminal}).show
	}
	ended, err := flows.Follow(ctx, sent.WorkflowID, show)
	if err != nil {
		return nil, err
	}
	err = sendError(ended)
	if c.json {
		sent.Result = &ended
		return sent, err
	}
	return endedResult{ended, c.parts.Explain}, err
}

func (c *commands) outboundInput(ctx context.Context, message outgoing) (contract.OutboundMessageInput, error) {
	in := contract.OutboundMessageInput{From: message.from, To: message.to, Key: message.key, StartedAt: time.Now().UTC()}
	var err error
	if in.Body, err = c.bodyText(message.body); err != nil {
		return in, err
	}
	if in.Media, err = mediaOf(message.media); err != nil {
		return in, err
	}
	if strings.TrimSpace(in.Body) == "" && len(in.Media) == 0 {
		return in, domain.Errorf(domain.KindInvalid, "--body has no text, and there is no --media")
	}
	if n := len(domain.Parts(in.Body)); n > maxParts {
		return in, domain.Errorf(domain.KindInvalid, "--body: would be sent as %d messages, want at most %d", n, maxParts)
	}
	from, _, err := domain.Route(message.from, message.to)
	if err != nil {
		return in, err
	}
	sender, err := c.senderOf(ctx, from, message)
	if err != nil {
		return in, err
	}
	in.OwnerID, in.AccountSid = sender.OwnerID, sender.AccountSid
	if in.Key == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return in, domain.Errorf(domain.KindInternal, "new key: %w", err)
		}
		in.Key = id.String()
	}
	return in, nil
}

// bodyText reads --body: a text, @FILE, or - for the standard input.
func (c *commands) bodyText(body string) (string, error) {
	switch {
	case strings.HasPrefix(body, "@@"):
		body = body[1:]
	case strings.HasPrefix(body, "@") || body == "-":
		content, err := c.readFile(strings.TrimPrefix(body, "@"))
		if err != nil {
			return "", err
		}
		body = strings.TrimRight(string(content), "\r\n")
	}
	if !utf8.ValidString(body) || strings.ContainsRune(body, 0) {
		return "", domain.Errorf(domain.KindInvalid, "--body: want text in UTF-8")
	}
	return body, nil
}

func mediaOf(urls []string) ([]contract.Media, error) {
	if len(urls) > maxMedia {
		return nil, domain.Errorf(domain.KindInvalid, "--media: want at most %d, got %d", maxMedia, len(urls))
	}
	var media []contract.Media
	for _, raw := range urls {
		u, err := url.Parse(raw)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
			return nil, domain.Errorf(domain.KindInvalid, "--media: want http(s) URLs")
		}
		media = append(media, contract.Media{URL: raw})
	}
	return media, nil
}

// senderOf finds the one sender with our address. It returns KindNotFound where there is none, and KindInvalid where
// there are several to choose from.
func (c *commands) senderOf(ctx context.Context, from domain.Address, message outgoing) (domain.Sender, error) {
	directory, err := c.parts.Directory(ctx)
	if err != nil {
		return domain.Sender{}, err
	}
	senders, err := directory.SendersOf(ctx, from)
	if err != nil {
		return domain.Sender{}, err
	}
	var fitting []domain.Sender
	var choices strings.Builder
	for _, sender := range senders {
		fmt.Fprintf(&choices, "\n  --owner %s --account %s", sender.OwnerID, sender.AccountSid)
		if (message.owner == "" || sender.OwnerID == message.owner) && (message.account == "" || sender.AccountSid == message.account) {
			fitting = append(fitting, sender)
		}
	}
	switch {
	case len(fitting) == 1:
		return fitting[0], nil
	case len(senders) == 0:
		return domain.Sender{}, domain.Errorf(domain.KindNotFound, "--from is not a sender: 'starter sender add' makes it one")
	case len(fitting) == 0:
		return domain.Sender{}, domain.Errorf(domain.KindNotFound, "--from is a sender, but not of this owner and account; it is one of:%s", choices.String())
	default:
		return domain.Sender{}, domain.Errorf(domain.KindInvalid, "several senders have the address of --from; choose one with:%s", choices.String())
	}
}

type sendResult struct {
	flow.Started
	OwnerID string                  `json:"owner_id"`
	Key     string                  `json:"key"`
	Parts   int                     `json:"parts"`            // messages that the text is sent as
	Status  *contract.StatusResult  `json:"status,omitempty"` // of a flow that was there already, where it answers
	Result  *contract.MessageResult `json:"result,omitempty"` // with --wait
}

func (r sendResult) print(p *page) {
	p.line("%s", r.WorkflowID)
	p.field("key", r.Key)
	if r.Parts > 1 {
		p.field("parts", fmt.Sprintf("sent as %d messages", r.Parts))
	}
	if r.AlreadyStarted {
		p.field("note", "this key was used before: nothing was started, this is the earlier message's flow")
	}
	if r.Status != nil {
		printStatus(p, *r.Status)
	}
}

type endedResult struct {
	contract.MessageResult
	explain func(int) string
}

func (r endedResult) print(p *page) {
	p.line("%s", strings.Join(compact(string(r.Outcome), string(r.Status)), ", "))
	if r.ErrorCode != 0 {
		p.field(fmt.Sprint(r.ErrorCode), r.explain(r.ErrorCode))
	}
}

// compact returns the strings that are not empty.
func compact(list ...string) []string {
	var kept []string
	for _, s := range list {
		if s != "" {
			kept = append(kept, s)
		}
	}
	return kept
}
