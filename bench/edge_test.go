package bench_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"parley/contract"
	"parley/internal/testkit"
)

const slowClients = 500

// BenchmarkEdge prints how long genuine messages wait for their 200 while nobody else is there, and beside clients that send a byte a
// second. It is run by make bench-edge.
func BenchmarkEdge(b *testing.B) {
	s := testkit.NewStack(b, testkit.Options{AsDeployed: true})
	empty := startEmpty(b, s.Temporal)
	s.Worker(contract.RoleWorkflow).Stop() // so that only the start is measured
	b.ResetTimer()
	for range b.N {
		var report strings.Builder
		acknowledgement(b, &report, s, empty)
		quiet := acknowledged(b, s)
		clients, stop := testkit.StartSlowClients(b, s.Webhook.Address("public"), slowClients)
		beside := acknowledged(b, s)
		inHeader, inBody := clients.Cut()
		stop()
		name := fmt.Sprintf("beside %d slow clients, quiet", slowClients)
		compare(&report, name+": p50", percentile(beside, 50), percentile(quiet, 50), 0)
		compare(&report, name+": p99", percentile(beside, 99), percentile(quiet, 99), 0)
		fmt.Fprintf(&report, "%-36s %8d in the header, %d in the body\n", "slow clients cut", inHeader, inBody)
		fmt.Print("\n" + report.String() + "\n")
	}
}

// acknowledged is how long each of some messages waited, after a warm-up.
func acknowledged(b *testing.B, s *testkit.Stack) (took []time.Duration) {
	b.Helper()
	for i := range acknowledgements + 50 {
		if each := deliver(b, s, s.Customer()); i >= 50 {
			took = append(took, each)
		}
	}
	return took
}
