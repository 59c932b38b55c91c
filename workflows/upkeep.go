package workflows

import (
	"go.temporal.io/sdk/workflow"

	"parley/contract"
)

// Upkeep runs one job of upkeep, batch after batch. A schedule starts it.
func Upkeep(ctx workflow.Context, in contract.UpkeepInput) (contract.UpkeepResult, error) {
	u := upkeep{job: contract.Job{Name: in.Job, Role: contract.RoleUpkeep}}
	err := u.run(ctx)
	return u.sum, err
}

type upkeep struct {
	job contract.Job
	sum contract.UpkeepResult
}

// Bounds of one run: what it does not get done the next one does.
const (
	mostBatches = 50
	mostNotes   = 100
)

// run stops early where a batch fails for good: the next run is soon.
func (u *upkeep) run(ctx workflow.Context) error {
	for range mostBatches {
		batch, err := u.job.Do(ctx, keepingUp(), contract.Nothing{})
		if err != nil {
			return err
		}
		u.add(batch)
		if !batch.More {
			break
		}
	}
	return nil
}

func (u *upkeep) add(batch contract.UpkeepResult) {
	u.sum.Seen += batch.Seen
	u.sum.Done += batch.Done
	u.sum.More = batch.More
	u.sum.Notes = append(u.sum.Notes, batch.Notes[:min(len(batch.Notes), mostNotes-len(u.sum.Notes))]...)
}
