package testkit

import (
	"bufio"
	"net/http"
	"strconv"
	"strings"
)

// Metric returns the sum of a metric's series, of those that have all the labels given as name="value"; 0 where there is none.
func (p *Process) Metric(name string, labels ...string) float64 {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.URL("admin")+"/metrics", nil)
	if err != nil {
		p.t.Fatalf("%s: metrics: %v", p.name, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatalf("%s: metrics: %v", p.name, err)
	}
	defer response.Body.Close()
	sum, lines := 0.0, bufio.NewScanner(response.Body)
	for lines.Scan() {
		series, value, _ := strings.Cut(lines.Text(), " ")
		if at := strings.LastIndexByte(lines.Text(), '}'); at >= 0 { // a label's value may hold spaces
			series, value = lines.Text()[:at], strings.TrimSpace(lines.Text()[at+1:])
		}
		if called, _, _ := strings.Cut(series, "{"); called != name || !holdsAll(series, labels) {
			continue
		}
		one, err := strconv.ParseFloat(value, 64)
		if err != nil {
			p.t.Fatalf("%s: metrics: %s: %v", p.name, lines.Text(), err)
		}
		sum += one
	}
	if err := lines.Err(); err != nil {
		p.t.Fatalf("%s: metrics: %v", p.name, err)
	}
	return sum
}

func holdsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}
