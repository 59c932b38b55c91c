package twiliosim

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Sizes of a page of the list. https://www.twilio.com/docs/usage/twilios-response#pagination
const (
	defaultPageSize = 50
	maxPageSize     = 1000
)

// tokenPrefix precedes the sid of the last message before the page that a token names, so that messages which come
// meanwhile move nothing.
const tokenPrefix = "PA"

// page is one page of the list as Twilio's API writes it. previous_page_uri stays null: nobody here walks backwards.
type page struct {
	End             int        `json:"end"`
	FirstPageURI    string     `json:"first_page_uri"`
	NextPageURI     *string    `json:"next_page_uri"`
	Page            int        `json:"page"`
	PageSize        int        `json:"page_size"`
	PreviousPageURI *string    `json:"previous_page_uri"`
	Messages        []resource `json:"messages"`
	Start           int        `json:"start"`
	URI             string     `json:"uri"`
}

// filter is what a list asks for. Times are half-open; a zero bound is none.
type filter struct {
	To, From            string
	SentSince, SentTill time.Time
	PageSize, Page      int
	After               string // sid of the last message before the page
}

func (s *Simulator) list(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	wanted, ok := readFilter(query)
	if !ok {
		refuse(codeInvalidParameter).write(w)
		return
	}
	s.slow(r, wanted.To)
	now := time.Now()
	found := slices.DeleteFunc(s.account.all(), func(m Message) bool { return !wanted.matches(m) || m.listedAt.After(now) })
	slices.Reverse(found) // Twilio lists the newest first
	if wanted.After != "" {
		last := slices.IndexFunc(found, func(m Message) bool { return m.Sid == wanted.After })
		if last < 0 {
			refuse(codeInvalidParameter).write(w)
			return
		}
		found = found[last+1:]
	}
	writeJSON(w, http.StatusOK, s.account.page(found, wanted, query))
}

// page cuts one page from the messages that are left, newest first.
func (a *account) page(left []Message, wanted filter, query url.Values) page {
	shown := left[:min(len(left), wanted.PageSize)]
	start := wanted.Page * wanted.PageSize
	written := page{
		Start: start, End: start + max(len(shown)-1, 0), Page: wanted.Page, PageSize: wanted.PageSize,
		FirstPageURI: a.pageURI(query, wanted.PageSize, 0, ""),
		URI:          a.pageURI(query, wanted.PageSize, wanted.Page, wanted.After),
		Messages:     []resource{},
	}
	for _, m := range shown {
		written.Messages = append(written.Messages, a.resource(m))
	}
	if len(shown) < len(left) {
		next := a.pageURI(query, wanted.PageSize, wanted.Page+1, shown[len(shown)-1].Sid)
		written.NextPageURI = &next
	}
	return written
}

// pageURI returns the address of a page, relative to the API's base URL, with the filters of the query.
func (a *account) pageURI(query url.Values, size, number int, after string) string {
	kept := url.Values{"PageSize": {strconv.Itoa(size)}, "Page": {strconv.Itoa(number)}}
	for _, name := range []string{"To", "From", "DateSent", "DateSent<", "DateSent>"} {
		if query.Has(name) {
			kept.Set(name, query.Get(name))
		}
	}
	if after != "" {
		kept.Set("PageToken", tokenPrefix+after)
	}
	return a.messagesPath() + ".json?" + kept.Encode()
}

// readFilter reads a list's query. It reports false for a value that Twilio would not understand.
func readFilter(query url.Values) (filter, bool) {
	wanted := filter{To: query.Get("To"), From: query.Get("From"), PageSize: defaultPageSize}
	ok := readNumber(query, "PageSize", 1, &wanted.PageSize) && readNumber(query, "Page", 0, &wanted.Page)
	wanted.PageSize = min(wanted.PageSize, maxPageSize)
	if token := query.Get("PageToken"); token != "" {
		after, isToken := strings.CutPrefix(token, tokenPrefix)
		wanted.After, ok = after, ok && isToken
	}
	for _, name := range []string{"DateSent", "DateSent<", "DateSent>"} {
		value := query.Get(name)
		if value == "" {
			continue
		}
		since, till, isDate := readDate(value)
		ok = ok && isDate
		if name != "DateSent<" {
			wanted.SentSince = since
		}
		if name != "DateSent>" {
			wanted.SentTill = till
		}
	}
	return wanted, ok
}

func readNumber(query url.Values, name string, least int, into *int) bool {
	if !query.Has(name) {
		return true
	}
	n, err := strconv.Atoi(query.Get(name))
	*into = n
	return err == nil && n >= least
}

// readDate returns the day, or the second, that a value names: both of Twilio's bounds include it.
func readDate(value string) (since, till time.Time, ok bool) {
	if day, err := time.Parse(time.DateOnly, value); err == nil {
		return day, day.AddDate(0, 0, 1), true
	}
	second, err := time.Parse(time.RFC3339, value)
	return second, second.Add(time.Second), err == nil
}

// matches reports whether a message is asked for. One that was not sent yet has no DateSent, and no bound includes it.
func (f filter) matches(m Message) bool {
	if (f.To != "" && f.To != m.To) || (f.From != "" && f.From != m.From) {
		return false
	}
	if f.SentSince.IsZero() && f.SentTill.IsZero() {
		return true
	}
	return m.SentAt != nil && !m.SentAt.Before(f.SentSince) && (f.SentTill.IsZero() || m.SentAt.Before(f.SentTill))
}
