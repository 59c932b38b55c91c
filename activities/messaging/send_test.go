package messaging_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/activities/messaging"
	"parley/contract"
	"parley/internal/domain"
)

var (
	key         = contract.AttemptKey{MessageID: "message-1", Part: 2, Attempt: 3}
	newest      = domain.Login{AccountSid: "AC1", TokenID: "token-2", User: "AC1", Password: "secret"}
	older       = domain.Login{AccountSid: "AC1", TokenID: "token-1", User: "AC1", Password: "old secret"}
	credentials = domain.Credentials{AccountSid: "AC1", Logins: []domain.Login{newest}}
	price       = &domain.Money{Micros: 7900, Currency: "USD"}
)

func sendInput() contract.SendInput {
	return contract.SendInput{
		AttemptKey: key, OwnerID: "owner-1", DraftID: "draft-1", PostWithin: time.Second, SendTimeout: 2 * time.Second, ValidityPeriod: time.Hour,
	}
}

func granted() domain.Claim {
	return domain.Claim{
		BegunAt: time.Date(2026, 1, 2, 3, 4, 5, 678_000, time.UTC),
		State:   domain.ClaimGranted, AccountSid: "AC1", From: "+15550100001", To: "+15550100002", Body: "hello",
		Media: []domain.Media{{URL: "https://example.com/a.png"}},
	}
}

// fakeStore answers claims as it is told, and remembers what was resolved as the rows would.
type fakeStore struct {
	claim      domain.Claim
	claimErr   error
	claims     []domain.NewClaim
	resolveErr error
	resolved   []domain.Resolution
	ended      error           // of the context under which the last answer was stored
	bounded    bool            // whether that context had a deadline
	row        *domain.Attempt // what Resolve returns, where it is not what was resolved
	onClaim    func()

	accepted    func(string, domain.AttemptKey) (string, string, error)
	events      []domain.StatusEvent
	applyErr    error
	applyStatus domain.StatusChange

	sought     domain.Sought
	alone      bool // the row of the attempt itself was asked for
	soughtErr  error
	bound      []string // sids that other attempts have
	boundErr   error
	asked      []string // the sids that Unbound was asked about, after their account
	declared   []domain.AttemptKey
	declareErr error
	declareRow *domain.Attempt // what DeclareUnknown returns, where a late answer came first
}

var _ messaging.Store = (*fakeStore)(nil)

func (s *fakeStore) Claim(_ context.Context, in domain.NewClaim) (domain.Claim, error) {
	s.claims = append(s.claims, in)
	if s.onClaim != nil {
		s.onClaim()
	}
	return s.claim, s.claimErr
}

func (s *fakeStore) Resolve(ctx context.Context, in domain.Resolution) (domain.Attempt, error) {
	s.resolved = append(s.resolved, in)
	s.ended = ctx.Err()
	_, s.bounded = ctx.Deadline()
	if s.row != nil {
		return *s.row, s.resolveErr
	}
	return domain.Attempt{
		Number: in.Attempt, State: in.State, Sid: in.Sid, Status: in.Status, ErrorCode: in.ErrorCode, ErrorKind: in.ErrorKind, Error: in.Error,
	}, s.resolveErr
}

func (s *fakeStore) Accepted(_ context.Context, ownerID string, key domain.AttemptKey) (accountSid, sid string, err error) {
	return s.accepted(ownerID, key)
}

func (s *fakeStore) ApplyStatus(_ context.Context, event domain.StatusEvent) (domain.StatusChange, error) {
	s.events = append(s.events, event)
	return s.applyStatus, s.applyErr
}

func (s *fakeStore) Sought(_ context.Context, ownerID string, asked domain.AttemptKey, alone bool) (domain.Sought, error) {
	s.alone = alone
	if ownerID != "owner-1" || asked != key {
		return domain.Sought{}, domain.Errorf(domain.KindNotFound, "no attempt %+v of %s", asked, ownerID)
	}
	return s.sought, s.soughtErr
}

func (s *fakeStore) Unbound(_ context.Context, accountSid string, sids []string) ([]string, error) {
	s.asked = append(append(s.asked, accountSid), sids...)
	return slices.DeleteFunc(slices.Clone(sids), func(sid string) bool { return slices.Contains(s.bound, sid) }), s.boundErr
}

func (s *fakeStore) DeclareUnknown(_ context.Context, ownerID string, key domain.AttemptKey) (domain.Attempt, error) {
	if ownerID != "owner-1" {
		return domain.Attempt{}, domain.Errorf(domain.KindNotFound, "no attempt of %s", ownerID)
	}
	s.declared = append(s.declared, key)
	if s.declareRow != nil {
		return *s.declareRow, nil
	}
	return domain.Attempt{Number: key.Attempt, State: domain.AttemptUnknown}, s.declareErr
}

// fakeAccounts knows one account.
type fakeAccounts struct {
	logins []domain.Login // beside the usual one
	err    error
	asked  []string
	onAsk  func()
}

var _ messaging.Accounts = (*fakeAccounts)(nil)

func (a *fakeAccounts) Credentials(_ context.Context, accountSid string) (domain.Credentials, error) {
	a.asked = append(a.asked, accountSid)
	if a.onAsk != nil {
		a.onAsk()
	}
	with := credentials
	with.Logins = slices.Concat(with.Logins, a.logins)
	return with, a.err
}

// fakeTwilio answers every POST as it is told.
type fakeTwilio struct {
	answer messaging.Answer
	posts  []messaging.Post
	logins []domain.Login // of the POSTs
	within time.Duration  // what the POST's context left it
	ended  error          // of the POST's context, once onPost has returned
	onPost func()

	delivery messaging.Delivery
	fetchErr error
	fetched  []string

	list      []messaging.Candidate
	searchErr error
	searched  []domain.Sought
}

var _ messaging.Twilio = (*fakeTwilio)(nil)

func (f *fakeTwilio) Create(ctx context.Context, login domain.Login, post messaging.Post) messaging.Answer {
	f.posts, f.logins = append(f.posts, post), append(f.logins, login)
	if deadline, ok := ctx.Deadline(); ok {
		f.within = time.Until(deadline)
	}
	if f.onPost != nil {
		f.onPost()
	}
	f.ended = ctx.Err()
	return f.answer
}

func (f *fakeTwilio) Fetch(_ context.Context, with domain.Credentials, sid string) (messaging.Delivery, error) {
	f.fetched = append(f.fetched, with.AccountSid+"/"+sid)
	return f.delivery, f.fetchErr
}

func (f *fakeTwilio) Search(_ context.Context, with domain.Credentials, sought domain.Sought) ([]messaging.Candidate, error) {
	f.searched = append(f.searched, sought)
	if !reflect.DeepEqual(with, credentials) {
		return nil, domain.Errorf(domain.KindConfiguration, "wrong credentials")
	}
	return f.list, f.searchErr
}

// rig are the steps over fakes: a claim that is granted, and a Twilio that accepts.
type rig struct {
	store    *fakeStore
	accounts *fakeAccounts
	twilio   *fakeTwilio
}

func newRig() rig {
	return rig{
		&fakeStore{claim: granted()}, &fakeAccounts{},
		&fakeTwilio{answer: messaging.Answer{State: domain.AttemptAccepted, Sid: "SM9", Status: domain.StatusQueued, Segments: 2, Price: price}},
	}
}

func (r rig) send(ctx context.Context) (contract.SendResult, error) {
	return messaging.New(r.store, r.accounts, r.twilio).Send(ctx, sendInput())
}

func TestSendAccepted(t *testing.T) {
	t.Parallel()
	r := newRig()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // as every activity's
	defer cancel()
	result, err := r.send(ctx)
	if want := (contract.SendResult{State: contract.SendAccepted, Attempt: 3, Status: domain.StatusQueued}); err != nil || result != want {
		t.Errorf("got %+v, %v, want %+v", result, err, want)
	}
	wantClaim := domain.NewClaim{AttemptKey: key, OwnerID: "owner-1", DraftID: "draft-1", PostWithin: time.Second, Timeout: 2 * time.Second}
	if len(r.store.claims) != 1 || r.store.claims[0] != wantClaim {
		t.Errorf("claimed %+v, want %+v", r.store.claims, wantClaim)
	}
	if len(r.twilio.posts) != 1 || r.twilio.logins[0] != newest || len(r.accounts.asked) != 1 || r.accounts.asked[0] != "AC1" {
		t.Fatalf("%d POSTs with the credentials of %v", len(r.twilio.posts), r.accounts.asked)
	}
	post, claim := r.twilio.posts[0], granted()
	if post.From != claim.From || post.To != claim.To || post.Body != claim.Body || len(post.Media) != 1 || post.Media[0] != claim.Media[0] ||
		post.Key != key || post.ValidityPeriod != time.Hour {
		t.Errorf("posted %+v", post)
	}
	if r.twilio.within <= 0 || r.twilio.within > sendInput().SendTimeout {
		t.Errorf("the POST may take %s, want at most %s", r.twilio.within, sendInput().SendTimeout)
	}
	want := domain.Resolution{AttemptKey: key, OwnerID: "owner-1", BegunAt: granted().BegunAt, State: domain.AttemptAccepted, Sid: "SM9", Status: domain.StatusQueued, Segments: 2, Price: price}
	if len(r.store.resolved) != 1 || r.store.resolved[0] != want || !r.store.bounded {
		t.Errorf("stored %+v, bounded %v, want %+v", r.store.resolved, r.store.bounded, want)
	}
}

func TestSendPassesAnywayToTheClaim(t *testing.T) {
	t.Parallel()
	r, in := newRig(), sendInput()
	in.Anyway = true
	if _, err := messaging.New(r.store, r.accounts, r.twilio).Send(t.Context(), in); err != nil || !r.store.claims[0].Anyway {
		t.Errorf("claimed %+v, %v", r.store.claims, err)
	}
}

// outcome is what Send comes to: a result or an error of a kind.
type outcome struct {
	result contract.SendResult
	kind   domain.Kind // empty: no error
	words  string
	wait   time.Duration
	code   int
}

func (o outcome) check(t *testing.T, result contract.SendResult, err error) {
	t.Helper()
	if result != o.result {
		t.Errorf("the result is %+v, want %+v", result, o.result)
	}
	if o.kind == "" {
		if err != nil {
			t.Errorf("the error is %v, want none", err)
		}
		return
	}
	failure, ok := errors.AsType[*domain.Error](err)
	if !ok || failure.Kind != o.kind || !strings.Contains(failure.Message, o.words) || failure.RetryAfter != o.wait || failure.Code != o.code {
		t.Errorf("the error is %#v, want %+v", err, o)
	}
}

// What a claim answers without granting is final: nothing is posted, and nothing is stored.
func TestSendWithoutAGrant(t *testing.T) {
	t.Parallel()
	resolved := func(attempt domain.Attempt) domain.Claim {
		return domain.Claim{State: domain.ClaimResolved, Resolved: attempt}
	}
	for name, test := range map[string]struct {
		claim domain.Claim
		err   error
		want  outcome
	}{
		"begun": {
			claim: domain.Claim{State: domain.ClaimBegun},
			want:  outcome{kind: domain.KindUnknownOutcome, words: "may have been sent"},
		},
		"expired": {claim: domain.Claim{State: domain.ClaimExpired}, want: outcome{result: contract.SendResult{State: contract.SendExpired}}},
		"closed":  {claim: domain.Claim{State: domain.ClaimClosed}, want: outcome{result: contract.SendResult{State: contract.SendClosed}}},
		"looping": {claim: domain.Claim{State: domain.ClaimLooping}, want: outcome{result: contract.SendResult{State: contract.SendLooping}}},
		"overtaken": {
			claim: domain.Claim{State: domain.ClaimOvertaken}, want: outcome{result: contract.SendResult{State: contract.SendOvertaken}},
		},
		"the pair is taken": {
			err:  &domain.Error{Kind: domain.KindBusy, Message: "another message of this pair is being sent", RetryAfter: time.Second},
			want: outcome{kind: domain.KindBusy, words: "another message", wait: time.Second},
		},
		"accepted before, in another attempt": {
			claim: resolved(domain.Attempt{Number: 1, State: domain.AttemptAccepted, Status: domain.StatusDelivered, ErrorCode: 7}),
			want:  outcome{result: contract.SendResult{State: contract.SendAccepted, Attempt: 1, Status: domain.StatusDelivered, ErrorCode: 7}},
		},
		"refused before": {
			claim: resolved(domain.Attempt{Number: 3, State: domain.AttemptRefused, ErrorCode: 21211, ErrorKind: domain.KindDenied}),
			want:  outcome{result: contract.SendResult{State: contract.SendRefused, ErrorCode: 21211}},
		},
		"refused before for our account's sake": {
			claim: resolved(domain.Attempt{Number: 3, State: domain.AttemptRefused, ErrorCode: 20003, ErrorKind: domain.KindConfiguration, Error: "authenticate"}),
			want:  outcome{kind: domain.KindConfiguration, words: "authenticate", code: 20003},
		},
		"not sent before": {
			claim: resolved(domain.Attempt{Number: 3, State: domain.AttemptNotSent, Error: "refused connection"}),
			want:  outcome{kind: domain.KindThrottled, words: "not sent yet: refused connection"},
		},
		"unknown before": {
			claim: resolved(domain.Attempt{Number: 3, State: domain.AttemptUnknown}),
			want:  outcome{kind: domain.KindUnknownOutcome, words: "may have been sent"},
		},
		"resolved as nothing known": {
			claim: resolved(domain.Attempt{Number: 3, State: "surprise"}),
			want:  outcome{kind: domain.KindInternal, words: "no such attempt state"},
		},
		"nothing known": {claim: domain.Claim{State: "surprise"}, want: outcome{kind: domain.KindInternal, words: "no such claim state"}},
		"no claim": {
			err: domain.Errorf(domain.KindUnavailable, "no database"), want: outcome{kind: domain.KindUnavailable, words: "no database"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig()
			r.store.claim, r.store.claimErr = test.claim, test.err
			result, err := r.send(t.Context())
			test.want.check(t, result, err)
			if len(r.twilio.posts)+len(r.store.resolved)+len(r.accounts.asked) > 0 {
				t.Errorf("%d POSTs and %d answers stored, want none", len(r.twilio.posts), len(r.store.resolved))
			}
		})
	}
}

// The four classes of one POST, each stored as it is.
func TestSendAnswered(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer messaging.Answer
		want   outcome
	}{
		"refused for good": {
			messaging.Answer{State: domain.AttemptRefused, ErrorCode: 21610, ErrorKind: domain.KindDenied, Error: "opted out"},
			outcome{result: contract.SendResult{State: contract.SendRefused, ErrorCode: 21610}},
		},
		"refused until somebody mends it": {
			messaging.Answer{State: domain.AttemptRefused, ErrorCode: 20003, ErrorKind: domain.KindConfiguration, Error: "authenticate"},
			outcome{kind: domain.KindConfiguration, words: "authenticate", code: 20003},
		},
		"not sent": {
			messaging.Answer{State: domain.AttemptNotSent, ErrorCode: 20429, Error: "too many requests", RetryAfter: 7 * time.Second},
			outcome{kind: domain.KindThrottled, words: "not sent yet: too many requests", wait: 7 * time.Second, code: 20429},
		},
		"unknown": {
			messaging.Answer{State: domain.AttemptUnknown, Error: "time-out"},
			outcome{kind: domain.KindUnknownOutcome, words: "may have been sent"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig()
			r.twilio.answer = test.answer
			result, err := r.send(t.Context())
			test.want.check(t, result, err)
			want := domain.Resolution{
				AttemptKey: key, OwnerID: "owner-1", BegunAt: granted().BegunAt, State: test.answer.State, ErrorCode: test.answer.ErrorCode, ErrorKind: test.answer.ErrorKind, Error: test.answer.Error,
			}
			if len(r.twilio.posts) != 1 || len(r.store.resolved) != 1 || r.store.resolved[0] != want {
				t.Errorf("%d POSTs; stored %+v, want %+v", len(r.twilio.posts), r.store.resolved, want)
			}
		})
	}
}

// A login that Twilio does not accept sends nothing. Where there is another one, the attempt is claimed afresh and sent with that, once with
// each; where there is none, an operator has to mend it.
func TestSendWithAnotherLogin(t *testing.T) {
	t.Parallel()
	refusal := messaging.Answer{State: domain.AttemptRefused, ErrorCode: 20003, ErrorKind: domain.KindConfiguration, Error: "authenticate", LoginRefused: true}
	otherwise := refusal
	otherwise.LoginRefused = false
	accepted := newRig().twilio.answer
	toBeMended := outcome{kind: domain.KindConfiguration, words: "authenticate", code: 20003}
	for name, test := range map[string]struct {
		others  []domain.Login
		refused []string // of the attempt so far
		answer  messaging.Answer
		used    []domain.Login
		state   domain.AttemptState
		noted   string // the token that the row is to remember
		want    outcome
	}{
		"refused, and there is an older one": {
			[]domain.Login{older}, nil, refusal, []domain.Login{newest}, domain.AttemptNotSent, newest.TokenID,
			outcome{kind: domain.KindThrottled, words: "another one is tried", code: 20003, wait: time.Second},
		},
		"the older one is accepted": {
			[]domain.Login{older}, []string{newest.TokenID}, accepted, []domain.Login{older}, domain.AttemptAccepted, "",
			outcome{result: contract.SendResult{State: contract.SendAccepted, Attempt: 3, Status: domain.StatusQueued}},
		},
		"the older one is refused too": {
			[]domain.Login{older}, []string{newest.TokenID}, refusal, []domain.Login{older}, domain.AttemptRefused, "", toBeMended,
		},
		"there is no other":          {nil, nil, refusal, []domain.Login{newest}, domain.AttemptRefused, "", toBeMended},
		"refused for another reason": {[]domain.Login{older}, nil, otherwise, []domain.Login{newest}, domain.AttemptRefused, "", toBeMended},
		"the older one was dropped meanwhile": {
			nil, []string{newest.TokenID}, accepted, nil, domain.AttemptRefused, "",
			outcome{kind: domain.KindConfiguration, words: "accepts no token of account AC1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig()
			r.accounts.logins, r.store.claim.Refused, r.twilio.answer = test.others, test.refused, test.answer
			result, err := r.send(t.Context())
			test.want.check(t, result, err)
			if !slices.Equal(r.twilio.logins, test.used) {
				t.Errorf("posted with %+v, want %+v", r.twilio.logins, test.used)
			}
			if stored := r.store.resolved; len(stored) != 1 || stored[0].State != test.state || stored[0].Refused != test.noted {
				t.Errorf("stored %+v, want %s and token %q", stored, test.state, test.noted)
			}
		})
	}
}

// The row wins over the answer: a callback may have bound the attempt first. One that is still begun after an unknown answer is to be
// looked for.
func TestSendReturnsWhatTheRowSays(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		row  domain.Attempt
		want outcome
	}{
		"bound by a callback": {
			domain.Attempt{Number: 3, State: domain.AttemptAccepted, Status: domain.StatusSent},
			outcome{result: contract.SendResult{State: contract.SendAccepted, Attempt: 3, Status: domain.StatusSent}},
		},
		"still begun": {domain.Attempt{Number: 3, State: domain.AttemptBegun}, outcome{kind: domain.KindUnknownOutcome, words: "may have been sent"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig()
			r.twilio.answer = messaging.Answer{State: domain.AttemptUnknown, Error: "time-out"}
			r.store.row = &test.row
			result, err := r.send(t.Context())
			test.want.check(t, result, err)
		})
	}
}

// Without credentials nothing is posted. What somebody must mend ends the attempt; what passes by itself leaves it to be claimed afresh.
func TestSendWithoutCredentials(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err    error
		state  domain.AttemptState
		stored domain.Kind
		want   outcome
	}{
		"account removed": {
			domain.Errorf(domain.KindNotFound, "account not found"), domain.AttemptRefused, domain.KindConfiguration,
			outcome{kind: domain.KindConfiguration, words: "account not found"},
		},
		"token not readable": {
			domain.Errorf(domain.KindConfiguration, "wrong keyset"), domain.AttemptRefused, domain.KindConfiguration,
			outcome{kind: domain.KindConfiguration, words: "wrong keyset"},
		},
		"no database": {
			domain.Errorf(domain.KindUnavailable, "no database"), domain.AttemptNotSent, "",
			outcome{kind: domain.KindThrottled, words: "not sent yet: no database"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig()
			r.accounts.err = test.err
			result, err := r.send(t.Context())
			test.want.check(t, result, err)
			if len(r.twilio.posts) != 0 || len(r.store.resolved) != 1 || r.store.resolved[0].State != test.state || r.store.resolved[0].ErrorKind != test.stored {
				t.Errorf("%d POSTs; stored %+v, want %s", len(r.twilio.posts), r.store.resolved, test.state)
			}
		})
	}
}

// A worker that stalls between claim and POST posts nothing: whoever waits may have given the attempt up by then. The time
// counts from before the claim.
func TestSendTooLateSinceTheClaim(t *testing.T) {
	t.Parallel()
	for name, stall := range map[string]func(rig, func()){
		"in the claim":       func(r rig, wait func()) { r.store.onClaim = wait },
		"at the credentials": func(r rig, wait func()) { r.accounts.onAsk = wait },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, in := newRig(), sendInput()
			in.PostWithin = 10 * time.Millisecond
			stall(r, func() { time.Sleep(20 * time.Millisecond) })
			result, err := messaging.New(r.store, r.accounts, r.twilio).Send(t.Context(), in)
			outcome{kind: domain.KindThrottled, words: "too much time had passed"}.check(t, result, err)
			if len(r.twilio.posts) != 0 || len(r.store.resolved) != 1 || r.store.resolved[0].State != domain.AttemptNotSent {
				t.Errorf("%d POSTs; stored %+v", len(r.twilio.posts), r.store.resolved)
			}
		})
	}
}

// Cancelled before the POST, nothing is posted, and the row says so.
func TestSendCancelledBeforeThePost(t *testing.T) {
	t.Parallel()
	r := newRig()
	ctx, cancel := context.WithCancel(t.Context())
	r.accounts.onAsk = cancel
	_, err := r.send(ctx)
	if domain.KindOf(err) != domain.KindThrottled || len(r.twilio.posts) != 0 {
		t.Errorf("%v after %d POSTs", err, len(r.twilio.posts))
	}
	if len(r.store.resolved) != 1 || r.store.resolved[0].State != domain.AttemptNotSent || r.store.ended != nil {
		t.Errorf("stored %+v under a context that had ended: %v", r.store.resolved, r.store.ended)
	}
}

// Cancelled while the POST is under way, it goes on, and its answer is stored: aborted, it would be an unknown.
func TestSendCancelledDuringThePost(t *testing.T) {
	t.Parallel()
	r := newRig()
	step, end := context.WithTimeout(t.Context(), time.Minute) // as every activity's
	defer end()
	ctx, cancel := context.WithCancel(step)
	r.twilio.onPost = cancel
	result, err := r.send(ctx)
	outcome{result: contract.SendResult{State: contract.SendAccepted, Attempt: 3, Status: domain.StatusQueued}}.check(t, result, err)
	if r.twilio.ended != nil {
		t.Errorf("the POST was aborted: %v", r.twilio.ended)
	}
	if len(r.store.resolved) != 1 || r.store.resolved[0].Sid != "SM9" || r.store.ended != nil || !r.store.bounded {
		t.Errorf("stored %+v under a context that had ended: %v", r.store.resolved, r.store.ended)
	}
}

// A worker that stood still until the step's time had passed has an answer that nobody else has: it is stored all the same.
func TestSendAnsweredPastTheStepsTime(t *testing.T) {
	t.Parallel()
	r := newRig()
	step, end := context.WithCancelCause(t.Context())
	defer end(nil)
	r.twilio.onPost = func() { end(context.DeadlineExceeded) }
	result, err := r.send(lapsed{step})
	outcome{result: contract.SendResult{State: contract.SendAccepted, Attempt: 3, Status: domain.StatusQueued}}.check(t, result, err)
	if len(r.store.resolved) != 1 || r.store.ended != nil || !r.store.bounded {
		t.Errorf("stored %+v under a context that had ended: %v", r.store.resolved, r.store.ended)
	}
}

// lapsed is a context whose deadline is past.
type lapsed struct{ context.Context }

func (lapsed) Deadline() (time.Time, bool) { return time.Now().Add(-time.Minute), true }

// An answer that could not be stored is an error; the retry then finds the attempt begun, and does not POST again.
func TestSendAnswerNotStored(t *testing.T) {
	t.Parallel()
	r := newRig()
	r.store.resolveErr = domain.Errorf(domain.KindUnavailable, "no database")
	result, err := r.send(t.Context())
	outcome{kind: domain.KindUnavailable, words: "no database"}.check(t, result, err)
	r.store.claim = domain.Claim{State: domain.ClaimBegun}
	result, err = r.send(t.Context())
	outcome{kind: domain.KindUnknownOutcome, words: "may have been sent"}.check(t, result, err)
	if len(r.twilio.posts) != 1 {
		t.Errorf("%d POSTs, want 1", len(r.twilio.posts))
	}
}

func TestFetchStatus(t *testing.T) {
	t.Parallel()
	broken := domain.Errorf(domain.KindUnavailable, "no answer")
	for name, test := range map[string]struct {
		prepare func(rig)
		want    contract.FetchStatusResult
		kind    domain.Kind
		fetches int
		events  int
	}{
		"moves the row": {
			prepare: func(r rig) {
				r.store.applyStatus = domain.StatusChange{Status: domain.StatusUndelivered, ErrorCode: 30003, Moved: true}
			},
			want: contract.FetchStatusResult{Status: domain.StatusUndelivered, ErrorCode: 30003}, fetches: 1, events: 1,
		},
		"the row knows better": {
			prepare: func(r rig) { r.store.applyStatus = domain.StatusChange{Status: domain.StatusRead} },
			want:    contract.FetchStatusResult{Status: domain.StatusRead}, fetches: 1, events: 1,
		},
		"not accepted": {
			prepare: func(r rig) {
				r.store.accepted = func(string, domain.AttemptKey) (string, string, error) {
					return "", "", domain.Errorf(domain.KindNotFound, "no accepted attempt")
				}
			},
			kind: domain.KindNotFound,
		},
		"no credentials":      {prepare: func(r rig) { r.accounts.err = broken }, kind: domain.KindUnavailable},
		"Twilio fails":        {prepare: func(r rig) { r.twilio.fetchErr = broken }, kind: domain.KindUnavailable, fetches: 1},
		"the row is not read": {prepare: func(r rig) { r.store.applyErr = broken }, kind: domain.KindUnavailable, fetches: 1, events: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig()
			r.twilio.delivery = messaging.Delivery{Status: domain.StatusUndelivered, ErrorCode: 30003, Price: price}
			r.store.accepted = func(ownerID string, asked domain.AttemptKey) (string, string, error) {
				if ownerID != "owner-1" || asked != key {
					t.Errorf("asked for %+v of %s", asked, ownerID)
				}
				return "AC1", "SM9", nil
			}
			test.prepare(r)
			got, err := messaging.New(r.store, r.accounts, r.twilio).FetchStatus(t.Context(), contract.FetchStatusInput{AttemptKey: key, OwnerID: "owner-1"})
			if test.kind == "" && (err != nil || got != test.want) || test.kind != "" && domain.KindOf(err) != test.kind {
				t.Errorf("got %+v, %v, want %+v, %q", got, err, test.want, test.kind)
			}
			if len(r.twilio.fetched) != test.fetches || len(r.store.events) != test.events || len(r.twilio.posts) != 0 {
				t.Errorf("fetched %v, stored %+v", r.twilio.fetched, r.store.events)
			}
			want := domain.StatusEvent{
				AttemptKey: key, AccountSid: "AC1", Sid: "SM9", Status: domain.StatusUndelivered, ErrorCode: 30003, Price: price,
				Source: domain.SourceFetch,
			}
			if test.events > 0 && (r.store.events[0] != want || r.twilio.fetched[0] != "AC1/SM9") {
				t.Errorf("fetched %v, stored %+v, want %+v", r.twilio.fetched, r.store.events, want)
			}
		})
	}
}
