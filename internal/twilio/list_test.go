package twilio_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parley/internal/domain"
	"parley/internal/twilio"
)

// at is a time of the day that the listed messages of the tests were created on.
func at(hour, minute, second int) time.Time {
	return time.Date(2019, time.May, 24, hour, minute, second, 0, time.UTC)
}

// listed writes a message as Twilio lists it.
func listed(number int, created time.Time) string {
	return fmt.Sprintf(`{"sid":"SM%032x","status":"sent","date_created":%q}`, number, created.Format(time.RFC1123Z))
}

// listPage writes a page of the list; next is empty on the last one.
func listPage(next string, messages ...string) string {
	nextURI := "null"
	if next != "" {
		nextURI = fmt.Sprintf("%q", next)
	}
	return `{"messages":[` + strings.Join(messages, ",") + `],"next_page_uri":` + nextURI + `}`
}

func sids(messages []twilio.Message) []string {
	var sids []string
	for _, m := range messages {
		sids = append(sids, m.Sid)
	}
	return sids
}

func numbered(numbers ...int) []string {
	var sids []string
	for _, n := range numbers {
		sids = append(sids, fmt.Sprintf("SM%032x", n))
	}
	return sids
}

func TestListReadsPagesAsTwilioWritesThem(t *testing.T) {
	t.Parallel()
	var requests []string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		requests = append(requests, r.Method+" "+r.RequestURI)
		file := "testdata/messages_page_1.json"
		if r.URL.Query().Has("PageToken") {
			file = "testdata/messages_page_2.json"
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
		}
		user, password, _ := r.BasicAuth()
		if user != account || password != login.Password {
			t.Errorf("asked as %s", user)
		}
		answer(200, string(content))(w, r)
	})
	search := twilio.Search{From: "+15005550006", To: "+15005550100", Since: at(0, 0, 0)}
	got, err := twilio.NewClient(server.URL+"/base").List(soon(t), credentials, search)
	want := []twilio.Message{
		{
			Sid: "SM00000000000000000000000000000004", Direction: "outbound-api", To: "+15005550100", MessagingServiceSid: service,
			Body: "Sent from your Twilio trial account - Your table is booked.", DateCreated: at(17, 45, 1), Status: domain.StatusQueued,
		},
		{
			Sid: "SM00000000000000000000000000000003", Direction: "outbound-api", From: "+15005550006", To: "+15005550100",
			Body: "Your table is booked.", DateCreated: at(17, 44, 48), Status: domain.StatusFailed, Segments: 1, ErrorCode: 30003,
			Price: &domain.Money{Micros: 7900, Currency: "USD"},
		},
		{
			Sid: "MM00000000000000000000000000000002", Direction: "outbound-api", From: "+15005550006", To: "+15005550100",
			Body: "“See you” 😀", DateCreated: at(17, 44, 47), Status: domain.StatusDelivered, Segments: 2,
			Price: &domain.Money{Micros: 7900, Currency: "USD"},
		},
		{
			Sid: "SM00000000000000000000000000000001", Direction: "inbound", From: "+15005550100", To: "+15005550006",
			Body: "Table for two?", DateCreated: at(17, 44, 46), Status: "received", Segments: 1,
			Price: &domain.Money{Micros: 7900, Currency: "USD"},
		},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	const path = "GET /base/2010-04-01/Accounts/" + account + "/Messages.json?"
	wantRequests := []string{
		path + "From=%2B15005550006&PageSize=50&To=%2B15005550100",
		path + "To=%2B15005550100&From=%2B15005550006&PageSize=50&Page=1&PageToken=PAMM00000000000000000000000000000002",
	}
	if !slices.Equal(requests, wantRequests) {
		t.Errorf("requested %q, want %q", requests, wantRequests)
	}
}

func TestListSendsItsFiltersUnharmed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		search twilio.Search
		want   url.Values
	}{
		"WhatsApp id": {
			twilio.Search{From: "whatsapp:+15005550006", To: "whatsapp:US.1234"},
			url.Values{"From": {"whatsapp:+15005550006"}, "To": {"whatsapp:US.1234"}, "PageSize": {"50"}},
		},
		"odd sender":  {twilio.Search{From: "R&D .42 50%"}, url.Values{"From": {"R&D .42 50%"}, "PageSize": {"50"}}},
		"the account": {twilio.Search{Since: at(0, 0, 0)}, url.Values{"PageSize": {"50"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got url.Values
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				got = r.URL.Query()
				answer(200, listPage(""))(w, r)
			})
			if list, err := twilio.NewClient(server.URL).List(soon(t), credentials, test.search); err != nil || len(list) > 0 {
				t.Errorf("got %v, %v, want nothing", list, err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("asked for %v, want %v", got, test.want)
			}
		})
	}
}

func TestListFollowsPages(t *testing.T) {
	t.Parallel()
	since := at(12, 0, 0)
	newer, older := since, since.Add(-time.Second)
	for name, test := range map[string]struct {
		pages []string
		since time.Time
		want  []string
		calls int32
	}{
		"one": {[]string{listPage("", listed(1, newer))}, since, numbered(1), 1},
		"to the end": {
			[]string{listPage("/x?Page=1", listed(3, newer)), listPage("/x?Page=2"), listPage("", listed(1, newer))}, since, numbered(3, 1), 3,
		},
		"until a page is older": {[]string{listPage("/x?Page=1", listed(3, newer)), listPage("/x?Page=2", listed(2, older))}, since, numbered(3), 2},
		"past one that is older": {
			[]string{listPage("/x?Page=1", listed(3, older), listed(2, newer)), listPage("", listed(1, newer))}, since, numbered(2, 1), 2,
		},
		"without a time": {[]string{listPage("/x?Page=1", listed(2, older)), listPage("", listed(1, older))}, time.Time{}, numbered(2, 1), 2},
		"moved meanwhile": {
			[]string{listPage("/x?Page=1", listed(3, newer), listed(2, newer)), listPage("", listed(2, newer), listed(1, newer))}, since, numbered(3, 2, 1), 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				answer(200, test.pages[calls.Add(1)-1])(w, r)
			})
			got, err := twilio.NewClient(server.URL).List(soon(t), credentials, twilio.Search{Since: test.since})
			if err != nil || !slices.Equal(sids(got), test.want) || calls.Load() != test.calls {
				t.Errorf("got %v, %v in %d calls, want %v in %d", sids(got), err, calls.Load(), test.want, test.calls)
			}
		})
	}
}

func TestListGivesUpOnAListWithoutEnd(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		answer(200, listPage("/x?Page=1", listed(1, at(12, 0, 0))))(w, r)
	})
	list, err := twilio.NewClient(server.URL).List(soon(t), credentials, twilio.Search{})
	if domain.KindOf(err) != domain.KindUnavailable || list != nil || calls.Load() != 40 {
		t.Errorf("got %v, %v in %d calls, want KindUnavailable in 40", list, err, calls.Load())
	}
}

func TestListStaysAtTheConfiguredHost(t *testing.T) {
	t.Parallel()
	elsewhere := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s went elsewhere, with credentials %q", r.RequestURI, r.Header.Get("Authorization"))
	})
	var got []string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.RequestURI)
		next := elsewhere.URL + "/2010-04-01/Accounts/AC1/Messages.json?PageToken=a.1%2F"
		if r.URL.Query().Has("PageToken") {
			next = ""
		}
		answer(200, listPage(next, listed(len(got), at(12, 0, 0))))(w, r)
	})
	list, err := twilio.NewClient(server.URL).List(soon(t), credentials, twilio.Search{})
	if err != nil || !slices.Equal(sids(list), numbered(1, 2)) {
		t.Errorf("got %v, %v", sids(list), err)
	}
	const path = "/2010-04-01/Accounts/" + account + "/Messages.json?"
	if want := []string{path + "PageSize=50", path + "PageToken=a.1%2F"}; !slices.Equal(got, want) {
		t.Errorf("requested %q, want %q", got, want)
	}
}

func TestListTakesAPageOfTheLongestMessages(t *testing.T) {
	t.Parallel()
	body := strings.Repeat(`\ud83d\ude00`, 1600)
	var messages []string
	for i := range 50 {
		messages = append(messages, strings.TrimSuffix(listed(i, at(12, 0, 0)), "}")+`,"body":"`+body+`","uri":"`+strings.Repeat("x", 1000)+`"}`)
	}
	server := serve(t, answer(200, listPage("", messages...)))
	list, err := twilio.NewClient(server.URL).List(soon(t), credentials, twilio.Search{})
	if err != nil || len(list) != 50 || list[49].Body != strings.Repeat("😀", 1600) {
		t.Errorf("got %d messages, %v", len(list), err)
	}
}

func TestListReturnsDomainErrors(t *testing.T) {
	t.Parallel()
	good := listed(1, at(12, 0, 0))
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    domain.Kind
		code    int
		after   time.Duration
	}{
		"no such account":    {answer(404, twilioError(404, 20404)), domain.KindConfiguration, 20404, 0},
		"404 of a gateway":   {answer(404, "<html>"), domain.KindUnavailable, 0, 0},
		"wrong token":        {answer(401, twilioError(401, 20003)), domain.KindConfiguration, 20003, 0},
		"some other no":      {answer(400, twilioError(400, 20001)), domain.KindConfiguration, 20001, 0},
		"too many requests":  {answer(429, twilioError(429, 20429), "Retry-After", "3"), domain.KindThrottled, 20429, 3 * time.Second},
		"HTML 502":           {answer(502, "<html>"), domain.KindUnavailable, 0, 0},
		"500":                {answer(500, twilioError(500, 20500)), domain.KindUnavailable, 20500, 0},
		"redirect":           {answer(302, "", "Location", "/elsewhere"), domain.KindUnavailable, 0, 0},
		"garbage":            {answer(200, "garbage"), domain.KindUnavailable, 0, 0},
		"not a list":         {answer(200, `{"sid":"`+sid+`"}`), domain.KindUnavailable, 0, 0},
		"null for a list":    {answer(200, `{"messages":null}`), domain.KindUnavailable, 0, 0},
		"cut short":          {answer(200, listPage("", good), "Content-Length", "9999"), domain.KindUnavailable, 0, 0},
		"too long":           {answer(200, listPage("", good)+strings.Repeat(" ", 1<<20)), domain.KindUnavailable, 0, 0},
		"no sid":             {answer(200, listPage("", good, `{"date_created":"Fri, 24 May 2019 12:00:00 +0000"}`)), domain.KindUnavailable, 0, 0},
		"no date":            {answer(200, listPage("", good, `{"sid":"`+sid+`"}`)), domain.KindUnavailable, 0, 0},
		"another date":       {answer(200, listPage("", good, `{"sid":"`+sid+`","date_created":"2019-05-24"}`)), domain.KindUnavailable, 0, 0},
		"odd next page":      {answer(200, listPage("http://[", good)), domain.KindUnavailable, 0, 0},
		"no next query":      {answer(200, listPage("/2010-04-01/Accounts", good)), domain.KindUnavailable, 0, 0},
		"second page fails":  {secondFails(good), domain.KindUnavailable, 0, 0},
		"connection dropped": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, domain.KindUnavailable, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list, err := twilio.NewClient(serve(t, test.handler).URL).List(soon(t), credentials, twilio.Search{To: "+15005550100"})
			failure, ok := errors.AsType[*domain.Error](err)
			if !ok || failure.Kind != test.want || failure.Code != test.code || failure.RetryAfter != test.after || list != nil {
				t.Fatalf("got %v, %+v, want %s %d", list, err, test.want, test.code)
			}
			if strings.Contains(err.Error(), "5005550") {
				t.Errorf("the error has a phone number: %v", err)
			}
		})
	}
}

func secondFails(message string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("Page") {
			answer(503, "")(w, r)
			return
		}
		answer(200, listPage("/x?Page=1", message))(w, r)
	}
}

func TestListOfACancelledCallSaysSo(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); hang(r) })
	if _, err := twilio.NewClient(server.URL).List(ctx, credentials, twilio.Search{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled in its chain", err)
	}
}
