package upkeep

import (
	"context"
	"time"

	"parley/contract"
	"parley/internal/domain"
)

// CloseEnded closes messages whose flow is over, by the rows, as the flow's own last step would have: what was sent is charged, what was
// reserved is handed back, the pair is freed. Temporal is asked for each flow by its id; a message whose flow runs, or was reset and
// runs again, is left alone. Key: the message. What the flow of such a message had superseded stays so; both are told.
func (a *Activities) CloseEnded(ctx context.Context, _ contract.Nothing) (result contract.UpkeepResult, err error) {
	began := time.Now()
	messages, err := a.store.Unfinished(ctx, a.wait.Sweep, batchSize)
	if err != nil {
		return result, err
	}
	result.More = len(messages) == batchSize
	for _, message := range messages {
		if time.Since(began) > batchLimit { // the rest is looked at when its time comes again
			break
		}
		result.Seen++
		note, err := a.closeEnded(ctx, message)
		switch {
		case err != nil && domain.KindOf(err) == domain.KindUnavailable: // it is not about this message
			return result, err
		case err != nil: // one that cannot be closed does not hold up the others
			note = noteOf(message, "it could not be closed: "+err.Error())
			a.tell(ctx, *note)
		case note != nil:
			result.Done++
		}
		if note != nil {
			result.Notes = append(result.Notes, *note)
		}
	}
	return result, nil
}

func noteOf(m domain.Unfinished, what string) *contract.UpkeepNote {
	return &contract.UpkeepNote{OwnerID: m.OwnerID, MessageID: m.MessageID, WorkflowID: m.WorkflowID, What: what}
}

// closeEnded closes a message if its flow is over, and says so. It is told before it is done, so that a crash in between hides nothing.
func (a *Activities) closeEnded(ctx context.Context, m domain.Unfinished) (note *contract.UpkeepNote, err error) {
	for giveUp := false; ; {
		// Asked right before each Finish: a flow may be reset at any time.
		state, err := a.flows.State(ctx, m.WorkflowID)
		if err != nil {
			return nil, err
		}
		reason := state.Over(m.Age)
		if reason == "" {
			return nil, nil
		}
		if note == nil {
			note = noteOf(m, reason)
			if note.Superseded, err = a.store.LeftUnanswered(ctx, m.OwnerID, m.MessageID); err != nil {
				return nil, err
			}
			a.tell(ctx, *note)
		}
		finished, err := a.store.Finish(ctx, domain.NewFinish{
			OwnerID: m.OwnerID, WorkflowID: m.WorkflowID, MessageID: m.MessageID, Ending: domain.OutcomeFailed, Reason: reason, GiveUp: giveUp,
		})
		if err != nil {
			return nil, later(err)
		}
		if finished.Unresolved == nil {
			note.What += "; closed as " + string(finished.Outcome)
			return note, nil
		}
		_, err = a.lookUp(ctx, contract.LookUpInput{AttemptKey: *finished.Unresolved, OwnerID: m.OwnerID, Last: true})
		switch kind := domain.KindOf(err); {
		case err == nil, kind == domain.KindUnknownOutcome: // its row says now what became of it
		case kind.Retryable(): // a look-up that failed is not one that found nothing
			return nil, nil
		default: // nobody can look
			giveUp = true
		}
	}
}

// later turns an error that the next run may not meet into none.
func later(err error) error {
	if domain.KindOf(err) == domain.KindBusy { // a POST may still be under way
		return nil
	}
	return err
}
