package twilio_test

import (
	"strings"
	"testing"

	"parley/internal/twilio"
)

func TestExplainAgreesWithTwilio(t *testing.T) {
	t.Parallel()
	var file struct {
		Codes []struct {
			Code    int
			Phase   twilio.Phase
			Class   twilio.Class
			Meaning string
		}
	}
	readJSON(t, "testdata/error_codes.json", &file)
	known := map[int]bool{}
	sentences := map[string]string{} // Twilio's meaning to ours
	for _, want := range file.Codes {
		known[want.Code] = true
		got := twilio.Explain(want.Code)
		if got.Code != want.Code || got.Phase != want.Phase || got.Class != want.Class || got.Meaning == "" {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if earlier, ok := sentences[want.Meaning]; ok && earlier != got.Meaning {
			t.Errorf("%d: %q, but another code of the same meaning says %q", want.Code, got.Meaning, earlier)
		}
		sentences[want.Meaning] = got.Meaning
	}
	for code := range 100_000 {
		if got := twilio.Explain(code); !known[code] && got.Class != twilio.ClassUnknown {
			t.Errorf("%d is not in Twilio's list, but has the class %s", code, got.Class)
		}
	}
	if got := twilio.Explain(99999).Meaning; !strings.HasSuffix(got, "/docs/api/errors/99999") {
		t.Errorf("an unknown code is explained as %q, without the way to Twilio's page", got)
	}
}
