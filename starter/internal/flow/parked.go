package flow

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"golang.org/x/sync/errgroup"

	"parley/contract"
)

const (
	askAtOnce    = 8                // a query costs its worker a replay
	askAllWithin = 10 * time.Second // without a worker no query is answered: the list must not wait for each
)

// Parked is a flow that waits for a person.
type Parked struct {
	WorkflowID string         `json:"workflow_id"`
	OwnerID    string         `json:"owner_id,omitempty"` // empty where nobody is known to own the message yet
	StartedAt  time.Time      `json:"started_at"`
	AccountSid string         `json:"account_sid,omitempty"`
	OurAddress string         `json:"our_address,omitempty"` // our end of the message
	Park       *contract.Park `json:"park,omitempty"`
	Problem    string         `json:"problem,omitempty"` // why the flow could not be asked
}

// Parked returns the flows that wait for a person, at most limit of them, and whether there are more. ownerID may be
// empty: of all owners. The list comes from Temporal's visibility store, which lags some seconds behind; each flow is
// then asked for its reason, and left out if it says that it is not parked any more.
func (f *Flows) Parked(ctx context.Context, ownerID string, limit int) (parked []Parked, more bool, err error) {
	listed, more, err := f.list(ctx, parkedQuery(ownerID), limit)
	if err != nil {
		return nil, false, err
	}
	asking, cancel := context.WithTimeout(ctx, askAllWithin)
	defer cancel()
	stale := make([]bool, len(listed))
	var group errgroup.Group
	group.SetLimit(askAtOnce)
	for i := range listed {
		group.Go(func() error {
			status, err := f.Status(asking, listed[i].WorkflowID)
			if err != nil {
				listed[i].Problem = err.Error()
			} else {
				listed[i].AccountSid, listed[i].OurAddress = status.AccountSid, status.OurAddress
				listed[i].Park, stale[i] = status.Park, status.Park == nil
			}
			return nil
		})
	}
	_ = group.Wait() // every problem stands in its row
	parked = []Parked{}
	for i := range listed {
		if !stale[i] {
			parked = append(parked, listed[i])
		}
	}
	return parked, more, nil
}

// CountParked returns how many flows wait for a person, of all owners.
func (f *Flows) CountParked(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	counted, err := f.client.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Query: parkedQuery("")})
	if err != nil {
		return 0, notSetUp(err, "count parked flows")
	}
	return counted.GetCount(), nil
}

// parkedQuery takes an owner id as it stands in Postgres, which has no quotes.
func parkedQuery(ownerID string) string {
	query := fmt.Sprintf("ExecutionStatus = 'Running' AND %s = '%s'", contract.SearchStage.GetName(), contract.StageParked)
	if ownerID != "" {
		query += fmt.Sprintf(" AND %s = '%s'", contract.SearchOwner.GetName(), ownerID)
	}
	return query
}

func (f *Flows) list(ctx context.Context, query string, limit int) (listed []Parked, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	request := &workflowservice.ListWorkflowExecutionsRequest{Query: query, PageSize: int32(min(limit, 1000))}
	for {
		page, err := f.client.ListWorkflow(ctx, request)
		if err != nil {
			return nil, false, notSetUp(err, "list flows")
		}
		for _, info := range page.GetExecutions() {
			if len(listed) == limit {
				return listed, true, nil
			}
			found := summary(info)
			listed = append(listed, Parked{WorkflowID: found.WorkflowID, OwnerID: found.OwnerID, StartedAt: found.StartedAt})
		}
		request.NextPageToken = page.GetNextPageToken()
		if len(request.NextPageToken) == 0 {
			return listed, false, nil
		}
		if len(listed) == limit {
			return listed, true, nil
		}
	}
}
