package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// Every time-out and retry policy of the flows stands here. Attempts are never limited: a small maximum would let a short
// outage end every flow; what ends a step is its total time.
const (
	// A transaction takes milliseconds and gives up by itself after 8 s. 10 s and the retry's 1 s keep the loss of a worker
	// well under the 30 s in which a message must be answered.
	databaseTimeout = 10 * time.Second
	// The model's HTTP call ends after 50 s at most (a setting of the owner).
	generateTimeout = 60 * time.Second
	// Twilio may take 30 s; the POST is left 35 s at most, before it 8 s, and a moment to record the answer.
	sendTimeout = 45 * time.Second
	// A read of one message.
	fetchTimeout = 20 * time.Second
	// A dead worker is noticed after this, where StartToClose would be too late. The SDK sends beats at 0.8 of it.
	heartbeat = 10 * time.Second
	// A send whose claim was made in time may go on past the deadline: its own 45 s, and a retry.
	sendGrace = 60 * time.Second
	// A look-up that could not be made within this time is not one that found nothing.
	lookUpTotal = 2 * time.Minute
	// A status that could not be read within this time is asked for again at the next check; meanwhile no signal is read.
	fetchTotal = 30 * time.Second
	// Between two questions for a status that does not come by itself.
	longestCheck = time.Hour
	// A batch of upkeep stops by itself after 20 s, when it has ended what it was at: a look-up (15 s) and a transaction.
	batchTimeout = 55 * time.Second
	// A batch that fails for so long is left to the next run.
	batchTotal = 3 * time.Minute
	// A step is given at least this long: a ScheduleToClose of nothing would mean none.
	leastTotal = time.Second
)

func retry(longest time.Duration) *temporal.RetryPolicy {
	return &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: longest}
}

// resolving has a deadline's whole length as its total, even where little of it is left: a message that comes late is stored all the same, and
// what its consent word asks for is done and confirmed.
func resolving(total time.Duration) workflow.ActivityOptions {
	return workflow.ActivityOptions{StartToCloseTimeout: databaseTimeout, ScheduleToCloseTimeout: total, RetryPolicy: retry(10 * time.Second)}
}

// recording has no total: a message that came must be stored.
func recording() workflow.ActivityOptions {
	return workflow.ActivityOptions{StartToCloseTimeout: databaseTimeout, RetryPolicy: retry(10 * time.Second)}
}

// closing has no total: what was sent must be charged, and every flow must end.
func closing() workflow.ActivityOptions {
	return workflow.ActivityOptions{StartToCloseTimeout: databaseTimeout, RetryPolicy: retry(30 * time.Second)}
}

// looking is a query or a small transaction that is of no use past the deadline.
func looking(rest time.Duration) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		StartToCloseTimeout: databaseTimeout, ScheduleToCloseTimeout: max(rest, leastTotal), RetryPolicy: retry(10 * time.Second),
	}
}

// generating waits for a model. Without heartbeats the loss of a worker would cost a minute.
func generating(rest time.Duration) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		StartToCloseTimeout: generateTimeout, ScheduleToCloseTimeout: max(rest, leastTotal), HeartbeatTimeout: heartbeat, RetryPolicy: retry(20 * time.Second),
	}
}

// sending waits for Twilio. A flow that is cancelled waits for it too: a POST under way must not be left behind unknown.
func sending(rest time.Duration, summary string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		StartToCloseTimeout: sendTimeout, ScheduleToCloseTimeout: max(rest, leastTotal) + sendGrace, HeartbeatTimeout: heartbeat,
		WaitForCancellation: true, RetryPolicy: retry(10 * time.Second), Summary: summary,
	}
}

// lookingUp reads Twilio's list. One that fails for two minutes is given up: the next comes later, and the last one parks. It
// also waits for a POST that may still be under way, which takes 43 s at most.
func lookingUp() workflow.ActivityOptions {
	policy := retry(10 * time.Second)
	policy.InitialInterval = 2 * time.Second
	return workflow.ActivityOptions{StartToCloseTimeout: fetchTimeout, ScheduleToCloseTimeout: lookUpTotal, RetryPolicy: policy}
}

// fetching only reads; the first retry waits a little longer, since nobody waits for it.
func fetching() workflow.ActivityOptions {
	policy := retry(time.Minute)
	policy.InitialInterval = 2 * time.Second
	return workflow.ActivityOptions{StartToCloseTimeout: fetchTimeout, ScheduleToCloseTimeout: fetchTotal, RetryPolicy: policy}
}

// keepingUp is one batch of upkeep.
func keepingUp() workflow.ActivityOptions {
	return workflow.ActivityOptions{
		StartToCloseTimeout: batchTimeout, ScheduleToCloseTimeout: batchTotal, HeartbeatTimeout: heartbeat, RetryPolicy: retry(30 * time.Second),
	}
}
