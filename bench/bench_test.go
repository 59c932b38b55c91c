// Package bench_test measures Parley beside the least that Temporal itself needs, in one run on one machine, since only
// ratios mean something on a machine that is shared. It is run by make bench and asserts nothing: a figure that misses its
// limit is reported as missing it.
package bench_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/contract"
	"parley/internal/testkit"
)

const (
	acknowledgements = 400 // of each kind
	oneByOne         = 60  // flows of each kind
	perRound         = 150 // flows of each kind
	rounds           = 5
	drained          = 2 * time.Minute
)

func BenchmarkParley(b *testing.B) {
	s := testkit.NewStack(b, testkit.Options{AsDeployed: true})
	s.Script(testkit.Rule{CallbackDelayMS: 1})
	empty := startEmpty(b, s.Temporal)
	b.ResetTimer()
	for range b.N {
		var report strings.Builder
		history(b, &report, s)
		latency(b, &report, s, empty)
		if _, err := s.Database.Exec(b.Context(), `ANALYZE`); err != nil { // as autovacuum has done on any database that is older than a minute
			b.Fatal(err)
		}
		throughput(b, &report, s, empty)
		s.Worker(contract.RoleWorkflow).Stop() // so that only the start is measured, of either
		acknowledgement(b, &report, s, empty)
		s.Worker(contract.RoleWorkflow).Restart()
		fmt.Print("\n" + report.String() + "\n")
	}
}

// history prints what one flow leaves behind.
func history(b *testing.B, report *strings.Builder, s *testkit.Stack) {
	b.Helper()
	person := s.Customer()
	sid := s.Say(person, "Are you open today?")
	s.AwaitAnswers(person, 1, drained)
	var events, bytes int64
	testkit.Eventually(b, drained, func() error {
		description, err := s.Temporal.Client.DescribeWorkflowExecution(b.Context(), s.WorkflowID(sid), "")
		if err != nil {
			return err
		}
		if description.WorkflowExecutionInfo.CloseTime == nil {
			return fmt.Errorf("flow %s is not closed", sid)
		}
		events, bytes = description.WorkflowExecutionInfo.HistoryLength, description.WorkflowExecutionInfo.HistorySizeBytes
		return nil
	})
	line(report, "history of one flow, events", float64(events), 64)
	line(report, "history of one flow, bytes", float64(bytes), 13_000)
}

// acknowledgement prints how long Twilio waits for its 200, beside a bare handler that only starts a workflow.
func acknowledgement(b *testing.B, report *strings.Builder, s *testkit.Stack, empty *emptyGraph) {
	b.Helper()
	bare := bareHandler(b, s.Temporal, empty)
	var ours, theirs []time.Duration
	for i := range acknowledgements + 50 {
		took, other := deliver(b, s, s.Customer()), timed(func() { post(b, bare, "", "") })
		if i >= 50 { // after the warm-up
			ours, theirs = append(ours, took), append(theirs, other)
		}
	}
	compare(report, "acknowledgement p50", percentile(ours, 50), percentile(theirs, 50), 0)
	compare(report, "acknowledgement p99", percentile(ours, 99), percentile(theirs, 99), 1.5)
}

// latency prints the time from the inbound POST to the outgoing one, one message at a time, beside the same graph of
// empty activities.
func latency(b *testing.B, report *strings.Builder, s *testkit.Stack, empty *emptyGraph) {
	b.Helper()
	var ours, theirs []time.Duration
	for i := range oneByOne + 5 {
		person, started := s.Customer(), time.Now()
		deliver(b, s, person)
		took := s.AwaitAnswers(person, 1, drained)[0].CreatedAt.Sub(started)
		other := empty.run(b)
		if i >= 5 { // after the warm-up
			ours, theirs = append(ours, took), append(theirs, other)
		}
	}
	compare(report, "inbound to outgoing POST p50", percentile(ours, 50), percentile(theirs, 50), 1.5)
}

// throughput prints flows a second, beside the same graph of empty activities, round by round in turn.
func throughput(b *testing.B, report *strings.Builder, s *testkit.Stack, empty *emptyGraph) {
	b.Helper()
	var ratios []float64
	for round := range rounds {
		ours := perRound / timed(func() { answer(b, s, perRound) }).Seconds()
		theirs := perRound / timed(func() { empty.runMany(b, perRound) }).Seconds()
		ratios = append(ratios, ours/theirs)
		fmt.Fprintf(report, "%-36s %8.1f /s beside %8.1f /s: %.2f\n", fmt.Sprintf("throughput, round %d", round+1), ours, theirs, ours/theirs)
	}
	slices.Sort(ratios)
	verdict(report, "throughput, median of the ratios", ratios[rounds/2], 0.6, ratios[rounds/2] >= 0.6)
}

// answer lets many people write at once and waits until every flow is over.
func answer(b *testing.B, s *testkit.Stack, many int) {
	b.Helper()
	before := finished(b, s)
	parallel(many, func() { deliver(b, s, s.Customer()) })
	testkit.Eventually(b, drained, func() error {
		if done := finished(b, s) - before; done < many {
			return fmt.Errorf("%d of %d flows are over", done, many)
		}
		return nil
	})
}

func line(report *strings.Builder, name string, value, limit float64) {
	verdict(report, name, value, limit, value <= limit)
}

func compare(report *strings.Builder, name string, ours, theirs time.Duration, limit float64) {
	ratio := float64(ours) / float64(theirs)
	fmt.Fprintf(report, "%-36s %8.1f ms beside %8.1f ms\n", name, milliseconds(ours), milliseconds(theirs))
	if limit > 0 {
		verdict(report, name+", ratio", ratio, limit, ratio <= limit)
	}
}

func verdict(report *strings.Builder, name string, value, limit float64, kept bool) {
	word := "kept"
	if !kept {
		word = "MISSED"
	}
	fmt.Fprintf(report, "%-36s %8.2f    limit %g: %s\n", name, value, limit, word)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func percentile(durations []time.Duration, p int) time.Duration {
	slices.Sort(durations)
	return durations[min(len(durations)*p/100, len(durations)-1)]
}

func timed(f func()) time.Duration {
	started := time.Now()
	f()
	return time.Since(started)
}

// deliver posts one message as Twilio does and returns how long the 200 took.
func deliver(b *testing.B, s *testkit.Stack, person string) time.Duration {
	b.Helper()
	form := s.InboundForm(person, "Are you open today?").Encode()
	signature := testkit.Sign(s.AuthToken, s.PublicURL+inboundPath, form)
	return timed(func() { post(b, s.PublicURL+inboundPath, form, signature) })
}

const inboundPath = "/webhooks/twilio/inbound"

func post(b *testing.B, address, form, signature string) {
	b.Helper()
	if status := testkit.Post(b, address, form, signature); status != http.StatusOK {
		b.Fatalf("%s answered %d", address, status)
	}
}
