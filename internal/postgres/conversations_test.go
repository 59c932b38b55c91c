package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"parley/internal/domain"
	"parley/internal/testkit"
)

// conversation is the id of the one that the flow's message is filed under.
func (f flow) conversation(t *testing.T) string {
	t.Helper()
	return value[string](t, f.store, `SELECT coalesce(conversation_id, '') FROM messages WHERE message_id = $1`, f.messageID)
}

// history is all that is stored about the conversation of the flow's message.
func (f flow) history(t *testing.T) domain.ConversationHistory {
	t.Helper()
	history, err := f.messages.Conversation(t.Context(), f.conversation(t), domain.MaxConversation)
	must(t, err)
	return history
}

// wantEvents checks what happened to a conversation, each as "change actor reason".
func wantEvents(t *testing.T, history domain.ConversationHistory, want ...string) {
	t.Helper()
	var got []string
	for _, event := range history.Events {
		if event.At.IsZero() {
			t.Errorf("an event without a time: %+v", event)
		}
		got = append(got, fmt.Sprint(event.Change, " ", event.Actor, " ", event.Reason))
	}
	if !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// quiet lets an owner's usual time pass, and more, since the last message of a conversation.
func (f flow) quiet(t *testing.T) {
	t.Helper()
	_, err := f.pool.Exec(t.Context(), `UPDATE conversations SET last_message_at = last_message_at - interval '25 hours' WHERE conversation_id = $1`, f.conversation(t))
	must(t, err)
}

const idleBatch = 500

func (s *store) closeIdle(t *testing.T) int {
	t.Helper()
	closed, err := s.messages.CloseIdleConversations(t.Context(), idleBatch)
	must(t, err)
	return closed
}

// closeQuiet closes the conversation of a flow's message as one that is idle.
func (s *store) closeQuiet(t *testing.T, f flow) {
	t.Helper()
	f.quiet(t)
	equal(t, "closed", s.closeIdle(t), 1)
}

func TestMessagesOfAPairAreFiledUnderOneConversation(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", twoParts())
	f.send(t, 1, 1)
	f.send(t, 2, 1)
	ours := s.outbound(t, "News of ours")
	again := s.inbound(t, "Thanks", "")
	for _, other := range []flow{ours, again} {
		equal(t, "conversation", other.conversation(t), f.conversation(t))
	}
	equal(t, "messages without one", value[int](t, s, `SELECT count(*) FROM messages WHERE conversation_id IS NULL`), 0)
	elsewhere := s.another().inbound(t, "Hello", "")
	if elsewhere.conversation(t) == f.conversation(t) {
		t.Error("two people are in one conversation")
	}
	history := f.history(t)
	wantEvents(t, history, "opened person message "+f.messageID)
	c := history.Conversation
	if c.OwnerID != acme || c.Channel != domain.ChannelSMS || c.OurAddress != ourNumber || c.TheirAddress != person || c.State != domain.ConversationOpen ||
		c.PreviousID != "" || c.ClosedAt != nil || c.LastMessageAt.Before(c.OpenedAt) {
		t.Errorf("conversation %+v", c)
	}
	var said []string
	for _, m := range history.Messages {
		said = append(said, fmt.Sprint(m.Direction, " ", len(m.Body)))
	}
	if want := []string{"inbound 5", "outbound 1600", "outbound 200", "outbound 12", "inbound 6"}; !slices.Equal(said, want) {
		t.Errorf("messages %q, want %q", said, want)
	}
}

// A step that runs twice, and one attempt claimed twice, file nothing twice.
func TestFilingTwiceIsFilingOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	in := received("Hello")
	for range 2 {
		_, err := s.messages.RecordInbound(t.Context(), in)
		must(t, err)
	}
	out := outbound("News")
	for range 2 {
		_, err := s.messages.RecordOutbound(t.Context(), out)
		must(t, err)
	}
	f := s.inbound(t, "And?", "An answer")
	f.begin(t, 1, 1)
	f.resolve(t, 1, 1, domain.Resolution{State: domain.AttemptNotSent})
	f.begin(t, 1, 1)
	equal(t, "conversations", value[int](t, s, `SELECT count(*) FROM conversations`), 1)
	equal(t, "events", value[int](t, s, `SELECT count(*) FROM conversation_events`), 1)
	equal(t, "next seq", value[int](t, s, `SELECT next_seq FROM pairs`), 5)

	// A message that comes once more, after its conversation was closed, opens no other.
	s.closeQuiet(t, f)
	_, err := s.messages.RecordInbound(t.Context(), in)
	must(t, err)
	_, err = s.messages.RecordOutbound(t.Context(), out)
	must(t, err)
	equal(t, "conversations", value[int](t, s, `SELECT count(*) FROM conversations`), 1)
}

func TestAMessageAfterClosingOpensALinkedConversation(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(*testing.T, *store) (flow, string){
		"theirs":  func(t *testing.T, s *store) (flow, string) { return s.inbound(t, "Hello again", ""), "person" },
		"ours":    func(t *testing.T, s *store) (flow, string) { return s.outbound(t, "News of ours"), "parley" },
		"a reply": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			first := s.inbound(t, "Hello", "An answer")
			s.closeQuiet(t, first)
			equal(t, "once more", s.closeIdle(t), 0)
			closed := first.history(t)
			wantEvents(t, closed, "opened person message "+first.messageID, "closed parley nothing was written for 24:00:00")
			if closed.Conversation.State != domain.ConversationClosed || closed.Conversation.ClosedAt == nil {
				t.Errorf("closed as %+v", closed.Conversation)
			}
			var next flow
			actor := "parley"
			if write != nil {
				next, actor = write(t, s)
			} else { // to the message before
				first.send(t, 1, 1)
				next = flow{store: s, messageID: value[string](t, s, `SELECT message_id FROM messages WHERE in_reply_to = $1`, first.messageID)}
			}
			history := next.history(t)
			wantEvents(t, history, "opened "+actor+" message "+next.messageID)
			equal(t, "previous", history.Conversation.PreviousID, first.conversation(t))
			equal(t, "live", value[int](t, s, `SELECT count(*) FROM conversations WHERE state <> 'closed'`), 1)
		})
	}
}

func TestAConversationIsLinkedToTheLastOne(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	before := ""
	for range 4 {
		f := s.inbound(t, "Hello", "")
		equal(t, "previous", f.history(t).Conversation.PreviousID, before)
		must(t, s.messages.CloseConversation(t.Context(), f.conversation(t), "done"))
		before = f.conversation(t)
	}
}

// Each owner has a time of their own; a message, and a reply, begin it anew.
func TestIdleConversationsAreClosed(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	must(t, s.directory.SetSettings(t.Context(), acme, map[string]string{"conversation_idle": "1h"}))
	theirs := received("Hello")
	theirs.OwnerID, theirs.Received.AccountSid = rival, rivals
	_, err := s.messages.RecordInbound(t.Context(), theirs)
	must(t, err)
	_, err = s.pool.Exec(t.Context(), `INSERT INTO owner_settings VALUES ($1, 'conversation_idle', 'soon')`, rival) // not one that SetSettings stores
	must(t, err)
	old, answered, fresh := s.another().inbound(t, "Hello", ""), s.another().inbound(t, "Hello", "An answer"), s.another().inbound(t, "Hello", "")
	_, err = s.pool.Exec(t.Context(), `UPDATE conversations SET last_message_at = now() - interval '61 minutes' WHERE conversation_id <> $1`, fresh.conversation(t))
	must(t, err)
	answered.send(t, 1, 1)
	equal(t, "closed", s.closeIdle(t), 1)
	equal(t, "the old one", old.history(t).Conversation.State, domain.ConversationClosed)
	wantEvents(t, old.history(t), "opened person message "+old.messageID, "closed parley nothing was written for 01:00:00")
	equal(t, "live", value[int](t, s, `SELECT count(*) FROM conversations WHERE state <> 'closed'`), 3)
	_, err = s.pool.Exec(t.Context(), `UPDATE conversations SET last_message_at = now() - interval '25 hours' WHERE owner_id = $1`, rival)
	must(t, err)
	equal(t, "of an owner whose setting is not readable", s.closeIdle(t), 1)
}

func TestIdleConversationsAreClosedInBatches(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", "")
	_, err := s.pool.Exec(t.Context(), `
		WITH more AS (
			INSERT INTO pairs (pair_id, owner_id, channel, our_address, their_address)
			SELECT 'p' || n, owner_id, channel, our_address, '+1556' || n FROM pairs, generate_series(1, 1199) n RETURNING pair_id
		)
		INSERT INTO conversations (conversation_id, owner_id, pair_id, contact_id)
		SELECT 'c' || more.pair_id, owner_id, more.pair_id, contact_id FROM conversations, more`)
	must(t, err)
	_, err = s.pool.Exec(t.Context(), `UPDATE conversations SET last_message_at = now() - interval '2 days'`)
	must(t, err)
	batches := together(2, func(int) int {
		n, err := s.messages.CloseIdleConversations(t.Context(), idleBatch)
		if err != nil {
			t.Error(err)
		}
		return n
	})
	for len(batches) < 10 && batches[len(batches)-1] > 0 {
		batches = append(batches, s.closeIdle(t))
	}
	sum := 0
	for _, n := range batches {
		if n > idleBatch {
			t.Errorf("a batch of %d", n)
		}
		sum += n
	}
	equal(t, "closed", sum, 1200)
	equal(t, "events", value[int](t, s, `SELECT count(*) FROM conversation_events WHERE event = 'closed'`), 1200)
	equal(t, "the first one", f.history(t).Conversation.State, domain.ConversationClosed)
}

// waiting waits until so many transactions wait for a lock.
func (s *store) waiting(t *testing.T, n int) {
	t.Helper()
	testkit.EventuallyTrue(t, time.Minute, fmt.Sprint(n, " transactions wait"), func() bool {
		return value[int](t, s, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == n
	})
}

// A message that comes while its conversation is being closed is filed under the next one; where it was there first, its conversation stays. Either is held in
// the middle of its transaction, by the row of the owner that both refer to.
func TestAMessageThatComesWhileItsConversationIsClosed(t *testing.T) {
	t.Parallel()
	held := func(t *testing.T) (s *store, first flow, release func()) {
		s = newStore(t)
		first = s.inbound(t, "Hello", "")
		first.quiet(t)
		tx, err := s.pool.Begin(t.Context())
		must(t, err)
		_, err = tx.Exec(t.Context(), `SELECT FROM owners WHERE owner_id = $1 FOR UPDATE`, acme)
		must(t, err)
		return s, first, func() { must(t, tx.Rollback(t.Context())) }
	}
	record := func(t *testing.T, s *store) <-chan flow {
		done := make(chan flow, 1)
		go func() {
			in := received("Hello again")
			recorded, err := s.messages.RecordInbound(context.WithoutCancel(t.Context()), in)
			if err != nil {
				t.Error(err)
			}
			done <- flow{s, recorded.MessageID, in.WorkflowID, ""}
		}()
		return done
	}
	t.Run("the closing was first", func(t *testing.T) {
		t.Parallel()
		s, first, release := held(t)
		closed := make(chan int, 1)
		go func() {
			n, err := s.messages.CloseIdleConversations(context.WithoutCancel(t.Context()), idleBatch)
			if err != nil {
				t.Error(err)
			}
			closed <- n
		}()
		s.waiting(t, 1)
		recorded := record(t, s)
		s.waiting(t, 2)
		release()
		equal(t, "closed", <-closed, 1)
		next := (<-recorded).history(t).Conversation
		equal(t, "the message's", next.State, domain.ConversationOpen)
		equal(t, "linked to", next.PreviousID, first.conversation(t))
	})
	t.Run("the message was first", func(t *testing.T) {
		t.Parallel()
		s, first, release := held(t)
		recorded := record(t, s)
		s.waiting(t, 1)
		equal(t, "closed", s.closeIdle(t), 0)
		release()
		f := <-recorded
		equal(t, "the message's", f.conversation(t), first.conversation(t))
		equal(t, "state", f.history(t).Conversation.State, domain.ConversationOpen)
		equal(t, "closed afterwards", s.closeIdle(t), 0)
	})
}

// Whatever the order, no message is filed under a conversation that was closed before, and a pair has one live conversation at most.
func TestMessagesAndClosingAtOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	people := make([]*store, 8)
	for i := range people {
		people[i] = s.another()
		people[i].inbound(t, "Hello", "")
	}
	for range 5 {
		_, err := s.pool.Exec(t.Context(), `UPDATE conversations SET last_message_at = now() - interval '2 days' WHERE state <> 'closed'`)
		must(t, err)
		for _, err := range together(parallelism-2, func(i int) error {
			if i < 4 {
				_, err := insistOn(t.Context(), s.messages.CloseIdleConversations, idleBatch)
				return err
			}
			in := received(fmt.Sprint("Message ", i))
			in.Received.From = people[i%len(people)].person
			_, err := insistOn(t.Context(), s.messages.RecordInbound, in)
			return err
		}) {
			must(t, err)
		}
	}
	equal(t, "filed after the end", value[int](t, s, `
		SELECT count(*) FROM messages JOIN conversations USING (conversation_id) WHERE closed_at IS NOT NULL AND last_message_at > closed_at`), 0)
	equal(t, "not filed", value[int](t, s, `SELECT count(*) FROM messages WHERE conversation_id IS NULL`), 0)
	equal(t, "chains", value[int](t, s, `SELECT count(*) FROM conversations WHERE previous_id IS NULL`), len(people))
	equal(t, "branches", value[int](t, s, `SELECT count(*) - count(DISTINCT previous_id) FROM conversations WHERE previous_id IS NOT NULL`), 0)
}

func TestOperatorsCloseAndResume(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", "")
	id := f.conversation(t)
	wantKind(t, s.messages.ResumeConversation(t.Context(), id, "why not"), domain.KindConflict)
	must(t, s.messages.CloseConversation(t.Context(), id, "moved to another number \x00"))
	wantKind(t, s.messages.CloseConversation(t.Context(), id, "again"), domain.KindConflict)
	wantKind(t, s.messages.ResumeConversation(t.Context(), id, "again"), domain.KindConflict)
	wantEvents(t, f.history(t), "opened person message "+f.messageID, "closed operator moved to another number \uFFFD")
	for name, err := range map[string]error{
		"close": s.messages.CloseConversation(t.Context(), "nothing", "x"), "resume": s.messages.ResumeConversation(t.Context(), "nothing", "x"),
	} {
		if domain.KindOf(err) != domain.KindNotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := s.messages.Conversation(t.Context(), "nothing", 10)
	wantKind(t, err, domain.KindNotFound)
}

func TestConversationsAreListed(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	first, second := s.another(), s.another()
	closed := first.inbound(t, "Hello", "").conversation(t)
	must(t, s.messages.CloseConversation(t.Context(), closed, "done"))
	open := first.inbound(t, "Hello", "").conversation(t)
	other := second.inbound(t, "Hello", "").conversation(t)
	theirs := received("Hello")
	theirs.OwnerID, theirs.Received.AccountSid, theirs.Received.From = rival, rivals, first.person
	recorded, err := s.messages.RecordInbound(t.Context(), theirs)
	must(t, err)
	rivalOne := flow{store: s, messageID: recorded.MessageID}.conversation(t)
	sms := func(value string) domain.Address { return domain.Address{Channel: domain.ChannelSMS, Value: value} }
	for name, c := range map[string]struct {
		filter domain.ConversationFilter
		want   []string
	}{
		"all":                        {domain.ConversationFilter{}, []string{rivalOne, other, open, closed}},
		"the latest":                 {domain.ConversationFilter{Limit: 2}, []string{rivalOne, other}},
		"an owner's":                 {domain.ConversationFilter{OwnerID: acme}, []string{other, open, closed}},
		"in a state":                 {domain.ConversationFilter{State: domain.ConversationClosed}, []string{closed}},
		"a person's":                 {domain.ConversationFilter{Address: sms(first.person)}, []string{rivalOne, open, closed}},
		"our number's":               {domain.ConversationFilter{Address: sms(ourNumber), OwnerID: acme}, []string{other, open, closed}},
		"a person's, on another way": {domain.ConversationFilter{Address: domain.Address{Channel: domain.ChannelWhatsApp, Value: first.person}}, nil},
		"all at once": {domain.ConversationFilter{
			OwnerID: acme, State: domain.ConversationOpen, Address: sms(first.person), Limit: 5,
		}, []string{open}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.filter.Limit == 0 {
				c.filter.Limit = 100
			}
			list, err := s.messages.Conversations(t.Context(), c.filter)
			must(t, err)
			var got []string
			for _, conversation := range list {
				got = append(got, conversation.ConversationID)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// A message from before there were conversations stays as it is; the next one opens the first conversation of the pair, and a model sees both.
func TestMessagesFromBeforeThereWereConversations(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	old := s.inbound(t, "From before", "An answer")
	_, err := s.pool.Exec(t.Context(), `UPDATE messages SET conversation_id = NULL`)
	must(t, err)
	_, err = s.pool.Exec(t.Context(), `WITH gone AS (DELETE FROM conversation_events) DELETE FROM conversations`)
	must(t, err)
	old.send(t, 1, 1)
	old.finish(t, domain.OutcomeReplied, "")
	equal(t, "the old one's", old.conversation(t), "")
	next := s.inbound(t, "Hello again", "")
	next.wantTurns(t, "> From before", "< An answer", "> Hello again")
	equal(t, "previous", next.history(t).Conversation.PreviousID, "")
}
