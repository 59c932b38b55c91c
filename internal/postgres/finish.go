package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// Park marks a message as waiting for a person, and gives up the pair, as soon as nothing of it can be under way. Key: the park. A
// message whose flow is over stays as it is.
func (m *Messages) Park(ctx context.Context, in domain.NewPark) error {
	return inTx(ctx, m.pool, "park", func(ctx context.Context, tx pgx.Tx) error {
		if err := lockPair(ctx, tx, in.OwnerID, in.MessageID); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			UPDATE messages SET park = $2, park_step = $3, park_reason = $4,
				reply_state = CASE reply_state WHEN 'pending' THEN 'parked' ELSE reply_state END
			WHERE message_id = $1 AND finished_at IS NULL`, in.MessageID, in.Park, in.Step, text(in.Reason))
		if err != nil {
			return err
		}
		return giveUp(ctx, tx, in.MessageID)
	})
}

// Finish closes a message's flow, on every way out. Key: the message. The rows decide, whatever the flow remembers: what
// Twilio accepted is answered and charged, a message still open is closed, the pair and what was reserved and not charged are handed
// back. After it no claim of the message is granted. An attempt that is not resolved has to be looked for first: it is returned
// and nothing is changed, unless in.GiveUp declares it unknown. It returns KindBusy, then, while something of it may be under way.
func (m *Messages) Finish(ctx context.Context, in domain.NewFinish) (finished domain.Finished, err error) {
	err = inTx(ctx, m.pool, "finish", func(ctx context.Context, tx pgx.Tx) error {
		if err := lockPair(ctx, tx, in.OwnerID, in.MessageID); err != nil {
			return err
		}
		unresolved, err := collect[domain.AttemptKey](ctx, tx, `
			SELECT message_id, part, attempt FROM send_attempts WHERE message_id = $1 AND resolved_at IS NULL`, in.MessageID)
		if err != nil {
			return err
		}
		for _, key := range unresolved {
			if !in.GiveUp {
				finished.Unresolved = &key
				return nil
			}
			if err := declareUnknown(ctx, tx, key); err != nil {
				return err
			}
		}
		if finished.Void, err = void(ctx, tx, in); err != nil || finished.Void {
			return err
		}
		finished, err = closeMessage(ctx, tx, in)
		return err
	})
	return finished, err
}

// void reports whether a message that ends over quota need not any more: then it has the unit.
func void(ctx context.Context, tx pgx.Tx, in domain.NewFinish) (bool, error) {
	if in.Ending != domain.OutcomeOverQuota {
		return false, nil
	}
	var open, unit bool
	if err := tx.QueryRow(ctx, `
		SELECT direction = 'inbound' AND reply_state IN ('pending', 'parked') AND finished_at IS NULL, unit
		FROM messages JOIN pairs USING (pair_id) WHERE message_id = $1`, in.MessageID).Scan(&open, &unit); err != nil || !open || unit {
		return open && unit, err
	}
	state, err := takeUnit(ctx, tx, bill{in.OwnerID, in.WorkflowID, in.MessageID})
	return state == domain.QuotaGranted, err
}

// closeMessage ends a message by its rows: it is charged or handed back, closed, and gives up the pair. No attempt of it is begun. The
// caller holds the pair.
func closeMessage(ctx context.Context, tx pgx.Tx, in domain.NewFinish) (finished domain.Finished, err error) {
	rows, err := endOf(ctx, tx, in.MessageID)
	if err != nil {
		return finished, err
	}
	outcome, state := ending(rows, in.Ending)
	_, err = tx.Exec(ctx, `
		UPDATE messages SET reply_state = $2, outcome = $3, outcome_reason = CASE WHEN outcome = $3 AND outcome_reason <> '' THEN outcome_reason ELSE $4 END,
			park = NULL, park_step = NULL, park_reason = NULL, finished_at = coalesce(finished_at, clock_timestamp())
		WHERE message_id = $1`, in.MessageID, state, outcome, text(in.Reason))
	if err != nil {
		return finished, err
	}
	if rows.unknown { // upkeep looks for them from now on
		if _, err := tx.Exec(ctx, `
			UPDATE send_attempts SET look_at = clock_timestamp() WHERE message_id = $1 AND state = 'unknown' AND look_at IS NULL AND NOT missing`,
			in.MessageID); err != nil {
			return finished, err
		}
	}
	if err := leave(ctx, tx, bill{in.OwnerID, in.WorkflowID, in.MessageID}); err != nil {
		return finished, err
	}
	return domain.Finished{Outcome: outcome, Status: rows.status, ErrorCode: rows.errorCode}, giveUp(ctx, tx, in.MessageID)
}

// endRows is what the end of a flow is decided by.
type endRows struct {
	direction  domain.Direction
	replyState domain.ReplyState
	outcome    domain.Outcome // of an earlier Finish
	accepted   bool           // some attempt of part 1
	unknown    bool           // some attempt of any part
	status     domain.Status
	errorCode  int
}

func endOf(ctx context.Context, tx pgx.Tx, messageID string) (rows endRows, err error) {
	err = tx.QueryRow(ctx, `
		SELECT m.direction, m.reply_state, coalesce(m.outcome, ''),
			coalesce((SELECT bool_or(state = 'accepted' AND part = 1) FROM send_attempts a WHERE a.message_id = m.message_id), false),
			coalesce((SELECT bool_or(state = 'unknown') FROM send_attempts a WHERE a.message_id = m.message_id), false),
			coalesce(worst.status, ''), coalesce(worst.error_code, 0)
		FROM messages m LEFT JOIN LATERAL ( -- of the parts: a message is as good as its worst one
			SELECT part.status, part.error_code FROM messages part
			WHERE (part.message_id = m.message_id AND part.direction = 'outbound') OR part.in_reply_to = m.message_id
			ORDER BY part.status IN ('failed', 'canceled', 'undelivered') DESC, part.status_rank LIMIT 1
		) worst ON true
		WHERE m.message_id = $1`, messageID).Scan(
		&rows.direction, &rows.replyState, &rows.outcome, &rows.accepted, &rows.unknown, &rows.status, &rows.errorCode)
	return rows, err
}

// ending decides how a flow ended, and what its message is left as.
func ending(rows endRows, believed domain.Outcome) (domain.Outcome, domain.ReplyState) {
	sent := believed == domain.OutcomeReplied || believed == domain.OutcomeSent
	switch {
	case rows.accepted && rows.direction == domain.Outbound:
		return domain.OutcomeSent, domain.ReplyAnswered
	case rows.accepted:
		return domain.OutcomeReplied, domain.ReplyAnswered
	case rows.unknown:
		return domain.OutcomeUnknown, domain.ReplyFailed
	case rows.outcome != "": // closed before
		return rows.outcome, rows.replyState
	case sent: // the flow remembers what the rows do not show
		return domain.OutcomeFailed, domain.ReplyFailed
	case rows.replyState.Open() && believed == domain.OutcomeSuperseded:
		return believed, domain.ReplySuperseded
	case rows.replyState.Open() && believed.Kept():
		return believed, domain.ReplyNotNeeded
	case rows.replyState.Open():
		return believed, domain.ReplyFailed
	default:
		return believed, rows.replyState
	}
}
