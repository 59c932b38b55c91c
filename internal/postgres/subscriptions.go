package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// SavePlan adds a plan, or gives the one with this id another name and other quotas: they hold from now on.
func (d *Directory) SavePlan(ctx context.Context, plan domain.Plan) error {
	return inTx(ctx, d.pool, "plan", func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `
			INSERT INTO plans (plan_id, name) VALUES ($1, $2) ON CONFLICT (plan_id) DO UPDATE SET name = excluded.name`, plan.PlanID, text(plan.Name)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM plan_quotas WHERE plan_id = $1`, plan.PlanID); err != nil {
			return err
		}
		for meter, quota := range plan.Quotas {
			if _, err := tx.Exec(ctx, `INSERT INTO plan_quotas (plan_id, meter, quota) VALUES ($1, $2, $3)`, plan.PlanID, meter, quota); err != nil {
				return err
			}
		}
		return nil
	})
}

// Plans returns every plan, by id.
func (d *Directory) Plans(ctx context.Context) ([]domain.Plan, error) {
	return list[domain.Plan](ctx, d.pool, "plans", `
		SELECT plan_id, name, coalesce((SELECT jsonb_object_agg(meter, quota) FROM plan_quotas q WHERE q.plan_id = p.plan_id), '{}')
		FROM plans p ORDER BY plan_id`)
}

// Subscribe gives an owner a plan, or the plan another state; what is empty stays as it is. It returns what holds now, or KindNotFound without
// such an owner or plan.
func (d *Directory) Subscribe(ctx context.Context, s domain.Subscription) (domain.Subscription, error) {
	return one[domain.Subscription](ctx, d.pool, "subscription", `
		INSERT INTO subscriptions AS s (owner_id, plan_id, state)
		SELECT owner_id, coalesce(nullif($2, ''), $4), coalesce(nullif($3, ''), 'active') FROM owners WHERE owner_id = $1
		ON CONFLICT (owner_id) DO UPDATE SET plan_id = coalesce(nullif($2, ''), s.plan_id), state = coalesce(nullif($3, ''), s.state), updated_at = now()
		RETURNING owner_id, plan_id, state`, s.OwnerID, s.PlanID, s.State, domain.Unlimited)
}

// Subscription returns an owner's plan, or KindNotFound without such an owner.
func (d *Directory) Subscription(ctx context.Context, ownerID string) (domain.Subscription, error) {
	return one[domain.Subscription](ctx, d.pool, "subscription", `
		SELECT owner_id, coalesce(plan_id, $2), coalesce(state, 'active') FROM owners LEFT JOIN subscriptions USING (owner_id)
		WHERE owner_id = $1`, ownerID, domain.Unlimited)
}

// Usage returns what an owner has used in the month of a time, by meter.
func (d *Directory) Usage(ctx context.Context, ownerID string, month time.Time) ([]domain.Usage, error) {
	return list[domain.Usage](ctx, d.pool, "usage", `
		SELECT m.meter, p.period, coalesce(u.used, 0), coalesce(u.reserved, 0), q.quota
		FROM unnest($2::text[]) WITH ORDINALITY AS m (meter, place)
			CROSS JOIN (SELECT date_trunc('month', $3::timestamptz AT TIME ZONE 'UTC')::date AS period) p
			LEFT JOIN usage u ON u.owner_id = $1 AND u.meter = m.meter AND u.period = p.period
			LEFT JOIN subscriptions s ON s.owner_id = $1
			LEFT JOIN plan_quotas q ON q.plan_id = s.plan_id AND q.meter = m.meter
		ORDER BY place`, ownerID, domain.Meters(), month)
}

// Ledger returns the changes of an owner's usage that a search selects, oldest first, of more than domain.MaxLedger the latest.
func (d *Directory) Ledger(ctx context.Context, ownerID string, search domain.LedgerSearch) ([]domain.LedgerEntry, error) {
	return list[domain.LedgerEntry](ctx, d.pool, "ledger", `
		SELECT l.created_at, l.kind, l.meter, l.quantity, l.period, CASE m.direction WHEN 'inbound' THEN 'reply' ELSE m.kind END,
			l.workflow_id, l.message_id, coalesce(m.conversation_id, '')
		FROM (
			SELECT * FROM ledger WHERE owner_id = $1 AND ($2 OR period = date_trunc('month', $3::timestamptz AT TIME ZONE 'UTC')::date)
				AND ($4 = '' OR workflow_id = $4)
			ORDER BY entry_id DESC LIMIT $5
		) l JOIN messages m USING (message_id) ORDER BY entry_id`, ownerID, search.Month.IsZero(), search.Month, search.WorkflowID, domain.MaxLedger)
}
