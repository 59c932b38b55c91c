package domain_test

import (
	"strings"
	"testing"
	"testing/quick"

	"parley/internal/domain"
)

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want domain.Address
	}{
		{"+15551234567", domain.Address{Channel: domain.ChannelSMS, Value: "+15551234567"}},
		{"+5511987654321", domain.Address{Channel: domain.ChannelSMS, Value: "+5511987654321"}},
		{"12345", domain.Address{Channel: domain.ChannelSMS, Value: "12345"}},
		{"ACME Shop", domain.Address{Channel: domain.ChannelSMS, Value: "ACME Shop"}},
		{"whatsapp:+15551234567", domain.Address{Channel: domain.ChannelWhatsApp, Value: "+15551234567"}},
		{"whatsapp:US.1234", domain.Address{Channel: domain.ChannelWhatsApp, Value: "US.1234"}},
		{"rcs:brand_agent", domain.Address{Channel: domain.ChannelRCS, Value: "brand_agent"}},
		{"messenger:123:4", domain.Address{Channel: domain.ChannelMessenger, Value: "123:4"}},
	} {
		got, err := domain.ParseAddress(c.text)
		if err != nil || got != c.want {
			t.Errorf("%q: want %+v, got %+v, %v", c.text, c.want, got, err)
		}
		if got.String() != c.text {
			t.Errorf("%q is written back as %q", c.text, got.String())
		}
	}
}

func TestParseAddressRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "+", "+0123456789", "+1555123456789012", "+1555 123 4567", "12345678901234", "twelve letters", "A\nB", "naïve",
		"whatsapp:", "whatsapp:a b", "whatsapp:" + strings.Repeat("1", 129), "sms:+15551234567", "WhatsApp:+15551234567", ":+15551234567",
	} {
		got, err := domain.ParseAddress(text)
		if domain.KindOf(err) != domain.KindInvalid || err == nil {
			t.Errorf("%q: want an invalid error, got %+v, %v", text, got, err)
		} else if len(text) > 5 && strings.Contains(err.Error(), text) {
			t.Errorf("%q: the error repeats the address: %v", text, err)
		}
	}
}

// A company writes under a name, of whatever characters: what it writes must not be lost.
func TestParseWriter(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"O2.co.uk", "Int'l", "twelve letters", "naïve", "123456789012"} {
		if got, err := domain.ParseWriter(name); err != nil || got != (domain.Address{Channel: domain.ChannelSMS, Value: name}) || got.String() != name {
			t.Errorf("%q: got %+v, %v", name, got, err)
		}
		if _, err := domain.ParseRecipient(name); err == nil {
			t.Errorf("%q can be written to", name)
		}
	}
	if got, err := domain.ParseWriter("whatsapp:+15551234567"); err != nil || got.Channel != domain.ChannelWhatsApp {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, text := range []string{"", "fax:+15551234567", "whatsapp:a b", strings.Repeat("a", 129)} {
		if got, err := domain.ParseWriter(text); domain.KindOf(err) != domain.KindInvalid || err == nil {
			t.Errorf("%q: want an invalid error, got %+v, %v", text, got, err)
		}
	}
}

func TestParseSender(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"+15551234567", "12345", "ACME Shop", "whatsapp:+15551234567", "rcs:acme_agent", "MG0123456789abcdef0123456789abcdef"} {
		if got, err := domain.ParseSender(text); err != nil || got.String() != text {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"whatsapp:15551234567", "whatsapp:US.1234", "O2.co.uk"} { // no message comes to such
		if got, err := domain.ParseSender(text); domain.KindOf(err) != domain.KindInvalid {
			t.Errorf("%q: want an invalid error, got %+v, %v", text, got, err)
		}
	}
}

func TestRoute(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, to string
		wrong    string // what the error is about; empty: none
	}{
		{"+15551234567", "+15557654321", ""},
		{"12345", "+15557654321", ""},
		{"ACME Shop", "+4915112345678", ""},
		{"whatsapp:+15551234567", "whatsapp:+15557654321", ""},
		{"whatsapp:+15551234567", "whatsapp:US.1234", ""},
		{"whatsapp:+15551234567", "whatsapp:US.ENT.11815799212886844830", ""},
		{"rcs:brand_agent", "rcs:+15557654321", ""},
		{"messenger:123", "messenger:456", ""},
		{"+15551234567", "garbage", "the recipient: not a person's phone number"},
		{"+15551234567", "12345", "the recipient: not a person's phone number"},
		{"+15551234567", "5557654321x", "the recipient: not a person's phone number"},
		{"+15551234567", "", "the recipient: not an SMS address"},
		{"whatsapp:+15551234567", "whatsapp:ana", "the recipient: not a person's WhatsApp address"},
		{"whatsapp:+15551234567", "whatsapp:15557654321", "the recipient: not a person's WhatsApp address"},
		{"rcs:brand_agent", "rcs:other_agent", "the recipient: not a person's phone number"},
		{"+1555", "+15557654321", "the sender: not an SMS address"},
		{"+15551234567", "whatsapp:+15557654321", "between sms, our end, and whatsapp, theirs"},
	} {
		ours, theirs, err := domain.Route(c.from, c.to)
		if c.wrong == "" && (err != nil || ours.String() != c.from || theirs.String() != c.to) {
			t.Errorf("%s to %s: got %v, %v, %v", c.from, c.to, ours, theirs, err)
		}
		if c.wrong != "" && (domain.KindOf(err) != domain.KindInvalid || !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%s to %s: got %v, want %q", c.from, c.to, err, c.wrong)
		}
	}
}

func TestMask(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"+15551234567":          "+1****67",
		"whatsapp:+15551234567": "whatsapp:+1****67",
		"whatsapp:US.1234":      "whatsapp:US****34",
		"12345":                 "****",
		"whatsapp:12345":        "whatsapp:****",
		"":                      "****",
	} {
		if got := domain.Mask(text); got != want {
			t.Errorf("%q: want %q, got %q", text, want, got)
		}
	}
}

// TestMaskHides checks that no more than four characters of any number are left.
func TestMaskHides(t *testing.T) {
	t.Parallel()
	hides := func(value string) bool {
		return len(domain.Mask("+"+strings.ReplaceAll(value, ":", ""))) <= len("+1****67")
	}
	if err := quick.Check(hides, nil); err != nil {
		t.Error(err)
	}
}
