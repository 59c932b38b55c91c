package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/internal/domain"
)

func TestSaveReplyKeepsTheFirstDraftAndEveryCost(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", "")
	_, err := s.messages.Draft(t.Context(), acme, f.messageID)
	wantKind(t, err, domain.KindNotFound)

	save := func(text string) domain.SavedReply {
		saved, err := s.messages.SaveReply(t.Context(), domain.NewReply{OwnerID: acme, MessageID: f.messageID, Answers: []string{f.messageID}, Completion: domain.Completion{
			Text: text, Provider: "openai", Model: "small", InputTokens: 120, OutputTokens: 30, Latency: 1500 * time.Millisecond,
		}})
		must(t, err)
		return saved
	}
	equal(t, "an answer without text", save(""), domain.SavedReply{Unanswered: 1})
	equal(t, "another", save(""), domain.SavedReply{Unanswered: 2})
	first := save(twoParts()).Draft
	equal(t, "parts", first.Parts, 2)
	equal(t, "second draft", save("Another answer").Draft, first)
	stored, err := s.messages.Draft(t.Context(), acme, f.messageID)
	must(t, err)
	equal(t, "stored", stored, first)

	runs := f.trace(t).AIRuns
	equal(t, "runs", len(runs), 4)
	want := domain.TracedAIRun{Provider: "openai", Model: "small", InputTokens: 120, OutputTokens: 30, LatencyMS: 1500, CreatedAt: runs[0].CreatedAt}
	equal(t, "run", runs[0], want)

	f.draftID = first.DraftID
	equal(t, "what is sent", f.begin(t, 1, 1).Body, strings.Repeat("a", domain.MaxBody))
}

func TestManyRepliesSavedAtOnceAreOneDraft(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", "")
	type result struct {
		draft domain.SavedReply
		err   error
	}
	results := together(10, func(i int) result {
		draft, err := s.messages.SaveReply(t.Context(), domain.NewReply{
			OwnerID: acme, MessageID: f.messageID, Answers: []string{f.messageID}, Completion: domain.Completion{Text: fmt.Sprintf("Answer %d", i)},
		})
		return result{draft, err}
	})
	for _, r := range results {
		must(t, r.err)
		equal(t, "draft", r.draft, results[0].draft)
	}
	equal(t, "runs", len(f.trace(t).AIRuns), 10)
}

func TestPrompt(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	must(t, s.directory.SetSettings(t.Context(), acme, map[string]string{"instructions": "Be kind."}))
	inbound := func(body string) domain.Turn { return domain.Turn{Direction: domain.Inbound, Body: body} }
	outbound := func(body string) domain.Turn { return domain.Turn{Direction: domain.Outbound, Body: body} }

	first := s.inbound(t, "One", "Answer one")
	first.send(t, 1, 1)
	picture := received("")
	picture.Received.Media = []domain.Media{{URL: "https://example.com/1"}}
	recorded, err := s.messages.RecordInbound(t.Context(), picture)
	must(t, err)
	flow{s, recorded.MessageID, picture.WorkflowID, recorded.DraftID}.send(t, 1, 1)
	s.outbound(t, "News of ours").send(t, 1, 1)
	last := s.inbound(t, "Two", "")
	elsewhere := received("To another number of ours")
	elsewhere.Received.To = "+15550009999"
	_, err = s.messages.RecordInbound(t.Context(), elsewhere)
	must(t, err)
	s.inbound(t, "Three", "") // comes later

	prompt, err := s.messages.Prompt(t.Context(), acme, last.messageID)
	must(t, err)
	equal(t, "instructions", prompt.Instructions, "Be kind.")
	want := []domain.Turn{
		inbound("One"), outbound("Answer one"), inbound("[attachment]"), outbound(domain.TextAttachment.In(domain.English)),
		outbound("News of ours"), inbound("Two"),
	}
	if !slices.Equal(prompt.Turns, want) {
		t.Errorf("got %v, want %v", prompt.Turns, want)
	}

	_, err = s.messages.Prompt(t.Context(), rival, last.messageID)
	wantKind(t, err, domain.KindNotFound)
}

// Somebody whose messages are not answered for a while (no model, a wrong token) is answered later, however many they are.
func TestManyMessagesAreAnsweredByOne(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	var last flow
	for i := range 300 {
		last = s.inbound(t, fmt.Sprintf("Message %d", i), "")
	}
	last.write(t, "An answer to all")
	last.begin(t, 1, 1)
}
