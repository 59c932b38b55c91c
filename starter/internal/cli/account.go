package cli

import (
	"context"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"parley/internal/domain"
)

func (c *commands) account() *cobra.Command {
	return group("account", "Manage Twilio accounts", c.accountAdd(), c.accountList(), c.accountRemove())
}

func (c *commands) accountAdd() *cobra.Command {
	var name, tokenFile, tokenEnv string
	command := &cobra.Command{
		Use:   "add ACCOUNT_SID (--token-file FILE | --token-env NAME)",
		Short: "Add a Twilio account, or replace its name and auth token",
		Long: long("Add stores a Twilio account or subaccount with its primary auth token, encrypted. Adding it again replaces " +
			"both name and token.\n\nThe token is read from a file or from the environment, never from an argument: other " +
			"users of a machine see those."),
		Example: "  starter account add AC... --token-file - < token\n  starter account add AC... --token-env TWILIO_AUTH_TOKEN",
		Args:    cobra.ExactArgs(1),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			if err := checkAccountSid(args[0]); err != nil {
				return nil, err
			}
			token, err := c.token(tokenFile, tokenEnv)
			if err != nil {
				return nil, err
			}
			directory, err := c.parts.Directory(ctx)
			if err != nil {
				return nil, err
			}
			account := domain.Account{AccountSid: args[0], Name: name}
			if err := directory.AddAccount(ctx, account, token); err != nil {
				return nil, err
			}
			return accountAdded{args[0], name}, nil
		}),
	}
	command.Flags().StringVar(&name, "name", "", "a name for people")
	command.Flags().StringVar(&tokenFile, "token-file", "", "file that holds the auth token; - is the standard input")
	command.Flags().StringVar(&tokenEnv, "token-env", "", "environment variable that holds the auth token")
	command.MarkFlagsMutuallyExclusive("token-file", "token-env")
	command.MarkFlagsOneRequired("token-file", "token-env")
	return command
}

func (c *commands) accountList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List all accounts",
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

var accountSid = regexp.MustCompile(`^AC[0-9a-f]{32}$`)

func checkAccountSid(sid string) error {
	if !accountSid.MatchString(sid) {
		return domain.Errorf(domain.KindInvalid, "account sid: want AC and 32 of 0-9 and a-f")
	}
	return nil
}

// token reads an auth token. No error repeats it.
func (c *commands) token(file, variable string) (string, error) {
	text, source := c.parts.Getenv(variable), "environment variable "+variable
	if file != "" {
		content, err := c.readFile(file)
		if err != nil {
			return "", err
		}
		text, source = string(content), file
	}
	token := strings.TrimSpace(text)
	if token == "" || strings.ContainsAny(token, " \t\r\n") {
		return "", domain.Errorf(domain.KindInvalid, "%s does not hold one auth token", source)
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
}
