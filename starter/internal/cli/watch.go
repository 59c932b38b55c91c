package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"parley/contract"
	"parley/starter/internal/flow"
)

// watcher shows where a flow stands while it runs: on a terminal drawn over and over in one place, elsewhere one line a
// change.
type watcher struct {
	out      io.Writer
	terminal bool
	drawn    []string        // lines on the terminal
	told     map[string]bool // lines that were written
}

// show does not fail: who cannot be shown the progress is still told the end.
func (w *watcher) show(progress flow.Progress) {
	p := &page{}
	if progress.Status != nil {
		printStatus(p, *progress.Status)
	}
	for _, wait := range progress.Waits {
		p.line("  %-9s %s", "waits", wait.Step+": "+waiting(wait))
	}
	lines := strings.Split(strings.TrimSuffix(p.text.String(), "\n"), "\n")
	if p.text.Len() == 0 {
		return
	}
	if w.terminal {
		w.draw(lines)
	} else {
		w.tell(lines)
	}
}

// draw replaces what it drew before. A line must not wrap, or the cursor would go up too little.
func (w *watcher) draw(lines []string) {
	if slices.Equal(lines, w.drawn) {
		return
	}
	var frame strings.Builder
	if len(w.drawn) > 0 {
		fmt.Fprintf(&frame, "\x1b[%dA\x1b[J", len(w.drawn))
	}
	for _, line := range lines {
		frame.WriteString(firstLine(line, width-1) + "\n")
	}
	w.drawn = lines
	_, _ = io.WriteString(w.out, frame.String())
}

func (w *watcher) tell(lines []string) {
	if w.told == nil {
		w.told = map[string]bool{}
	}
	for _, line := range lines {
		if !w.told[line] {
			w.told[line] = true
			_, _ = io.WriteString(w.out, line+"\n")
		}
	}
}

// printStatus prints what a flow says of itself.
func printStatus(p *page, status contract.StatusResult) {
	printSteps(p, status.Steps)
	if status.Park != nil {
		printPark(p, *status.Park)
	}
}

func printSteps(p *page, steps []contract.StepStatus) {
	for _, step := range steps {
		p.line("  %-9s %s", step.State, strings.Join(compact(step.Title(), step.Note), ": "))
	}
}

func printPark(p *page, park contract.Park) {
	p.field("parked", fmt.Sprintf("at %s since %s, gives up %s", park.Title(), at(park.Since), at(park.Until)))
	p.field("park", park.Name)
	p.field("reason", park.Reason)
	p.field("advice", park.Advice)
	switch {
	case park.Deadline.IsZero():
	case time.Now().After(park.Deadline):
		p.field("deadline", at(park.Deadline)+", which has passed: only retry --anyway sends the message")
	default:
		p.field("deadline", at(park.Deadline)+"; past it only retry --anyway sends the message")
	}
	if park.Unknown {
		p.field("careful", "the message may have been sent")
	}
}

// waiting says what a step waits for. It names no moment that passes, so that the same wait is the same sentence.
func waiting(wait flow.Wait) string {
	switch wait.State {
	case flow.WaitQueued:
		return fmt.Sprintf("waiting for a worker of role %s", wait.Role)
	case flow.WaitRetrying:
		return fmt.Sprintf("attempt %d failed, next one at %s", wait.Attempt-1, atOrEmpty(wait.NextAt))
	case flow.WaitPaused:
		return "paused by an operator, in Temporal"
	default:
		return fmt.Sprintf("running, attempt %d", wait.Attempt)
	}
}
