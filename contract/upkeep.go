package contract

import "time"

// The jobs of upkeep: what has to be done again and again, whatever becomes of any flow. A job is an activity that does one bounded batch
// each time it runs, and a line of Schedules; running it twice, or twice at once, is harmless.
var (
	CloseEnded  = Activity[Nothing, UpkeepResult]{"upkeep.CloseEnded", RoleUpkeep}
	SeekUnknown = Activity[Nothing, UpkeepResult]{"upkeep.SeekUnknown", RoleUpkeep}
	CloseIdle   = Activity[Nothing, UpkeepResult]{"upkeep.CloseIdle", RoleUpkeep}
	FetchPrices = Activity[Nothing, UpkeepResult]{"upkeep.FetchPrices", RoleUpkeep}
)

// Job is the type of all of them.
type Job = Activity[Nothing, UpkeepResult]

// Upkeep runs one job, batch after batch, until nothing is left to do at the moment.
var Upkeep = Workflow[UpkeepInput, UpkeepResult]{Name: "Upkeep"}

// UpkeepInput names the job.
type UpkeepInput struct {
	Job string `json:"job"` // its activity
}

// UpkeepResult is what a batch, or all of a run, came to.
type UpkeepResult struct {
	Seen  int          `json:"seen"` // looked at
	Done  int          `json:"done"` // changed
	Notes []UpkeepNote `json:"notes,omitempty"`
	More  bool         `json:"more,omitempty"` // there may be more to do at once
}

// UpkeepNote is what a person may want to know of what a job did.
type UpkeepNote struct {
	OwnerID    string   `json:"owner_id"`
	MessageID  string   `json:"message_id"`
	WorkflowID string   `json:"workflow_id"`
	What       string   `json:"what"`
	Superseded []string `json:"superseded,omitempty"` // messages that the message was to answer too, and that nobody answers now
}

// Schedule has Temporal run a job again and again.
type Schedule struct {
	Job   Job
	Every time.Duration
}

// ID names the schedule, and begins the ids of the flows that it starts.
func (s Schedule) ID() string { return s.Job.Name }

// Schedules returns every schedule: `starter setup` makes them.
func Schedules() []Schedule {
	return []Schedule{
		{CloseEnded, time.Minute}, // a pair waits for it: far less than a reply's deadline
		{SeekUnknown, time.Minute},
		{CloseIdle, time.Minute}, // the least that an owner may well mean by idle
		{FetchPrices, 10 * time.Minute},
	}
}

// UpkeepWithin is how long one run of a job may take: what it does not get done the next one does.
const UpkeepWithin = 10 * time.Minute
