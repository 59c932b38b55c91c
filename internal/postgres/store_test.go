package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"parley/internal/domain"
	"parley/internal/postgres"
	"parley/internal/secrets"
	"parley/internal/testkit"
)

// What the tests' world is made of. acme is the owner whom the tests are about, rival one who must see nothing of it.
const (
	acme        = "acme"
	rival       = "rival"
	account     = "AC00000000000000000000000000000001"
	rivals      = "AC00000000000000000000000000000002" // rival's account
	ourNumber   = "+15550001111"
	person      = "+15550002222"
	authToken   = "0123456789abcdef-auth-token"
	secretBody  = "The code of the safe is 4711"
	postWithin  = 8 * time.Minute // long: how an attempt stands must not depend on how fast the tests run
	sendTimeout = 35 * time.Second
	longEnough  = time.Hour
	badUTF8     = "caf\xe9\x00!"
	mendedUTF8  = "caf\uFFFD\uFFFD!"
	parallelism = 20 // connections of a pool: enough for transactions to get into each other's way
)

// store is the stores over a database of the test's own, with two owners.
type store struct {
	url       string
	pool      *pgxpool.Pool
	messages  *postgres.Messages
	directory *postgres.Directory
	person    string // who writes, and is written to: with our number, the pair
	people    *atomic.Int64
}

// another is the same store with another person: flows of one person wait for each other.
func (s *store) another() *store {
	other := *s
	other.person = fmt.Sprintf("+1555%07d", s.people.Add(1))
	return &other
}

// newStore is for tests of what happens to messages: whatever it was, the books balance in the end.
func newStore(t *testing.T) *store {
	t.Helper()
	passTheEndOfAMonth()
	s := emptyStore(t)
	for _, owner := range []struct{ id, account string }{{acme, account}, {rival, rivals}} {
		must(t, s.directory.AddOwner(t.Context(), domain.Owner{OwnerID: owner.id, Name: strings.ToUpper(owner.id)}))
		must(t, s.directory.AddAccount(t.Context(), domain.Account{AccountSid: owner.account}, domain.NewToken{Secret: authToken}))
	}
	must(t, s.directory.AddSender(t.Context(), domain.Sender{AccountSid: account, Channel: domain.ChannelSMS, Address: ourNumber, OwnerID: acme}))
	t.Cleanup(func() { s.balanced(t) })
	return s
}

// passTheEndOfAMonth waits until a month that is about to end has ended: what a test reserves, charges and reads is of one month.
func passTheEndOfAMonth() {
	now := time.Now().UTC()
	end := time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, time.UTC)
	if left := end.Sub(now); left < 5*time.Minute {
		time.Sleep(left)
	}
}

func emptyStore(t *testing.T) *store {
	t.Helper()
	databaseURL := testkit.Postgres(t)
	pool := open(t, edited(t, databaseURL, func(u *url.URL) {
		query := u.Query()
		query.Set("pool_max_conns", strconv.Itoa(parallelism))
		u.RawQuery = query.Encode()
	}))
	return &store{databaseURL, pool, postgres.NewMessages(pool), postgres.NewDirectory(pool, newCipher(t)), person, &atomic.Int64{}}
}

func open(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := postgres.Open(t.Context(), url)
	must(t, err)
	t.Cleanup(pool.Close)
	return pool
}

func newCipher(t *testing.T) *secrets.Cipher {
	t.Helper()
	keyset, err := secrets.Generate()
	must(t, err)
	return cipherOf(t, keyset)
}

// received returns an inbound message of acme's person, with a sid of its own.
func received(body string) domain.NewInbound {
	sid := newSid()
	return domain.NewInbound{
		OwnerID: acme, WorkflowID: "inbound:" + account + ":" + sid, Deadline: time.Now().Add(longEnough),
		Received: domain.Received{
			AccountSid: account, MessageSid: sid, From: person, To: ourNumber, Body: body, ReceivedAt: time.Now(),
		},
	}
}

// outbound returns a message of acme's, with a key of its own.
func outbound(body string) domain.NewOutbound {
	key := uuid.NewString()
	return domain.NewOutbound{
		OwnerID: acme, WorkflowID: "outbound:acme:" + key, AccountSid: account, From: ourNumber, To: person, Body: body, Key: key,
		Deadline: time.Now().Add(longEnough),
	}
}

func newSid() string { return "SM" + strings.ReplaceAll(uuid.NewString(), "-", "") }

// flow is a recorded message as its workflow knows it.
type flow struct {
	*store
	messageID  string
	workflowID string
	draftID    string
}

// inbound records a message and, where reply is not empty, a draft that answers it.
func (s *store) inbound(t *testing.T, body, reply string) flow {
	t.Helper()
	in := received(body)
	in.Received.From = s.person
	recorded, err := s.messages.RecordInbound(t.Context(), in)
	must(t, err)
	f := flow{s, recorded.MessageID, in.WorkflowID, recorded.DraftID}
	if reply != "" {
		f.write(t, reply)
	}
	return f
}

// write stores a model's answer to all that the flow's message is to be answered with at the moment.
func (f *flow) write(t *testing.T, reply string) {
	t.Helper()
	prompt, err := f.messages.Prompt(t.Context(), acme, f.messageID)
	must(t, err)
	saved, err := f.messages.SaveReply(t.Context(), domain.NewReply{
		OwnerID: acme, MessageID: f.messageID, Answers: prompt.Answers, Completion: domain.Completion{Text: reply, Provider: "scripted", Model: "echo"},
	})
	must(t, err)
	f.draftID = saved.Draft.DraftID
}

func (s *store) outbound(t *testing.T, body string) flow {
	t.Helper()
	return s.outboundFrom(t, ourNumber, body)
}

func (s *store) outboundFrom(t *testing.T, number, body string) flow {
	t.Helper()
	in := outbound(body)
	in.From, in.To = number, s.person
	recorded, err := s.messages.RecordOutbound(t.Context(), in)
	must(t, err)
	return flow{s, recorded.MessageID, in.WorkflowID, ""}
}

func (f flow) key(part, attempt int) domain.AttemptKey {
	return domain.AttemptKey{MessageID: f.messageID, Part: part, Attempt: attempt}
}

func (f flow) newClaim(part, attempt int) domain.NewClaim {
	return domain.NewClaim{AttemptKey: f.key(part, attempt), OwnerID: acme, DraftID: f.draftID, PostWithin: postWithin, Timeout: sendTimeout}
}

// begin claims an attempt, which must be granted.
func (f flow) begin(t *testing.T, part, attempt int) domain.Claim {
	t.Helper()
	claim, err := f.messages.Claim(t.Context(), f.newClaim(part, attempt))
	must(t, err)
	if claim.State != domain.ClaimGranted {
		t.Fatalf("claim of part %d, attempt %d: got %q, want it granted", part, attempt, claim.State)
	}
	return claim
}

// resolve stores the answer to a POST.
func (f flow) resolve(t *testing.T, part, attempt int, answer domain.Resolution) domain.Attempt {
	t.Helper()
	answer.AttemptKey, answer.OwnerID, answer.BegunAt = f.key(part, attempt), acme, f.begunAt(t, part, attempt)
	stored, err := f.messages.Resolve(t.Context(), answer)
	must(t, err)
	return stored
}

// begunAt is of the attempt's present claim.
func (f flow) begunAt(t *testing.T, part, attempt int) time.Time {
	t.Helper()
	return value[time.Time](t, f.store, `SELECT begun_at FROM send_attempts WHERE message_id = $1 AND part = $2 AND attempt = $3`, f.messageID, part, attempt)
}

// send claims an attempt and has it accepted; it returns its sid.
func (f flow) send(t *testing.T, part, attempt int) string {
	t.Helper()
	f.begin(t, part, attempt)
	sid := newSid()
	f.resolve(t, part, attempt, accepted(sid))
	return sid
}

// age lets an hour pass since every attempt of the message began: nothing of them can be under way any more.
func (f flow) age(t *testing.T) {
	t.Helper()
	_, err := f.pool.Exec(t.Context(), `
		UPDATE send_attempts SET begun_at = begun_at - interval '1 hour', post_before = post_before - interval '1 hour',
			answer_before = answer_before - interval '1 hour' WHERE message_id = $1`, f.messageID)
	must(t, err)
	_, err = f.pool.Exec(t.Context(), `
		UPDATE pairs SET locked_until = locked_until - interval '1 hour'
		WHERE pair_id = (SELECT pair_id FROM messages WHERE message_id = $1) AND lock_message = $1`, f.messageID)
	must(t, err)
}

func (f flow) declare(t *testing.T, part, attempt int) domain.Attempt {
	t.Helper()
	stored, err := f.messages.DeclareUnknown(t.Context(), acme, f.key(part, attempt))
	must(t, err)
	return stored
}

// lose claims an attempt that is never answered, and declares it unknown.
func (f flow) lose(t *testing.T, part, attempt int) {
	t.Helper()
	f.begin(t, part, attempt)
	f.age(t)
	equal(t, "state", f.declare(t, part, attempt).State, domain.AttemptUnknown)
}

func (f flow) apply(t *testing.T, event domain.StatusEvent) domain.StatusChange {
	t.Helper()
	change, err := f.messages.ApplyStatus(t.Context(), event)
	must(t, err)
	return change
}

func (f flow) newPark(name string) domain.NewPark {
	return domain.NewPark{OwnerID: acme, MessageID: f.messageID, Park: name, Step: "messaging.Send", Reason: "the token is wrong"}
}

func (f flow) park(t *testing.T) {
	t.Helper()
	must(t, f.messages.Park(t.Context(), f.newPark("run/1")))
}

func (f flow) newFinish(believed domain.Outcome, reason string) domain.NewFinish {
	return domain.NewFinish{OwnerID: acme, WorkflowID: f.workflowID, MessageID: f.messageID, Ending: believed, Reason: reason}
}

// finish closes the flow, of which no attempt may be unresolved.
func (f flow) finish(t *testing.T, believed domain.Outcome, reason string) domain.Finished {
	t.Helper()
	finished, err := f.messages.Finish(t.Context(), f.newFinish(believed, reason))
	must(t, err)
	if finished.Unresolved != nil {
		t.Fatalf("not finished: %+v is unresolved", *finished.Unresolved)
	}
	return finished
}

// giveUp closes the flow, whatever became of its attempts, after nothing of them can be under way.
func (f flow) giveUp(t *testing.T, believed domain.Outcome, reason string) domain.Finished {
	t.Helper()
	f.age(t)
	in := f.newFinish(believed, reason)
	in.GiveUp = true
	finished, err := f.messages.Finish(t.Context(), in)
	must(t, err)
	return finished
}

// reservation asks for a unit, past the bounds within which a newer message supersedes.
func (f flow) reservation() domain.NewReservation {
	return domain.NewReservation{OwnerID: acme, WorkflowID: f.workflowID, MessageID: f.messageID}
}

func (f flow) reserve(t *testing.T) {
	t.Helper()
	state, err := f.messages.Reserve(t.Context(), f.reservation())
	must(t, err)
	equal(t, "the plan's answer", state, domain.QuotaGranted)
}

// ledger returns the flow's entries, as "kind meter quantity", in the order of their entry.
func (f flow) ledger(t *testing.T) []string {
	t.Helper()
	return rows[string](t, f.store, `SELECT kind || ' ' || meter || ' ' || quantity FROM ledger WHERE workflow_id = $1 ORDER BY entry_id`, f.workflowID)
}

func (f flow) replyState(t *testing.T) domain.ReplyState {
	t.Helper()
	return value[domain.ReplyState](t, f.store, `SELECT reply_state FROM messages WHERE message_id = $1`, f.messageID)
}

func (f flow) attemptState(t *testing.T, part, attempt int) domain.AttemptState {
	t.Helper()
	return value[domain.AttemptState](t, f.store, `
		SELECT state FROM send_attempts WHERE message_id = $1 AND part = $2 AND attempt = $3`, f.messageID, part, attempt)
}

func (f flow) trace(t *testing.T) domain.Trace {
	t.Helper()
	trace, err := f.messages.Trace(t.Context(), f.messageID)
	must(t, err)
	return trace
}

func accepted(sid string) domain.Resolution {
	return domain.Resolution{State: domain.AttemptAccepted, Sid: sid, Status: domain.StatusQueued}
}

func callback(key domain.AttemptKey, sid string, status domain.Status, errorCode int) domain.StatusEvent {
	return domain.StatusEvent{AttemptKey: key, AccountSid: account, Sid: sid, Status: status, ErrorCode: errorCode, Source: domain.SourceCallback}
}

// value returns the only column of the only row of a query.
func value[T any](t *testing.T, s *store, sql string, args ...any) (v T) {
	t.Helper()
	if err := s.pool.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// rows returns the only column of every row of a query.
func rows[T any](t *testing.T, s *store, sql string, args ...any) (list []T) {
	t.Helper()
	found, err := s.pool.Query(t.Context(), sql, args...)
	must(t, err)
	defer found.Close()
	for found.Next() {
		var v T
		must(t, found.Scan(&v))
		list = append(list, v)
	}
	must(t, found.Err())
	return list
}

// together runs fn n times at once and returns what each returned, in no order.
func together[T any](n int, fn func(i int) T) []T {
	results := make([]T, n)
	ready := make(chan struct{})
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			<-ready
			results[i] = fn(i)
		})
	}
	close(ready)
	running.Wait()
	return results
}

// insist asks until the database answers: many ask at once, on a machine that does other things too. A step does so as well, by its retries.
func insist[T any](ctx context.Context, ask func(context.Context) (T, error)) (answer T, err error) {
	for {
		answer, err = ask(ctx)
		if err == nil || domain.KindOf(err) != domain.KindUnavailable || ctx.Err() != nil {
			return answer, err
		}
	}
}

// insistOn is insist for a call that takes one value.
func insistOn[In, Out any](ctx context.Context, call func(context.Context, In) (Out, error), in In) (Out, error) {
	return insist(ctx, func(ctx context.Context) (Out, error) { return call(ctx, in) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v (kind %s, cause %v)", err, domain.KindOf(err), errors.Unwrap(err))
	}
}

// wantKind checks the kind of an error, and that neither it nor a cause of it repeats what must not stand in a log.
func wantKind(t *testing.T, err error, want domain.Kind) {
	t.Helper()
	if err == nil || domain.KindOf(err) != want {
		t.Errorf("got %v, want kind %s", err, want)
	}
	for cause := err; cause != nil; cause = errors.Unwrap(cause) {
		for _, secret := range []string{person, ourNumber, authToken, secretBody, "hunter2"} {
			if strings.Contains(cause.Error(), secret) {
				t.Errorf("an error repeats a secret: %v", cause)
			}
		}
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// edited returns a database URL with something changed.
func edited(t *testing.T, databaseURL string, edit func(*url.URL)) string {
	t.Helper()
	u, err := url.Parse(databaseURL)
	must(t, err)
	edit(u)
	return u.String()
}
