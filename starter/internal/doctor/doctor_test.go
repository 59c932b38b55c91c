package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parley/internal/domain"
	"parley/internal/postgres"
	"parley/starter/internal/doctor"
)

// look makes one check, without those that it needs.
func look(t *testing.T, check doctor.Check) doctor.Result {
	t.Helper()
	return doctor.Run(t.Context(), check).Checks[0]
}

// want compares a result with a state and with what it must say, of the finding, of a problem or of its advice.
func want(t *testing.T, got doctor.Result, state doctor.State, says ...string) {
	t.Helper()
	text := got.Found
	for _, problem := range got.Problems {
		text += "\n" + problem.What + "\n" + problem.Advice
		if problem.What == "" || problem.Advice == "" || (problem.State != doctor.Failed && problem.State != doctor.Warning) {
			t.Errorf("a problem that does not say what is wrong, how bad it is and what to do: %+v", problem)
		}
	}
	for _, words := range says {
		if !strings.Contains(text, words) {
			t.Errorf("it does not say %q: %s", words, text)
		}
	}
	if got.State != state || text == "" {
		t.Errorf("got %s, want %s: %s", got.State, state, text)
	}
}

// ending is a check that ends as the name says.
func ending(name string, state doctor.State, needs ...string) doctor.Check {
	return doctor.Check{Name: name, Needs: needs, Look: func(context.Context) doctor.Finding {
		if state == doctor.OK {
			return doctor.Finding{Found: "well"}
		}
		return doctor.Finding{Problems: []doctor.Problem{{State: state, What: "ill", Advice: "rest"}}}
	}}
}

func TestChecksThatBuildOnAFailedOneAreSkippedForItsReason(t *testing.T) {
	t.Parallel()
	unset := ending("unset", doctor.OK)
	unset.Skip = "NAME cannot be used"
	report := doctor.Run(t.Context(),
		ending("last", doctor.OK, "middle"), // the order of the list is not that of the needs
		ending("first", doctor.Failed), ending("middle", doctor.OK, "first"),
		ending("noted", doctor.Warning), ending("after a warning", doctor.OK, "noted"),
		unset, ending("after unset", doctor.OK, "unset"), ending("alone", doctor.OK, "not among them"))
	for i, expected := range []doctor.Result{
		{Name: "last", State: doctor.Skipped, Found: "first failed"}, {Name: "first", State: doctor.Failed},
		{Name: "middle", State: doctor.Skipped, Found: "first failed"}, {Name: "noted", State: doctor.Warning},
		{Name: "after a warning", State: doctor.OK, Found: "well"},
		{Name: "unset", State: doctor.Skipped, Found: "NAME cannot be used"},
		{Name: "after unset", State: doctor.Skipped, Found: "NAME cannot be used"}, {Name: "alone", State: doctor.OK, Found: "well"},
	} {
		got := report.Checks[i]
		if got.Name != expected.Name || got.State != expected.State || got.Found != expected.Found {
			t.Errorf("got %+v, want %+v", got, expected)
		}
	}
}

func TestAReportIsAsBadAsItsWorstCheck(t *testing.T) {
	t.Parallel()
	for expected, states := range map[doctor.State][]doctor.State{
		doctor.OK: {doctor.OK, doctor.OK}, doctor.Warning: {doctor.OK, doctor.Warning, doctor.OK},
		doctor.Failed: {doctor.Warning, doctor.Failed, doctor.OK},
	} {
		var checks []doctor.Check
		for i, state := range states {
			checks = append(checks, ending(fmt.Sprint(i), state))
		}
		if got := doctor.Run(t.Context(), checks...).State; got != expected {
			t.Errorf("%v: got %s", states, got)
		}
	}
}

// One check that waits for its time-out holds up only those that need it, and each has a time of its own.
func TestChecksRunAtOnceAndEachWithinItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hangs := func(name string, within time.Duration, needs ...string) doctor.Check {
			return doctor.Check{Name: name, Within: within, Needs: needs, Look: func(ctx context.Context) doctor.Finding {
				<-ctx.Done()
				return doctor.Finding{Found: ctx.Err().Error()}
			}}
		}
		began := time.Now()
		doctor.Run(t.Context(), hangs("a", 3*time.Second), hangs("b", 4*time.Second), hangs("c", 2*time.Second, "a"), hangs("d", 0))
		if took := time.Since(began); took != 10*time.Second { // d's: the usual time; c ends after 5 s
			t.Errorf("took %s", took)
		}
	})
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	want(t, look(t, doctor.Configuration(nil)), doctor.OK)
	got := look(t, doctor.Configuration([]error{errors.New("DATABASE_URL: is required"), errors.New("PARLEY_PUBLIC_URL: is required")}))
	want(t, got, doctor.Failed, "DATABASE_URL: is required", "PARLEY_PUBLIC_URL: is required", ".env.example")
	if len(got.Problems) != 2 {
		t.Errorf("each variable is a problem of its own: %+v", got.Problems)
	}
	want(t, look(t, doctor.Keyset(func() error { return nil })), doctor.OK)
	want(t, look(t, doctor.Keyset(func() error { return domain.Errorf(domain.KindConfiguration, "the keyset is none") })), doctor.Failed,
		"the keyset is none", "starter secrets keygen")
}

func TestDatabase(t *testing.T) {
	t.Parallel()
	well := postgres.Server{Version: 150_013, Release: "15.13", Database: "parley", Role: "app", Encoding: "UTF8"}
	for name, test := range map[string]struct {
		edit  func(*postgres.Server)
		err   error
		state doctor.State
		says  []string
	}{
		"well":        {func(*postgres.Server) {}, nil, doctor.OK, []string{"Postgres 15.13", "database parley", "role app"}},
		"pooled":      {func(s *postgres.Server) { s.Pooled = true }, nil, doctor.OK, []string{"pooler", "transaction"}},
		"prepared":    {func(s *postgres.Server) { s.Pooled, s.Prepared = true, true }, nil, doctor.OK, []string{"pooler", "prepared statements"}},
		"old":         {func(s *postgres.Server) { s.Version, s.Release = 149_999, "14.9" }, nil, doctor.Failed, []string{"14.9 is too old", "newer server"}},
		"a standby":   {func(s *postgres.Server) { s.ReadOnly = true }, nil, doctor.Failed, []string{"takes no changes", "primary"}},
		"no emoji":    {func(s *postgres.Server) { s.Encoding = "LATIN1" }, nil, doctor.Failed, []string{"LATIN1", "UTF8"}},
		"not its own": {func(s *postgres.Server) { s.Closed = []string{"messages", "pairs"} }, nil, doctor.Failed, []string{"messages, pairs", "GRANT"}},
		"away":        {nil, domain.Errorf(domain.KindUnavailable, "it does not answer"), doctor.Failed, []string{"it does not answer", "start the database"}},
		"password":    {nil, domain.Errorf(domain.KindConfiguration, "SQLSTATE 28P01"), doctor.Failed, []string{"28P01", "compare user, password"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := well
			if test.edit != nil {
				test.edit(&server)
			}
			got := look(t, doctor.Database(func(context.Context) (postgres.Server, error) { return server, test.err }))
			want(t, got, test.state, test.says...)
		})
	}
}

func TestMigrations(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		version int64
		err     error
		state   doctor.State
		says    string
	}{
		"as wanted": {7, nil, doctor.OK, "schema version 7"},
		"none":      {0, nil, doctor.Failed, "starter setup"},
		"behind":    {6, nil, doctor.Failed, "starter setup"},
		"ahead":     {8, nil, doctor.Warning, "upgrade"},
		"closed":    {0, errors.New("permission denied"), doctor.Failed, "permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := look(t, doctor.Migrations(func(context.Context) (int64, error) { return test.version, test.err }, 7))
			want(t, got, test.state, test.says)
		})
	}
}
