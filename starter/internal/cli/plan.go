package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"parley/internal/domain"
)

func (c *commands) plan() *cobra.Command {
	return group("plan", "Manage plans: what owners may use in a month", c.planAdd(), c.planList())
}

func (c *commands) planAdd() *cobra.Command {
	var name string
	quotas := map[string]int64{}
	command := &cobra.Command{
		Use:     "add PLAN_ID",
		Short:   "Add a plan, or change the one with this id",
		Long:    long("A quota holds for a calendar month, in UTC, and for what is reserved too. A meter that is not named has no limit."),
		Example: "  starter plan add small --name Small --quota ai_replies=500,message_segments=2000",
		Args:    cobra.ExactArgs(1),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			plan := domain.Plan{PlanID: args[0], Name: name, Quotas: map[domain.Meter]int64{}}
			for meter, quota := range quotas {
				plan.Quotas[domain.Meter(meter)] = quota
			}
			directory, err := c.parts.Directory(ctx)
			if err != nil {
				return nil, err
			}
			if err := directory.SavePlan(ctx, plan); err != nil {
				return nil, named(err, "plan", plan.PlanID)
			}
			return planSaved{plan}, nil
		}),
	}
	command.Flags().StringVar(&name, "name", "", "the plan's name")
	command.Flags().StringToInt64Var(&quotas, "quota", nil, "METER=N of ai_replies and message_segments, with commas between them")
	_ = command.MarkFlagRequired("name")
	return command
}

func (c *commands) planList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List plans with their quotas",
		Args:  cobra.NoArgs,
		RunE: c.do(func(ctx context.Context, _ []string) (result, error) {
			directory, err := c.parts.Directory(ctx)
			if err != nil {
				return nil, err
			}
			plans, err := directory.Plans(ctx)
			return plansResult{plans}, err
		}),
	}
}

func (c *commands) subscription() *cobra.Command {
	return group("subscription", "Manage subscriptions: which plan an owner has", c.subscriptionSet(), c.subscriptionShow())
}

func (c *commands) subscriptionSet() *cobra.Command {
	var plan, state string
	command := &cobra.Command{
		Use:   "set OWNER_ID",
		Short: "Give an owner a plan, or the plan another state",
		Long:  long("A plan that is past_due or canceled stores what comes in and answers nothing."),
		Args:  cobra.ExactArgs(1),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			wanted := domain.Subscription{OwnerID: args[0], PlanID: plan}
			var err error
			if state != "" {
				if wanted.State, err = domain.ParseSubscriptionState(state); err != nil {
					return nil, err
				}
			}
			directory, err := c.parts.Directory(ctx)
			if err != nil {
				return nil, err
			}
			if _, err := directory.Owner(ctx, args[0]); err != nil {
				return nil, named(err, "owner", args[0])
			}
			holds, err := directory.Subscribe(ctx, wanted)
			if err != nil {
				return nil, named(err, "plan", plan)
			}
			return subscriptionResult{holds}, nil
		}),
	}
	command.Flags().StringVar(&plan, "plan", "", "the plan's id")
	command.Flags().StringVar(&state, "state", "", "active, past_due or canceled")
	command.MarkFlagsOneRequired("plan", "state")
	return command
}

func (c *commands) subscriptionShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show OWNER_ID",
		Short: "Show an owner's plan and its state",
		Args:  cobra.ExactArgs(1),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			directory, err := c.parts.Directory(ctx)
			if err != nil {
				return nil, err
			}
			found, err := directory.Subscription(ctx, args[0])
			if err != nil {
				return nil, named(err, "owner", args[0])
			}
			return subscriptionResult{found}, nil
		}),
	}
}

func (c *commands) usage() *cobra.Command {
	var month string
	command := &cobra.Command{
		Use:   "usage OWNER_ID",
		Short: "Show what an owner has used in a month, and what it cost",
		Long: long("Costs are those of the model, by the prices that its worker was given, and Twilio's own, which come up to a day late. " +
			"What has no price, or none yet, stands by itself: it is not counted as nothing."),
		Args: cobra.ExactArgs(1),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			at, err := parseMonth(month)
			if err != nil {
				return nil, err
			}
			directory, err := c.parts.Directory(ctx)
			if err != nil {
				return nil, err
			}
			if err := ownerExists(ctx, directory, args[0]); err != nil {
				return nil, err
			}
			usage, err := directory.Usage(ctx, args[0], at)
			if err != nil {
				return nil, err
			}
			costs, err := directory.Costs(ctx, args[0], at)
			return usageResult{args[0], usage, append([]domain.Cost{}, costs...)}, err
		}),
	}
	command.Flags().StringVar(&month, "month", "", "such as 2026-11, in UTC (default: the present one)")
	return command
}

func (c *commands) ledger() *cobra.Command {
	var month string
	var search domain.LedgerSearch
	command := &cobra.Command{
		Use:   "ledger OWNER_ID",
		Short: "List what was reserved, charged, handed back and credited, and for what",
		Long: long(fmt.Sprintf("Every entry names the workflow that it is about, which 'starter show' explains, and what the workflow was to send: a reply, "+
			"a message, or a system text. A month has the entries of what was reserved in it, whenever they were made. Of more than %d the latest are listed.",
			domain.MaxLedger)),
		Args: cobra.ExactArgs(1),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			if month != "" || search.WorkflowID == "" {
				at, err := parseMonth(month)
				if err != nil {
					return nil, err
				}
				search.Month = at
			}
			directory, err := c.parts.Directory(ctx)
			if err != nil {
				return nil, err
			}
			if err := ownerExists(ctx, directory, args[0]); err != nil {
				return nil, err
			}
			entries, err := directory.Ledger(ctx, args[0], search)
			return ledgerResult{args[0], append([]domain.LedgerEntry{}, entries...)}, err
		}),
	}
	command.Flags().StringVar(&month, "month", "", "such as 2026-11, in UTC (default: the present one, or with --workflow all)")
	command.Flags().StringVar(&search.WorkflowID, "workflow", "", "only the entries of this workflow")
	return command
}

func parseMonth(s string) (time.Time, error) {
	if s == "" {
		return time.Now(), nil
	}
	at, err := time.Parse("2006-01", s)
	if err != nil {
		return at, domain.Errorf(domain.KindInvalid, "want a month such as 2026-11, got %q", s)
	}
	return at, nil
}

type planSaved struct {
	Plan domain.Plan `json:"plan"`
}

func (r planSaved) print(p *page) { p.line("plan %s: %s", r.Plan.PlanID, quotasOf(r.Plan)) }

type plansResult struct {
	Plans []domain.Plan `json:"plans"`
}

func (r plansResult) print(p *page) {
	rows := [][]string{{"PLAN", "NAME", "QUOTAS"}}
	for _, plan := range r.Plans {
		rows = append(rows, []string{plan.PlanID, plan.Name, quotasOf(plan)})
	}
	p.table(rows...)
}

func quotasOf(plan domain.Plan) string {
	var list []string
	for _, meter := range domain.Meters() {
		if quota, limited := plan.Quotas[meter]; limited {
			list = append(list, fmt.Sprintf("%d %s", quota, meter))
		}
	}
	if len(list) == 0 {
		return "no limits"
	}
	return strings.Join(list, ", ")
}

type subscriptionResult struct {
	Subscription domain.Subscription `json:"subscription"`
}

func (r subscriptionResult) print(p *page) {
	p.line("%s has plan %s, %s", r.Subscription.OwnerID, r.Subscription.PlanID, r.Subscription.State)
}

type usageResult struct {
	OwnerID string         `json:"owner_id"`
	Usage   []domain.Usage `json:"usage"`
	Costs   []domain.Cost  `json:"costs"`
}

func (r usageResult) print(p *page) {
	rows := [][]string{{"MONTH", "METER", "USED", "RESERVED", "QUOTA"}}
	for _, usage := range r.Usage {
		quota := "no limit"
		if usage.Quota != nil {
			quota = strconv.FormatInt(*usage.Quota, 10)
		}
		rows = append(rows, []string{
			usage.Period.Format("2006-01"), string(usage.Meter), strconv.FormatInt(usage.Used, 10), strconv.FormatInt(usage.Reserved, 10), quota,
		})
	}
	p.table(rows...)
	if len(r.Costs) == 0 {
		return
	}
	rows = [][]string{{"TAKEN BY", "SUM", "FOR"}}
	for _, cost := range r.Costs {
		rows = append(rows, []string{string(cost.Source), priced(cost.Sum), costFor(cost)})
	}
	p.section("Costs")
	p.table(rows...)
}

// priced writes an amount, or that nobody knows it.
func priced(m *domain.Money) string {
	if m == nil {
		return "no price known"
	}
	return m.String()
}

func costFor(cost domain.Cost) string {
	if cost.Source == domain.CostOfModel {
		return fmt.Sprintf("%d calls, %d tokens in, %d out", cost.Count, cost.InputTokens, cost.OutputTokens)
	}
	return fmt.Sprintf("%d messages", cost.Count)
}

type ledgerResult struct {
	OwnerID string               `json:"owner_id"`
	Entries []domain.LedgerEntry `json:"entries"`
}

func (r ledgerResult) print(p *page) {
	rows := [][]string{{"TIME", "KIND", "N", "METER", "FOR", "WORKFLOW"}}
	for _, entry := range r.Entries {
		rows = append(rows, []string{
			at(entry.CreatedAt), entry.Kind, strconv.FormatInt(entry.Quantity, 10), string(entry.Meter), entry.For, entry.WorkflowID,
		})
	}
	p.table(rows...)
}
