package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/internal/domain"
)

// Claim asks for the right to make the one POST of an attempt. Key: the attempt. The attempt's row is committed with the
// grant, so that whoever finds it begun knows that the POST may be under way, and does not POST. An attempt that is known
// not to have been sent is claimed afresh, with every check. A message that is not to be sent any more is closed here.
func (m *Messages) Claim(ctx context.Context, in domain.NewClaim) (claim domain.Claim, err error) {
	err = inTx(ctx, m.pool, "claim", func(ctx context.Context, tx pgx.Tx) error {
		if err := lockPair(ctx, tx, in.OwnerID, in.MessageID); err != nil {
			return err
		}
		row, err := claimable(ctx, tx, in)
		if err != nil {
			return err
		}
		if claim, err = found(row, in); err != nil || claim.State != "" {
			return err
		}
		var text outgoing
		if claim.State, text, err = decide(ctx, tx, row, in); err != nil {
			return err
		}
		if claim.State == domain.ClaimGranted {
			return begin(ctx, tx, in, row, text, &claim)
		}
		return closeClaimed(ctx, tx, in, row, claim.State)
	})
	return claim, err
}

// claimRow is what a claim is decided by.
type claimRow struct {
	PairID     string
	Direction  domain.Direction
	Kind       domain.MessageKind
	WorkflowID string
	ReplyState domain.ReplyState
	Finished   bool
	Expired    bool
	Denied     bool // the person does not want to be written to
	Looping    bool // the pair's conversation is
	AccountSid string
	From, To   string
	Body       string
	Media      []domain.Media
	Follows    bool // the part before is accepted
	UnderWay   bool // so may be an attempt of another part
	Locked     bool
	Holder     string         // the message that has the pair, or had it last
	attempts   []claimAttempt // of this part
}

func (r claimRow) inbound() bool { return r.Direction == domain.Inbound }

type claimAttempt struct {
	domain.Attempt
	Resolved bool // false while it is begun, and while one of unknown fate is still looked for
	Refused  []string
}

func claimable(ctx context.Context, tx pgx.Tx, in domain.NewClaim) (row claimRow, err error) {
	// clock_timestamp: now() is when the transaction began, before it waited for the pair.
	err = tx.QueryRow(ctx, `
		SELECT pair_id, direction, kind, workflow_id, reply_state, finished_at IS NOT NULL, deadline < clock_timestamp(),
			coalesce(said.state = 'withdrawn', false), EXISTS (SELECT FROM conversations c WHERE c.pair_id = p.pair_id AND c.state = 'looping'),
			m.account_sid, from_address, to_address, body, media,
			$3 <= 1 OR EXISTS (SELECT FROM send_attempts a WHERE a.message_id = $1 AND a.part = $3 - 1 AND a.state = 'accepted'),
			$3 > 1 AND EXISTS (SELECT FROM send_attempts a
				WHERE a.message_id = $1 AND a.part <> $3 AND a.resolved_at IS NULL AND a.answer_before > clock_timestamp()),
			locked_until > clock_timestamp(), coalesce(lock_message, '')
		FROM messages m JOIN pairs p USING (pair_id)`+lastWord+`
		WHERE message_id = $1 AND m.owner_id = $2`, in.MessageID, in.OwnerID, in.Part).Scan(
		&row.PairID, &row.Direction, &row.Kind, &row.WorkflowID, &row.ReplyState, &row.Finished, &row.Expired, &row.Denied, &row.Looping,
		&row.AccountSid, &row.From, &row.To, &row.Body, &row.Media, &row.Follows, &row.UnderWay, &row.Locked, &row.Holder)
	if err != nil {
		return row, err
	}
	row.attempts, err = collect[claimAttempt](ctx, tx, `
		SELECT attempt, state, coalesce(twilio_sid, ''), status, error_code, error_kind, error_message, resolved_at IS NOT NULL, refused_tokens
		FROM send_attempts WHERE message_id = $1 AND part = $2 ORDER BY attempt`, in.MessageID, in.Part)
	return row, err
}

// found answers a claim by the attempts that there are; no state where they leave it open.
func found(row claimRow, in domain.NewClaim) (domain.Claim, error) {
	var own domain.Attempt
	var perhapsSent int // another attempt, which forbids this one
	for _, attempt := range row.attempts {
		switch {
		case attempt.State == domain.AttemptAccepted: // this part got through, whichever attempt it was
			return domain.Claim{State: domain.ClaimResolved, Resolved: attempt.Attempt}, nil
		case attempt.Number == in.Attempt:
			own = attempt.Attempt
		case !attempt.Resolved, attempt.State == domain.AttemptUnknown && attempt.Number > in.Attempt:
			perhapsSent = attempt.Number
		}
	}
	switch {
	case own.State == domain.AttemptBegun:
		return domain.Claim{State: domain.ClaimBegun}, nil
	case own.State == domain.AttemptRefused || own.State == domain.AttemptUnknown:
		return domain.Claim{State: domain.ClaimResolved, Resolved: own}, nil
	case perhapsSent > 0:
		return domain.Claim{}, domain.Errorf(domain.KindConflict, "attempt %d of part %d may have been sent", perhapsSent, in.Part)
	default:
		return domain.Claim{}, nil
	}
}

// busyWait is how soon a claim that found the pair taken is tried again: Temporal's server fires no timer sooner.
const busyWait = time.Second

// decide says whether an attempt may begin, and with what. The order of the checks matters: what closes the message comes before what
// lets it wait.
func decide(ctx context.Context, tx pgx.Tx, row claimRow, in domain.NewClaim) (state domain.ClaimState, text outgoing, err error) {
	open := row.ReplyState.Open() || (row.ReplyState == domain.ReplyAnswered && in.Part > 1)
	switch {
	case row.Finished || !open:
		return domain.ClaimClosed, text, nil
	case row.Denied && !row.Kind.SkipsConsent():
		return domain.ClaimDenied, text, nil
	case row.Expired && !in.Anyway:
		return domain.ClaimExpired, text, nil
	case row.Looping && row.inbound() && in.Part == 1:
		return domain.ClaimLooping, text, nil
	}
	bill := bill{in.OwnerID, row.WorkflowID, in.MessageID}
	var turn turn
	if row.inbound() && in.Part == 1 { // from part 2 on nothing newer cuts a reply
		if turn, err = turnOf(ctx, tx, in); err != nil {
			return "", text, err
		}
		if yields, err := turn.yields(ctx, tx, bill); err != nil || yields {
			return domain.ClaimSuperseded, text, err
		}
	}
	if text, err = textOf(ctx, tx, row, in); err != nil {
		return "", text, err
	}
	switch {
	case !row.Follows:
		return "", text, domain.Errorf(domain.KindConflict, "the part before part %d is not accepted yet", in.Part)
	case in.Part < 1 || in.Part > len(text.parts):
		return "", text, domain.Errorf(domain.KindInvalid, "the message has %d parts, not %d", len(text.parts), in.Part)
	case in.Part > 1 && row.Holder != in.MessageID:
		return domain.ClaimOvertaken, text, nil
	case row.Locked && row.Holder != in.MessageID:
		return "", text, &domain.Error{Kind: domain.KindBusy, Message: "another message of this pair is being sent", RetryAfter: busyWait}
	case row.UnderWay: // the part before was repeated, and then an earlier attempt of it turned up
		return "", text, &domain.Error{Kind: domain.KindBusy, Message: "another part of the message is being sent", RetryAfter: busyWait}
	case turn.stale:
		return domain.ClaimStale, text, nil
	case in.Part > 1: // part 1 paid for all
		return domain.ClaimGranted, text, nil
	}
	if looping, err := loops(ctx, tx, row, in); err != nil || looping {
		return domain.ClaimLooping, text, err
	}
	quota, err := pay(ctx, tx, bill, turn.byModel, text.segments(), row.Kind.SkipsQuota())
	if err != nil {
		return "", text, err
	}
	state, err = claimStateOf(quota)
	return state, text, err
}

// loops reports whether a reply is one too many of its minute. Then its conversation is looping from now on.
func loops(ctx context.Context, tx pgx.Tx, row claimRow, in domain.NewClaim) (bool, error) {
	if !row.inbound() {
		return false, nil
	}
	settings, err := settingsOf(ctx, tx, in.OwnerID)
	if err != nil {
		return false, err
	}
	reason, err := tooMany(ctx, tx, row.PairID, in.MessageID, settings.Conversations.Loop)
	if err != nil || reason == "" {
		return false, err
	}
	live, err := liveConversation(ctx, tx, row.PairID)
	if err == nil && live.id == "" { // it was closed since the message came
		live, err = open(ctx, tx, in.MessageID, domain.ActorParley)
	}
	if err != nil {
		return false, err
	}
	return true, live.stop(ctx, tx, reason)
}

// claimStateOf turns the plan's answer into the claim's. What is no answer is an error, never a denial.
func claimStateOf(state domain.QuotaState) (domain.ClaimState, error) {
	switch state {
	case domain.QuotaGranted:
		return domain.ClaimGranted, nil
	case domain.QuotaInactive:
		return domain.ClaimBlocked, nil
	case domain.QuotaUsedUp:
		return domain.ClaimOverQuota, nil
	default:
		return "", domain.Errorf(domain.KindInternal, "no such answer of a plan: %q", state)
	}
}

// closeClaimed closes a message that the claim found not to be sent, in the claim's own transaction: whoever looks next finds it so. A
// reply that stops between two parts is closed by its flow.
func closeClaimed(ctx context.Context, tx pgx.Tx, in domain.NewClaim, row claimRow, state domain.ClaimState) error {
	ends := map[domain.ClaimState]domain.Outcome{
		domain.ClaimSuperseded: domain.OutcomeSuperseded, domain.ClaimDenied: domain.OutcomeDenied, domain.ClaimExpired: domain.OutcomeExpired,
		domain.ClaimLooping: domain.OutcomeLooping, domain.ClaimOverQuota: domain.OutcomeOverQuota, domain.ClaimBlocked: domain.OutcomeBlocked,
	}
	outcome, closes := ends[state]
	if !closes || in.Part > 1 {
		return nil
	}
	_, err := closeMessage(ctx, tx, domain.NewFinish{OwnerID: in.OwnerID, WorkflowID: row.WorkflowID, MessageID: in.MessageID, Ending: outcome})
	return err
}

// outgoing is what is sent for a message.
type outgoing struct {
	from, to string
	parts    []string
	media    []domain.Media // with part 1
}

// textOf returns what is sent for a message: a reply's draft goes the other way.
func textOf(ctx context.Context, tx pgx.Tx, row claimRow, in domain.NewClaim) (outgoing, error) {
	if !row.inbound() {
		return outgoing{row.From, row.To, outboundParts(row.Body, row.Media), row.Media}, nil
	}
	draft, err := draftBody(ctx, tx, in.OwnerID, in.MessageID, in.DraftID)
	return outgoing{row.To, row.From, outboundParts(draft, nil), nil}, err
}

// segments returns what all parts will be billed as.
func (o outgoing) segments() (sum int) {
	for part := range o.parts {
		sum += o.segmentsOf(part)
	}
	return sum
}

// segmentsOf returns what one part, from 0, will be billed as. Only SMS is billed by segments.
func (o outgoing) segmentsOf(part int) int {
	if address, err := domain.ParseAddress(o.to); err == nil && address.Channel == domain.ChannelSMS {
		_, segments := domain.Segments(o.parts[part])
		return segments
	}
	return 1
}

// begin writes the attempt, and the row that the person will see as this part.
func begin(ctx context.Context, tx pgx.Tx, in domain.NewClaim, row claimRow, text outgoing, claim *domain.Claim) error {
	claim.AccountSid, claim.From, claim.To, claim.Body = row.AccountSid, text.from, text.to, text.parts[in.Part-1]
	if in.Part == 1 {
		claim.Media = text.media
	}
	if i := slices.IndexFunc(row.attempts, func(a claimAttempt) bool { return a.Number == in.Attempt }); i >= 0 {
		claim.Refused = row.attempts[i].Refused
	}
	segments := text.segmentsOf(in.Part - 1)
	if err := tx.QueryRow(ctx, `
		INSERT INTO send_attempts (message_id, part, attempt, owner_id, account_sid, state, segments, begun_at, post_before, answer_before, last_part,
			pair_id, draft_id)
		SELECT $1, $2, $3, $4, $5, 'begun', $6, now, now + $7::interval, now + $7::interval + $8::interval, $9, pair_id, nullif($10, '')
		FROM messages, clock_timestamp() AS now WHERE message_id = $1
		ON CONFLICT (message_id, part, attempt) DO UPDATE
		SET state = 'begun', begun_at = excluded.begun_at, post_before = excluded.post_before, answer_before = excluded.answer_before,
			last_part = excluded.last_part, draft_id = excluded.draft_id, resolved_at = NULL, segments = excluded.segments,
			error_code = 0, error_kind = '', error_message = ''
		RETURNING begun_at`,
		in.MessageID, in.Part, in.Attempt, in.OwnerID, row.AccountSid, segments, in.PostWithin, in.Timeout, in.Part == len(text.parts), in.DraftID,
	).Scan(&claim.BegunAt); err != nil {
		return err
	}
	if err := lock(ctx, tx, in.AttemptKey); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `
		UPDATE messages SET park = NULL, park_step = NULL, park_reason = NULL,
			reply_state = CASE reply_state WHEN 'parked' THEN 'pending' ELSE reply_state END
		WHERE message_id = $1 AND (park IS NOT NULL OR reply_state = 'parked')`, in.MessageID); err != nil {
		return err
	}
	if row.Direction == domain.Outbound && in.Part == 1 {
		return nil // the message's own row
	}
	return savePart(ctx, tx, in, row.PairID, claim, segments)
}

// savePart writes the row of messages of one part of a reply. A part takes its place in the pair once.
func savePart(ctx context.Context, tx pgx.Tx, in domain.NewClaim, pairID string, claim *domain.Claim, segments int) error {
	id, err := newID()
	if err != nil {
		return err
	}
	live, err := liveConversation(ctx, tx, pairID)
	if err != nil {
		return err
	}
	var inserted bool
	err = tx.QueryRow(ctx, `
		INSERT INTO messages (message_id, owner_id, pair_id, contact_id, workflow_id, direction, account_sid,
			from_address, to_address, body, seq, in_reply_to, part, segments, conversation_id, received_at)
		SELECT $1, m.owner_id, m.pair_id, m.contact_id, m.workflow_id, 'outbound', m.account_sid, $3, $4, $5, p.next_seq, m.message_id, $6, $7,
			nullif($8, ''), now()
		FROM messages m JOIN pairs p USING (pair_id) WHERE m.message_id = $2
		ON CONFLICT (in_reply_to, part) DO UPDATE SET body = excluded.body, segments = excluded.segments
		RETURNING message_id = $1`, id, in.MessageID, claim.From, claim.To, claim.Body, in.Part, segments, live.id).Scan(&inserted)
	if err != nil || !inserted {
		return err
	}
	_, err = file(ctx, tx, pairID, live, id, domain.ActorParley)
	return err
}
