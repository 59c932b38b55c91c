package flow

import (
	"context"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/api/proxy"
	"go.temporal.io/api/workflowservice/v1"

	"parley/starter/internal/fault"
)

const (
	newestFlows = 10
	firstEvents = 100 // of each
)

// Payloads returns what the newest flows of any kind hold, as Temporal stores it.
func (f *Flows) Payloads(ctx context.Context) (payloads []*common.Payload, err error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	list, err := f.client.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{PageSize: newestFlows})
	if err != nil {
		return nil, notSetUp(err, "list flows")
	}
	for _, info := range list.GetExecutions() {
		id := info.GetExecution().GetWorkflowId()
		events := f.client.GetWorkflowHistory(ctx, id, info.GetExecution().GetRunId(), false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for read := 0; read < firstEvents && events.HasNext(); read++ {
			event, err := events.Next()
			if err != nil {
				return nil, fault.From(err, "read flow %s", id)
			}
			payloads = append(payloads, payloadsOf(ctx, event)...)
		}
	}
	return payloads, nil
}

func payloadsOf(ctx context.Context, event *history.HistoryEvent) (payloads []*common.Payload) {
	_ = proxy.VisitPayloads(ctx, event, proxy.VisitPayloadsOptions{ // fails only where its visitor does
		SkipSearchAttributes: true,
		Visitor: func(_ *proxy.VisitPayloadsContext, found []*common.Payload) ([]*common.Payload, error) {
			payloads = append(payloads, found...)
			return found, nil
		},
	})
	return payloads
}
