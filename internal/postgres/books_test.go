package postgres_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
)

// unbalanced tells all that is wrong with the books of every owner. It is one statement: of what goes on meanwhile it sees all or nothing.
const unbalanced = `
	WITH entries AS (
		SELECT owner_id, meter, period,
			sum(CASE kind WHEN 'settle' THEN quantity WHEN 'credit' THEN -quantity ELSE 0 END) AS used,
			sum(CASE kind WHEN 'reserve' THEN quantity WHEN 'credit' THEN 0 ELSE -quantity END) AS reserved
		FROM ledger GROUP BY owner_id, meter, period
	), had AS (
		SELECT owner_id, meter, period, sum(used) AS used, sum(reserved) AS reserved FROM (
			SELECT owner_id, 'ai_replies' AS meter, replies_period AS period, replies_charged AS used, replies_reserved AS reserved FROM messages
			UNION ALL SELECT owner_id, 'message_segments', segments_period, segments_charged, segments_reserved FROM messages
			UNION ALL SELECT owner_id, 'ai_replies', unit_period, 0, 1 FROM pairs WHERE unit
		) AS each WHERE used + reserved > 0 GROUP BY owner_id, meter, period
	)
	SELECT format('%s of %s in %s: usage %s + %s, ledger %s + %s, messages and pairs %s + %s', meter, owner_id, period,
		u.used, u.reserved, e.used, e.reserved, h.used, h.reserved)
	FROM usage u FULL JOIN entries e USING (owner_id, meter, period) FULL JOIN had h USING (owner_id, meter, period)
	WHERE (coalesce(u.used, 0), coalesce(u.reserved, 0)) <> (coalesce(e.used, 0), coalesce(e.reserved, 0))
		OR (coalesce(u.used, 0), coalesce(u.reserved, 0)) <> (coalesce(h.used, 0), coalesce(h.reserved, 0))
	UNION ALL
	SELECT format('message %s, whose flow is over, still has %s replies and %s segments reserved', message_id, replies_reserved, segments_reserved)
	FROM messages m WHERE finished_at IS NOT NULL AND replies_reserved + segments_reserved > 0
		AND NOT EXISTS ( -- what may have been sent is paid for until that is known
			SELECT FROM send_attempts a WHERE a.message_id = m.message_id AND state IN ('begun', 'unknown') AND NOT missing)
	UNION ALL
	SELECT format('message %s is charged %s replies and %s segments, of which Twilio accepted %s', message_id, replies_charged, segments_charged, sent)
	FROM messages m CROSS JOIN LATERAL (
		SELECT coalesce(sum(segments), 0) AS sent FROM send_attempts a WHERE a.message_id = m.message_id AND state = 'accepted'
	) accepted WHERE segments_charged > sent OR replies_charged > least(sent, 1)
	UNION ALL
	SELECT format('pair %s has a unit that nobody needs', pair_id) FROM pairs p WHERE unit AND NOT EXISTS (
		SELECT FROM messages m WHERE m.pair_id = p.pair_id AND direction = 'inbound' AND (turn = 'joined' OR reply_state = 'pending'))
	UNION ALL
	SELECT format('ledger entry %s is not of the flow of its message', entry_id) FROM ledger l JOIN messages m USING (message_id)
	WHERE (l.owner_id, l.workflow_id) <> (m.owner_id, m.workflow_id)`

// balanced holds what must be true of the books at any moment: usage is the sum of the ledger, and what messages and pairs have.
func (s *store) balanced(t *testing.T) {
	t.Helper()
	found, err := s.pool.Query(context.WithoutCancel(t.Context()), unbalanced) // also at the end of a test
	must(t, err)
	problems, err := pgx.CollectRows(found, pgx.RowTo[string])
	must(t, err)
	for _, problem := range problems {
		t.Error(problem)
	}
}

// paidFor holds that a message is charged exactly what Twilio accepted of it and did not fail to deliver: a reply is charged by the turn, all
// by the segment.
func (f flow) paidFor(t *testing.T) {
	t.Helper()
	equal(t, "replies and segments charged", value[string](t, f.store, `SELECT replies_charged || ', ' || segments_charged FROM messages WHERE message_id = $1`, f.messageID),
		value[string](t, f.store, `
			SELECT CASE WHEN bool_or(direction = 'inbound' AND due) THEN 1 ELSE 0 END || ', ' || coalesce(sum(a.segments) FILTER (WHERE due), 0)
			FROM messages LEFT JOIN send_attempts a USING (message_id), LATERAL (SELECT a.state = 'accepted' AND a.status NOT IN ('failed', 'canceled') AS due) AS judged
			WHERE message_id = $1`, f.messageID))
}
