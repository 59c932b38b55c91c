package e2e_test

import (
	"slices"
	"testing"
	"time"

	"parley/contract"
	"parley/internal/testkit"
)

func TestFlowsWaitForARoleThatIsDownAndGoOnWhenItIsBack(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{PerRole: true})
	s.Worker(contract.RoleBilling).Stop()
	people, sids := []string{}, []string{}
	for range 5 {
		person := s.Customer()
		people, sids = append(people, person), append(sids, s.Say(person, "hello"))
	}
	for _, sid := range sids {
		testkit.EventuallyTrue(t, soon, "the flow waits for billing", func() bool {
			shown, err := tryShow(t, s, s.WorkflowID(sid))
			waits := shown.Flow.Waits
			return err == nil && len(waits) == 1 && waits[0].Step == contract.Reserve.Name && waits[0].State == "queued"
		})
	}
	if entries := count(t, s, `SELECT count(*) FROM ledger`); entries != 0 {
		t.Errorf("%d ledger entries without a billing worker: another role ran its step", entries)
	}
	s.Worker(contract.RoleBilling).Restart()
	for i, person := range people {
		s.AwaitAnswers(person, 1, soon)
		awaitOutcome(t, s, sids[i], "replied")
	}
}

func TestAHangingModelHoldsUpNothingElse(t *testing.T) {
	t.Parallel()
	model := testkit.OpenAI(t, testkit.ModelAnswer{Hang: true})
	const slots = 2
	const gaveUp = 50 * time.Second // the usual model_timeout: then it is asked again
	s := testkit.NewStack(t, testkit.Options{PerRole: true, Env: slices.Concat(model.Env(), []string{"PARLEY_WORKER_SLOTS=2"})})
	for range slots {
		s.Say(s.Customer(), "hello")
	}
	testkit.EventuallyTrue(t, soon, "every slot of the model is held", func() bool { return len(model.Calls()) >= slots })

	// Another flow sends, and its callbacks are stored, while the model still hangs.
	person := s.Customer()
	s.Starter("send", "--from", s.Company, "--to", person, "--body", "hello", "--key", "k", "--wait")
	shown := awaitOutcome(t, s, contract.OutboundWorkflowID(s.OwnerID, "k"), "sent")
	if shown.Trace.Attempts[0].Status != "delivered" {
		t.Errorf("attempts %+v", shown.Trace.Attempts)
	}
	// So does an answer that needs no model.
	picture := s.Customer()
	s.Deliver(testkit.Inbound{From: picture, Media: []testkit.InboundMedia{{URL: "https://api.twilio.com/media/1", ContentType: "image/jpeg"}}})
	s.AwaitAnswers(picture, 1, soon)
	if calls := model.Calls(); len(calls) != slots && time.Since(calls[0].At) < gaveUp {
		t.Errorf("the model was called %d times, want %d: the slots were not held", len(calls), slots)
	}
}

func TestWhatAModelDoesWrong(t *testing.T) {
	t.Parallel()
	answer := testkit.ModelAnswer{Text: "A model's answer."}
	for name, test := range map[string]struct {
		script []testkit.ModelAnswer
		parks  bool // and is mended by a retry
		calls  int
	}{
		"hangs: a time-out, tried again": {script: []testkit.ModelAnswer{{Hang: true}, answer}, calls: 2},
		"429: again after Retry-After":   {script: []testkit.ModelAnswer{{Status: 429, RetryAfter: 3 * time.Second}, answer}, calls: 2},
		"500: again":                     {script: []testkit.ModelAnswer{{Status: 500}, answer}, calls: 2},
		"an empty text, once":            {script: []testkit.ModelAnswer{{}, answer}, calls: 2},
		"an empty text, twice: parks":    {script: []testkit.ModelAnswer{{}, {}, answer}, parks: true, calls: 3},
		"401: parks":                     {script: []testkit.ModelAnswer{{Status: 401}, answer}, parks: true, calls: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			model := testkit.OpenAI(t, test.script...)
			s := testkit.NewStack(t, testkit.Options{Env: model.Env(), Settings: []string{"model_timeout=10s"}})
			person := s.Customer()
			workflowID := s.WorkflowID(s.Say(person, "hello"))
			if test.parks {
				awaitParked(t, s, workflowID, contract.Generate.Name)
				s.Starter("retry", workflowID)
			}
			if sent := s.AwaitAnswers(person, 1, soon); sent[0].Body != answer.Text {
				t.Errorf("answered %q", sent[0].Body)
			}
			calls := model.Calls()
			if len(calls) != test.calls {
				t.Errorf("the model was called %d times, want %d", len(calls), test.calls)
			}
			if wait := test.script[0].RetryAfter; len(calls) > 1 && calls[1].At.Sub(calls[0].At) < wait {
				t.Errorf("called again after %s, want %s", calls[1].At.Sub(calls[0].At), wait)
			}
			awaitOutcome(t, s, workflowID, "replied")
			exactly(t, s, person, 1)
		})
	}
}
