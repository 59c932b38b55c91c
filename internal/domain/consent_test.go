package domain_test

import (
	"testing"

	"parley/internal/domain"
)

func TestConsentWords(t *testing.T) {
	t.Parallel()
	words := domain.ConsentWords{Stop: "BASTA,ME TIRA", Start: "ENTRAR", Help: "SOCORRO"}
	for _, c := range []struct {
		body, optOutType string
		withdrawn        bool
		want             domain.ConsentWord
	}{
		{body: "STOP", want: domain.WordStop},
		{body: "\n stopAll\t", want: domain.WordStop},
		{body: "\u200fSTOP\ufeff ", want: domain.WordStop}, // marks that nobody sees
		{body: "Sair", want: domain.WordStop},
		{body: "me tira", want: domain.WordStop},
		{body: "STOP."},
		{body: "please stop"},
		{body: "BASTA,ME TIRA"},
		{body: ","},
		{body: ""},
		{body: "start", want: domain.WordStart},
		{body: "unstop", want: domain.WordStart},
		{body: "Yes"},
		{body: "Yes", withdrawn: true, want: domain.WordStart},
		{body: "Voltar"},
		{body: "Voltar", withdrawn: true, want: domain.WordStart},
		{body: "entrar", want: domain.WordStart},
		{body: "ajuda", want: domain.WordHelp},
		{body: "info", want: domain.WordHelp},
		{body: "socorro", want: domain.WordHelp},
		{body: "hello", optOutType: "STOP", want: domain.WordStop},
		{body: "STOP", optOutType: "HELP", want: domain.WordHelp},
		{body: "STOP", optOutType: "SOMETHING NEW", want: domain.WordStop},
	} {
		if got := words.Meaning(c.body, c.optOutType, c.withdrawn); got != c.want {
			t.Errorf("%+v: got %q", c, got)
		}
	}
}

func TestWhoAnswersConsentWords(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]domain.OptOutReplies{
		"+15551234567": domain.RepliesByTwilio, "12345": domain.RepliesByUs, "whatsapp:+15551234567": domain.RepliesByUs, "rcs:acme": domain.RepliesByUs,
	} {
		sender, err := domain.ParseAddress(address)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := domain.ParseOptOutReplies("", sender); err != nil || got != want {
			t.Errorf("%s: got %q, %v", address, got, err)
		}
		if got, err := domain.ParseOptOutReplies("ours", sender); err != nil || got != domain.RepliesByUs {
			t.Errorf("%s: got %q, %v", address, got, err)
		}
	}
	for _, c := range []struct {
		replies          domain.OptOutReplies
		body, optOutType string
		want             bool
	}{
		{domain.RepliesByTwilio, " stop ", "", true},
		{domain.RepliesByTwilio, "yes", "", true},
		{domain.RepliesByTwilio, "info", "", true},
		{domain.RepliesByTwilio, "SAIR", "", false},
		{domain.RepliesByTwilio, "\u200fSTOP", "", false}, // that Twilio knows it is not said
		{domain.RepliesByTwilio, "SAIR", "STOP", true},
		{domain.RepliesByUs, "STOP", "", false},
		{domain.RepliesByUs, "STOP", "STOP", true},
	} {
		if got := c.replies.TwilioAnswers(c.body, c.optOutType); got != c.want {
			t.Errorf("%+v: got %t", c, got)
		}
	}
	if _, err := domain.ParseOptOutReplies("nobody", domain.Address{}); err == nil {
		t.Error("nobody was accepted")
	}
}
