package postgres_test

import (
	"bytes"
	"reflect"
	"slices"
	"testing"
	"time"

	"parley/internal/domain"
	"parley/internal/postgres"
	"parley/internal/testkit"
)

func newSpool(t *testing.T) (*store, *postgres.Spool) {
	t.Helper()
	s := emptyStore(t)
	return s, postgres.NewSpool(s.pool, newCipher(t))
}

// arrived is an inbound message, as the webhook has it.
func arrived(body string) domain.Received {
	r := received(body).Received
	r.ReceivedAt, r.Other = r.ReceivedAt.UTC().Truncate(time.Microsecond), map[string][]string{"FromCity": {"São Paulo"}}
	return r
}

func keyOf(r domain.Received) domain.SpoolKey {
	return domain.SpoolKey{AccountSid: r.AccountSid, MessageSid: r.MessageSid}
}

// take takes all that is due and returns the keys, in a fixed order.
func take(t *testing.T, spool *postgres.Spool, within time.Duration) (keys []domain.SpoolKey) {
	t.Helper()
	taken, err := spool.Take(t.Context(), 100, within)
	must(t, err)
	for _, message := range taken {
		keys = append(keys, message.SpoolKey)
	}
	return keys
}

func TestSpoolKeepsAMessageOnceAndUnreadable(t *testing.T) {
	t.Parallel()
	s, spool := newSpool(t)
	first := arrived(secretBody)
	again := first
	again.ReceivedAt = again.ReceivedAt.Add(time.Hour)
	for _, r := range []domain.Received{first, again} {
		must(t, spool.Put(t.Context(), r))
	}
	for _, row := range rows[string](t, s, `SELECT webhook_spool::text || encode(received, 'escape') FROM webhook_spool`) {
		for _, secret := range []string{secretBody, person, ourNumber, "FromCity"} {
			if bytes.Contains([]byte(row), []byte(secret)) {
				t.Errorf("the row has %q in clear", secret)
			}
		}
	}
	taken, err := spool.Take(t.Context(), 10, time.Minute)
	must(t, err)
	if len(taken) != 1 || taken[0].Err != nil || taken[0].SpoolKey != keyOf(first) || !reflect.DeepEqual(taken[0].Received, first) {
		t.Errorf("took %+v, want once %+v", taken, first)
	}
}

func TestSpoolGivesAMessageToOneAtATime(t *testing.T) {
	t.Parallel()
	s, spool := newSpool(t)
	const messages = 60
	for range messages {
		must(t, spool.Put(t.Context(), arrived("hello")))
	}
	var all []domain.SpoolKey
	for _, keys := range together(parallelism, func(int) (keys []domain.SpoolKey) {
		taken, err := spool.Take(t.Context(), 5, time.Hour)
		if err != nil || len(taken) > 5 {
			t.Errorf("took %d messages, %v", len(taken), err)
		}
		for _, message := range taken {
			keys = append(keys, message.SpoolKey)
		}
		return keys
	}) {
		all = append(all, keys...)
	}
	all = append(all, take(t, spool, time.Hour)...) // what none of them came to
	seen := map[domain.SpoolKey]bool{}
	for _, key := range all {
		if seen[key] {
			t.Errorf("%+v was given twice", key)
		}
		seen[key] = true
	}
	equal(t, "messages given", len(seen), messages)
	equal(t, "messages left in the table", value[int](t, s, `SELECT count(*) FROM webhook_spool`), messages)
}

// What a process took that died is given to another, and what was put back is due at once.
func TestSpoolGivesBackWhatWasNotStarted(t *testing.T) {
	t.Parallel()
	_, spool := newSpool(t)
	lost, returned := arrived("lost"), arrived("returned")
	must(t, spool.Put(t.Context(), lost))
	equal(t, "taken", len(take(t, spool, 200*time.Millisecond)), 1)
	testkit.EventuallyTrue(t, time.Minute, "it is due again", func() bool { return len(take(t, spool, time.Hour)) == 1 })

	must(t, spool.Put(t.Context(), returned))
	equal(t, "taken", len(take(t, spool, time.Hour)), 1)
	equal(t, "taken by another meanwhile", len(take(t, spool, time.Hour)), 0)
	must(t, spool.PutBack(t.Context(), []domain.SpoolKey{keyOf(returned)}))
	if keys := take(t, spool, time.Hour); !slices.Equal(keys, []domain.SpoolKey{keyOf(returned)}) {
		t.Errorf("took %+v, want what was put back", keys)
	}
	for range 2 {
		must(t, spool.Drop(t.Context(), []domain.SpoolKey{keyOf(lost), keyOf(returned)}))
	}
	left, err := spool.List(t.Context(), 10)
	must(t, err)
	equal(t, "left", len(left), 0)
}

// A message that cannot be started for a reason of its own stays, is seen, and holds up no other.
func TestSpoolKeepsWhatIsRefused(t *testing.T) {
	t.Parallel()
	s, spool := newSpool(t)
	refused, waiting := arrived("refused"), arrived("waiting")
	refused.ReceivedAt, waiting.ReceivedAt = time.Now().Add(-time.Hour), time.Now().Add(-time.Minute)
	must(t, spool.Put(t.Context(), refused))
	must(t, spool.Put(t.Context(), waiting))
	for range 20 { // two to the power of that many seconds is more than an interval holds
		must(t, spool.Refuse(t.Context(), keyOf(refused), "Temporal says no "+badUTF8))
	}
	if keys := take(t, spool, 0); !slices.Equal(keys, []domain.SpoolKey{keyOf(waiting)}) {
		t.Errorf("took %+v, want what waits", keys)
	}
	if due := value[bool](t, s, `SELECT due_at BETWEEN now() + interval '4 min' AND now() + interval '5 min' FROM webhook_spool WHERE refusals > 0`); !due {
		t.Error("a message that is always refused is not tried every five minutes")
	}
	list, err := spool.List(t.Context(), 10)
	must(t, err)
	if len(list) != 2 || list[0].SpoolKey != keyOf(refused) || list[0].Refusals != 20 || list[0].Refusal != "Temporal says no "+mendedUTF8 || list[1].Refusals != 0 {
		t.Errorf("listed %+v, want the refused one first", list)
	}
	state, err := spool.State(t.Context())
	must(t, err)
	if state.Waiting != 2 || state.Refused != 1 || state.Oldest < time.Minute || state.Oldest > 30*time.Minute {
		t.Errorf("state %+v, want the age of the one that was not refused", state)
	}
	must(t, spool.Remove(t.Context(), keyOf(refused)))
	wantKind(t, spool.Remove(t.Context(), keyOf(refused)), domain.KindNotFound)
}

func TestSpoolStateOfNothing(t *testing.T) {
	t.Parallel()
	s, spool := newSpool(t)
	state, err := spool.State(t.Context())
	must(t, err)
	equal(t, "state", state, domain.SpoolState{})
	equal(t, "taken", len(take(t, spool, time.Hour)), 0)

	ahead := arrived("by a clock that is ahead")
	ahead.ReceivedAt = time.Now().Add(time.Hour)
	must(t, spool.Put(t.Context(), ahead))
	state, err = spool.State(t.Context())
	must(t, err)
	equal(t, "age", state.Oldest, 0)
	s.pool.Close()
	_, err = spool.State(t.Context())
	wantKind(t, err, domain.KindUnavailable)
	wantKind(t, spool.Put(t.Context(), arrived(secretBody)), domain.KindUnavailable)
}

// A row that was copied to another account, or to another message, does not decrypt; it is told apart, and holds up no other.
func TestSpoolRowBelongsToItsMessage(t *testing.T) {
	t.Parallel()
	s, spool := newSpool(t)
	message := arrived(secretBody)
	must(t, spool.Put(t.Context(), message))
	for _, copied := range []domain.SpoolKey{{AccountSid: rivals, MessageSid: message.MessageSid}, {AccountSid: account, MessageSid: newSid()}} {
		_, err := s.pool.Exec(t.Context(), `
			INSERT INTO webhook_spool (account_sid, message_sid, received, received_at) SELECT $1, $2, received, received_at FROM webhook_spool
			WHERE account_sid = $3 AND message_sid = $4`, copied.AccountSid, copied.MessageSid, account, message.MessageSid)
		must(t, err)
	}
	taken, err := spool.Take(t.Context(), 10, time.Hour)
	must(t, err)
	equal(t, "taken", len(taken), 3)
	for _, each := range taken {
		if each.SpoolKey == keyOf(message) {
			equal(t, "the body", each.Received.Body, secretBody)
			must(t, each.Err)
			continue
		}
		wantKind(t, each.Err, domain.KindConfiguration)
		if !reflect.DeepEqual(each.Received, domain.Received{}) {
			t.Errorf("%+v is read as %+v", each.SpoolKey, each.Received)
		}
	}
}
