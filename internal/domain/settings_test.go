package domain_test

import (
	"strings"
	"testing"
	"time"

	"parley/internal/domain"
)

func TestDefaultSettings(t *testing.T) {
	t.Parallel()
	got, err := domain.ParseSettings(nil)
	if err != nil || got != domain.DefaultSettings(domain.English) {
		t.Errorf("an owner who set nothing: %+v, %v", got, err)
	}
	portuguese, err := domain.ParseSettings(map[string]string{"language": "pt-BR"})
	if err != nil || portuguese != domain.DefaultSettings(domain.BrazilianPortuguese) {
		t.Errorf("an owner who chose a language: %+v, %v", portuguese, err)
	}
	if portuguese.AttachmentText == got.AttachmentText || portuguese.Instructions == got.Instructions {
		t.Error("the fixed texts are to be in the owner's language")
	}
}

// TestSettingsRoundTrip parses what List shows, for defaults and for choices: so every default is valid too, and every
// setting is shown as it is set.
func TestSettingsRoundTrip(t *testing.T) {
	t.Parallel()
	chosen, err := domain.ParseSettings(map[string]string{
		"language": "pt-BR", "instructions": "Seja breve.", "attachment_text": "Só texto, por favor.", "reply_deadline": "90s",
		"outbound_deadline": "2h", "park_timeout": "1h30m", "model_timeout": "2s", "post_within": "500ms", "send_timeout": "1s",
		"validity_period": "10m", "delivery_check": "100ms", "delivery_grace": "1s", "look_ups": "10ms,20ms,1s,1m30s,1h", "unknown_send": "give_up",
		"stop_words": "BASTA,CHEGA", "start_words": "DE NOVO", "help_words": "SOCORRO", "turn_wait": "5s", "quiet_window": "2s", "turn_messages": "7",
		"conversation_idle": "36h", "prompt_tokens": "500", "loop_texts": "5", "loop_window": "1m", "loop_replies": "3",
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, settings := range map[string]domain.Settings{
		"english": domain.DefaultSettings(domain.English), "portuguese": domain.DefaultSettings(domain.BrazilianPortuguese), "chosen": chosen,
	} {
		stored := map[string]string{}
		for _, value := range settings.List() {
			if _, twice := stored[value.Name]; twice || value.Meaning == "" || value.Values == "" {
				t.Errorf("%s: shown twice or without its meaning: %+v", name, value)
			}
			stored[value.Name] = value.Value
		}
		if got, err := domain.ParseSettings(stored); err != nil || got != settings {
			t.Errorf("%s: %+v is read back as %+v, %v", name, settings, got, err)
		}
	}
	// Each choice above differs from the default, so a setting that List or Parse forgets shows here.
	defaults := domain.DefaultSettings(domain.English).List()
	for i, value := range chosen.List() {
		if value.Value == defaults[i].Value {
			t.Errorf("%s: the choice is lost", value.Name)
		}
	}
}

func TestSettingsRefuse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, value string }{
		{"language", "fr"}, {"language", ""}, {"language", "EN"},
		{"instructions", ""}, {"instructions", "  "}, {"attachment_text", strings.Repeat("x", 1601)},
		{"reply_deadline", "soon"}, {"reply_deadline", "10"}, {"reply_deadline", "999ms"}, {"reply_deadline", "25h"}, {"reply_deadline", "-1s"},
		{"model_timeout", "51s"}, // longer than the step that waits for it
		{"post_within", "9s"}, {"send_timeout", "36s"}, {"validity_period", "10h1s"},
		{"replydeadline", "10m"},
		{"look_ups", ""}, {"look_ups", "soon"}, {"look_ups", "2s,5s,15s,45s"}, {"look_ups", "2s,5s,15s,45s,2m,4m"}, {"look_ups", "2s 5s 15s 45s 2m"},
		{"look_ups", "2s,5s,15s,45s,"}, {"look_ups", "2,5,15,45,120"}, {"look_ups", "-2s,5s,15s,45s,2m"},
		{"look_ups", "9ms,5s,15s,45s,2m"}, {"look_ups", "2s,5s,15s,45s,1h1s"},
		{"look_ups", "2s,2s,15s,45s,2m"}, {"look_ups", "2m,45s,15s,5s,2s"}, {"look_ups", "2s,5s,15s,2m,45s"},
		{"turn_wait", "0s"}, {"turn_messages", "0"}, {"turn_messages", "many"}, {"stop_words", "A WORD THAT IS MUCH TOO LONG"}, {"stop_text", ""},
		{"conversation_idle", "0s"}, {"conversation_idle", "721h"}, {"prompt_tokens", "99"}, {"prompt_tokens", "100001"}, {"prompt_tokens", ""},
		{"loop_texts", "0"}, {"loop_texts", "1001"}, {"loop_window", "0s"}, {"loop_window", "25h"}, {"loop_replies", "0"}, {"loop_replies", "ten"},
		{"unknown_send", ""}, {"unknown_send", "retry"}, {"unknown_send", "PARK"}, {"unknown_send", "give up"},
	} {
		err := domain.CheckSettings(map[string]string{c.name: c.value})
		if domain.KindOf(err) != domain.KindInvalid || err == nil || !strings.Contains(err.Error(), c.name+":") {
			t.Errorf("%s=%q: want an invalid error that names it, got %v", c.name, c.value, err)
		}
	}
}

func TestSettingsEveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	err := domain.CheckSettings(map[string]string{"language": "fr", "nonsense": "1", "reply_deadline": "soon", "park_timeout": "1h", "instructions": ""})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, name := range []string{"language:", "nonsense:", "reply_deadline:", "instructions:"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is missing in %v", name, err)
		}
	}
	if strings.Contains(err.Error(), "park_timeout") {
		t.Errorf("what is right is no problem: %v", err)
	}
}

func TestWhatBecomesOfAnUnknownSend(t *testing.T) {
	t.Parallel()
	usual := domain.LookUps{2 * time.Second, 5 * time.Second, 15 * time.Second, 45 * time.Second, 2 * time.Minute}
	for name, c := range map[string]struct {
		stored  map[string]string
		lookUps domain.LookUps
		giveUp  bool
	}{
		"nothing set":   {nil, usual, false},
		"park":          {map[string]string{"unknown_send": "park"}, usual, false},
		"give up":       {map[string]string{"unknown_send": "give_up"}, usual, true},
		"times":         {map[string]string{"look_ups": "10ms,20ms,1s,1m30s,1h"}, domain.LookUps{10 * time.Millisecond, 20 * time.Millisecond, time.Second, 90 * time.Second, time.Hour}, false},
		"with spaces":   {map[string]string{"look_ups": " 2s, 5s,\t15s ,45s, 2m "}, usual, false},
		"other writing": {map[string]string{"look_ups": "2000ms,5s,0.25m,45s,120s"}, usual, false},
	} {
		got, err := domain.ParseSettings(c.stored)
		if err != nil || got.Timing.LookUps != c.lookUps || got.Timing.GiveUpUnknown != c.giveUp {
			t.Errorf("%s: got %+v, %v", name, got.Timing, err)
		}
	}
	for _, value := range domain.DefaultSettings(domain.English).List() {
		if (value.Name == "look_ups" && value.Value != "2s,5s,15s,45s,2m0s") || (value.Name == "unknown_send" && value.Value != "park") {
			t.Errorf("shown as %+v", value)
		}
	}
}

// TestSettingsOfANewerVersion: an older binary that runs beside a newer one must not stop at a knob it does not know.
func TestSettingsOfANewerVersion(t *testing.T) {
	t.Parallel()
	got, err := domain.ParseSettings(map[string]string{"a_newer_knob": "1", "reply_deadline": "5m"})
	if err != nil || got.Timing.ReplyDeadline != 5*time.Minute {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestSettingsBelowTheirSteps holds the numbers of the design: what a step waits for ends before the step does.
func TestSettingsBelowTheirSteps(t *testing.T) {
	t.Parallel()
	timing := domain.DefaultSettings(domain.English).Timing
	if timing.ReplyDeadline != 10*time.Minute || timing.OutboundDeadline != 24*time.Hour || timing.ParkTimeout != 72*time.Hour {
		t.Errorf("the deadlines of the design: %+v", timing)
	}
	if timing.PostWithin+timing.SendTimeout >= 45*time.Second {
		t.Errorf("claim and POST (%s) are to end before messaging.Send's 45 s", timing.PostWithin+timing.SendTimeout)
	}
	if last := timing.LookUps[len(timing.LookUps)-1]; last <= timing.PostWithin+timing.SendTimeout {
		t.Errorf("the last look-up comes after %s, while the POST may still be under way", last)
	}
	if timing.ModelTimeout >= time.Minute {
		t.Errorf("the model's %s are to end before reply.Generate's 60 s", timing.ModelTimeout)
	}
}
