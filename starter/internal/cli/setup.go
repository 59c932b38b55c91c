package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"parley/internal/domain"
	"parley/starter/internal/provision"
)

func (c *commands) setup() *cobra.Command {
	return &cobra.Command{
		Use:   "setup",
		Short: "Bring database and Temporal to what this version needs",
		Long: long("Setup applies the database migrations, and creates Temporal's namespace, search attributes and the " +
			"schedules of upkeep. It may be run any number of times.\n\nWhere it may not create one of these, as on Temporal Cloud, it prints the command for " +
			"somebody who may, and ends with exit code 7."),
		Args: cobra.NoArgs,
		RunE: c.do(func(ctx context.Context, _ []string) (result, error) {
			report, err := c.parts.Setup(ctx)
			if err != nil {
				return nil, err
			}
			if !report.Ready {
				err = &exitError{codeIncomplete, domain.Errorf(domain.KindConfiguration,
					"somebody else must create what is missing; then run setup again")}
			}
			return setupResult{report}, err
		}),
	}
}

type setupResult struct{ provision.Report }

func (r setupResult) print(p *page) {
	p.line("%s", map[bool]string{true: "ready", false: "not ready"}[r.Ready])
	p.field("database", fmt.Sprintf("schema version %d", r.SchemaVersion))
	p.field("namespace", fmt.Sprintf("%s: %s", r.Namespace.Name, r.Namespace.State))
	if r.Namespace.RetentionDays > 0 {
		p.field("retention", fmt.Sprintf("closed flows are kept for this many days: %d", r.Namespace.RetentionDays))
	}
	for _, attribute := range r.SearchAttributes {
		p.field("attribute", fmt.Sprintf("%s: %s", attribute.Name, attribute.State))
	}
	for _, schedule := range r.Schedules {
		p.field("schedule", fmt.Sprintf("%s: %s", schedule.Name, schedule.State))
	}
	for _, note := range r.Notes {
		p.field("note", note)
	}
	if len(r.Commands) > 0 {
		p.section("To be run by somebody who may:")
		for _, command := range r.Commands {
			p.line("  %s", command)
		}
	}
}
