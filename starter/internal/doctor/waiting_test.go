package doctor_test

import (
	"context"
	"testing"
	"time"

	"parley/internal/domain"
	"parley/starter/internal/doctor"
)

func TestSpool(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		is    domain.SpoolState
		err   error
		state doctor.State
		says  []string
	}{
		"empty":       {state: doctor.OK, says: []string{"wait: 0"}},
		"just now":    {is: domain.SpoolState{Waiting: 900, Oldest: 2 * time.Minute}, state: doctor.OK, says: []string{"wait: 900", "2m0s"}},
		"for long":    {is: domain.SpoolState{Waiting: 1, Oldest: 121 * time.Second}, state: doctor.Failed, says: []string{"2m1s", "webhook", "Temporal"}},
		"many":        {is: domain.SpoolState{Waiting: 1001, Oldest: time.Second}, state: doctor.Warning, says: []string{"1001"}},
		"refused":     {is: domain.SpoolState{Waiting: 3, Refused: 2}, state: doctor.Failed, says: []string{"of their own: 2", "starter spool list"}},
		"no database": {err: domain.Errorf(domain.KindUnavailable, "gone"), state: doctor.Failed, says: []string{"gone"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check := doctor.Spool(func(context.Context) (domain.SpoolState, error) { return test.is, test.err })
			want(t, look(t, check), test.state, test.says...)
		})
	}
}

func TestUnrouted(t *testing.T) {
	t.Parallel()
	state := func(is domain.UnroutedState, err error) doctor.Check {
		return doctor.Unrouted(func(context.Context) (domain.UnroutedState, error) { return is, err })
	}
	want(t, look(t, state(domain.UnroutedState{}, nil)), doctor.OK, "0")
	want(t, look(t, state(domain.UnroutedState{Waiting: 3, Oldest: time.Hour}, nil)), doctor.Warning, "nobody owns: 3", "1h0m0s", "starter unrouted list")
	want(t, look(t, state(domain.UnroutedState{}, domain.Errorf(domain.KindUnavailable, "gone"))), doctor.Failed, "gone")
}
