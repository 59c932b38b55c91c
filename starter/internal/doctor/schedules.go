package doctor

import (
	"context"
	"fmt"
	"time"

	"parley/contract"
	"parley/starter/internal/provision"
)

const schedules = "schedules"

// Schedules looks whether the schedules of upkeep are there, as this version wants them, and run.
func Schedules(p Provisioned) Check {
	return Check{Name: schedules, Needs: []string{namespace}, Look: func(ctx context.Context) Finding {
		list, err := p.FindSchedules(ctx)
		if err != nil {
			return failed("let this account see the namespace's schedules; else try again, and if it stays so, the server's log has the reason", "%s", err)
		}
		var f Finding
		well := 0
		for _, schedule := range list {
			problems := len(f.Problems)
			f.judge(schedule)
			if len(f.Problems) == problems {
				well++
			}
		}
		f.Found = fmt.Sprintf("in order: %d of %d", well, len(list))
		return f
	}}
}

// judge says what is wrong with a schedule, the worst alone.
func (f *Finding) judge(s provision.Found) {
	// A run may take as long as it is given, and those that come meanwhile are skipped.
	late := contract.UpkeepWithin + 2*s.Every
	switch {
	case s.Missing:
		f.fail("run starter setup", "there is no schedule %s: nobody does what it is for", s.ID())
	case s.Other:
		f.warn("run starter setup", "%s is not as this version wants it", s.ID())
	case s.Paused:
		f.warn("temporal schedule toggle --schedule-id "+s.ID()+" --unpause --reason ..., once it may run again", "%s is paused", s.ID())
	case time.Since(s.Since) > late:
		f.warn("see what temporal schedule describe --schedule-id "+s.ID()+" says; after an outage of Temporal, ask again in a minute",
			"%s has not run since %s", s.ID(), s.Since.UTC().Format(time.RFC3339))
	}
}
