package upkeep

import (
	"context"
	"time"

	"parley/contract"
	"parley/internal/domain"
)

// priceBatch is small: what a batch took and did not ask for waits until its time comes again.
const priceBatch = 25

// FetchPrices asks Twilio, one message after another, for the prices that it had not told when it accepted them: it knows them up to a day
// later. Key: the attempt. Where Twilio asks for patience or is away the job ends, and goes on with its next run.
func (a *Activities) FetchPrices(ctx context.Context, _ contract.Nothing) (result contract.UpkeepResult, err error) {
	began := time.Now()
	attempts, err := a.store.Unpriced(ctx, a.wait.Price, priceBatch)
	if err != nil {
		return result, err
	}
	result.More = len(attempts) == priceBatch
	refused := map[string]bool{} // accounts that cannot be asked: a wrong token fails for every message
	for _, attempt := range attempts {
		if time.Since(began) > batchLimit {
			break
		}
		if refused[attempt.AccountSid] {
			continue
		}
		result.Seen++
		_, err := a.fetch(ctx, contract.FetchStatusInput{AttemptKey: attempt.AttemptKey, OwnerID: attempt.OwnerID})
		switch kind := domain.KindOf(err); {
		case err == nil:
			result.Done++
		case kind.Retryable():
			result.More = false
			return result, nil
		default: // one whose message is gone at Twilio does not stop the others
			refused[attempt.AccountSid] = kind == domain.KindConfiguration
		}
	}
	return result, nil
}
