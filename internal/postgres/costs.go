package postgres

import (
	"context"
	"fmt"
	"time"

	"parley/internal/domain"
)

// amountOf returns the columns of an amount, both null where it is not known.
func amountOf(m *domain.Money) (micros *int64, currency *string) {
	if m == nil {
		return nil, nil
	}
	return &m.Micros, &m.Currency
}

// money selects two columns as a domain.Money, or null.
func money(micros, currency string) string {
	return fmt.Sprintf("CASE WHEN %[1]s IS NOT NULL THEN jsonb_build_object('micros', %[1]s, 'currency', %[2]s) END", micros, currency)
}

// Costs returns what an owner's messages of the month of a time cost beside their units, by source and currency: calls of models by their
// own time, messages by the time of their sending, whenever Twilio told its price.
func (d *Directory) Costs(ctx context.Context, ownerID string, month time.Time) ([]domain.Cost, error) {
	return list[domain.Cost](ctx, d.pool, "costs", `
		WITH month AS (SELECT date_trunc('month', $2::timestamptz, 'UTC') AS begins)
		SELECT $3::text, count(*), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0), `+money("sum(cost_micros)::bigint", "currency")+`
		FROM ai_runs, month WHERE owner_id = $1 AND created_at >= begins AND created_at < begins + interval '1 month' GROUP BY currency
		UNION ALL
		SELECT $4::text, count(*), 0, 0, `+money("sum(price_micros)::bigint", "price_unit")+`
		FROM send_attempts, month WHERE owner_id = $1 AND state = 'accepted' AND begun_at >= begins AND begun_at < begins + interval '1 month' GROUP BY price_unit
		ORDER BY 1, 5`, ownerID, month, domain.CostOfModel, domain.CostOfTwilio)
}

// priceWithin is how long Twilio is asked for a price: it comes within a day.
const priceWithin = 48 * time.Hour

// Unpriced returns accepted attempts for whose price Twilio is to be asked: those that it has not been asked for so long (since it accepted
// them, or was asked last), longest first. Each is given to one caller, and again after the same time, until its price is known or two days
// are over. It is for all owners.
func (m *Messages) Unpriced(ctx context.Context, after time.Duration, most int) ([]domain.Unpriced, error) {
	return list[domain.Unpriced](ctx, m.pool, "attempts without a price", `
		WITH due AS (
			SELECT message_id, part, attempt FROM send_attempts WHERE price_at < clock_timestamp() - $1::interval
			ORDER BY price_at LIMIT $2 FOR UPDATE SKIP LOCKED
		)
		UPDATE send_attempts a SET price_at = CASE WHEN begun_at > clock_timestamp() - $3::interval THEN clock_timestamp() END
		FROM due WHERE (a.message_id, a.part, a.attempt) = (due.message_id, due.part, due.attempt)
		RETURNING a.owner_id, a.message_id, a.part, a.attempt, account_sid, twilio_sid, status`, after, most, priceWithin)
}
