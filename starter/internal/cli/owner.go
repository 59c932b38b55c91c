package cli

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"parley/internal/domain"
)

func (c *commands) owner() *cobra.Command {
	return group("owner", "Manage owners: the companies whose messages Parley answers",
		c.ownerAdd(), c.ownerList(), c.ownerShow(), c.ownerSet(), c.ownerUnset())
}

func (c *commands) ownerAdd() *cobra.Command {
	var name string
	command := &cobra.Command{
		Use:   "add OWNER_ID --name NAME",
		Short: "Add an owner, or rename one",
		Args:  cobra.ExactArgs(1),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			if err := checkOwner(args[0], name); err != nil {
				return nil, err
			}
			directory, err := c.parts.Directory(ctx)
			if err != nil {
				return nil, err
			}
			if err := directory.AddOwner(ctx, domain.Owner{OwnerID: args[0], Name: name}); err != nil {
				return nil, err
			}
			return ownerResultOf(ctx, directory, args[0])
		}),
	}
	command.Flags().StringVar(&name, "name", "", "the company's name")
	_ = command.MarkFlagRequired("name")
	return command
}

func (c *commands) ownerList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List all owners",
		Args:  cobra.NoArgs,
		RunE: c.do(func(ctx context.Context, _ []string) (result, error) {
			directory, err := c.parts.Directory(ctx)
			if err != nil {
				return nil, err
			}
			owners, err := directory.Owners(ctx)
			if err != nil {
				return nil, err
			}
			return ownersResult{append([]domain.Owner{}, owners...)}, nil
		}),
	}
}

func (c *commands) ownerShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show OWNER_ID",
		Short: "Show an owner's settings: value, meaning, allowed values",
		Args:  cobra.ExactArgs(1),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			directory, err := c.parts.Directory(ctx)
			if err != nil {
				return nil, err
			}
			return ownerResultOf(ctx, directory, args[0])
		}),
	}
}

func (c *commands) ownerSet() *cobra.Command {
	return &cobra.Command{
		Use:     "set OWNER_ID NAME=VALUE...",
		Short:   "Change settings of an owner, all or none",
		Example: "  starter owner set acme language=pt-BR reply_deadline=5m",
		Args:    cobra.MinimumNArgs(2),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			values, err := assignments(args[1:])
			if err != nil {
				return nil, err
			}
			directory, err := c.parts.Directory(ctx)
			if err != nil {
				return nil, err
			}
			if err := directory.SetSettings(ctx, args[0], values); err != nil {
				return nil, err
			}
			return ownerResultOf(ctx, directory, args[0])
		}),
	}
}

func (c *commands) ownerUnset() *cobra.Command {
	return &cobra.Command{
		Use:   "unset OWNER_ID NAME...",
		Short: "Give settings of an owner their defaults again",
		Args:  cobra.MinimumNArgs(2),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			if err := checkNames(args[1:]); err != nil {
				return nil, err
			}
			directory, err := c.parts.Directory(ctx)
			if err != nil {
				return nil, err
			}
			for _, name := range args[1:] {
				if err := directory.UnsetSetting(ctx, args[0], name); err != nil {
					return nil, err
				}
			}
			return ownerResultOf(ctx, directory, args[0])
		}),
	}
}

var ownerID = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`) // as the database checks it

func checkOwner(id, name string) error {
	if !ownerID.MatchString(id) {
		return domain.Errorf(domain.KindInvalid, "owner id: want up to 63 of a-z, 0-9, _ and -, beginning with a letter or digit, got %q", id)
	}
	if strings.TrimSpace(name) == "" {
		return domain.Errorf(domain.KindInvalid, "--name: want the company's name")
	}
	return nil
}

// assignments reads NAME=VALUE arguments and checks all of them: every problem is reported at once.
func assignments(args []string) (map[string]string, error) {
	values := map[string]string{}
	for _, arg := range args {
		name, value, found := strings.Cut(arg, "=")
		if !found {
			return nil, domain.Errorf(domain.KindInvalid, "want NAME=VALUE, got %q", arg)
		}
		if _, twice := values[name]; twice {
			return nil, domain.Errorf(domain.KindInvalid, "%s is given twice", name)
		}
		values[name] = value
	}
	return values, domain.CheckSettings(values)
}

func checkNames(names []string) error {
	known := map[string]bool{}
	for _, setting := range domain.DefaultSettings(domain.English).List() {
		known[setting.Name] = true
	}
	for _, name := range names {
		if !known[name] {
			return domain.Errorf(domain.KindInvalid, "no such setting: %q; there are %s",
				name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
	}
	return nil
}

func ownerResultOf(ctx context.Context, directory Directory, id string) (result, error) {
	owner, err := directory.Owner(ctx, id)
	if err != nil {
		return nil, named(err, "owner", id)
	}
	settings, err := directory.Settings(ctx, id)
	if err != nil {
		return nil, err
	}
	return ownerResult{owner, settings.List()}, nil
}

// named says what was not found.
func named(err error, what, id string) error {
	if domain.KindOf(err) == domain.KindNotFound {
		return domain.Errorf(domain.KindNotFound, "no such %s: %s", what, id)
	}
	return err
}

type ownersResult struct {
	Owners []domain.Owner `json:"owners"`
}

func (r ownersResult) print(p *page) {
	rows := [][]string{{"OWNER", "SINCE", "NAME"}}
	for _, owner := range r.Owners {
		rows = append(rows, []string{owner.OwnerID, at(owner.CreatedAt), owner.Name})
	}
	p.table(rows...)
}

type ownerResult struct {
	Owner    domain.Owner          `json:"owner"`
	Settings []domain.SettingValue `json:"settings"`
}

func (r ownerResult) print(p *page) {
	p.line("%s  %s", r.Owner.OwnerID, r.Owner.Name)
	for _, setting := range r.Settings {
		p.section(setting.Name + " = " + firstLine(setting.Value, width-len(setting.Name)-3))
		p.paragraph("  ", setting.Meaning+" ("+setting.Values+")")
	}
}

// firstLine returns a value that fits a line; what is cut is in the JSON.
func firstLine(value string, most int) string {
	line, _, more := strings.Cut(value, "\n")
	runes := []rune(line)
	if !more && len(runes) <= most {
		return line
	}
	return string(runes[:min(len(runes), most-3)]) + "..."
}
