// Package cli is the starter's command line: its commands, what they print, and how they end.
//
// Every command returns one result, which is printed as text for people or, with --json, as one JSON document; errors go
// to the caller. What a command works with (stores, Temporal) is handed in and opened only when a command needs it, so
// that help and keygen work without any configuration.
package cli

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"parley/internal/domain"
	"parley/internal/twilio"
	"parley/starter/internal/doctor"
	"parley/starter/internal/flow"
	"parley/starter/internal/provision"
)

// Directory is who there is: owners with their settings, Twilio accounts, senders.
type Directory interface {
	AddOwner(ctx context.Context, owner domain.Owner) error
	Owners(ctx context.Context) ([]domain.Owner, error)
	Owner(ctx context.Context, ownerID string) (domain.Owner, error)
	SetSettings(ctx context.Context, ownerID string, values map[string]string) error
	UnsetSetting(ctx context.Context, ownerID, name string) error
	Settings(ctx context.Context, ownerID string) (domain.Settings, error)
	AddAccount(ctx context.Context, account domain.Account, token domain.NewToken) error
	AddToken(ctx context.Context, accountSid string, token domain.NewToken, keep time.Duration) (tokenID string, err error)
	DropToken(ctx context.Context, accountSid, tokenID string) error
	Accounts(ctx context.Context) ([]domain.Account, error)
	RemoveAccount(ctx context.Context, accountSid string) error
	Credentials(ctx context.Context, accountSid string) (domain.Credentials, error)
	AddSender(ctx context.Context, sender domain.Sender) error
	Senders(ctx context.Context, ownerID string) ([]domain.Sender, error)
	SendersOf(ctx context.Context, address domain.Address) ([]domain.Sender, error)
	RemoveSender(ctx context.Context, accountSid string, address domain.Address) error
	SavePlan(ctx context.Context, plan domain.Plan) error
	Plans(ctx context.Context) ([]domain.Plan, error)
	Subscribe(ctx context.Context, wanted domain.Subscription) (domain.Subscription, error)
	Subscription(ctx context.Context, ownerID string) (domain.Subscription, error)
	Usage(ctx context.Context, ownerID string, month time.Time) ([]domain.Usage, error)
	Costs(ctx context.Context, ownerID string, month time.Time) ([]domain.Cost, error)
	Ledger(ctx context.Context, ownerID string, search domain.LedgerSearch) ([]domain.LedgerEntry, error)
}

// Messages is what is stored about messages.
type Messages interface {
	// Trace takes a workflow id, a message id or a Twilio sid, and returns KindNotFound where nothing is stored for it.
	Trace(ctx context.Context, id string) (domain.Trace, error)
	// ApplyStatus keeps what Twilio said, and moves the attempt's row forward where that is further.
	ApplyStatus(ctx context.Context, event domain.StatusEvent) (domain.StatusChange, error)
	SetConsent(ctx context.Context, ownerID string, consent domain.Consent) error
	Consents(ctx context.Context, ownerID string, address domain.Address) (domain.ConsentHistory, error)
	// Contacts returns the newest people first; Contact returns KindNotFound where the owner knows nobody with the address.
	Contacts(ctx context.Context, ownerID string, unregistered bool, limit int) ([]domain.Contact, error)
	Contact(ctx context.Context, ownerID string, address domain.Address) (domain.Contact, error)
	SetContact(ctx context.Context, ownerID string, address domain.Address, change domain.ContactChange) error
	Conversations(ctx context.Context, filter domain.ConversationFilter) ([]domain.Conversation, error)
	// Conversation returns KindNotFound where there is none with this id, as do the two that change one; these return KindConflict where it
	// is not in a state for that.
	Conversation(ctx context.Context, id string, messages int) (domain.ConversationHistory, error)
	CloseConversation(ctx context.Context, id, reason string) error
	ResumeConversation(ctx context.Context, id, reason string) error
}

// Spool is the inbound messages whose flow could not be started yet.
type Spool interface {
	// List returns those that were refused, then those that have waited longest.
	List(ctx context.Context, most int) ([]domain.SpoolEntry, error)
	// Remove returns KindNotFound where there is no such message.
	Remove(ctx context.Context, key domain.SpoolKey) error
}

// Unrouted is the inbound messages that have no owner. Get and Remove return KindNotFound where there is no such message.
type Unrouted interface {
	// List returns those that have waited longest.
	List(ctx context.Context, most int) ([]domain.Unrouted, error)
	Get(ctx context.Context, accountSid, messageSid string) (domain.Unrouted, error)
	Remove(ctx context.Context, accountSid, messageSid string) error
}

// Vault is all that is stored encrypted in the database.
type Vault interface {
	// Reencrypt encrypts with the primary key whatever is encrypted with another.
	Reencrypt(ctx context.Context) (domain.Reencrypted, error)
	Count(ctx context.Context, of func(ciphertext []byte) bool) (int, error)
}

// Twilio reads messages at Twilio.
type Twilio interface {
	// Fetch returns KindNotFound where the account has no such message, and KindInvalid for what is not a message's sid.
	Fetch(ctx context.Context, credentials domain.Credentials, sid string) (twilio.Message, error)
}

// Parts are what the commands work with. The functions open a part when it is needed first.
type Parts struct {
	Directory func(context.Context) (Directory, error)
	Messages  func(context.Context) (Messages, error)
	Spool     func(context.Context) (Spool, error)
	Unrouted  func(context.Context) (Unrouted, error)
	Vault     func(context.Context) (Vault, error)
	Flows     func(context.Context) (*flow.Flows, error)
	Twilio    func(context.Context) (Twilio, error)
	Setup     func(context.Context) (provision.Report, error)
	Schedules func(context.Context) ([]provision.Schedule, error) // brought to what they should be
	Doctor    func(context.Context) doctor.Report
	NewKeyset func() (string, error)
	Explain   func(code int) string // a sentence about one of Twilio's error codes
	Getenv    func(string) string
	Operator  string // who runs the command, as it is stored with what they change
}

// Streams are the process's standard streams. Out is a terminal where Terminal is set, and may be drawn over.
type Streams struct {
	In       io.Reader
	Out      io.Writer
	Terminal bool
}

// Execute runs one command line. Its error knows its exit code: see ExitCode.
func Execute(ctx context.Context, parts Parts, streams Streams, args []string) error {
	root := New(parts, streams)
	root.SetArgs(args)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return nil
	}
	if _, ran := errors.AsType[*commandError](err); !ran { // cobra refused the command line itself
		return &exitError{codeUsage, domain.Errorf(domain.KindInvalid, "%w\n'%s --help' shows how", err, command.CommandPath())}
	}
	if ctx.Err() != nil {
		return &exitError{codeInterrupted, errors.New("interrupted")}
	}
	return err
}

// New returns the command tree.
func New(parts Parts, streams Streams) *cobra.Command {
	c := &commands{parts: parts, streams: streams}
	root := group("starter", "Set up, send, follow and operate Parley",
		c.setup(), c.doctor(), c.owner(), c.account(), c.sender(), c.secrets(), c.plan(), c.subscription(), c.usage(), c.ledger(), c.contact(), c.consent(),
		c.conversation(), c.send(), c.parked(), c.retry(), c.abandon(), c.cancel(), c.show(), c.status(),
		c.unrouted(), c.spool(),
		exitCodesTopic())
	root.Long = long("Starter sets up Parley, sends messages, and follows and mends the flows of messages.\n\n" +
		"Where a command takes an ID, it is a workflow id, a message id or a message sid of Twilio's.")
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetOut(streams.Out)
	root.SetErr(streams.Out) // cobra writes help there only when it was asked for
	root.PersistentFlags().BoolVar(&c.json, "json", false, "print one JSON document instead of text")
	return root
}

type commands struct {
	parts   Parts
	streams Streams
	json    bool
}

// group is a command that only has commands below it.
func group(use, short string, below ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{
		Use: use, Short: short,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	g.AddCommand(below...)
	return g
}

// result is what a command found: a JSON document by its tags, and the same for people.
type result interface{ print(*page) }

// commandError marks an error of a command that ran, as opposed to a command line that cobra refused.
type commandError struct{ error }

func (e *commandError) Unwrap() error { return e.error }

// do turns work into a cobra command's body. Where work returns both, the result is printed and the error ends the process.
func (c *commands) do(work func(ctx context.Context, args []string) (result, error)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		found, err := work(cmd.Context(), args)
		if found != nil {
			err = errors.Join(err, c.print(found))
		}
		if err != nil {
			return &commandError{err}
		}
		return nil
	}
}
