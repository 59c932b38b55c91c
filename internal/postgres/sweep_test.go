package postgres_test

import (
	"slices"
	"testing"
	"time"

	"parley/internal/domain"
)

// unfinished returns the ids of what a sweep of so much patience gets.
func (s *store) unfinished(t *testing.T, after time.Duration, most int) (ids []string) {
	t.Helper()
	list, err := s.messages.Unfinished(t.Context(), after, most)
	must(t, err)
	for _, message := range list {
		ids = append(ids, message.MessageID)
	}
	return ids
}

// stored lets a message have been stored so long ago.
func (f flow) stored(t *testing.T, ago time.Duration) flow {
	t.Helper()
	_, err := f.pool.Exec(t.Context(), `UPDATE messages SET created_at = now() - $2::interval, swept_at = NULL WHERE message_id = $1`, f.messageID, ago)
	must(t, err)
	return f
}

// A sweep gets what no Finish has closed, whoever's it is: not what is young, nor what another sweep has just got, nor a part of a reply.
func TestUnfinished(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	oldest := s.another().inbound(t, "Hello", "An answer").stored(t, 3*time.Hour)
	old := s.another().outbound(t, "News").stored(t, 2*time.Hour)
	s.another().inbound(t, "Hello", "").stored(t, time.Minute)
	over := s.another().inbound(t, "Hello", "An answer").stored(t, 4*time.Hour)
	over.send(t, 1, 1)
	over.finish(t, domain.OutcomeReplied, "")
	oldest.send(t, 1, 1) // its reply has a row of its own

	list, err := s.messages.Unfinished(t.Context(), time.Hour, 10)
	must(t, err)
	slices.SortFunc(list, func(a, b domain.Unfinished) int { return int(b.Age - a.Age) })
	if len(list) != 2 || list[0].MessageID != oldest.messageID || list[1].MessageID != old.messageID {
		t.Fatalf("got %+v", list)
	}
	equal(t, "owner", list[0].OwnerID, acme)
	equal(t, "workflow", list[0].WorkflowID, oldest.workflowID)
	if age := list[0].Age; age < 3*time.Hour || age > 4*time.Hour {
		t.Errorf("its age is %s", age)
	}
	if again := s.unfinished(t, time.Hour, 10); len(again) != 0 {
		t.Errorf("a second sweep gets them too: %v", again)
	}
	if again := s.unfinished(t, time.Nanosecond, 10); len(again) != 3 {
		t.Errorf("a sweep without patience gets %v", again)
	}
}

// What waits longest comes first, and sweeps at the same time share the work.
func TestUnfinishedIsShared(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	var all []string
	for i := range 20 {
		all = append(all, s.another().inbound(t, "Hello", "").stored(t, time.Duration(40-i)*time.Hour).messageID)
	}
	if got := s.unfinished(t, time.Hour, 4); !slices.Equal(sorted(got), sorted(all[:4])) {
		t.Errorf("first came %v, want %v", got, all[:4])
	}
	shared := slices.Concat(together(8, func(int) []string {
		list, _ := s.messages.Unfinished(t.Context(), time.Hour, 2)
		var ids []string
		for _, message := range list {
			ids = append(ids, message.MessageID)
		}
		return ids
	})...)
	shared = append(shared, s.unfinished(t, time.Hour, 20)...) // what was locked at the moment
	if !slices.Equal(sorted(shared), sorted(all[4:])) {
		t.Errorf("got %v, want each of %v once", shared, all[4:])
	}
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

// What was superseded for a message that then is not answered is told, unless another answers it.
func TestLeftUnanswered(t *testing.T) {
	t.Parallel()
	s := newStore(t).another()
	first := s.inbound(t, "One", "An answer")
	first.reserve(t)
	second := s.inbound(t, "Two", "")
	first.finish(t, domain.OutcomeSuperseded, "")
	left := func(f flow) []string {
		t.Helper()
		ids, err := s.messages.LeftUnanswered(t.Context(), acme, f.messageID)
		must(t, err)
		return ids
	}
	if got := left(second); !slices.Equal(got, []string{first.messageID}) {
		t.Errorf("got %v", got)
	}
	second.finish(t, domain.OutcomeFailed, "its flow was terminated")
	if got := left(second); !slices.Equal(got, []string{first.messageID}) {
		t.Errorf("once it is closed: got %v", got)
	}
	third := s.inbound(t, "Three", "An answer to one and three")
	third.send(t, 1, 1)
	if got := left(second); len(got) != 0 {
		t.Errorf("answered by another: got %v", got)
	}
	rivals, err := s.messages.LeftUnanswered(t.Context(), rival, second.messageID)
	must(t, err)
	if len(rivals) != 0 {
		t.Errorf("another owner sees %v", rivals)
	}
}
