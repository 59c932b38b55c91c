package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/internal/domain"
)

// turns is what a model is given for the flow's message, each as "> theirs" or "< ours".
func (f flow) turns(t *testing.T) (turns []string) {
	t.Helper()
	prompt, err := f.messages.Prompt(t.Context(), acme, f.messageID)
	must(t, err)
	for _, turn := range prompt.Turns {
		turns = append(turns, map[domain.Direction]string{domain.Inbound: "> ", domain.Outbound: "< "}[turn.Direction]+turn.Body)
	}
	return turns
}

func (f flow) wantTurns(t *testing.T, want ...string) {
	t.Helper()
	if got := f.turns(t); !slices.Equal(got, want) {
		t.Errorf("the model is given %q, want %q", got, want)
	}
}

// After an outage the spool gives many messages back at once, in any order: what is to be answered is read as it was written.
func TestAPromptReadsWhatWasSpooledAsItWasWritten(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	later, earlier := received("No, keep it."), received("Cancel my order.")
	earlier.Received.ReceivedAt = later.Received.ReceivedAt.Add(-time.Second)
	var last domain.Recorded
	for _, in := range []domain.NewInbound{later, earlier} {
		recorded, err := s.messages.RecordInbound(t.Context(), in)
		must(t, err)
		last = recorded
	}
	flow{store: s, messageID: last.MessageID}.wantTurns(t, "> Cancel my order.", "> No, keep it.")
}

// The next message may come before the reply to the one before takes its place in the pair: the model sees the reply all the same.
func TestAPromptSeesAReplyThatWasClaimedAfterTheMessageCame(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	first := s.inbound(t, "One", "Answer one")
	second := s.inbound(t, "Two", "")
	equal(t, "the first goes first", first.ask(t, domain.TurnBounds{}), domain.ClaimGranted)
	second.wantTurns(t, "> One", "< Answer one", "> Two") // it is going out
	first.resolve(t, 1, 1, domain.Resolution{State: domain.AttemptNotSent, ErrorCode: 20429})
	second.wantTurns(t, "> One", "> Two") // it is not: both are to be answered
	first.send(t, 1, 1)
	second.wantTurns(t, "> One", "< Answer one", "> Two")
	s.outbound(t, "News of ours").send(t, 1, 1)
	s.inbound(t, "Three", "")
	second.wantTurns(t, "> One", "< Answer one", "< News of ours", "> Two")
}

func TestAPromptLeavesOutWhatWasNotSaid(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.inbound(t, "STOP", "")
	s.inbound(t, "start", "")
	lost := s.inbound(t, "One", "Never seen")
	lost.lose(t, 1, 1)
	lost.giveUp(t, domain.OutcomeUnknown, "")
	s.outbound(t, "Not sent yet")
	parts := s.outbound(t, twoParts())
	parts.send(t, 1, 1)
	parts.send(t, 2, 1)
	last := s.inbound(t, "Two", "")
	s.outbound(t, "Sent later, but not yet")
	last.wantTurns(t, "> One", "< "+twoParts(), "> Two")
}

// A model sees what was said before in earlier conversations of the pair, and in none of anybody else.
func TestAPromptReachesOverConversations(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	first := s.inbound(t, "One", "Answer one")
	first.send(t, 1, 1)
	s.another().inbound(t, "Somebody else", "")
	s.closeQuiet(t, first)
	second := s.inbound(t, "Two", "")
	if first.conversation(t) == second.conversation(t) {
		t.Fatal("both are in one conversation")
	}
	second.wantTurns(t, "> One", "< Answer one", "> Two")
}

// So it does where the person has another address by now.
func TestAPromptReachesOverAPersonsAddresses(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	before, after := s.another(), s.another()
	first := before.inbound(t, "One", "Answer one")
	first.send(t, 1, 1)
	second := after.inbound(t, "Two", "")
	second.wantTurns(t, "> Two")
	_, err := s.pool.Exec(t.Context(), `
		UPDATE contacts SET merged_into = (SELECT contact_id FROM contacts WHERE address = $1) WHERE address = $2`, before.person, after.person)
	must(t, err)
	second.wantTurns(t, "> One", "< Answer one", "> Two")
	third := before.inbound(t, "Three", "") // comes later, to another turn
	second.wantTurns(t, "> One", "< Answer one", "> Two")
	third.wantTurns(t, "> One", "< Answer one", "> Two", "> Three")
	elsewhere := received("To another number of ours")
	elsewhere.Received.From, elsewhere.Received.To = after.person, "+15550009999"
	recorded, err := s.messages.RecordInbound(t.Context(), elsewhere)
	must(t, err)
	flow{store: s, messageID: recorded.MessageID}.wantTurns(t, "> To another number of ours")
}

func TestAPromptKeepsToTheBudget(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	must(t, s.directory.SetSettings(t.Context(), acme, map[string]string{"prompt_tokens": "100", "loop_replies": "1000"}))
	for i := range 30 {
		f := s.inbound(t, fmt.Sprintf("Message %02d", i), fmt.Sprintf("Answer %03d", i)) // three tokens, and four for the turn
		f.send(t, 1, 1)
		f.finish(t, domain.OutcomeReplied, "")
	}
	turns := s.inbound(t, "The latest", "").turns(t)
	if len(turns) != 14 || turns[0] != "< Answer 023" || turns[13] != "> The latest" {
		t.Errorf("%d turns, %q", len(turns), turns)
	}

	// What is to be answered stays, whatever it takes: cut where it is longer than all that a model may be given.
	asked := s.another()
	asked.inbound(t, "Short", "")
	long := asked.inbound(t, strings.Repeat("long ", 200), "").turns(t)
	if len(long) != 2 || long[0] != "> Short" || !strings.HasPrefix(long[1], "> long long") || !strings.HasSuffix(long[1], "…") || len(long[1]) > 4*100 {
		t.Errorf("%d turns, %q", len(long), long)
	}
}

// What is read for a prompt does not grow with the conversation, nor with what came after the message.
func TestAPromptReadsSoManyMessagesAtMost(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	must(t, s.directory.SetSettings(t.Context(), acme, map[string]string{"prompt_tokens": "100000"}))
	parked := s.inbound(t, "From long ago", "")
	parked.park(t)
	_, err := s.pool.Exec(t.Context(), `
		INSERT INTO messages (message_id, owner_id, pair_id, contact_id, workflow_id, direction, account_sid, from_address, to_address, body, seq,
			reply_state, finished_at, received_at)
		SELECT 'm' || n, owner_id, pair_id, contact_id, 'w' || n, 'inbound', account_sid, from_address, to_address, 'Message ' || n, seq + n,
			'failed', now(), now()
		FROM messages, generate_series(1, 1000) n WHERE message_id = $1`, parked.messageID)
	must(t, err)
	_, err = s.pool.Exec(t.Context(), `UPDATE pairs SET next_seq = 1002`)
	must(t, err)
	parked.wantTurns(t, "> From long ago")
	turns := s.inbound(t, "The latest", "").turns(t)
	if len(turns) != 202 || turns[0] != "> Message 801" || turns[200] != "> From long ago" || turns[201] != "> The latest" {
		t.Errorf("%d turns, from %q to %q", len(turns), turns[0], turns[len(turns)-2:])
	}
}
