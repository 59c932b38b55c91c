package testkit

import (
	"fmt"
	"testing"
	"time"
)

// Eventually waits until check returns nil, and fails the test with its last error when that takes longer than within.
func Eventually(t testing.TB, within time.Duration, check func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", within, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// EventuallyTrue is Eventually for a condition; what says what was waited for.
func EventuallyTrue(t testing.TB, within time.Duration, what string, condition func() bool) {
	t.Helper()
	Eventually(t, within, func() error {
		if condition() {
			return nil
		}
		return fmt.Errorf("still not true: %s", what)
	})
}

// Port returns the address (host:port) of a free port on loopback for a process whose address must be known before it
// starts. No other test, of this run or another, is given the same one meanwhile.
func Port(t testing.TB) string {
	t.Helper()
	return ownPort(t).Address()
}
