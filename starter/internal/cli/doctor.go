package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"parley/internal/domain"
	"parley/starter/internal/doctor"
)

func (c *commands) doctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Look at everything that Parley needs, and say what is wrong and what to do",
		Long: long("Doctor looks at configuration, database, Temporal, Twilio, the public URL and the rest, and changes nothing. Give " +
			"it the variables that the other processes have; what is missing among them, it names. What it says holds no secret.\n\n" +
			"It ends with exit code 8 where something has failed; a warning is none."),
		Args: cobra.NoArgs,
		RunE: c.do(func(ctx context.Context, _ []string) (result, error) {
			report := c.parts.Doctor(ctx)
			if report.State == doctor.Failed {
				return doctorResult{report}, &exitError{codeUnwell, domain.Errorf(domain.KindConfiguration, "something has failed")}
			}
			return doctorResult{report}, nil
		}),
	}
}

type doctorResult struct{ doctor.Report }

// print shows each check on a line, and below it each problem with what to do.
func (r doctorResult) print(p *page) {
	const columns = "%-8s  %-18s"
	indent := strings.Repeat(" ", len(fmt.Sprintf(columns, "", ""))+1)
	for _, check := range r.Checks {
		lines := wrap(check.Found, width-len(indent))
		p.line(columns+" %s", check.State, check.Name, lines[0])
		for _, line := range lines[1:] {
			p.line("%s%s", indent, line)
		}
		for _, problem := range check.Problems {
			p.field(string(problem.State), problem.What)
			p.field("to do", problem.Advice)
		}
	}
	p.section(r.summary())
}

func (r doctorResult) summary() string {
	counts := map[doctor.State]int{}
	for _, check := range r.Checks {
		counts[check.State]++
	}
	return fmt.Sprintf("failed: %d, with a warning: %d, skipped: %d, ok: %d",
		counts[doctor.Failed], counts[doctor.Warning], counts[doctor.Skipped], counts[doctor.OK])
}
