package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"parley/internal/domain"
)

// guarded is a store whose owner stops a conversation after three identical texts within a minute, or two replies.
func guarded(t *testing.T) *store {
	t.Helper()
	s := newStore(t)
	must(t, s.directory.SetSettings(t.Context(), acme, map[string]string{"loop_texts": "3", "loop_window": "1m", "loop_replies": "2"}))
	return s
}

// hear records a message that came some time ago.
func (s *store) hear(t *testing.T, body string, ago time.Duration) (domain.Recorded, flow) {
	t.Helper()
	in := received(body)
	in.Received.From, in.Received.ReceivedAt = s.person, time.Now().Add(-ago)
	recorded, err := s.messages.RecordInbound(t.Context(), in)
	must(t, err)
	return recorded, flow{s, recorded.MessageID, in.WorkflowID, recorded.DraftID}
}

// answer has a message answered with one accepted part.
func (f flow) answer(t *testing.T) {
	t.Helper()
	f.write(t, "An answer")
	f.send(t, 1, 1)
	f.finish(t, domain.OutcomeReplied, "")
}

func TestIdenticalTextsStopAConversation(t *testing.T) {
	t.Parallel()
	s := guarded(t)
	for name, c := range map[string]struct {
		texts []string
		ago   []time.Duration // each text's; none: now
		loops bool            // the last of them is not answered
	}{
		"as many as may be":        {texts: []string{"Hi", "Hi", "Hi"}},
		"one more":                 {texts: []string{"Hi", "Hi", "Hi", "Hi"}, loops: true},
		"others between":           {texts: []string{"Hi", "a", "Hi", "b", "Hi", "c", "d", "e", "Hi"}, loops: true},
		"different ones":           {texts: []string{"Hi", "hi", "Hi ", "Hi!", "Hi.", "Ho"}},
		"pictures":                 {texts: []string{"", "", "", "", ""}},
		"blank texts":              {texts: []string{" ", " ", " ", " ", " "}},
		"consent words count too":  {texts: []string{"HELP", "HELP", "HELP", "HELP"}, loops: true},
		"one is too old":           {texts: []string{"Hi", "Hi", "Hi", "Hi"}, ago: []time.Duration{2 * time.Minute, 0, 0, 0}},
		"all are old, and came so": {texts: []string{"Hi", "Hi", "Hi", "Hi"}, ago: []time.Duration{time.Hour, time.Hour, time.Hour, time.Hour}, loops: true},
		"one came out of order":    {texts: []string{"Hi", "Hi", "Hi", "Hi"}, ago: []time.Duration{0, 0, 0, 2 * time.Minute}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := s.another()
			var recorded domain.Recorded
			var f flow
			for i, body := range c.texts {
				ago := time.Duration(0)
				if c.ago != nil {
					ago = c.ago[i]
				}
				equal(t, "before the last", recorded.Looping, false)
				recorded, f = s.hear(t, body, ago)
			}
			state := f.history(t).Conversation.State
			if !c.loops {
				equal(t, "looping", recorded.Looping, false)
				equal(t, "state", state, domain.ConversationOpen)
				return
			}
			equal(t, "state", state, domain.ConversationLooping)
			if recorded.ConsentWord == "" {
				equal(t, "looping", recorded.Looping, true)
				equal(t, "reply state", f.replyState(t), domain.ReplyNotNeeded)
			}
			events := f.history(t).Events
			equal(t, "why", string(events[1].Change)+" "+string(events[1].Actor)+" "+events[1].Reason, "looping parley more than 3 identical texts within 1m0s")
		})
	}
}

// From then on nothing of the conversation is answered, nor reserved, whatever it says; what somebody else says is.
func TestALoopingConversationIsNotAnswered(t *testing.T) {
	t.Parallel()
	s := guarded(t)
	waiting := s.inbound(t, "A question", "An answer")
	waiting.reserve(t)
	for range 3 {
		s.hear(t, "Hi", 0)
	}
	in := received("Hi")
	first, err := s.messages.RecordInbound(t.Context(), in)
	must(t, err)
	again, err := s.messages.RecordInbound(t.Context(), in)
	must(t, err)
	equal(t, "recorded a second time", again, first)
	equal(t, "the fourth", first.Looping, true)
	f := flow{s, first.MessageID, in.WorkflowID, ""}
	finished := f.finish(t, domain.OutcomeLooping, "two machines")
	equal(t, "outcome", finished.Outcome, domain.OutcomeLooping)
	equal(t, "reason", f.trace(t).Message.Reason, "two machines")

	other, otherFlow := s.hear(t, "Something else", 0)
	equal(t, "another text", other.Looping, true)
	equal(t, "conversation", otherFlow.conversation(t), f.conversation(t))
	picture, _ := s.hear(t, "", 0)
	if !picture.Looping || picture.DraftID != "" {
		t.Errorf("a picture: %+v", picture)
	}
	equal(t, "the one that waited", waiting.ask(t, patient), domain.ClaimLooping)
	equal(t, "events", len(f.history(t).Events), 2)
	for _, m := range rows[string](t, s, `SELECT message_id FROM messages WHERE finished_at IS NULL`) {
		flow{s, m, "", ""}.finish(t, domain.OutcomeCancelled, "")
	}
	equal(t, "usage", s.usage(t, domain.MeterReplies), "0 + 0")

	elsewhere, _ := s.another().hear(t, "Hi", 0)
	equal(t, "somebody else's", elsewhere.Looping, false)
	stop, _ := s.hear(t, "STOP", 0)
	if stop.ConsentWord != domain.WordStop || stop.Looping {
		t.Errorf("STOP: %+v", stop)
	}
	next, _ := s.hear(t, "Hello?", 0)
	if !next.Denied {
		t.Errorf("after STOP: %+v", next)
	}
}

// A claim of a reply finds the conversation looping, but no reply is cut in the middle, and what we write ourselves goes out.
func TestAClaimFindsTheConversationLooping(t *testing.T) {
	t.Parallel()
	s := guarded(t)
	begun := s.inbound(t, "A question", twoParts())
	begun.send(t, 1, 1)
	waiting := s.inbound(t, "Another question", "An answer")
	waiting.reserve(t)
	stale := s.inbound(t, "A third", "To two") // answers the second too: a draft that is written anew would cost a call
	parked := s.another()                      // somebody else, with whom all is well
	well := parked.inbound(t, "Hello", "Fine")
	_, err := s.pool.Exec(t.Context(), `UPDATE conversations SET state = 'looping' WHERE conversation_id = $1`, begun.conversation(t))
	must(t, err)
	equal(t, "part 2", begun.ask2(t), domain.ClaimGranted)
	begun.resolve(t, 2, 1, accepted(newSid()))
	begun.finish(t, domain.OutcomeReplied, "")
	equal(t, "the next reply", waiting.ask(t, domain.TurnBounds{}), domain.ClaimLooping)
	equal(t, "its state", waiting.replyState(t), domain.ReplyNotNeeded)
	equal(t, "its outcome", waiting.finish(t, domain.OutcomeLooping, "").Outcome, domain.OutcomeLooping)
	equal(t, "one whose draft is stale", stale.ask(t, domain.TurnBounds{}), domain.ClaimLooping)
	equal(t, "usage", s.usage(t, domain.MeterReplies), "1 + 0")
	equal(t, "ours", s.outbound(t, "We call you").ask(t, patient), domain.ClaimGranted)
	equal(t, "somebody else's", well.ask(t, patient), domain.ClaimGranted)
}

// ask2 asks for the first attempt of part 2.
func (f flow) ask2(t *testing.T) domain.ClaimState {
	t.Helper()
	claim, err := f.messages.Claim(t.Context(), f.newClaim(2, 1))
	must(t, err)
	return claim.State
}

func TestRepliesOfAMinuteStopAConversation(t *testing.T) {
	t.Parallel()
	s := guarded(t)
	lose := func(t *testing.T, f flow) {
		f.write(t, "An answer")
		f.lose(t, 1, 1)
		f.giveUp(t, domain.OutcomeUnknown, "")
	}
	answer := func(t *testing.T, f flow) { f.answer(t) }
	notSent := func(t *testing.T, f flow) {
		f.write(t, "An answer")
		f.begin(t, 1, 1)
		f.resolve(t, 1, 1, domain.Resolution{State: domain.AttemptNotSent})
		f.finish(t, domain.OutcomeCancelled, "")
	}
	long := func(t *testing.T, f flow) {
		f.write(t, twoParts())
		f.send(t, 1, 1)
		f.send(t, 2, 1)
		f.finish(t, domain.OutcomeReplied, "")
	}
	lastWeek := func(t *testing.T, f flow) { f.answer(t); f.age(t) }
	for name, c := range map[string]struct {
		before []func(*testing.T, flow) // what became of the messages before
		want   domain.ClaimState
	}{
		"one":                    {[]func(*testing.T, flow){answer}, domain.ClaimGranted},
		"two":                    {[]func(*testing.T, flow){answer, answer}, domain.ClaimLooping},
		"of two parts":           {[]func(*testing.T, flow){long}, domain.ClaimGranted},
		"one of two parts":       {[]func(*testing.T, flow){long, answer}, domain.ClaimLooping},
		"one was not sent":       {[]func(*testing.T, flow){answer, notSent}, domain.ClaimGranted},
		"one is old":             {[]func(*testing.T, flow){lastWeek, answer}, domain.ClaimGranted},
		"one may have been sent": {[]func(*testing.T, flow){answer, func(t *testing.T, f flow) { lose(t, f); f.now(t) }}, domain.ClaimLooping},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := s.another()
			first := ""
			for i, before := range c.before {
				f := s.inbound(t, fmt.Sprint("Message ", i), "")
				before(t, f)
				if first == "" {
					first = f.messageID
				}
			}
			s.outbound(t, "News of ours").send(t, 1, 1) // does not count
			f := s.inbound(t, "The last", "")
			f.reserve(t)
			f.write(t, "An answer")
			equal(t, "claim", f.ask(t, patient), c.want)
			if c.want == domain.ClaimGranted {
				equal(t, "state", f.history(t).Conversation.State, domain.ConversationOpen)
				return
			}
			wantEvents(t, f.history(t), "opened person message "+first, "looping parley more than 2 replies within 1m0s")
			equal(t, "reply state", f.replyState(t), domain.ReplyNotNeeded)
			recorded, _ := s.hear(t, "And now?", 0)
			equal(t, "the next", recorded.Looping, true)
		})
	}
}

// now has the flow's attempts begun just now.
func (f flow) now(t *testing.T) {
	t.Helper()
	_, err := f.pool.Exec(t.Context(), `UPDATE send_attempts SET begun_at = now() WHERE message_id = $1`, f.messageID)
	must(t, err)
}

// Two flows that claim at once cannot both be the last that is allowed: the pair lets one in at a time. Here the conversation was closed
// since the message came, and another is opened to say so.
func TestAReplyTooManyAfterItsConversationWasClosed(t *testing.T) {
	t.Parallel()
	s := guarded(t)
	for i := range 2 {
		s.inbound(t, fmt.Sprint("Message ", i), "").answer(t)
	}
	f := s.inbound(t, "The last", "An answer")
	must(t, s.messages.CloseConversation(t.Context(), f.conversation(t), "done"))
	equal(t, "claim", f.ask(t, patient), domain.ClaimLooping)
	live := value[string](t, s, `SELECT conversation_id FROM conversations WHERE state = 'looping'`)
	history, err := s.messages.Conversation(t.Context(), live, 10)
	must(t, err)
	equal(t, "previous", history.Conversation.PreviousID, f.conversation(t))
	wantEvents(t, history, "opened parley message "+f.messageID, "looping parley more than 2 replies within 1m0s")
}

func TestResumingAnswersAgain(t *testing.T) {
	t.Parallel()
	s := guarded(t)
	var last flow
	for i := range 3 {
		last = s.inbound(t, "Hi", "")
		if i < 2 {
			last.answer(t)
		}
	}
	last.write(t, "An answer")
	equal(t, "the third reply", last.ask(t, patient), domain.ClaimLooping)
	recorded, _ := s.hear(t, "Hi", 0)
	equal(t, "the fourth text", recorded.Looping, true)
	must(t, s.messages.ResumeConversation(t.Context(), last.conversation(t), "a person after all"))
	wantEvents(t, last.history(t), "opened person message "+value[string](t, s, `SELECT message_id FROM messages WHERE seq = 1`),
		"looping parley more than 2 replies within 1m0s", "resumed operator a person after all")
	// The count begins anew: as many as at first, and no more.
	for range 2 {
		recorded, f := s.hear(t, "Hi", 0)
		equal(t, "looping", recorded.Looping, false)
		f.answer(t)
	}
	recorded, f := s.hear(t, "Hi", 0)
	equal(t, "the third text since", recorded.Looping, false)
	f.write(t, "An answer")
	equal(t, "the third reply since", f.ask(t, patient), domain.ClaimLooping)
	must(t, s.messages.ResumeConversation(t.Context(), last.conversation(t), ""))
	equal(t, "state", last.history(t).Conversation.State, domain.ConversationOpen)
}

// A looping conversation that was quiet is closed as any other, and the next message is answered. One that is closed while its machine goes on
// is stopped anew.
func TestClosingALoopingConversation(t *testing.T) {
	t.Parallel()
	s := guarded(t)
	var f flow
	for range 4 {
		_, f = s.hear(t, "Hi", 0)
	}
	equal(t, "state", f.history(t).Conversation.State, domain.ConversationLooping)
	s.closeQuiet(t, f)
	recorded, next := s.hear(t, "Good morning", 0)
	equal(t, "another text", recorded.Looping, false)
	equal(t, "previous", next.history(t).Conversation.PreviousID, f.conversation(t))
	recorded, next = s.hear(t, "Hi", 0)
	equal(t, "the same text, within the window", recorded.Looping, true)
	equal(t, "state", next.history(t).Conversation.State, domain.ConversationLooping)
}

// While a conversation loops, nothing confirms a consent word either: two machines may talk in those too.
func TestALoopOfConsentWordsEnds(t *testing.T) {
	t.Parallel()
	s := guarded(t)
	whatsapp := func() domain.NewInbound {
		in := received("HELP")
		in.Received.From, in.Received.To = "whatsapp:"+person, "whatsapp:"+ourNumber
		return in
	}
	for i := range 5 {
		in := whatsapp()
		recorded, err := s.messages.RecordInbound(t.Context(), in)
		must(t, err)
		want := domain.KindHelp
		if i >= 3 {
			want = ""
		}
		equal(t, fmt.Sprint("confirmation of number ", i), recorded.Confirm, want)
		again, err := s.messages.RecordInbound(t.Context(), in)
		must(t, err)
		equal(t, "recorded a second time", again, recorded)
	}
	stop := whatsapp()
	stop.Received.Body = "STOP"
	recorded, err := s.messages.RecordInbound(t.Context(), stop)
	must(t, err)
	equal(t, "STOP", recorded.ConsentWord, domain.WordStop)
	equal(t, "withdrawn", value[string](t, s, `SELECT state FROM consents`), "withdrawn")
}
