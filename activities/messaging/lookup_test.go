package messaging_test

import (
	"slices"
	"testing"
	"time"

	"parley/activities/messaging"
	"parley/contract"
	"parley/internal/domain"
)

// sought is the attempt of these tests in a state, with what it takes to find its message.
func sought(state domain.AttemptState) domain.Sought {
	begun := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return domain.Sought{
		Attempt: domain.Attempt{Number: 3, State: state}, AccountSid: "AC1", From: "+15550100001", To: "+15550100002", Body: "hello",
		BegunAt: begun, Until: begun.Add(43 * time.Second),
	}
}

func (r rig) lookUp(t *testing.T, last bool) (contract.SendResult, error) {
	t.Helper()
	in := contract.LookUpInput{AttemptKey: key, OwnerID: "owner-1", Last: last}
	return messaging.New(r.store, r.accounts, r.twilio).LookUp(t.Context(), in)
}

// An attempt may be looked for whatever became of the others of its part.
func TestLookUpOfOneAttemptAlone(t *testing.T) {
	t.Parallel()
	for _, alone := range []bool{false, true} {
		r := newRig()
		r.store.sought = sought(domain.AttemptUnknown)
		in := contract.LookUpInput{AttemptKey: key, OwnerID: "owner-1", Alone: alone}
		result, err := messaging.New(r.store, r.accounts, r.twilio).LookUp(t.Context(), in)
		if err != nil || result.State != contract.SendPending || r.store.alone != alone {
			t.Errorf("alone %t: got %+v, %v; the row was asked for as %t", alone, result, err, r.store.alone)
		}
	}
}

// Where the row tells, nobody else is asked.
func TestLookUpReadsTheRow(t *testing.T) {
	t.Parallel()
	settled := outcome{result: contract.SendResult{State: contract.SendSettled}}
	for name, test := range map[string]struct {
		row  domain.Attempt
		err  error
		want outcome
	}{
		"accepted": {
			row:  domain.Attempt{Number: 3, State: domain.AttemptAccepted, Sid: "SM9", Status: domain.StatusDelivered, ErrorCode: 7},
			want: outcome{result: contract.SendResult{State: contract.SendAccepted, Attempt: 3, Status: domain.StatusDelivered, ErrorCode: 7}},
		},
		"another attempt accepted": {
			row:  domain.Attempt{Number: 1, State: domain.AttemptAccepted, Sid: "SM9", Status: domain.StatusQueued},
			want: outcome{result: contract.SendResult{State: contract.SendAccepted, Attempt: 1, Status: domain.StatusQueued}},
		},
		"refused":                         {row: domain.Attempt{Number: 3, State: domain.AttemptRefused, ErrorKind: domain.KindDenied}, want: settled},
		"refused for our account's sake":  {row: domain.Attempt{Number: 3, State: domain.AttemptRefused, ErrorKind: domain.KindConfiguration}, want: settled},
		"not sent":                        {row: domain.Attempt{Number: 3, State: domain.AttemptNotSent}, want: settled},
		"nothing known":                   {row: domain.Attempt{Number: 3, State: "surprise"}, want: outcome{kind: domain.KindInternal, words: "no such attempt state"}},
		"never begun, or another owner's": {err: domain.Errorf(domain.KindNotFound, "attempt: not found"), want: outcome{kind: domain.KindNotFound, words: "not found"}},
	} {
		for _, last := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r := newRig()
				r.store.sought, r.store.soughtErr = domain.Sought{Attempt: test.row, AccountSid: "AC1"}, test.err
				result, err := r.lookUp(t, last)
				test.want.check(t, result, err)
				if len(r.twilio.searched)+len(r.accounts.asked)+len(r.store.resolved)+len(r.store.declared) > 0 {
					t.Errorf("searched %v, resolved %v, declared %v, want nothing", r.twilio.searched, r.store.resolved, r.store.declared)
				}
			})
		}
	}
}

// Twilio's list tells where it shows exactly one message that no other attempt has. Only the last look-up says that nobody knows.
func TestLookUpSearches(t *testing.T) {
	t.Parallel()
	one := messaging.Candidate{Sid: "SM1", Status: domain.StatusSent, Segments: 2, ErrorCode: 30022, Price: price}
	two := messaging.Candidate{Sid: "SM2", Status: domain.StatusFailed, Segments: 1}
	for name, test := range map[string]struct {
		list  []messaging.Candidate
		bound []string
		found string // empty: nothing
	}{
		"none":                           {},
		"one":                            {list: []messaging.Candidate{one}, found: "SM1"},
		"one that another attempt has":   {list: []messaging.Candidate{one}, bound: []string{"SM1"}},
		"two":                            {list: []messaging.Candidate{one, two}},
		"two, one of them another's":     {list: []messaging.Candidate{two, one}, bound: []string{"SM2"}, found: "SM1"},
		"two, the first of them is ours": {list: []messaging.Candidate{one, two}, bound: []string{"SM2"}, found: "SM1"},
		"two, both another's":            {list: []messaging.Candidate{one, two}, bound: []string{"SM2", "SM1"}},
	} {
		for _, state := range []domain.AttemptState{domain.AttemptBegun, domain.AttemptUnknown} {
			for _, last := range []bool{false, true} {
				t.Run(name+", "+string(state), func(t *testing.T) {
					t.Parallel()
					r := newRig()
					r.store.sought, r.store.bound, r.twilio.list = sought(state), test.bound, test.list
					result, err := r.lookUp(t, last)

					want, declared := outcome{result: contract.SendResult{State: contract.SendPending}}, 0
					var resolved []domain.Resolution
					switch {
					case test.found != "":
						want.result = contract.SendResult{State: contract.SendAccepted, Attempt: 3, Status: domain.StatusSent, ErrorCode: 30022}
						resolved = []domain.Resolution{{
							AttemptKey: key, OwnerID: "owner-1", State: domain.AttemptAccepted, Sid: test.found, Status: domain.StatusSent, Segments: 2, ErrorCode: 30022,
							Price: price,
						}}
					case last:
						want, declared = outcome{kind: domain.KindUnknownOutcome, words: "may have been sent"}, 1
					}
					want.check(t, result, err)
					if !slices.Equal(r.store.resolved, resolved) {
						t.Errorf("stored %+v, want %+v", r.store.resolved, resolved)
					}
					if len(r.store.declared) != declared || (declared > 0 && r.store.declared[0] != key) {
						t.Errorf("declared %+v unknown, want %d", r.store.declared, declared)
					}
					if len(r.twilio.searched) != 1 || r.twilio.searched[0] != sought(state) || !slices.Equal(r.accounts.asked, []string{"AC1"}) {
						t.Errorf("searched for %+v with the credentials of %v", r.twilio.searched, r.accounts.asked)
					}
					var asked []string
					if len(test.list) > 0 {
						asked = []string{"AC1"}
					}
					for _, candidate := range test.list {
						asked = append(asked, candidate.Sid)
					}
					if !slices.Equal(r.store.asked, asked) {
						t.Errorf("asked for the sids of %v, want %v", r.store.asked, asked)
					}
					if len(r.twilio.posts) > 0 {
						t.Error("a look-up posted")
					}
				})
			}
		}
	}
}

// What was stored while Twilio was asked counts: a callback, or a late answer.
func TestLookUpReturnsWhatTheRowSays(t *testing.T) {
	t.Parallel()
	accepted := domain.Attempt{Number: 3, State: domain.AttemptAccepted, Status: domain.StatusDelivered}
	delivered := outcome{result: contract.SendResult{State: contract.SendAccepted, Attempt: 3, Status: domain.StatusDelivered}}
	settled := outcome{result: contract.SendResult{State: contract.SendSettled}}
	for name, test := range map[string]struct {
		prepare func(rig)
		want    outcome
	}{
		"found, and delivered meanwhile": {
			func(r rig) {
				r.twilio.list, r.store.row = []messaging.Candidate{{Sid: "SM1", Status: domain.StatusSent}}, &accepted
			}, delivered,
		},
		"not found, and bound meanwhile": {func(r rig) { r.store.declareRow = &accepted }, delivered},
		"not found, and refused meanwhile": {
			func(r rig) {
				r.store.declareRow = &domain.Attempt{Number: 3, State: domain.AttemptRefused, ErrorKind: domain.KindConfiguration}
			}, settled,
		},
		"not found, and not sent meanwhile": {
			func(r rig) { r.store.declareRow = &domain.Attempt{Number: 3, State: domain.AttemptNotSent} }, settled,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig()
			r.store.sought = sought(domain.AttemptBegun)
			test.prepare(r)
			result, err := r.lookUp(t, true)
			test.want.check(t, result, err)
		})
	}
}

// A look-up that fails is not one that found nothing: the last one does not declare anything either.
func TestLookUpFails(t *testing.T) {
	t.Parallel()
	broken := domain.Errorf(domain.KindUnavailable, "no answer")
	list := []messaging.Candidate{{Sid: "SM1"}}
	for name, test := range map[string]struct {
		prepare  func(rig)
		want     outcome
		declared int
	}{
		"no credentials": {
			func(r rig) { r.accounts.err = domain.Errorf(domain.KindNotFound, "account: not found") }, outcome{kind: domain.KindNotFound, words: "account"}, 0,
		},
		"Twilio is down": {func(r rig) { r.twilio.searchErr = broken }, outcome{kind: domain.KindUnavailable, words: "no answer"}, 0},
		"Twilio refuses": {
			func(r rig) {
				r.twilio.searchErr = &domain.Error{Kind: domain.KindConfiguration, Code: 20003, Message: "authenticate"}
			},
			outcome{kind: domain.KindConfiguration, words: "authenticate", code: 20003}, 0,
		},
		"half a list": {
			func(r rig) { r.twilio.list, r.twilio.searchErr = list, broken }, outcome{kind: domain.KindUnavailable, words: "no answer"}, 0,
		},
		"the bound ones are not known": {
			func(r rig) { r.twilio.list, r.store.boundErr = list, broken }, outcome{kind: domain.KindUnavailable, words: "no answer"}, 0,
		},
		"what was found is not stored": {
			func(r rig) { r.twilio.list, r.store.resolveErr = list, broken }, outcome{kind: domain.KindUnavailable, words: "no answer"}, 0,
		},
		"the POST may still be under way": {
			func(r rig) {
				r.store.declareErr = &domain.Error{Kind: domain.KindBusy, Message: "the POST may still be under way", RetryAfter: 7 * time.Second}
			},
			outcome{kind: domain.KindBusy, words: "under way", wait: 7 * time.Second}, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig()
			r.store.sought = sought(domain.AttemptBegun)
			test.prepare(r)
			result, err := r.lookUp(t, true)
			test.want.check(t, result, err)
			if len(r.store.declared) != test.declared {
				t.Errorf("declared %+v unknown, want %d", r.store.declared, test.declared)
			}
		})
	}
}

// Looked for twice, a message is bound once: the second look-up finds it in the row.
func TestLookUpTwice(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.store.sought = sought(domain.AttemptBegun)
	r.twilio.list = []messaging.Candidate{{Sid: "SM1", Status: domain.StatusSent}}
	first, err := r.lookUp(t, false)
	if err != nil {
		t.Fatal(err)
	}
	r.store.sought.State, r.store.sought.Status = domain.AttemptAccepted, domain.StatusSent
	second, err := r.lookUp(t, true)
	if err != nil || first != second || len(r.store.resolved) != 1 {
		t.Errorf("found %+v, then %+v, %v; stored %+v", first, second, err, r.store.resolved)
	}
}
