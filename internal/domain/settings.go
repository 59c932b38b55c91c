package domain

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Timing holds an owner's settings that are lengths of time. It travels with the flow: account.Resolve returns it, and
// everything that waits takes its length from it.
type Timing struct {
	ReplyDeadline    time.Duration `json:"reply_deadline"`
	OutboundDeadline time.Duration `json:"outbound_deadline"`
	ParkTimeout      time.Duration `json:"park_timeout"`
	ModelTimeout     time.Duration `json:"model_timeout"`
	PostWithin       time.Duration `json:"post_within"`
	SendTimeout      time.Duration `json:"send_timeout"`
	ValidityPeriod   time.Duration `json:"validity_period"`
	DeliveryCheck    time.Duration `json:"delivery_check"`
	DeliveryGrace    time.Duration `json:"delivery_grace"`
	LookUps          LookUps       `json:"look_ups"`
	Turns            TurnBounds    `json:"turns"`
	QuietWindow      time.Duration `json:"quiet_window,omitempty"`
	GiveUpUnknown    bool          `json:"give_up_unknown,omitempty"` // an unknown send ends its flow instead of parking it
}

// LookUps are the times, after an attempt, at which an attempt of unknown fate is looked for in Twilio's list.
type LookUps [5]time.Duration

// Settings are an owner's choices, complete: what the owner did not set has its default.
type Settings struct {
	Language       Language
	Instructions   string // what the model is told about its role
	AttachmentText string // the answer to a message without text
	StopText       string
	StartText      string
	HelpText       string
	OverQuotaText  string
	RegisterText   string
	Words          ConsentWords // beside Twilio's own
	Timing         Timing
	Conversations  ConversationBounds
}

// Setting describes one knob of an owner: its name, what it means and the values it takes.
type Setting struct {
	Name    string
	Meaning string
	Values  string // what may be set, for people
	set     func(*Settings, string) error
	get     func(*Settings) string
}

// settings is the one list of an owner's knobs. Defaults stand in DefaultSettings.
func settings() []Setting {
	return []Setting{
		{
			"language", "language of the fixed texts", "en or pt-BR",
			func(s *Settings, v string) (err error) { s.Language, err = ParseLanguage(v); return err },
			func(s *Settings) string { return string(s.Language) },
		},
		text("instructions", "what the model is told about its role", func(s *Settings) *string { return &s.Instructions }),
		text("attachment_text", "the answer to a message that has no text", func(s *Settings) *string { return &s.AttachmentText }),
		text("stop_text", "the confirmation of STOP, where Twilio sends none", func(s *Settings) *string { return &s.StopText }),
		text("start_text", "the confirmation of START, where Twilio sends none", func(s *Settings) *string { return &s.StartText }),
		text("help_text", "the answer to HELP, where Twilio sends none", func(s *Settings) *string { return &s.HelpText }),
		text("over_quota_text", "what a person is told, once a day, when the plan has no reply left", func(s *Settings) *string { return &s.OverQuotaText }),
		text("register_text", "what an unknown person is told, once, where unknown_people is register_first", func(s *Settings) *string { return &s.RegisterText }),
		words("stop_words", "words that mean STOP, beside Twilio's own", func(w *ConsentWords) *string { return &w.Stop }),
		words("start_words", "words that mean START, beside Twilio's own", func(w *ConsentWords) *string { return &w.Start }),
		words("help_words", "words that mean HELP, beside Twilio's own", func(w *ConsentWords) *string { return &w.Help }),
		duration("reply_deadline", "a reply not claimed within this time of the message's arrival is not sent",
			time.Second, 24*time.Hour, func(t *Timing) *time.Duration { return &t.ReplyDeadline }),
		duration("outbound_deadline", "a message of ours not claimed within this time of its start is not sent",
			time.Second, 7*24*time.Hour, func(t *Timing) *time.Duration { return &t.OutboundDeadline }),
		duration("park_timeout", "a parked flow gives up after this time",
			time.Second, 30*24*time.Hour, func(t *Timing) *time.Duration { return &t.ParkTimeout }),
		duration("model_timeout", "longest wait for one answer of the model",
			100*time.Millisecond, 50*time.Second, func(t *Timing) *time.Duration { return &t.ModelTimeout }),
		duration("post_within", "nothing is posted to Twilio later than this after its claim",
			100*time.Millisecond, 8*time.Second, func(t *Timing) *time.Duration { return &t.PostWithin }),
		duration("send_timeout", "longest wait for Twilio's answer to one POST",
			100*time.Millisecond, 35*time.Second, func(t *Timing) *time.Duration { return &t.SendTimeout }),
		duration("validity_period", "Twilio gives up a message that it could not hand on within this time",
			time.Second, 10*time.Hour, func(t *Timing) *time.Duration { return &t.ValidityPeriod }),
		duration("delivery_check", "Twilio is asked for the status when no callback came for this time; the time then doubles, up to an hour",
			100*time.Millisecond, time.Hour, func(t *Timing) *time.Duration { return &t.DeliveryCheck }),
		duration("delivery_grace", "a flow closes this long after the status sent, or after the validity period without one",
			100*time.Millisecond, 24*time.Hour, func(t *Timing) *time.Duration { return &t.DeliveryGrace }),
		lookUps(),
		unknownSend(),
		duration("quiet_window", "how long a message waits for more of what the person has to say before a model is asked",
			0, time.Minute, func(t *Timing) *time.Duration { return &t.QuietWindow }),
		duration("turn_wait", "how long a person who keeps writing waits for an answer, since the first message of the turn",
			time.Second, 24*time.Hour, func(t *Timing) *time.Duration { return &t.Turns.Wait }),
		number("turn_messages", "how many messages a newer one may answer together with itself, before the person gets an answer",
			1, 1000, func(s *Settings) *int { return &s.Timing.Turns.Messages }),
		length(SettingIdle, "a conversation is closed when nothing was written in it for this time; the next message opens another",
			time.Second, 30*24*time.Hour, func(s *Settings) *time.Duration { return &s.Conversations.Idle }),
		number("prompt_tokens", "how much of what was said a model is given, in tokens of four bytes; what it is to answer comes first",
			100, 100_000, func(s *Settings) *int { return &s.Conversations.PromptTokens }),
		number("loop_texts", "how many identical texts within loop_window are answered; one more stops the conversation",
			1, 1000, func(s *Settings) *int { return &s.Conversations.Loop.Texts }),
		length("loop_window", "the time in which identical texts are counted",
			time.Second, 24*time.Hour, func(s *Settings) *time.Duration { return &s.Conversations.Loop.Window }),
		number("loop_replies", "how many replies a conversation gets within a minute; one more stops it",
			1, 1000, func(s *Settings) *int { return &s.Conversations.Loop.Replies }),
	}
}

// lookUps is the knob of the look-ups' times.
func lookUps() Setting {
	return Setting{
		"look_ups", "when, after the attempt, a send of unknown fate is looked for in Twilio's list", "five growing durations from 10ms to 1h, such as 2s,5s,15s,45s,2m",
		func(s *Settings, v string) error {
			wrong := fmt.Errorf("want five growing durations from 10ms to 1h, such as 2s,5s,15s,45s,2m, got %q", v)
			values := strings.Split(v, ",")
			if len(values) != len(s.Timing.LookUps) {
				return wrong
			}
			var times LookUps
			for i, value := range values {
				d, err := time.ParseDuration(strings.TrimSpace(value))
				if err != nil || d < 10*time.Millisecond || d > time.Hour || (i > 0 && d <= times[i-1]) {
					return wrong
				}
				times[i] = d
			}
			s.Timing.LookUps = times
			return nil
		},
		func(s *Settings) string {
			var values []string
			for _, d := range s.Timing.LookUps {
				values = append(values, d.String())
			}
			return strings.Join(values, ",")
		},
	}
}

// unknownSend is the knob of what becomes of a send of unknown fate.
func unknownSend() Setting {
	return Setting{
		"unknown_send", "what becomes of a send whose fate the look-ups did not tell", "park (a person decides) or give_up (the flow ends unknown)",
		func(s *Settings, v string) error {
			if v != "park" && v != "give_up" {
				return fmt.Errorf("want park or give_up, got %q", v)
			}
			s.Timing.GiveUpUnknown = v == "give_up"
			return nil
		},
		func(s *Settings) string {
			if s.Timing.GiveUpUnknown {
				return "give_up"
			}
			return "park"
		},
	}
}

// SettingIdle is the setting that the schedule which closes conversations reads of all owners at once.
const SettingIdle = "conversation_idle"

// DefaultSettings are the settings of an owner who chose only a language.
func DefaultSettings(language Language) Settings {
	return Settings{
		Language:       language,
		Instructions:   TextInstructions.In(language),
		AttachmentText: TextAttachment.In(language),
		StopText:       TextStop.In(language),
		StartText:      TextStart.In(language),
		HelpText:       TextHelp.In(language),
		OverQuotaText:  TextOverQuota.In(language),
		RegisterText:   TextRegister.In(language),
		Timing: Timing{
			ReplyDeadline:    10 * time.Minute,
			OutboundDeadline: 24 * time.Hour,
			ParkTimeout:      72 * time.Hour,
			ModelTimeout:     50 * time.Second,
			PostWithin:       8 * time.Second,
			SendTimeout:      35 * time.Second,
			ValidityPeriod:   time.Hour,
			DeliveryCheck:    time.Minute,
			DeliveryGrace:    10 * time.Minute,
			Turns:            TurnBounds{Wait: 30 * time.Second, Messages: 3},
			LookUps:          LookUps{2 * time.Second, 5 * time.Second, 15 * time.Second, 45 * time.Second, 2 * time.Minute},
		},
		Conversations: ConversationBounds{
			Idle:         24 * time.Hour,
			PromptTokens: 3000,
			Loop:         LoopBounds{Texts: 20, Window: 5 * time.Minute, Replies: 10},
		},
	}
}

// ParseSettings builds an owner's settings from the stored names and values. All problems are reported at once, as one
// KindInvalid error. A name that is not known is passed over: a newer version may have stored it.
func ParseSettings(stored map[string]string) (Settings, error) {
	language, err := ParseLanguage(stored["language"])
	if err != nil {
		language = English // a wrong one is reported below, where all are
	}
	result := DefaultSettings(language)
	var problems []error
	for _, knob := range settings() {
		if v, ok := stored[knob.Name]; ok {
			if err := knob.set(&result, v); err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", knob.Name, err))
			}
		}
	}
	return result, settingProblems(problems)
}

// CheckSettings says what is wrong with settings that somebody wants to store, names included, as one KindInvalid error.
func CheckSettings(wanted map[string]string) error {
	known := map[string]bool{}
	for _, knob := range settings() {
		known[knob.Name] = true
	}
	var problems []error
	for name := range wanted {
		if !known[name] {
			problems = append(problems, fmt.Errorf("%s: no such setting", name))
		}
	}
	if _, err := ParseSettings(wanted); err != nil {
		problems = append(problems, errors.Unwrap(err))
	}
	return settingProblems(problems)
}

func settingProblems(problems []error) error {
	if len(problems) == 0 {
		return nil
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return Errorf(KindInvalid, "owner settings: %w", errors.Join(problems...))
}

// SettingValue is one setting as people see it.
type SettingValue struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Meaning string `json:"meaning"`
	Values  string `json:"values"`
}

// SystemText returns the words of a system text, or KindInvalid for another kind of message.
func (s Settings) SystemText(kind MessageKind) (string, error) {
	switch kind {
	case KindStopConfirmation:
		return s.StopText, nil
	case KindStartConfirmation:
		return s.StartText, nil
	case KindHelp:
		return s.HelpText, nil
	case KindOverQuotaNotice:
		return s.OverQuotaText, nil
	case KindRegisterFirst:
		return s.RegisterText, nil
	default:
		return "", Errorf(KindInvalid, "no such system text: %q", kind)
	}
}

// List returns every setting with its value, in the order of the documentation.
func (s Settings) List() []SettingValue {
	var list []SettingValue
	for _, knob := range settings() {
		list = append(list, SettingValue{knob.Name, knob.get(&s), knob.Meaning, knob.Values})
	}
	return list
}

// maxText is the longest text setting, in characters: Twilio's limit of one message.
const maxText = MaxBody

func text(name, meaning string, field func(*Settings) *string) Setting {
	return Setting{
		name, meaning, fmt.Sprintf("a text of 1 to %d characters", maxText),
		func(s *Settings, v string) error {
			if n := utf8.RuneCountInString(v); strings.TrimSpace(v) == "" || n > maxText {
				return fmt.Errorf("want a text of 1 to %d characters, got %d", maxText, n)
			}
			*field(s) = v
			return nil
		},
		func(s *Settings) string { return *field(s) },
	}
}

func duration(name, meaning string, least, most time.Duration, field func(*Timing) *time.Duration) Setting {
	return length(name, meaning, least, most, func(s *Settings) *time.Duration { return field(&s.Timing) })
}

func length(name, meaning string, least, most time.Duration, field func(*Settings) *time.Duration) Setting {
	return Setting{
		name, meaning, fmt.Sprintf("a duration from %s to %s, such as 90s or 10m", least, most),
		func(s *Settings, v string) error {
			d, err := time.ParseDuration(v)
			if err != nil || d < least || d > most {
				return fmt.Errorf("want a duration from %s to %s, got %q", least, most, v)
			}
			*field(s) = d
			return nil
		},
		func(s *Settings) string { return field(s).String() },
	}
}

// words is a knob of words that are added to fixed ones; they are kept in upper case.
func words(name, meaning string, field func(*ConsentWords) *string) Setting {
	return Setting{
		name, meaning, fmt.Sprintf("words of 1 to %d bytes with commas between them, or nothing", MaxConsentWord),
		func(s *Settings, v string) error {
			var list []string
			for word := range strings.SplitSeq(v, ",") {
				word = strings.ToUpper(strings.TrimSpace(word))
				if len(word) > MaxConsentWord {
					return fmt.Errorf("a word of more than %d bytes", MaxConsentWord)
				}
				if word != "" {
					list = append(list, word)
				}
			}
			*field(&s.Words) = strings.Join(list, ",")
			return nil
		},
		func(s *Settings) string { return *field(&s.Words) },
	}
}

func number(name, meaning string, least, most int, field func(*Settings) *int) Setting {
	return Setting{
		name, meaning, fmt.Sprintf("a number from %d to %d", least, most),
		func(s *Settings, v string) error {
			n, err := strconv.Atoi(v)
			if err != nil || n < least || n > most {
				return fmt.Errorf("want a number from %d to %d, got %q", least, most, v)
			}
			*field(s) = n
			return nil
		},
		func(s *Settings) string { return strconv.Itoa(*field(s)) },
	}
}
