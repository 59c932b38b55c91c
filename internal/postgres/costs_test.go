package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/internal/domain"
)

func cents(n int64, currency string) *domain.Money {
	return &domain.Money{Micros: n * 10_000, Currency: currency}
}

// costs returns acme's costs of a month, as "source count tokens-in tokens-out sum".
func (s *store) costs(t *testing.T, month time.Time) (lines []string) {
	t.Helper()
	list, err := s.directory.Costs(t.Context(), acme, month)
	must(t, err)
	for _, cost := range list {
		sum := "not known"
		if cost.Sum != nil {
			sum = cost.Sum.String()
		}
		lines = append(lines, fmt.Sprintf("%s %d %d %d %s", cost.Source, cost.Count, cost.InputTokens, cost.OutputTokens, sum))
	}
	return lines
}

func sameLines(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Every call of a model costs, whether its draft is sent, superseded, or no draft at all; of what has no price nobody says that it is free.
func TestCostsOfAModel(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	write := func(f flow, text string, cost *domain.Money) {
		t.Helper()
		prompt, err := s.messages.Prompt(t.Context(), acme, f.messageID)
		must(t, err)
		_, err = s.messages.SaveReply(t.Context(), domain.NewReply{OwnerID: acme, MessageID: f.messageID, Answers: prompt.Answers, Completion: domain.Completion{
			Text: text, Provider: "openai", Model: "m", InputTokens: 10, OutputTokens: 5, Cost: cost,
		}})
		must(t, err)
	}
	older := s.inbound(t, "Hello", "")
	write(older, "Superseded", cents(1, "USD"))
	newer := s.inbound(t, "Are you there?", "")
	write(newer, "", cents(2, "USD"))
	write(newer, "To both", cents(3, "USD"))
	write(newer, "To both, by an execution that came late", cents(4, "EUR"))
	write(s.another().inbound(t, "Hello", ""), "By a worker without prices", nil)
	sameLines(t, "costs", s.costs(t, time.Now()), "model 1 10 5 0.040000 EUR", "model 3 30 15 0.060000 USD", "model 1 10 5 not known")
	sameLines(t, "next month", s.costs(t, time.Now().AddDate(0, 0, 32)))
	if rivals, err := s.directory.Costs(t.Context(), rival, time.Now()); err != nil || len(rivals) != 0 {
		t.Errorf("rival's costs: %v, %v", rivals, err)
	}
	var traced []string
	for _, run := range newer.trace(t).AIRuns {
		traced = append(traced, run.Cost.String())
	}
	sameLines(t, "of a message", traced, "0.020000 USD", "0.030000 USD", "0.040000 EUR")
	if run := older.trace(t).AIRuns[0]; run.InputTokens != 10 || run.OutputTokens != 5 {
		t.Errorf("a superseded draft: %+v", run)
	}
}

// price returns what is known of an attempt's price, and whether Twilio is still to be asked for it.
func (f flow) price(t *testing.T, part, attempt int) string {
	t.Helper()
	return value[string](t, f.store, `
		SELECT coalesce(price_micros || ' ' || price_unit, 'not known') || CASE WHEN price_at IS NULL THEN '' ELSE ', to be asked' END
		FROM send_attempts WHERE message_id = $1 AND part = $2 AND attempt = $3`, f.messageID, part, attempt)
}

// Twilio's price is kept whenever it comes, and by nothing that comes later forgotten.
func TestCostsOfTwilio(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", twoParts())
	f.begin(t, 1, 1)
	equal(t, "before its POST", f.price(t, 1, 1), "not known")
	f.resolve(t, 1, 1, domain.Resolution{State: domain.AttemptRefused, ErrorCode: 21211})
	equal(t, "refused", f.price(t, 1, 1), "not known")
	sid := f.send(t, 1, 2)
	equal(t, "accepted", f.price(t, 1, 2), "not known, to be asked")
	fetched := callback(f.key(1, 2), sid, domain.StatusSent, 0)
	fetched.Source = domain.SourceFetch
	f.apply(t, fetched)
	equal(t, "fetched too early", f.price(t, 1, 2), "not known, to be asked")
	fetched.Price = cents(8, "USD")
	f.apply(t, fetched) // the status is no news, the price is
	equal(t, "fetched", f.price(t, 1, 2), "80000 USD")
	f.apply(t, callback(f.key(1, 2), sid, domain.StatusDelivered, 0))
	f.resolve(t, 1, 2, accepted(sid)) // a late answer to the POST
	equal(t, "after a callback", f.price(t, 1, 2), "80000 USD")
	fetched.Status, fetched.Price = "paused", cents(9, "USD")
	f.apply(t, fetched)
	equal(t, "changed, with a status that nobody knows", f.price(t, 1, 2), "90000 USD")

	found := accepted(newSid())
	found.Price = cents(5, "EUR")
	f.lose(t, 2, 1)
	f.resolve(t, 2, 1, found) // in Twilio's list
	equal(t, "listed", f.price(t, 2, 1), "50000 EUR")
	s.another().outbound(t, "News").send(t, 1, 1)
	sameLines(t, "costs", slices.DeleteFunc(s.costs(t, time.Now()), func(line string) bool { return strings.HasPrefix(line, "model") }),
		"twilio 1 0 0 0.050000 EUR", "twilio 1 0 0 0.090000 USD", "twilio 1 0 0 not known")
	var traced []string
	for _, attempt := range f.trace(t).Attempts {
		traced = append(traced, fmt.Sprint(attempt.Price))
	}
	sameLines(t, "of a message", traced, "<nil>", "0.090000 USD", "0.050000 EUR")
}

// Twilio is asked again and again for a price that it does not tell, by one caller at a time, for two days.
func TestUnpriced(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	waited := func(f flow, since time.Duration) {
		_, err := s.pool.Exec(t.Context(), `UPDATE send_attempts SET price_at = price_at - $2::interval, begun_at = begun_at - $2::interval WHERE message_id = $1`, f.messageID, since)
		must(t, err)
	}
	due := func(most int) (sids []string) {
		t.Helper()
		list, err := s.messages.Unpriced(t.Context(), 6*time.Hour, most)
		must(t, err)
		for _, attempt := range list {
			sids = append(sids, attempt.Sid)
		}
		return sids
	}
	old, older := s.another().outbound(t, "News"), s.another().inbound(t, "Hello", "An answer")
	oldSid, olderSid := old.send(t, 1, 1), older.send(t, 1, 1)
	s.another().outbound(t, "Refused").begin(t, 1, 1)
	sameLines(t, "at once", due(10))
	waited(old, 7*time.Hour)
	waited(older, 8*time.Hour)
	sameLines(t, "one, the oldest", due(1), olderSid)
	list, err := s.messages.Unpriced(t.Context(), 6*time.Hour, 10)
	must(t, err)
	want := domain.Unpriced{OwnerID: acme, AttemptKey: old.key(1, 1), AccountSid: account, Sid: oldSid, Status: domain.StatusQueued}
	if len(list) != 1 || list[0] != want {
		t.Errorf("the other: got %+v, want %+v", list, want)
	}
	sameLines(t, "no more now", due(10))
	waited(older, 6*time.Hour)
	sameLines(t, "again", due(10), olderSid)
	waited(older, 40*time.Hour)
	sameLines(t, "for the last time", due(10), olderSid)
	waited(older, 7*time.Hour)
	sameLines(t, "given up", due(10))
	equal(t, "given up", older.price(t, 1, 1), "not known")

	for range 20 {
		f := s.another().outbound(t, "News")
		f.send(t, 1, 1)
		waited(f, 7*time.Hour)
	}
	given := map[string]int{}
	for _, sids := range together(8, func(int) []domain.Unpriced {
		list, _ := s.messages.Unpriced(t.Context(), 6*time.Hour, 5)
		return list
	}) {
		for _, attempt := range sids {
			given[attempt.Sid]++
		}
	}
	for sid, times := range given {
		if times > 1 {
			t.Errorf("%s was given to %d callers", sid, times)
		}
	}
	for _, sid := range due(20) { // what was locked at the moment
		given[sid]++
	}
	equal(t, "given", len(given), 20)
}

// The ledger says what each entry is for, so that a charge can be explained, in whichever month it counts.
func TestTheLedgerExplains(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := s.inbound(t, "Hello", "An answer")
	f.reserve(t)
	f.send(t, 1, 1)
	f.finish(t, domain.OutcomeReplied, "")
	news := s.outbound(t, "News")
	news.send(t, 1, 1)
	in := outbound("")
	in.Kind = domain.KindHelp
	help, err := s.messages.RecordOutbound(t.Context(), in)
	must(t, err)
	(flow{s, help.MessageID, in.WorkflowID, ""}).begin(t, 1, 1)
	list := func(search domain.LedgerSearch) (lines []string) {
		t.Helper()
		entries, err := s.directory.Ledger(t.Context(), acme, search)
		must(t, err)
		for _, e := range entries {
			lines = append(lines, fmt.Sprintf("%s %d %s for %s %s", e.Kind, e.Quantity, e.Meter, e.For, e.WorkflowID))
		}
		return lines
	}
	reply := []string{
		"reserve 1 ai_replies for reply " + f.workflowID, "reserve 1 message_segments for reply " + f.workflowID,
		"settle 1 ai_replies for reply " + f.workflowID, "settle 1 message_segments for reply " + f.workflowID,
	}
	sameLines(t, "of the month", list(domain.LedgerSearch{Month: time.Now()}), append(slices.Clone(reply),
		"reserve 1 message_segments for message "+news.workflowID, "reserve 1 message_segments for help "+in.WorkflowID)...)
	sameLines(t, "of one workflow", list(domain.LedgerSearch{WorkflowID: f.workflowID}), reply...)
	sameLines(t, "of one workflow, next month", list(domain.LedgerSearch{WorkflowID: f.workflowID, Month: time.Now().AddDate(0, 0, 32)}))
	rivals, err := s.directory.Ledger(t.Context(), rival, domain.LedgerSearch{WorkflowID: f.workflowID})
	must(t, err)
	equal(t, "entries that rival sees", len(rivals), 0)
}
