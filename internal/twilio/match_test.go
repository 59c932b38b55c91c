package twilio_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"parley/internal/domain"
	"parley/internal/twilio"
)

const trial = "Sent from your Twilio trial account - "

// attempt is what the tests' attempt posted, and made what it became if Twilio took it.
func attempt() (twilio.Sent, twilio.Message) {
	begun := at(12, 0, 0).Add(400 * time.Millisecond)
	sent := twilio.Sent{From: "+15005550006", To: "+15005550100", Body: "Your table is booked.", Begun: begun, Until: begun.Add(43 * time.Second)}
	made := twilio.Message{
		Sid: sid, Direction: "outbound-api", From: "+15005550006", To: "+15005550100", Body: "Your table is booked.",
		DateCreated: at(12, 0, 1), Status: domain.StatusQueued,
	}
	return sent, made
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*twilio.Sent, *twilio.Message)
		want   bool
	}{
		"as it was sent":      {func(*twilio.Sent, *twilio.Message) {}, true},
		"failed":              {func(_ *twilio.Sent, m *twilio.Message) { m.Status, m.ErrorCode = domain.StatusFailed, 30003 }, true},
		"by a sender of some": {func(_ *twilio.Sent, m *twilio.Message) { m.MessagingServiceSid = service }, true},
		"a reply by TwiML":    {func(_ *twilio.Sent, m *twilio.Message) { m.Direction = "outbound-reply" }, false},
		"during a call":       {func(_ *twilio.Sent, m *twilio.Message) { m.Direction = "outbound-call" }, false},
		"inbound":             {func(_ *twilio.Sent, m *twilio.Message) { m.Direction = "inbound" }, false},
		"to another":          {func(_ *twilio.Sent, m *twilio.Message) { m.To = "+15005550101" }, false},
		"on another channel":  {func(_ *twilio.Sent, m *twilio.Message) { m.To = "whatsapp:+15005550100" }, false},
		"from another":        {func(_ *twilio.Sent, m *twilio.Message) { m.From = "+15005550007" }, false},
		"from nobody yet":     {func(_ *twilio.Sent, m *twilio.Message) { m.From = "" }, false},
		"another text":        {func(_ *twilio.Sent, m *twilio.Message) { m.Body = "Your table is free." }, false},
		"redacted":            {func(_ *twilio.Sent, m *twilio.Message) { m.Body = "" }, false},
		"2 s before":          {func(s *twilio.Sent, m *twilio.Message) { m.DateCreated = s.Begun.Add(-2 * time.Second) }, true},
		"earlier":             {func(s *twilio.Sent, m *twilio.Message) { m.DateCreated = s.Begun.Add(-2*time.Second - 1) }, false},
		"at the end":          {func(s *twilio.Sent, m *twilio.Message) { m.DateCreated = s.Until }, true},
		"later":               {func(s *twilio.Sent, m *twilio.Message) { m.DateCreated = s.Until.Add(1) }, false},
		"at no known time":    {func(_ *twilio.Sent, m *twilio.Message) { m.DateCreated = time.Time{} }, false},
		"another zone":        {func(s *twilio.Sent, _ *twilio.Message) { s.Begun = s.Begun.In(time.FixedZone("", 7200)) }, true},
		"by a service": {func(s *twilio.Sent, m *twilio.Message) {
			s.From, m.From, m.MessagingServiceSid = service, "", service
		}, true},
		"by a service that chose": {func(s *twilio.Sent, m *twilio.Message) {
			s.From, m.From, m.MessagingServiceSid = service, "+15005550009", service
		}, true},
		"by another service": {func(s *twilio.Sent, m *twilio.Message) {
			s.From, m.MessagingServiceSid = service, strings.Replace(service, "0", "f", 1)
		}, false},
		"by no service": {func(s *twilio.Sent, _ *twilio.Message) { s.From = service }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent, made := attempt()
			test.change(&sent, &made)
			if got := len(twilio.Match(sent, []twilio.Message{made})) == 1; got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
		})
	}
}

func TestMatchReturnsTwins(t *testing.T) {
	t.Parallel()
	sent, made := attempt()
	twin, failed, other := made, made, made
	twin.Sid, failed.Sid, other.Sid = "SM2", "SM3", "SM4"
	failed.Status, other.Body = domain.StatusFailed, "Something else."
	got := sids(twilio.Match(sent, []twilio.Message{twin, other, failed, made}))
	if want := []string{"SM2", "SM3", sid}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestMatchKnowsWhatTwilioDoesToBodies(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sent, listed string
		want         bool
	}{
		"trial":                         {"Your table is booked.", trial + "Your table is booked.", true},
		"trial, media alone":            {"", strings.TrimSpace(trial), true},
		"trial, white space":            {"\nHello ", trial + "\nHello", true},
		"trial, encoded":                {"“Hello”", trial + `"Hello"`, true},
		"trial, another text":           {"Hello", trial + "Good-bye", false},
		"a text like the prefix":        {trial + "Hello", trial + "Hello", true},
		"a prefix that we did not send": {trial + "Hello", "Hello", false},
		"another prefix":                {"Hello", "Sent from your account - Hello", false},

		"media alone":              {"", "", true},
		"white space at the ends":  {" \r\n Hello\t", "Hello", true},
		"line ends":                {"one\r\n\r\ntwo", "one\n\ntwo", true},
		"words are kept apart":     {"to day", "today", false},
		"letters keep their case":  {"Hello", "hello", false},
		"emoji, nothing replaced":  {"“See you” 😀", "“See you” 😀", true},
		"a shortened link":         {"see https://example.com/menu", "see https://twil.io/a1b2c3", false},
		"accents are not replaced": {"café", "cafe", false},
		"an accent of the GSM set": {"à la carte", "à la carte", true},

		"quotation marks":        {"“a” „b‟ «c» ❝d❞ 〝e〞", `"a" "b" "c" "d" "e"`, true},
		"apostrophes":            {"it’s ‘a’ ʼbʹ `c´", "it's 'a' 'b' 'c'", true},
		"dashes":                 {"9–5 — a ‐ b ― c", "9-5 - a - b - c", true},
		"an ellipsis":            {"wait…", "wait...", true},
		"a bullet":               {"• one", "- one", true},
		"fractions and division": {"½ ¼ ¾ 4÷2 1⁄3", "1/2 1/4 3/4 4/2 1/3", true},
		"angles, as Twilio does": {"‹a›", ">a<", true},
		"exclamation":            {"no‼", "no!!", true},
		"fullwidth forms":        {"ＡＢＣ　１２３！？＄［］｛｝～", "ABC  123!?$[]{}~", true},
		"small forms":            {"a﹐b﹔c﹖﹠﹪﹫", "a,b;c?&%@", true},
		"small capitals":         {"ᴀʙᴄ ᴢʏʀ", "ABC ZYR", true},
		"stars":                  {"✱ ✽ ⁎", "* * *", true},
		"brackets":               {"❨a❩ ❴b❵", "(a) {b}", true},
		"combining marks":        {"n\u0303", "n~", true},
		"a no-break space":       {"5\u00a0pm", "5  pm", true},
		"a narrow one":           {"5\u202fpm", "5  pm", true},
		"a line separator":       {"a\u2028b", "a b", true},
		"a tab":                  {"a\tb", "a       b", true},
		"what nobody sees":       {"\ufeffa\u200bb\u2060c\u200c", "abc", true},
		"control characters":     {"a\u0003b\u0080c", "ab  c", true},
		"another look-alike":     {"“a”", "'a'", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent, made := attempt()
			sent.Body, made.Body = test.sent, test.listed
			if got := len(twilio.Match(sent, []twilio.Message{made})) == 1; got != test.want {
				t.Errorf("sent %q, listed %q: got %t, want %t", test.sent, test.listed, got, test.want)
			}
		})
	}
}

func TestSearchOfAnAttempt(t *testing.T) {
	t.Parallel()
	sent, _ := attempt()
	want := twilio.Search{From: sent.From, To: sent.To, Since: sent.Begun.Add(-2 * time.Second)}
	if got := sent.Search(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	sent.From, want.From = service, ""
	if got := sent.Search(); got != want {
		t.Errorf("by a service: got %+v, want %+v", got, want)
	}
}
