package cli_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/internal/domain"
)

// conversations are those that the fake store knows, the latest first: one that loops, and the closed one before it.
func conversations() []domain.Conversation {
	closed := created.Add(25 * time.Hour)
	before := domain.Conversation{
		ConversationID: "c-before", OwnerID: "acme", Channel: domain.ChannelWhatsApp, OurAddress: "+15551230000", TheirAddress: "+15557654321",
		State: domain.ConversationClosed, Reason: "nothing was written for 24:00:00", OpenedAt: created, LastMessageAt: created.Add(time.Hour), ClosedAt: &closed,
	}
	looping := before
	looping.ConversationID, looping.PreviousID, looping.State, looping.ClosedAt = "c-looping", before.ConversationID, domain.ConversationLooping, nil
	looping.Reason = "more than 20 identical texts within 5m0s"
	looping.OpenedAt, looping.LastMessageAt = created.Add(26*time.Hour), created.Add(27*time.Hour)
	return []domain.Conversation{looping, before}
}

func (m messages) Conversations(_ context.Context, f domain.ConversationFilter) (list []domain.Conversation, _ error) {
	for _, c := range conversations() {
		address := f.Address == domain.Address{} || f.Address == domain.Address{Channel: c.Channel, Value: c.OurAddress} ||
			f.Address == domain.Address{Channel: c.Channel, Value: c.TheirAddress}
		if (f.OwnerID == "" || f.OwnerID == c.OwnerID) && (f.State == "" || f.State == c.State) && address && len(list) < f.Limit {
			list = append(list, c)
		}
	}
	return list, nil
}

func (m messages) Conversation(_ context.Context, id string, limit int) (history domain.ConversationHistory, _ error) {
	for _, c := range conversations() {
		if c.ConversationID != id {
			continue
		}
		theirs, ours := inboundMessage("m-theirs", "inbound:looping"), inboundMessage("m-ours", "inbound:looping")
		theirs.ReplyState, theirs.Outcome, theirs.Status = domain.ReplyNotNeeded, domain.OutcomeLooping, "received"
		ours.Direction, ours.ReplyState, ours.Status, ours.Body = domain.Outbound, "", domain.StatusDelivered, "Yes, from nine to six."
		list := []domain.TracedMessage{ours, theirs}
		return domain.ConversationHistory{
			Conversation: c, Messages: list[max(0, len(list)-limit):],
			Events: []domain.ConversationEvent{
				{Change: domain.ConversationOpened, Actor: domain.ActorPerson, Reason: "message m-theirs", At: c.OpenedAt},
				{Change: domain.ConversationLoops, Actor: domain.ActorParley, Reason: c.Reason, At: c.LastMessageAt},
			},
		}, nil
	}
	return history, notFound("conversation")
}

// changeTo notes an operator's word, under what it is and whom it is about.
func (m messages) changeTo(word, id, reason string, from domain.ConversationState) error {
	for _, c := range conversations() {
		if c.ConversationID == id && c.State != from {
			return domain.Errorf(domain.KindConflict, "the conversation is %s", c.State)
		}
		if c.ConversationID == id {
			m[word+" "+id] = domain.Trace{Message: domain.TracedMessage{Reason: reason}}
			return nil
		}
	}
	return notFound("conversation")
}

func (m messages) CloseConversation(_ context.Context, id, reason string) error {
	return m.changeTo("close", id, reason, domain.ConversationLooping)
}

func (m messages) ResumeConversation(_ context.Context, id, reason string) error {
	return m.changeTo("resume", id, reason, domain.ConversationLooping)
}

func TestConversationsAreFiltered(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"c-looping", "c-before"}},
		{[]string{"--limit", "1"}, []string{"c-looping", "There are more"}},
		{[]string{"--limit", "2"}, []string{"c-looping", "c-before"}},
		{[]string{"--state", "looping"}, []string{"c-looping"}},
		{[]string{"--state", "closed", "--owner", "acme"}, []string{"c-before"}},
		{[]string{"--address", "whatsapp:+15557654321"}, []string{"c-looping", "c-before"}},
		{[]string{"--address", "+15557654321"}, []string{"no such conversation"}},
		{[]string{"--state", "open"}, []string{"no such conversation"}},
	} {
		out, _ := newStarter().must(t, 0, slices.Concat([]string{"conversation", "list"}, c.args)...)
		for _, word := range []string{"c-looping", "c-before", "There are more", "no such conversation"} {
			found := slices.ContainsFunc(strings.Split(out, "\n"), func(line string) bool { return strings.HasPrefix(line, word) })
			if found != slices.Contains(c.want, word) {
				t.Errorf("%v prints\n%swant %v", c.args, out, c.want)
			}
		}
	}
}

func TestConversationsAreChanged(t *testing.T) {
	t.Parallel()
	s := newStarter()
	s.must(t, 0, "conversation", "close", "c-looping", "--reason", "a machine")
	s.must(t, 0, "conversation", "resume", "c-looping", "--reason", "a person")
	for word, want := range map[string]string{"close c-looping": "a machine", "resume c-looping": "a person"} {
		if got, ok := s.messages[word]; !ok || got.Message.Reason != want {
			t.Errorf("%s: %q, want %q", word, got.Message.Reason, want)
		}
	}
	for _, wrong := range []struct {
		code int
		args []string
	}{
		{4, []string{"close", "c-before", "--reason", "x"}},
		{4, []string{"resume", "c-before", "--reason", "x"}},
		{3, []string{"close", "c-none", "--reason", "x"}},
		{3, []string{"resume", "c-none", "--reason", "x"}},
		{3, []string{"show", "c-none"}},
		{2, []string{"close", "c-looping"}},
		{2, []string{"resume", "c-looping"}},
		{2, []string{"show"}},
		{2, []string{"show", "c-looping", "--limit", "0"}},
		{2, []string{"show", "c-looping", "--limit", "1001"}},
		{2, []string{"list", "--limit", "0"}},
		{2, []string{"list", "--state", "sleeping"}},
		{2, []string{"list", "--address", "fax:12345"}},
		{3, []string{"list", "--owner", "nobody"}},
	} {
		s.must(t, wrong.code, slices.Concat([]string{"conversation"}, wrong.args)...)
	}
}
