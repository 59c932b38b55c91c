// Package doctor looks at everything that Parley needs and says of each thing whether it is well and, where it is not,
// what to do.
//
// It changes nothing. Each check takes the little that it needs, has a time-out of its own, and runs beside those that do
// not build on it. It is made for the moment when something is missing: what cannot be looked at is skipped, with the
// reason, and everything else is looked at all the same. What it says never holds a secret.
package doctor

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// State says how well something is.
type State string

// The states, from the best to the worst.
const (
	OK      State = "ok"
	Skipped State = "skipped" // not looked at: what it needs is not there
	Warning State = "warning" // it works, or may work; somebody should look at it
	Failed  State = "failed"
)

// worse returns the worse one of two states.
func worse(a, b State) State {
	rank := map[State]int{OK: 0, Skipped: 1, Warning: 2, Failed: 3}
	if rank[b] > rank[a] {
		return b
	}
	return a
}

// Report is what all checks came to.
type Report struct {
	State  State    `json:"state"` // of the worst check
	Checks []Result `json:"checks"`
}

// Result is what one check came to.
type Result struct {
	Name     string    `json:"name"`
	State    State     `json:"state"`
	Found    string    `json:"found"` // of a skipped check the reason; may be empty where there are problems
	Problems []Problem `json:"problems,omitempty"`
}

// Problem is one thing that is not well.
type Problem struct {
	State  State  `json:"state"` // warning or failed
	What   string `json:"problem"`
	Advice string `json:"advice"` // what to do about it
}

// Check is one thing to be looked at.
type Check struct {
	Name   string
	Skip   string        // why it cannot be looked at, where that is known before
	Needs  []string      // other checks: where one of them failed or was skipped, so is this
	Within time.Duration // 0: usually
	Look   func(context.Context) Finding
}

// usually is how long a check may take: its calls have bounds of their own, of 8 s at most.
const usually = 10 * time.Second

// Finding is what a look came to.
type Finding struct {
	Found    string
	Problems []Problem
}

// found begins a finding.
func found(format string, args ...any) Finding { return Finding{Found: fmt.Sprintf(format, args...)} }

// failed is a finding of one failure.
func failed(advice, format string, args ...any) Finding {
	var f Finding
	f.fail(advice, format, args...)
	return f
}

func (f *Finding) fail(advice, format string, args ...any) { f.add(Failed, advice, format, args...) }
func (f *Finding) warn(advice, format string, args ...any) { f.add(Warning, advice, format, args...) }

func (f *Finding) add(state State, advice, format string, args ...any) {
	f.Problems = append(f.Problems, Problem{state, fmt.Sprintf(format, args...), advice})
}

// Run makes all checks, each as soon as those that it needs are done, and returns their results in the order of the checks.
// No check may need itself, by whatever way.
func Run(ctx context.Context, checks ...Check) Report {
	report := Report{State: OK, Checks: make([]Result, len(checks))}
	done := map[string]chan struct{}{}
	place := map[string]int{}
	for i, check := range checks {
		done[check.Name], place[check.Name] = make(chan struct{}), i
	}
	var group sync.WaitGroup
	for i, check := range checks {
		group.Go(func() {
			defer close(done[check.Name])
			for _, need := range check.Needs {
				if ended, among := done[need]; among {
					<-ended
					check.skipAfter(report.Checks[place[need]])
				}
			}
			report.Checks[i] = check.run(ctx)
		})
	}
	group.Wait()
	for _, result := range report.Checks {
		report.State = worse(report.State, result.State)
	}
	return report
}

// skipAfter lets the check be skipped where one that it needs has not gone well, for the same reason as that one.
func (c *Check) skipAfter(needed Result) {
	switch {
	case c.Skip != "":
	case needed.State == Failed:
		c.Skip = needed.Name + " failed"
	case needed.State == Skipped:
		c.Skip = needed.Found
	}
}

func (c Check) run(ctx context.Context) Result {
	result := Result{Name: c.Name, State: OK}
	if c.Skip != "" {
		result.State, result.Found = Skipped, c.Skip
		return result
	}
	within := c.Within
	if within == 0 {
		within = usually
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	finding := c.Look(ctx)
	result.Found, result.Problems = finding.Found, finding.Problems
	for _, problem := range result.Problems {
		result.State = worse(result.State, problem.State)
	}
	return result
}
