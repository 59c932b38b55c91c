package postgres_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/internal/domain"
)

func TestRecordInbound(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	in := received("Hello")
	in.Received.ProfileName = "Ana"
	in.Received.Media = []domain.Media{{URL: "https://api.twilio.com/media/1", ContentType: "image/png"}}
	in.Received.Other = map[string][]string{"NumSegments": {"1"}, "Tag": {"a", "b"}}
	first, err := s.messages.RecordInbound(t.Context(), in)
	must(t, err)
	equal(t, "recorded", first, domain.Recorded{MessageID: first.MessageID, ReplyState: domain.ReplyPending})

	again := in
	again.Received.Body, again.WorkflowID = "another text under the same sid", "another"
	second, err := s.messages.RecordInbound(t.Context(), again)
	must(t, err)
	equal(t, "recorded a second time", second, first)

	trace := flow{store: s, messageID: first.MessageID}.trace(t)
	m := trace.Message
	if m.OwnerID != acme || m.WorkflowID != in.WorkflowID || m.Direction != domain.Inbound || m.AccountSid != account ||
		m.TwilioSid != in.Received.MessageSid || m.From != person || m.To != ourNumber || m.Body != "Hello" || m.Part != 1 ||
		m.Status != "received" || m.ReplyState != domain.ReplyPending || !slices.Equal(m.Media, in.Received.Media) ||
		m.Deadline == nil || m.Deadline.Sub(in.Deadline).Abs() > time.Millisecond || m.ReceivedAt.Sub(in.Received.ReceivedAt).Abs() > time.Millisecond {
		t.Errorf("stored %+v", m)
	}
	equal(t, "parameters", value[string](t, s, `SELECT parameters FROM messages`), `{"Tag": ["a", "b"], "NumSegments": ["1"]}`)
	equal(t, "contact", value[string](t, s, `SELECT channel || ' ' || address || ' ' || profile_name FROM contacts`), "sms "+person+" Ana")
	equal(t, "pair", value[string](t, s, `SELECT channel || ' ' || our_address || ' ' || their_address || ' ' || next_seq FROM pairs`),
		"sms "+ourNumber+" "+person+" 2")

	stolen := in
	stolen.OwnerID = rival
	_, err = s.messages.RecordInbound(t.Context(), stolen)
	wantKind(t, err, domain.KindConflict)
	equal(t, "contacts of the other owner", value[int](t, s, `SELECT count(*) FROM contacts WHERE owner_id = $1`, rival), 0)
}

func TestRecordInboundThatNothingCanBeDoneAbout(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for name, test := range map[string]struct {
		edit func(*domain.NewInbound)
		want domain.Kind
	}{
		"no address":   {func(in *domain.NewInbound) { in.Received.From = "fax:" + person }, domain.KindInvalid},
		"two channels": {func(in *domain.NewInbound) { in.Received.From = "whatsapp:" + person }, domain.KindInvalid},
		"no owner":     {func(in *domain.NewInbound) { in.OwnerID = "nobody" }, domain.KindNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := received(secretBody)
			test.edit(&in)
			_, err := s.messages.RecordInbound(t.Context(), in)
			wantKind(t, err, test.want)
		})
	}
}

// What a name or a short code sends is stored, obeyed and never answered: nobody can write to them.
func TestRecordInboundOfSomebodyWhomNobodyCanWriteTo(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for _, from := range []string{"O2.co.uk", "12345"} {
		for _, said := range []struct {
			body string
			word domain.ConsentWord
		}{{body: "Your code is 4711"}, {body: " "}, {"STOP", domain.WordStop}} {
			in, want := received(said.body), domain.Recorded{ReplyState: domain.ReplyNotNeeded, Unreachable: true, ConsentWord: said.word}
			in.Received.From = from
			for range 6 { // a conversation whose messages are so much alike would be looping
				in.Received.MessageSid = newSid()
				first, err := s.messages.RecordInbound(t.Context(), in)
				must(t, err)
				want.MessageID = first.MessageID
				equal(t, "recorded", first, want)
				second, err := s.messages.RecordInbound(t.Context(), in)
				must(t, err)
				equal(t, "recorded a second time", second, want)
			}
		}
	}
	equal(t, "outcomes", value[string](t, s, `SELECT string_agg(DISTINCT coalesce(outcome, 'none'), ' ') FROM messages`), "blocked none")
}

func TestMessageWithoutTextGetsTheOwnersFixedAnswer(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	must(t, s.directory.SetSettings(t.Context(), acme, map[string]string{"attachment_text": "Words, please."}))
	in := received(" \n")
	in.Received.Media = []domain.Media{{URL: "https://api.twilio.com/media/1"}}
	first, err := s.messages.RecordInbound(t.Context(), in)
	must(t, err)
	if first.DraftID == "" || first.Parts != 1 {
		t.Fatalf("got %+v, want a draft of one part", first)
	}
	must(t, s.directory.SetSettings(t.Context(), acme, map[string]string{"attachment_text": "Something else."}))
	second, err := s.messages.RecordInbound(t.Context(), in)
	must(t, err)
	equal(t, "recorded a second time", second, first)
	f := flow{s, first.MessageID, in.WorkflowID, first.DraftID}
	claim := f.begin(t, 1, 1)
	equal(t, "what is sent", claim.Body, "Words, please.")
	equal(t, "media that are sent back", len(claim.Media), 0)
}

// What a person wrote is never lost for characters that Postgres cannot store.
func TestTextsThatPostgresCannotStore(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	in := received(badUTF8)
	in.Received.ProfileName = badUTF8
	in.Received.Other = map[string][]string{badUTF8: {badUTF8, "fine"}}
	in.Received.Media = []domain.Media{{URL: "https://example.com/" + badUTF8, ContentType: badUTF8}}
	recorded, err := s.messages.RecordInbound(t.Context(), in)
	must(t, err)
	equal(t, "body", value[string](t, s, `SELECT body FROM messages`), mendedUTF8)
	equal(t, "profile name", value[string](t, s, `SELECT profile_name FROM contacts`), mendedUTF8)
	var parameters map[string][]string
	must(t, json.Unmarshal(value[[]byte](t, s, `SELECT parameters FROM messages`), &parameters))
	if !slices.Equal(parameters[mendedUTF8], []string{mendedUTF8, "fine"}) {
		t.Errorf("parameters %q", parameters)
	}
	media := flow{store: s, messageID: recorded.MessageID}.trace(t).Message.Media
	if !slices.Equal(media, []domain.Media{{URL: "https://example.com/" + mendedUTF8, ContentType: mendedUTF8}}) {
		t.Errorf("media %q", media)
	}

	f := flow{s, recorded.MessageID, in.WorkflowID, ""}
	saved, err := s.messages.SaveReply(t.Context(), domain.NewReply{
		OwnerID: acme, MessageID: f.messageID, Answers: []string{f.messageID}, Completion: domain.Completion{Text: badUTF8, Provider: badUTF8, Model: badUTF8},
	})
	must(t, err)
	f.draftID = saved.Draft.DraftID
	equal(t, "what is sent", f.begin(t, 1, 1).Body, mendedUTF8)
	f.resolve(t, 1, 1, domain.Resolution{State: domain.AttemptRefused, ErrorKind: domain.KindDenied, Error: badUTF8})
	must(t, s.messages.Park(t.Context(), domain.NewPark{OwnerID: acme, MessageID: f.messageID, Park: "run/1", Step: "x", Reason: badUTF8}))
	_, err = s.messages.ApplyStatus(t.Context(), callback(domain.AttemptKey{MessageID: badUTF8, Part: 1, Attempt: 1}, newSid(), badUTF8, 0))
	must(t, err)
	f.finish(t, domain.OutcomeFailed, badUTF8)

	out := outbound(badUTF8)
	out.Key = badUTF8
	first, err := s.messages.RecordOutbound(t.Context(), out)
	must(t, err)
	second, err := s.messages.RecordOutbound(t.Context(), out)
	must(t, err)
	equal(t, "recorded a second time", second, first)

	// A body that is nothing but such a character is a text all the same, to whoever asks.
	nul := s.inbound(t, "\x00", "What do you mean?")
	prompt, err := s.messages.Prompt(t.Context(), acme, nul.messageID)
	must(t, err)
	equal(t, "the last turn", prompt.Turns[len(prompt.Turns)-1], domain.Turn{Direction: domain.Inbound, Body: "\uFFFD"})
}

func TestRecordOutbound(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	in := outbound("Hello")
	first, err := s.messages.RecordOutbound(t.Context(), in)
	must(t, err)
	equal(t, "recorded", first, domain.Recorded{MessageID: first.MessageID, ReplyState: domain.ReplyPending, Parts: 1})
	second, err := s.messages.RecordOutbound(t.Context(), in)
	must(t, err)
	equal(t, "recorded a second time", second, first)
	equal(t, "seq after both", value[int](t, s, `SELECT next_seq FROM pairs`), 2)

	for name, edit := range map[string]func(*domain.NewOutbound){
		"another body":   func(in *domain.NewOutbound) { in.Body = "Bye" },
		"another person": func(in *domain.NewOutbound) { in.To = "+15550003333" },
		"other media":    func(in *domain.NewOutbound) { in.Media = []domain.Media{{URL: "https://example.com/1"}} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed := in
			edit(&changed)
			_, err := s.messages.RecordOutbound(t.Context(), changed)
			wantKind(t, err, domain.KindConflict)
		})
	}
	t.Run("another owner's key", func(t *testing.T) {
		t.Parallel()
		theirs := in
		theirs.OwnerID = rival
		other, err := s.messages.RecordOutbound(t.Context(), theirs)
		must(t, err)
		if other.MessageID == first.MessageID {
			t.Error("a key is an owner's own")
		}
	})
	for name, edit := range map[string]func(*domain.NewOutbound){
		"neither body nor media": func(in *domain.NewOutbound) { in.Body = " " },
		"two channels":           func(in *domain.NewOutbound) { in.To = "whatsapp:" + person },
		"to a name":              func(in *domain.NewOutbound) { in.To = "garbage" },
		"no address":             func(in *domain.NewOutbound) { in.From = "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wrong := outbound(secretBody)
			edit(&wrong)
			_, err := s.messages.RecordOutbound(t.Context(), wrong)
			wantKind(t, err, domain.KindInvalid)
		})
	}
	t.Run("media alone", func(t *testing.T) {
		t.Parallel()
		in := outbound("")
		in.Media = []domain.Media{{URL: "https://example.com/1", ContentType: "image/png"}}
		recorded, err := s.messages.RecordOutbound(t.Context(), in)
		must(t, err)
		equal(t, "parts", recorded.Parts, 1)
		claim := flow{s, recorded.MessageID, in.WorkflowID, ""}.begin(t, 1, 1)
		if claim.Body != "" || !slices.Equal(claim.Media, in.Media) {
			t.Errorf("got %+v", claim)
		}
	})
}

func TestOneMessageRecordedManyTimesAtOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	in := received("Hello")
	type result struct {
		recorded domain.Recorded
		err      error
	}
	results := together(50, func(int) result {
		recorded, err := insistOn(t.Context(), s.messages.RecordInbound, in)
		return result{recorded, err}
	})
	for _, r := range results {
		must(t, r.err)
		equal(t, "recorded", r.recorded, results[0].recorded)
	}
	equal(t, "messages", value[int](t, s, `SELECT count(*) FROM messages`), 1)
	equal(t, "next seq", value[int](t, s, `SELECT next_seq FROM pairs`), 2)
}

func TestMessagesOfOnePairRecordedAtOnceTakeEveryPlaceOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for _, err := range together(20, func(i int) error {
		if i%4 == 0 {
			_, err := insistOn(t.Context(), s.messages.RecordOutbound, outbound(fmt.Sprintf("ours %d", i)))
			return err
		}
		_, err := insistOn(t.Context(), s.messages.RecordInbound, received(fmt.Sprintf("theirs %d", i)))
		return err
	}) {
		must(t, err)
	}
	var want []int
	for seq := range 20 {
		want = append(want, seq+1)
	}
	if got := rows[int](t, s, `SELECT seq FROM messages ORDER BY seq`); !slices.Equal(got, want) {
		t.Errorf("seqs %v, want 1 to 20", got)
	}
}

// Nothing of a message is shown to, or moved by, another owner.
func TestMessagesAreTheirOwners(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, secretBody, "An answer")
	sid := f.send(t, 1, 1)
	theirs := s.inbound(t, "Hello", "")
	before := snapshot(t, s)
	for name, call := range map[string]func() error{
		"Claim": func() error {
			claim := f.newClaim(1, 2)
			claim.OwnerID = rival
			_, err := s.messages.Claim(t.Context(), claim)
			return err
		},
		"Resolve": func() error {
			r := accepted(newSid())
			r.AttemptKey, r.OwnerID = f.key(1, 1), rival
			_, err := s.messages.Resolve(t.Context(), r)
			return err
		},
		"Accepted": func() error { _, _, err := s.messages.Accepted(t.Context(), rival, f.key(1, 1)); return err },
		"Park": func() error {
			return s.messages.Park(t.Context(), domain.NewPark{OwnerID: rival, MessageID: f.messageID, Park: "run/1", Step: "x", Reason: "y"})
		},
		"Finish": func() error {
			_, err := s.messages.Finish(t.Context(), domain.NewFinish{OwnerID: rival, WorkflowID: f.workflowID, MessageID: f.messageID, Ending: domain.OutcomeFailed})
			return err
		},
		"Reserve": func() error {
			_, err := s.messages.Reserve(t.Context(), domain.NewReservation{OwnerID: rival, WorkflowID: f.workflowID, MessageID: f.messageID})
			return err
		},
		"Settle": func() error { _, err := s.messages.Settle(t.Context(), rival, f.workflowID, f.messageID); return err },
		"Draft":  func() error { _, err := s.messages.Draft(t.Context(), rival, f.messageID); return err },
		"Prompt": func() error { _, err := s.messages.Prompt(t.Context(), rival, f.messageID); return err },
		"SaveReply": func() error {
			_, err := s.messages.SaveReply(t.Context(), domain.NewReply{OwnerID: rival, MessageID: theirs.messageID, Completion: domain.Completion{Text: "x"}})
			return err
		},
		"SaveReply without text": func() error {
			_, err := s.messages.SaveReply(t.Context(), domain.NewReply{OwnerID: rival, MessageID: theirs.messageID})
			return err
		},
		"a message that is not there": func() error {
			_, err := s.messages.Draft(t.Context(), acme, strings.Repeat("0", 36))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) { wantKind(t, call(), domain.KindNotFound) })
	}
	equal(t, "rows afterwards", snapshot(t, s), before)
	got, sidAgain, err := s.messages.Accepted(t.Context(), acme, f.key(1, 1))
	must(t, err)
	equal(t, "accepted", got+" "+sidAgain, account+" "+sid)
	_, _, err = s.messages.Accepted(t.Context(), acme, f.key(1, 2))
	wantKind(t, err, domain.KindNotFound)

	// An owner's draft is no use for another owner's message.
	mine := domain.NewInbound{OwnerID: rival, WorkflowID: "inbound:rival", Deadline: time.Now().Add(longEnough), Received: received("Hi").Received}
	mine.Received.AccountSid = rivals
	recorded, err := s.messages.RecordInbound(t.Context(), mine)
	must(t, err)
	_, err = s.messages.Claim(t.Context(), domain.NewClaim{
		AttemptKey: domain.AttemptKey{MessageID: recorded.MessageID, Part: 1, Attempt: 1}, OwnerID: rival, DraftID: f.draftID, PostWithin: postWithin,
	})
	wantKind(t, err, domain.KindNotFound)
	equal(t, "attempts begun for it", value[int](t, s, `SELECT count(*) FROM send_attempts WHERE owner_id = $1`, rival), 0)
}

// snapshot is every row of every table that a flow writes.
func snapshot(t *testing.T, s *store) string {
	t.Helper()
	var all strings.Builder
	for _, table := range []string{"contacts", "pairs", "messages", "drafts", "send_attempts", "message_events", "ledger", "ai_runs"} {
		for _, row := range rows[string](t, s, `SELECT to_jsonb(r)::text FROM `+table+` r ORDER BY 1`) {
			fmt.Fprintln(&all, table, row)
		}
	}
	return all.String()
}
