package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"parley/contract"
	"parley/internal/domain"
	"parley/internal/testkit"
)

// conversations returns what `starter conversation list` shows of a person's, the latest first.
func conversations(t *testing.T, s *testkit.Stack, person string, more ...string) []domain.Conversation {
	t.Helper()
	var list struct{ Conversations []domain.Conversation }
	if err := json.Unmarshal([]byte(s.Starter(append([]string{"conversation", "list", "--address", person, "--json"}, more...)...)), &list); err != nil {
		t.Fatal(err)
	}
	return list.Conversations
}

// events returns what happened to a conversation, and by whom.
func events(t *testing.T, s *testkit.Stack, conversationID string) (list []string) {
	t.Helper()
	var history domain.ConversationHistory
	if err := json.Unmarshal([]byte(s.Starter("conversation", "show", conversationID, "--json")), &history); err != nil {
		t.Fatal(err)
	}
	for _, event := range history.Events {
		list = append(list, fmt.Sprintf("%s by %s", event.Change, event.Actor))
	}
	return list
}

// What two machines say to each other comes to an end, by what is said or by how fast; an operator sees it, and lets it go on.
func TestALoopComesToAnEnd(t *testing.T) {
	t.Parallel()
	model := testkit.OpenAI(t, testkit.ModelAnswer{Text: "An answer."})
	s := testkit.NewStack(t, testkit.Options{Env: model.Env(), Settings: []string{"loop_texts=3", "loop_replies=4"}})
	parrot, chatterer := s.Customer(), s.Customer()
	says := func(person, body string, want contract.Outcome) {
		t.Helper()
		awaitOutcome(t, s, s.WorkflowID(s.Say(person, body)), want)
	}
	for range 3 {
		says(parrot, "I am out of office.", "replied")
	}
	says(parrot, "I am out of office.", "looping")
	calls := len(model.Calls())
	says(parrot, "Something else", "looping") // until somebody says so
	if asked := len(model.Calls()); asked != calls {
		t.Errorf("a model was asked %d times about a loop", asked-calls)
	}
	for i := range 4 { // within a minute: who waits for the deliveries too may need longer
		s.Say(chatterer, fmt.Sprintf("Number %d", i))
		testkit.EventuallyTrue(t, soon, "Twilio has accepted an answer", func() bool { return s.Accepted(chatterer) == i+1 })
	}
	says(chatterer, "Number 4", "looping")

	for person, answers := range map[string]int{parrot: 3, chatterer: 4} {
		exactly(t, s, person, answers)
		looping := conversations(t, s, person, "--state", "looping")
		if len(looping) != 1 || looping[0].Reason == "" {
			t.Fatalf("operators see %+v", looping)
		}
		s.Starter("conversation", "resume", looping[0].ConversationID, "--reason", "it was a person")
		says(person, "I am out of office.", "replied")
		exactly(t, s, person, answers+1)
		if got := conversations(t, s, person, "--state", "looping"); len(got) != 0 {
			t.Errorf("after resume operators see %+v", got)
		}
	}
	balanced(t, s)
}

// A conversation is closed by the schedule once nothing was written for the owner's time, or by an operator. The next message opens another,
// linked to it, and the model is shown what was said before.
func TestAConversationsLife(t *testing.T) {
	t.Parallel()
	model := testkit.OpenAI(t, testkit.ModelAnswer{Text: "An answer."})
	s := testkit.NewStack(t, testkit.Options{Env: model.Env(), Settings: []string{"conversation_idle=1h"}})
	person := s.Customer()
	says := func(body string) (list []domain.Conversation) {
		t.Helper()
		awaitOutcome(t, s, s.WorkflowID(s.Say(person, body)), "replied")
		return conversations(t, s, person)
	}
	first := says("My order is 4711")
	if len(first) != 1 || first[0].State != domain.ConversationOpen || first[0].PreviousID != "" {
		t.Fatalf("conversations %+v", first)
	}
	if again := says("And my name is Ana"); len(again) != 1 || again[0].ConversationID != first[0].ConversationID {
		t.Fatalf("conversations %+v", again)
	}
	s.Upkeep(contract.CloseIdle)
	if still := conversations(t, s, person); still[0].State != domain.ConversationOpen {
		t.Fatalf("closed too early: %+v", still)
	}
	s.Starter("owner", "set", s.OwnerID, "conversation_idle=1s")
	testkit.EventuallyTrue(t, soon, "the idle conversation is closed", func() bool {
		s.Upkeep(contract.CloseIdle)
		return conversations(t, s, person)[0].State == domain.ConversationClosed
	})
	s.Starter("owner", "set", s.OwnerID, "conversation_idle=1h")

	second := says("Where is it?")
	if len(second) != 2 || second[0].PreviousID != first[0].ConversationID || second[0].State != domain.ConversationOpen {
		t.Fatalf("conversations %+v", second)
	}
	s.Starter("conversation", "close", second[0].ConversationID, "--reason", "the order has come")
	third := says("One more thing")
	if len(third) != 3 || third[0].PreviousID != second[0].ConversationID {
		t.Fatalf("conversations %+v", third)
	}
	calls := model.Calls()
	if shown := fmt.Sprint(calls[len(calls)-1].Messages); !strings.Contains(shown, "My order is 4711") || !strings.Contains(shown, "Where is it?") {
		t.Errorf("the model is shown %s", shown)
	}
	for id, want := range map[string][]string{
		first[0].ConversationID:  {"opened by person", "closed by parley"},
		second[0].ConversationID: {"opened by person", "closed by operator"},
		third[0].ConversationID:  {"opened by person"},
	} {
		if got := events(t, s, id); !slices.Equal(got, want) {
			t.Errorf("what happened to %s: %q, want %q", id, got, want)
		}
	}
}
