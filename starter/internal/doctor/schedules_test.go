package doctor_test

import (
	"testing"
	"testing/synctest"
	"time"

	"parley/contract"
	"parley/internal/domain"
	"parley/starter/internal/doctor"
	"parley/starter/internal/provision"
)

func TestSchedules(t *testing.T) {
	t.Parallel()
	wanted := contract.Schedules()[0] // every minute, and a run has ten
	for name, test := range map[string]struct {
		is    provision.Found
		ran   time.Duration // ago
		state doctor.State
		says  []string
	}{
		"well":             {state: doctor.OK, says: []string{"in order: 2 of 2"}},
		"a long run":       {ran: 11 * time.Minute, state: doctor.OK},
		"missing":          {is: provision.Found{Missing: true}, state: doctor.Failed, says: []string{"no schedule " + wanted.ID(), "starter setup", "1 of 2"}},
		"another version":  {is: provision.Found{Other: true}, state: doctor.Warning, says: []string{wanted.ID() + " is not as", "starter setup"}},
		"paused":           {is: provision.Found{Paused: true}, ran: time.Hour, state: doctor.Warning, says: []string{wanted.ID() + " is paused", "--unpause"}},
		"it does not run":  {ran: 13 * time.Minute, state: doctor.Warning, says: []string{"has not run since", "temporal schedule describe"}},
		"an old one, too":  {is: provision.Found{Other: true, Paused: true}, ran: time.Hour, state: doctor.Warning, says: []string{"starter setup"}},
		"missing and late": {is: provision.Found{Missing: true}, ran: time.Hour, state: doctor.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				test.is.Schedule, test.is.Since = wanted, time.Now().Add(-test.ran)
				other := provision.Found{Schedule: contract.Schedules()[1], Since: time.Now()}
				got := look(t, doctor.Schedules(provisioned{schedules: []provision.Found{test.is, other}}))
				want(t, got, test.state, test.says...)
				if len(got.Problems) > 1 {
					t.Errorf("got %+v", got.Problems)
				}
			})
		})
	}
	want(t, look(t, doctor.Schedules(provisioned{scheduleErr: domain.Errorf(domain.KindUnavailable, "gone")})), doctor.Failed, "gone")
}
