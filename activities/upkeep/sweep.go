package upkeep

import (
	"context"

	"parley/contract"
	"parley/internal/domain"
)

// CloseEnded closes messages whose flow is over, by the rows, as the flow's own last step would have: what was sent is charged, what was
// reserved is handed back, the pair is freed. Temporal is asked for each flow by its id; a message whose flow runs, or was reset and
// runs again, is left alone. Key: the message. What the flow of such a message had superseded stays so; both are told.
func (a *Activities) CloseEnded(ctx context.Context, _ contract.Nothing) (contract.UpkeepResult, error) {
	messages, err := a.store.Unfinished(ctx, a.wait.After, batchSize)
	if err != nil {
		return contract.UpkeepResult{}, err
	}
	return batch(messages,
		func(m domain.Unfinished) (*contract.UpkeepNote, error) { return a.closeEnded(ctx, m) },
		func(m domain.Unfinished, err error) *contract.UpkeepNote {
			note := noteOf(m, "it could not be closed: "+err.Error())
			a.tell(ctx, *note)
			return note
		})
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
		if domain.KindOf(err) == domain.KindBusy && err != nil { // a POST may still be under way
			return nil, nil
		}
		if err != nil {
			return nil, err
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

// SeekUnknown looks in Twilio's list for attempts of unknown fate whose flow is over, twice: what is found is bound and charged, what is
// not there is handed back. Key: the attempt. One that cannot be looked for, since its account is gone, counts as not found.
func (a *Activities) SeekUnknown(ctx context.Context, _ contract.Nothing) (contract.UpkeepResult, error) {
	attempts, err := a.store.Doubtful(ctx, a.wait.After, batchSize)
	if err != nil {
		return contract.UpkeepResult{}, err
	}
	return batch(attempts,
		func(d domain.Doubtful) (*contract.UpkeepNote, error) { return a.seek(ctx, d) },
		func(d domain.Doubtful, err error) *contract.UpkeepNote {
			return a.told(ctx, d, "an attempt of unknown fate could not be looked for: "+err.Error())
		})
}

func (a *Activities) told(ctx context.Context, d domain.Doubtful, what string) *contract.UpkeepNote {
	note := contract.UpkeepNote{OwnerID: d.OwnerID, MessageID: d.MessageID, WorkflowID: d.WorkflowID, What: what}
	a.tell(ctx, note)
	return &note
}

func (a *Activities) seek(ctx context.Context, d domain.Doubtful) (*contract.UpkeepNote, error) {
	found, err := a.lookUp(ctx, contract.LookUpInput{AttemptKey: d.AttemptKey, OwnerID: d.OwnerID, Alone: true})
	switch {
	case err != nil && domain.KindOf(err).Retryable(): // a look-up that failed is not one that found nothing
		return nil, nil
	case err == nil && found.State == contract.SendAccepted:
		return a.told(ctx, d, "an attempt of unknown fate was sent: it is in Twilio's list"), nil
	case err == nil && found.State != contract.SendPending: // a late answer has told
		return nil, nil
	}
	missing, err := a.store.LookedInVain(ctx, d.OwnerID, d.AttemptKey, a.wait.Again)
	if err != nil || !missing {
		return nil, err
	}
	return a.told(ctx, d, "an attempt of unknown fate counts as not sent: it is not in Twilio's list"), nil
}
