package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"parley/internal/domain"
)

func (c *commands) account() *cobra.Command {
	return group("account", "Manage Twilio accounts", c.accountAdd(), c.accountList(), c.accountRotate(), c.accountDropToken(), c.accountRemove())
}

func (c *commands) accountAdd() *cobra.Command {
	var name string
	var token tokenSource
	command := &cobra.Command{
		Use:   "add ACCOUNT_SID (--token-file FILE | --token-env NAME)",
		Short: "Add a Twilio account, or replace its auth token",
		Long: long("Add stores a Twilio account or subaccount with its primary auth token, encrypted. Adding it again replaces " +
			"all its auth tokens, at once: 'starter account rotate' keeps the old one for a while.\n\n" + neverAnArgument),
		Example: "  starter account add AC... --token-file - < token\n  starter account add AC... --token-env TWILIO_AUTH_TOKEN",
		Args:    cobra.ExactArgs(1),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			if err := checkAccountSid(args[0]); err != nil {
				return nil, err
			}
			secret, err := c.token(token)
			if err != nil {
				return nil, err
			}
			directory, err := c.parts.Directory(ctx)
			if err != nil {
				return nil, err
			}
			account := domain.Account{AccountSid: args[0], Name: name}
			if err := directory.AddAccount(ctx, account, domain.NewToken{Secret: secret, AddedBy: c.parts.Operator}); err != nil {
				return nil, err
			}
			return accountAdded{args[0], name}, nil
		}),
	}
	command.Flags().StringVar(&name, "name", "", "a name for people")
	token.flags(command)
	return command
}

const neverAnArgument = "The token is read from a file or from the environment, never from an argument: other users of a machine see those."

// tokenSource says where a token is read from.
type tokenSource struct{ file, variable string }

func (s *tokenSource) flags(command *cobra.Command) {
	command.Flags().StringVar(&s.file, "token-file", "", "file that holds the token; - is the standard input")
	command.Flags().StringVar(&s.variable, "token-env", "", "environment variable that holds the token")
	command.MarkFlagsMutuallyExclusive("token-file", "token-env")
	command.MarkFlagsOneRequired("token-file", "token-env")
}

func (c *commands) accountRotate() *cobra.Command {
	var token tokenSource
	var apiKey string
	var keep time.Duration
	command := &cobra.Command{
		Use:   "rotate ACCOUNT_SID (--token-file FILE | --token-env NAME)",
		Short: "Add a token that takes the place of the account's others, which stay valid for a while",
		Long: long("Rotate adds an auth token. Messages are sent with it from now on, and with an older one where Twilio does not accept it yet; " +
			"webhooks may be signed with any of them. The older ones are erased once --keep has passed.\n\n" +
			"At Twilio: make a secondary auth token; rotate; promote it to primary there.\n\n" +
			"With --api-key the token is the secret of that API key. Messages are then sent with it; webhooks are signed with auth tokens only.\n\n" +
			neverAnArgument),
		Example: "  starter account rotate AC... --token-file new-token.txt\n  starter account rotate AC... --api-key SK... --token-file secret.txt --keep 1h",
		Args:    cobra.ExactArgs(1),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			if err := errors.Join(checkAccountSid(args[0]), checkAPIKey(apiKey), checkKeep(keep)); err != nil {
				return nil, err
			}
			secret, err := c.token(token)
			if err != nil {
				return nil, err
			}
			directory, err := c.parts.Directory(ctx)
			if err != nil {
				return nil, err
			}
			id, err := directory.AddToken(ctx, args[0], domain.NewToken{APIKey: apiKey, Secret: secret, AddedBy: c.parts.Operator}, keep)
			if err != nil {
				return nil, named(err, "account", args[0])
			}
			return tokenAdded{args[0], id, keep.String()}, nil
		}),
	}
	token.flags(command)
	command.Flags().StringVar(&apiKey, "api-key", "", "the sid of an API key (SK...): the token is its secret")
	command.Flags().DurationVar(&keep, "keep", 24*time.Hour, "how long the older tokens of its kind stay valid; 0 erases them now")
	return command
}

func (c *commands) accountDropToken() *cobra.Command {
	return &cobra.Command{
		Use:   "drop-token ACCOUNT_SID TOKEN_ID",
		Short: "Erase a token of an account now",
		Long: long("Drop-token erases one of the tokens that 'starter account list' shows. Where the newest one is dropped, the one before it " +
			"stays valid until another takes its place. The last auth token is not dropped."),
		Args: cobra.ExactArgs(2),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			directory, err := c.parts.Directory(ctx)
			if err != nil {
				return nil, err
			}
			if err := directory.DropToken(ctx, args[0], args[1]); err != nil {
				return nil, named(err, "token of account", args[0])
			}
			return tokenDropped{args[0], args[1]}, nil
		}),
	}
}

func (c *commands) accountList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List all accounts, with the ids and ages of their tokens",
		Args:  cobra.NoArgs,
		RunE: c.do(func(ctx context.Context, _ []string) (result, error) {
			directory, err := c.parts.Directory(ctx)
			if err != nil {
				return nil, err
			}
			accounts, err := directory.Accounts(ctx)
			if err != nil {
				return nil, err
			}
			return accountsResult{append([]domain.Account{}, accounts...)}, nil
		}),
	}
}

func (c *commands) accountRemove() *cobra.Command {
	return &cobra.Command{
		Use:   "remove ACCOUNT_SID",
		Short: "Remove an account that has no senders any more",
		Args:  cobra.ExactArgs(1),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			directory, err := c.parts.Directory(ctx)
			if err != nil {
				return nil, err
			}
			if err := directory.RemoveAccount(ctx, args[0]); err != nil {
				return nil, named(err, "account", args[0])
			}
			return accountRemoved{args[0]}, nil
		}),
	}
}

var (
	accountSid = regexp.MustCompile(`^AC[0-9a-f]{32}$`)
	apiKeySid  = regexp.MustCompile(`^SK[0-9a-f]{32}$`)
	oneToken   = regexp.MustCompile(`^[A-Za-z0-9]+$`) // Twilio's own library takes no other
)

func checkAccountSid(sid string) error {
	if !accountSid.MatchString(sid) {
		return domain.Errorf(domain.KindInvalid, "account sid: want AC and 32 of 0-9 and a-f")
	}
	return nil
}

func checkAPIKey(sid string) error {
	if sid != "" && !apiKeySid.MatchString(sid) {
		return domain.Errorf(domain.KindInvalid, "--api-key: want SK and 32 of 0-9 and a-f")
	}
	return nil
}

func checkKeep(keep time.Duration) error {
	if keep < 0 {
		return domain.Errorf(domain.KindInvalid, "--keep: want 0 or a length of time such as 24h")
	}
	return nil
}

// token reads a token. No error repeats it.
func (c *commands) token(from tokenSource) (string, error) {
	text, source := c.parts.Getenv(from.variable), "environment variable "+from.variable
	if from.file != "" {
		content, err := c.readFile(from.file)
		if err != nil {
			return "", err
		}
		text, source = string(content), from.file
	}
	token := strings.TrimSpace(text)
	if !oneToken.MatchString(token) {
		return "", domain.Errorf(domain.KindInvalid, "%s does not hold one token, of letters and digits", source)
	}
	return token, nil
}

// readFile reads a file, or the standard input for "-".
func (c *commands) readFile(name string) ([]byte, error) {
	read := func() ([]byte, error) { return os.ReadFile(name) }
	if name == "-" {
		read = func() ([]byte, error) { return io.ReadAll(c.streams.In) }
	}
	content, err := read()
	if err != nil {
		return nil, domain.Errorf(domain.KindInvalid, "read %s: %w", name, err)
	}
	return content, nil
}

type accountAdded struct {
	AccountSid string `json:"account_sid"`
	Name       string `json:"name,omitempty"`
}

func (r accountAdded) print(p *page) { p.line("added account %s", r.AccountSid) }

type accountRemoved struct {
	AccountSid string `json:"account_sid"`
}

func (r accountRemoved) print(p *page) { p.line("removed account %s", r.AccountSid) }

type accountsResult struct {
	Accounts []domain.Account `json:"accounts"`
}

func (r accountsResult) print(p *page) {
	rows := [][]string{{"ACCOUNT", "SINCE", "NAME"}}
	for _, account := range r.Accounts {
		rows = append(rows, []string{account.AccountSid, at(account.CreatedAt), account.Name})
	}
	p.table(rows...)
	p.section("Tokens; an account's first one is used first")
	for _, account := range r.Accounts {
		for _, token := range account.Tokens {
			p.line("  %s  %s", account.AccountSid, token.TokenID)
			p.paragraph("    ", describeToken(token))
		}
	}
}

func describeToken(token domain.Token) string {
	text := "auth token"
	if token.APIKey != "" {
		text = "secret of API key " + token.APIKey
	}
	text += ", added " + at(token.AddedAt) + " by " + token.AddedBy
	if token.ValidUntil != nil {
		text += ", valid until " + at(*token.ValidUntil)
	}
	return text
}

type tokenAdded struct {
	AccountSid string `json:"account_sid"`
	TokenID    string `json:"token_id"`
	Keep       string `json:"keep"` // how long the older ones stay valid at most
}

func (r tokenAdded) print(p *page) {
	p.line("added token %s", r.TokenID)
	p.line("the older ones stay valid for %s at most", r.Keep)
}

type tokenDropped struct {
	AccountSid string `json:"account_sid"`
	TokenID    string `json:"token_id"`
}

func (r tokenDropped) print(p *page) {
	p.line("erased token %s", r.TokenID)
}
