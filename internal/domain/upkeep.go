package domain

import "time"

// Unfinished is a message whose flow has not closed it, as far as the rows know.
type Unfinished struct {
	OwnerID    string
	MessageID  string
	WorkflowID string
	Age        time.Duration // since it was stored
}

// Doubtful is an attempt of unknown fate whose flow is over.
type Doubtful struct {
	AttemptKey
	OwnerID    string
	WorkflowID string
}

// FlowState is what Temporal says of a flow.
type FlowState string

// The states of a flow. One that was reset runs.
const (
	FlowRunning    FlowState = "running"
	FlowCompleted  FlowState = "completed"
	FlowFailed     FlowState = "failed"
	FlowCancelled  FlowState = "cancelled"
	FlowTerminated FlowState = "terminated"
	FlowTimedOut   FlowState = "timed_out"
	FlowUnknown    FlowState = "unknown" // Temporal has none of that id: forgotten after its retention, or deleted
)

// forgottenAfter is how old a message must be for a flow that Temporal does not know to count as over. No namespace forgets a closed flow
// sooner than after a day; one that knows nothing of a younger message is the wrong one.
const forgottenAfter = 24 * time.Hour

// Over says why a message's flow will not close it any more, in words for people; empty where it may.
func (s FlowState) Over(age time.Duration) string {
	switch s {
	case FlowTerminated:
		return "its flow was terminated"
	case FlowTimedOut:
		return "its flow timed out"
	case FlowCompleted, FlowFailed, FlowCancelled:
		return "its flow ended without closing it"
	case FlowUnknown:
		if age > forgottenAfter {
			return "Temporal does not know its flow any more"
		}
		return ""
	default:
		return ""
	}
}
