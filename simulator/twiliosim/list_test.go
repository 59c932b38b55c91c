package twiliosim_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// listBodies lists messages and returns their bodies with the address of the next page, empty at the last.
func (r *rig) listBodies(path string) (bodies []string, next string) {
	r.Helper()
	status, _, got := r.api(http.MethodGet, path, nil)
	if status != http.StatusOK {
		r.Fatalf("%s: %d %v", path, status, got)
	}
	for _, m := range got["messages"].([]any) {
		bodies = append(bodies, m.(map[string]any)["body"].(string))
	}
	next, _ = got["next_page_uri"].(string)
	return bodies, next
}

func TestListPages(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 5 {
		r.send(map[string]string{"Body": fmt.Sprint(i)})
	}
	r.send(map[string]string{"To": "+15557770999", "Body": "another person's"})
	path, pages := messagesPath(".json?PageSize=2&To="+url.QueryEscape(customer)), [][]string{}
	for path != "" {
		var bodies []string
		bodies, path = r.listBodies(path)
		pages = append(pages, bodies)
		r.send(map[string]string{"Body": "meanwhile"}) // moves nothing on the pages that follow
	}
	want := [][]string{{"4", "3"}, {"2", "1"}, {"0"}}
	if !slices.EqualFunc(pages, want, slices.Equal) {
		t.Errorf("pages %v, want %v", pages, want)
	}
}

func TestListEnvelope(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for range 3 {
		r.send(nil)
	}
	_, _, first := r.api(http.MethodGet, messagesPath(".json?PageSize=2&From="+url.QueryEscape(company)), nil)
	next, _ := first["next_page_uri"].(string)
	for _, part := range []string{"PageSize=2", "Page=1", "PageToken=PASM", "From=%2B15557770100"} {
		if !strings.Contains(next, part) {
			t.Errorf("next_page_uri %q lacks %s", next, part)
		}
	}
	_, _, second := r.api(http.MethodGet, next, nil)
	for name, want := range map[string]any{"page": 1.0, "page_size": 2.0, "start": 2.0, "end": 2.0, "uri": next, "next_page_uri": nil} {
		if second[name] != want {
			t.Errorf("second page: %s is %v, want %v", name, second[name], want)
		}
	}
	if first["page"] != 0.0 || first["start"] != 0.0 || first["end"] != 1.0 || second["first_page_uri"] != first["uri"] {
		t.Errorf("first page %v", first)
	}
}

func TestListFilters(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.eventually(r.send(map[string]string{"Body": "a"}), delivered)
	r.eventually(r.send(map[string]string{"Body": "b", "To": "+15557770999"}), delivered)
	r.eventually(r.send(map[string]string{"Body": "c", "From": "+15557770101"}), delivered)
	r.control(http.MethodPost, "/simulate/inbound", map[string]string{"from": customer, "to": company, "body": "d"}, nil)
	r.control(http.MethodPut, "/simulate/script", map[string]any{"to": "+15557770555", "callback_delay_ms": 60_000}, nil)
	r.send(map[string]string{"Body": "queued", "To": "+15557770555"})

	today, hour := time.Now().UTC().Format(time.DateOnly), time.Hour
	at := func(d time.Duration) string { return time.Now().UTC().Add(d).Format(time.RFC3339) }
	for name, test := range map[string]struct {
		query url.Values
		want  string
	}{
		"all":                    {nil, "queued d c b a"},
		"To":                     {url.Values{"To": {customer}}, "c a"},
		"From":                   {url.Values{"From": {customer}}, "d"},
		"To and From":            {url.Values{"To": {customer}, "From": {company}}, "a"},
		"since today":            {url.Values{"DateSent>": {today}}, "d c b a"},
		"until today":            {url.Values{"DateSent<": {today}}, "d c b a"},
		"today":                  {url.Values{"DateSent": {today}}, "d c b a"},
		"another day":            {url.Values{"DateSent": {"2020-02-29"}}, ""},
		"until another day":      {url.Values{"DateSent<": {"2020-02-29"}}, ""},
		"since an hour ago":      {url.Values{"DateSent>": {at(-hour)}}, "d c b a"},
		"since in an hour":       {url.Values{"DateSent>": {at(hour)}}, ""},
		"around now, to company": {url.Values{"DateSent>": {at(-hour)}, "DateSent<": {at(hour)}, "To": {company}}, "d"},
	} {
		bodies, _ := r.listBodies(messagesPath(".json?" + test.query.Encode()))
		if got := strings.Join(bodies, " "); got != test.want && today == time.Now().UTC().Format(time.DateOnly) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestListRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.send(nil)
	for _, query := range []string{
		"PageSize=0", "PageSize=many", "PageSize=", "Page=-1", "PageToken=PASM00", "PageToken=SM00", "DateSent=yesterday", "DateSent%3E=01-02-2020",
	} {
		if status, _, got := r.api(http.MethodGet, messagesPath(".json?"+query), nil); status != http.StatusBadRequest || got["code"] != 20001.0 {
			t.Errorf("%s: %d %v", query, status, got)
		}
	}
	if _, _, got := r.api(http.MethodGet, messagesPath(".json?PageSize=5000"), nil); got["page_size"] != 1000.0 {
		t.Errorf("page_size %v, want Twilio's maximum of 1000", got["page_size"])
	}
}
