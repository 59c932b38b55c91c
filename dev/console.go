package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
)

// console is the terminal that all processes share: a line is never cut by another.
type console struct {
	mu             sync.Mutex
	stdout, stderr io.Writer
}

// Print writes what the person asked for.
func (c *console) Print(format string, args ...any) { c.write(c.stdout, fmt.Sprintf(format, args...)) }

// Say writes what dev itself has to tell meanwhile.
func (c *console) Say(format string, args ...any) { c.log("dev", fmt.Sprintf(format, args...)) }

// Logger returns the function that writes the output of one process, line by line.
func (c *console) Logger(name string) func(string) {
	return func(line string) { c.log(name, readable(line)) }
}

func (c *console) log(name, text string) { c.write(c.stderr, fmt.Sprintf("%-11s | %s", name, text)) }

func (c *console) write(w io.Writer, line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintln(w, line)
}

// readable turns a line of slog's JSON into level, message and key=value; any other line stays as it is.
func readable(line string) string {
	var record map[string]any
	if json.Unmarshal([]byte(line), &record) != nil || record["msg"] == nil {
		return line
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%-5v %v", record["level"], record["msg"])
	for _, key := range slices.Sorted(maps.Keys(record)) {
		switch key {
		case "time", "level", "msg", "process":
		default:
			fmt.Fprintf(&text, " %s=%v", key, record[key])
		}
	}
	return text.String()
}
