package e2e_test

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"parley/contract"
	"parley/internal/testkit"
)

const inboundPath = "/webhooks/twilio/inbound"

// Everybody can reach a webhook. One stack, and whoever wants in, or wants it down; the rate of strangers is limited by address, and all of
// them come from this one, so that the flood comes last but for those who say nothing at all.
func TestStrangersAtTheDoor(t *testing.T) {
	t.Parallel()
	s := testkit.NewStack(t, testkit.Options{})
	t.Run("odd requests", func(t *testing.T) { oddRequests(t, s) })
	t.Run("odd words", func(t *testing.T) { oddWords(t, s) })
	t.Run("a flood", func(t *testing.T) { flood(t, s) })
	t.Run("slow clients", func(t *testing.T) { slowClients(t, s) })
}

// slowClients: 500 connections that send a byte a second, in the header or in the body, are cut, and come again; none of the messages beside
// them fails.
func slowClients(t *testing.T, s *testkit.Stack) {
	t.Helper()
	const slow, genuine = 500, 50
	clients, stop := testkit.StartSlowClients(t, s.Webhook.Address("public"), slow)
	defer stop()
	taken, beside := 0, 0
	pace := time.NewTicker(100 * time.Millisecond)
	defer pace.Stop()
	testkit.Eventually(t, 2*time.Minute, func() error {
		<-pace.C
		if answer := s.Deliver(testkit.Inbound{From: s.Customer(), Body: "hello"}); answer.StatusCode != http.StatusOK {
			t.Fatalf("answered %+v", answer)
		}
		taken++
		beside = max(beside, clients.Open())
		if inHeader, inBody := clients.Cut(); inHeader < slow/2 || inBody < slow/2 || taken < genuine {
			return fmt.Errorf("%d and %d slow clients were cut, %d messages taken", inHeader, inBody, taken)
		}
		return nil
	})
	if beside < slow {
		t.Errorf("only %d slow clients were connected at once", beside)
	}
	inHeader, inBody := clients.Cut()
	t.Logf("%d messages taken beside %d slow clients, which were cut %d times in the header and %d times in the body", taken, beside, inHeader, inBody)
}

// flood: requests of nobody, at full speed, of whom each names another account and claims another address; one in ten knows the account.
func flood(t *testing.T, s *testkit.Stack) {
	t.Helper()
	const requests, warmUp, most = 10_000, 1_000, 20 << 20
	statuses := pour(t, s, warmUp, func() {}) // its connections, and the buffers of so many at once, are no growth
	loads := func(of string) int {
		return int(s.Webhook.Metric("parley_webhook_account_loads_total", `of="`+of+`"`))
	}
	lists, credentials, held, began := loads("list"), loads("account"), heldMemory(s.Webhook), time.Now()
	lines := len(s.Webhook.Logs())
	person, sid := s.Customer(), ""
	for status, n := range pour(t, s, requests, func() { sid = s.Say(person, "May I come in?") }) {
		statuses[status] += n
	}
	took := time.Since(began)
	lists, credentials = loads("list")-lists, loads("account")-credentials
	lines = len(s.Webhook.Logs()) - lines

	s.AwaitAnswers(person, 1, soon)
	awaitOutcome(t, s, sid, "replied")
	if refused, limited := statuses[http.StatusForbidden], statuses[http.StatusTooManyRequests]; refused == 0 || limited == 0 || refused+limited != warmUp+requests {
		t.Errorf("answered %v, want 403, and 429 once there were too many", statuses)
	}
	// The list is loaded once in 5 s. Whose sid is known costs five loads, then one a second, beside one in 15 s for the genuine message.
	if bound := 2 + int(took/(5*time.Second)); lists > bound {
		t.Errorf("the list of accounts was loaded %d times in %s, want %d at most", lists, took, bound)
	}
	if bound := 7 + int(took/time.Second) + int(took/(15*time.Second)); credentials > bound {
		t.Errorf("an account was loaded %d times in %s, want %d at most", credentials, took, bound)
	}
	more := 0
	testkit.Eventually(t, collectedWithin, func() error {
		if more = heldMemory(s.Webhook) - held; more > most {
			return fmt.Errorf("the webhook holds %d bytes more than before, want below %d", more, most)
		}
		return nil
	})
	if bound := 400 + 10*int(took/time.Second); lines > bound {
		t.Errorf("%d lines were logged, want %d at most", lines, bound)
	}
	t.Logf("%d requests in %s: answered with the %d before %v, %d loads of the list and %d of the account, %+.1f MB held, %d lines logged",
		requests, took.Round(time.Millisecond), warmUp, statuses, lists, credentials, float64(more)/(1<<20), lines)
}

// collectedWithin bounds the time until what nothing refers to is given back: Go collects every two minutes at the latest.
const collectedWithin = 3 * time.Minute

// heldMemory is what a process holds of the machine's memory, in bytes: all that Go has taken and not given back, its high-water mark while
// that grows.
func heldMemory(p *testkit.Process) int {
	return int(p.Metric("go_memstats_sys_bytes") - p.Metric("go_memstats_heap_released_bytes"))
}

// pour posts so many requests that nobody signed, from 50 connections, and counts the answers. halfway is called in the middle of it.
func pour(t *testing.T, s *testkit.Stack, requests int64, halfway func()) map[int]int {
	t.Helper()
	const connections = 50
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}, Timeout: soon}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	var mu sync.Mutex
	var pouring sync.WaitGroup
	half, statuses := make(chan struct{}), map[int]int{}
	for range connections {
		pouring.Go(func() {
			for n := next.Add(1); n <= requests; n = next.Add(1) {
				if n == requests/2 {
					close(half)
				}
				status := intrude(t, s, client, n)
				mu.Lock()
				statuses[status]++
				mu.Unlock()
			}
		})
	}
	<-half
	halfway()
	pouring.Wait()
	return statuses
}

// intrude posts the form of a message with a random signature, and returns the status, 0 where none came.
func intrude(t *testing.T, s *testkit.Stack, client *http.Client, n int64) int {
	t.Helper()
	form := s.InboundForm("+14155550199", "Let me in.")
	if n%10 != 0 {
		form.Set("AccountSid", fmt.Sprintf("AC%016x%016x", rand.Uint64(), rand.Uint64()))
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.PublicURL+inboundPath, strings.NewReader(form.Encode()))
	if err != nil {
		t.Error(err)
		return 0
	}
	signature := make([]byte, 20)
	for i := range signature {
		signature[i] = byte(rand.Uint32())
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("X-Twilio-Signature", base64.StdEncoding.EncodeToString(signature))
	request.Header.Set("X-Forwarded-For", fmt.Sprintf("192.0.2.%d", n%250)) // which opens nothing: the limit is the connection's address's
	response, err := client.Do(request)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body) // so that the connection serves again
	return response.StatusCode
}

// oddRequests: what no client of Twilio's sends is refused, or, where it is only odd, has no say; nothing else of it becomes a message.
func oddRequests(t *testing.T, s *testkit.Stack) {
	t.Helper()
	const formType = "Content-Type: application/x-www-form-urlencoded\r\n"
	long, host := strings.Repeat("a", 1<<20), strings.TrimPrefix(s.PublicURL, "http://")
	person := s.Customer()
	form := s.InboundForm(person, "hello").Encode()
	signed := func(base string) string {
		return "X-Twilio-Signature: " + testkit.Sign(s.AuthToken, base+inboundPath, form) + "\r\n"
	}
	counted := fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", formType, len(form), form)
	chunks := fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", formType, len(form), form)
	elsewhere := "Host: evil.example\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\nForwarded: host=evil.example;proto=https\r\n"
	for name, odd := range map[string]struct {
		line  string // the request line; empty: as Twilio's
		host  string // the header; empty: as Twilio's
		rest  string
		again string // is sent after that, until there is an answer
		want  []int  // of all answers on the connection
	}{
		"a header beyond 16 KB":                {rest: "X-Bomb: " + long + "\r\n" + counted, want: []int{431}},
		"thousands of headers":                 {rest: strings.Repeat("X-Bomb: 1\r\n", 10_000) + counted, want: []int{431}},
		"a header without end":                 {rest: "X-Bomb: ", again: long, want: []int{431}},
		"a target without end":                 {line: "POST /", again: long, want: []int{431}},
		"a body beyond 64 KB":                  {rest: formType + "Content-Length: 70000\r\n\r\n" + long[:70_000], want: []int{413}},
		"a body of a terabyte":                 {rest: formType + "Content-Length: 1099511627776\r\n\r\n", again: long, want: []int{413}},
		"chunks without end":                   {rest: formType + "Transfer-Encoding: chunked\r\n\r\n", again: "2000\r\n" + long[:0x2000] + "\r\n", want: []int{413}},
		"a body that is a bomb":                {rest: formType + "Content-Encoding: gzip\r\n" + bomb(t), want: []int{403}},
		"two lengths":                          {rest: "Content-Length: 5\r\n" + counted, want: []int{400}},
		"a length that is no number":           {rest: formType + "Content-Length: +5\r\n\r\nhello", want: []int{400}},
		"a length below nothing":               {rest: formType + "Content-Length: -5\r\n\r\nhello", want: []int{400}},
		"a space before a colon":               {rest: formType + "Content-Length : 5\r\n\r\nhello", want: []int{400}},
		"an unknown encoding":                  {rest: strings.Replace(chunks, "chunked", "chunked, identity", 1), want: []int{501}},
		"a request within a request":           {rest: "Content-Length: 5\r\n" + chunks + "POST " + inboundPath + " HTTP/1.1\r\nHost: " + host + "\r\n" + counted, want: []int{403, 403}},
		"two hosts":                            {rest: "Host: evil.example\r\n" + counted, want: []int{400}},
		"JSON":                                 {rest: "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", want: []int{415}},
		"a form of parts":                      {rest: "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 5\r\n\r\n--x--", want: []int{415}},
		"no type":                              {rest: "Content-Length: 5\r\n\r\nhello", want: []int{415}},
		"a target elsewhere":                   {line: "POST http://evil.example" + inboundPath + " HTTP/1.1", rest: signed("http://evil.example") + counted, want: []int{403}},
		"a path that goes up":                  {line: "POST /webhooks/x/../twilio/inbound HTTP/1.1", rest: signed(s.PublicURL) + counted, want: []int{404}},
		"a path that is escaped":               {line: "POST /webhooks/twilio/%69nbound HTTP/1.1", rest: signed(s.PublicURL) + counted, want: []int{403}},
		"another method":                       {line: "TRACE " + inboundPath + " HTTP/1.1", rest: signed(s.PublicURL) + counted, want: []int{405}},
		"signed for the host it says":          {host: elsewhere, rest: signed("https://evil.example") + counted, want: []int{403}},
		"a token in a key's place":             {rest: "X-Parley-Signature: " + s.AuthToken + "\r\n" + counted, want: []int{403}},
		"a genuine one, whatever host it says": {host: elsewhere, rest: signed(s.PublicURL) + counted, want: []int{200}},
		"a genuine one in chunks":              {rest: signed(s.PublicURL) + chunks, want: []int{200}},
	} {
		t.Run(name, func(t *testing.T) {
			head := cmp.Or(odd.line, "POST "+inboundPath+" HTTP/1.1")
			if odd.rest != "" {
				head += "\r\n" + cmp.Or(odd.host, "Host: "+host+"\r\n") + odd.rest
			}
			if got := answers(t, s.Webhook.Address("public"), head, odd.again); !slices.Equal(got, odd.want) {
				t.Errorf("answered %v, want %v", got, odd.want)
			}
		})
	}
	s.AwaitAnswers(person, 1, soon)
	exactly(t, s, person, 1)
	if n := count(t, s, `SELECT count(*) FROM messages WHERE direction = 'inbound'`); n != 1 {
		t.Errorf("%d inbound messages are stored, want the genuine one", n)
	}
}

// bomb is a body, with its length, that is some KB and compressed from some MB.
func bomb(t *testing.T) string {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(make([]byte, 10<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", packed.Len(), packed.String())
}

// answers sends a text over a connection of its own, then another one again and again until it is answered or cut, and returns the statuses
// of all answers.
func answers(t *testing.T, address, text, again string) (statuses []int) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(soon))
	var writing sync.WaitGroup
	defer writing.Wait()
	writing.Go(func() {
		_, err := io.WriteString(conn, text)
		for again != "" && err == nil {
			_, err = io.WriteString(conn, again)
		}
		if err == nil {
			err = conn.(*net.TCPConn).CloseWrite() // the server answers what came, and then ends
		}
		_ = err // it may have refused before all was written
	})
	for reader := bufio.NewReader(conn); ; {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			_ = conn.Close()
			return statuses
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		statuses = append(statuses, response.StatusCode)
	}
}

// evil is what a stranger writes who hopes that something takes it for more than text: a database, a shell, a template, a log, a terminal.
const evil = "Robert'); DROP TABLE messages;-- $(reboot) {{.Token}} ${jndi:ldap://x} %s%n%!d(BADINDEX) <script>\r\n" +
	"{\"level\":\"INFO\",\"msg\":\"all is well\"}\n\x1b[2J\x1b]0;owned\x07\u009b31m\u202etxt.exe\u2066\u2028\u0085\x7f end"

// oddWords: wherever a stranger can write, what is written is kept as it is, and obeyed by nobody.
func oddWords(t *testing.T, s *testkit.Stack) {
	t.Helper()
	address, person := s.PublicURL+inboundPath, s.Customer()
	post := func(form url.Values) int {
		encoded := form.Encode()
		return testkit.Post(t, address, encoded, testkit.Sign(s.AuthToken, address, encoded))
	}
	genuine := s.InboundForm(person, evil)
	for _, field := range []string{"ProfileName", "FromCity", "MediaUrl0", "MediaContentType0", "SmsStatus", evil} {
		genuine.Set(field, evil)
	}
	genuine.Set("NumMedia", "1")
	if status := post(genuine); status != http.StatusOK {
		t.Fatalf("answered %d", status)
	}
	for field, want := range map[string]int{"AccountSid": 403, "MessageSid": 400, "NumMedia": 400, "From": 200, "To": 200, "MessagingServiceSid": 200} {
		form := s.InboundForm(s.Customer(), "hello")
		form.Set(field, evil)
		if status := post(form); status != want {
			t.Errorf("%s: answered %d, want %d", field, status, want)
		}
	}
	status := s.PublicURL + "/webhooks/twilio/status?part=1&attempt=1&message=" + url.QueryEscape("../../x' OR '1'='1\x00\x1b[2J")
	form := url.Values{"AccountSid": {s.AccountSid}, "MessageSid": {genuine.Get("MessageSid")}, "MessageStatus": {evil}, "ErrorCode": {evil}}.Encode()
	if code := testkit.Post(t, status, form, testkit.Sign(s.AuthToken, status, form)); code != http.StatusNoContent {
		t.Errorf("a status: answered %d", code)
	}
	_ = answers(t, s.Webhook.Address("public"), "POST "+inboundPath+"?x=%1b%0a\" HTTP/1.1\r\nHost: \"},{\"msg\":\"all is well\r\nUser-Agent: \"},{\"msg\":\"all is well\"}\r\nContent-Length: 0\r\n\r\n", "")

	answered := s.AwaitAnswers(person, 1, soon)
	awaitOutcome(t, s, genuine.Get("MessageSid"), "replied")
	if !strings.Contains(answered[0].Body, "DROP TABLE") {
		t.Errorf("answered %q", answered[0].Body)
	}
	if n := count(t, s, `SELECT count(*) FROM messages WHERE twilio_sid = $1 AND body = $2`, genuine.Get("MessageSid"), evil); n != 1 {
		t.Error("the body is not stored as it was written")
	}
	if n := count(t, s, `SELECT count(*) FROM contacts WHERE profile_name = $1`, evil); n != 1 {
		t.Error("the profile's name is not stored as it was written")
	}
	obeyedByNobody(t, s, person, genuine.Get("MessageSid"))
}

// obeyedByNobody fails the test where a log has a line that is no record of ours, or the command line prints what a terminal obeys.
func obeyedByNobody(t *testing.T, s *testkit.Stack, person, sid string) {
	t.Helper()
	for name, process := range map[string]*testkit.Process{"webhook": s.Webhook, "worker": s.Worker(contract.RoleWorkflow)} {
		for _, line := range process.Logs() {
			var entry struct{ Time, Level, Msg, Process string }
			if strings.Contains(line, "1415777") || strings.Contains(line, "DROP TABLE") {
				t.Errorf("the %s logged what a person wrote, or who it was: %q", name, line)
			}
			if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Time == "" || entry.Msg == "all is well" || entry.Process != name || strings.ContainsFunc(line, obeyed) {
				t.Errorf("the %s logged %q", name, line)
			}
		}
	}
	for _, command := range [][]string{
		{"show", sid}, {"contact", "list", "--owner", s.OwnerID}, {"contact", "show", person, "--owner", s.OwnerID},
		{"conversation", "list", "--owner", s.OwnerID}, {"parked"}, {"spool", "list"}, {"show", evil}, {"owner", "show", evil},
	} {
		for _, more := range [][]string{nil, {"--json"}} {
			result := s.TryStarter(append(command, more...)...)
			if text := strings.ReplaceAll(result.Stdout+result.Stderr, "\n", ""); text == "" || strings.ContainsFunc(text, obeyed) {
				t.Errorf("starter %q printed %q", command, text)
			}
		}
	}
}

// obeyed reports whether a terminal takes a character for more than text.
func obeyed(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }
