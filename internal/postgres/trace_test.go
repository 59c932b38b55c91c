package postgres_test

import (
	"strings"
	"testing"

	"parley/internal/domain"
)

func TestTraceFindsAMessageByWhateverTheOperatorHas(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	in := received("Hello")
	recorded, err := s.messages.RecordInbound(t.Context(), in)
	must(t, err)
	saved, err := s.messages.SaveReply(t.Context(), domain.NewReply{
		OwnerID: acme, MessageID: recorded.MessageID, Answers: []string{recorded.MessageID}, Completion: domain.Completion{Text: twoParts(), Provider: "scripted", Model: "echo"},
	})
	must(t, err)
	f := flow{s, recorded.MessageID, in.WorkflowID, saved.Draft.DraftID}
	f.reserve(t)
	f.begin(t, 1, 1)
	f.resolve(t, 1, 1, domain.Resolution{State: domain.AttemptRefused, ErrorCode: 21211, ErrorKind: domain.KindConfiguration, Error: "no such number"})
	sid := f.send(t, 1, 2)
	second := f.send(t, 2, 1)
	_, err = s.messages.ApplyStatus(t.Context(), callback(f.key(1, 2), sid, domain.StatusDelivered, 0))
	must(t, err)
	f.finish(t, domain.OutcomeReplied, "")
	other := s.inbound(t, "Hello again", "Another answer")
	other.send(t, 1, 1)

	ids := map[string]string{
		"workflow id": f.workflowID, "message id": f.messageID, "sid of the message": in.Received.MessageSid,
		"sid of the reply": sid, "sid of its second part": second,
		"message id of a part": value[string](t, s, `SELECT message_id FROM messages WHERE in_reply_to = $1 AND part = 2`, f.messageID),
	}
	for name, id := range ids {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trace, err := s.messages.Trace(t.Context(), id)
			must(t, err)
			equal(t, "message", trace.Message.MessageID, f.messageID)
			equal(t, "outcome", trace.Message.Outcome, domain.OutcomeReplied)
			equal(t, "finished", trace.Message.FinishedAt != nil, true)
			if len(trace.Parts) != 2 || trace.Parts[0].Body != strings.Repeat("a", domain.MaxBody) || trace.Parts[0].Status != domain.StatusDelivered ||
				trace.Parts[0].From != ourNumber || trace.Parts[1].Part != 2 || trace.Parts[1].Segments != 2 || trace.Parts[1].Deadline != nil {
				t.Errorf("parts %+v", trace.Parts)
			}
			if len(trace.Attempts) != 3 || trace.Attempts[0].Error != "no such number" || trace.Attempts[1].TwilioSid != sid || trace.Attempts[2].TwilioSid != second {
				t.Errorf("attempts %+v", trace.Attempts)
			}
			if len(trace.Events) != 1 || trace.Events[0].Status != domain.StatusDelivered || trace.Events[0].Attempt != 2 || trace.Events[0].Source != domain.SourceCallback {
				t.Errorf("events %+v", trace.Events)
			}
			if len(trace.Ledger) != 4 || trace.Ledger[3].Kind != "settle" || trace.Ledger[3].Quantity != 13 {
				t.Errorf("ledger %+v", trace.Ledger)
			}
			if len(trace.AIRuns) != 1 || trace.AIRuns[0].Model != "echo" {
				t.Errorf("runs %+v", trace.AIRuns)
			}
		})
	}
	_, err = s.messages.Trace(t.Context(), "nobody knows")
	wantKind(t, err, domain.KindNotFound)
	_, err = s.messages.Trace(t.Context(), "")
	wantKind(t, err, domain.KindNotFound)
}

// What Twilio said of the inbound URL when it delivered a message by the other one is kept with the message.
func TestTraceOfAMessageThatCameByTheFallbackURL(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for want, other := range map[string]map[string][]string{
		"": nil, "error 11200": {"ErrorCode": {"11200"}}, "error 11200 at https://a.example/x": {"ErrorCode": {"11200"}, "ErrorUrl": {"https://a.example/x"}},
	} {
		in := received("Hello")
		in.Received.Other = other
		_, err := s.messages.RecordInbound(t.Context(), in)
		must(t, err)
		trace, err := s.messages.Trace(t.Context(), in.Received.MessageSid)
		must(t, err)
		equal(t, "fallback", trace.Message.Fallback, want)
	}
}

func TestTraceOfAMessageOfOurs(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.outbound(t, twoParts())
	f.send(t, 1, 1)
	sid := f.send(t, 2, 1)
	for _, id := range []string{f.workflowID, f.messageID, sid} {
		trace, err := s.messages.Trace(t.Context(), id)
		must(t, err)
		equal(t, "message", trace.Message.MessageID, f.messageID)
		equal(t, "status", trace.Message.Status, domain.StatusQueued)
		if len(trace.Parts) != 1 || trace.Parts[0].Part != 2 || len(trace.Attempts) != 2 {
			t.Errorf("got %+v and %+v", trace.Parts, trace.Attempts)
		}
	}
}
