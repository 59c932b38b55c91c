package domain

// Language is a language that Parley has fixed texts in.
type Language string

// The languages of the fixed texts.
const (
	English             Language = "en"
	BrazilianPortuguese Language = "pt-BR"
)

// ParseLanguage reads a language tag. It returns KindInvalid for one that Parley has no texts in.
func ParseLanguage(s string) (Language, error) {
	switch l := Language(s); l {
	case English, BrazilianPortuguese:
		return l, nil
	default:
		return "", Errorf(KindInvalid, "want en or pt-BR, got %q", s)
	}
}

// Text is one fixed text in every language.
type Text struct{ english, portuguese string }

// The fixed texts' defaults. An owner may set each to words of their own.
var (
	TextAttachment = Text{
		"Thank you for your message. I can only read text for now. Could you write it in words, please?",
		"Obrigado pela sua mensagem. Por enquanto só consigo ler texto. Você pode escrever em palavras, por favor?",
	}
	// TextScripted is the answer of the provider that needs no model; %s stands for what the person wrote.
	TextScripted = Text{
		`You wrote: "%s". This is Parley's scripted answer; a model takes over once one is configured.`,
		`Você escreveu: "%s". Esta é a resposta automática do Parley; um modelo assume assim que for configurado.`,
	}
	TextStop = Text{
		"You will get no more messages from us. Write START to get them again.",
		"Você não receberá mais mensagens nossas. Escreva VOLTAR para recebê-las de novo.",
	}
	TextStart = Text{
		"Welcome back: you will get our messages again. Write STOP to end them.",
		"Que bom ter você de volta: você voltará a receber nossas mensagens. Escreva SAIR para parar.",
	}
	TextHelp = Text{
		"This number is answered by an automatic assistant. Write STOP to get no more messages.",
		"Este número é atendido por um assistente automático. Escreva SAIR para não receber mais mensagens.",
	}
	TextOverQuota = Text{
		"Thank you for your message. We cannot answer here at the moment. Please try again later, or by another way.",
		"Obrigado pela sua mensagem. Agora não podemos responder por aqui. Tente mais tarde ou por outro canal.",
	}
	TextRegister = Text{
		"Thank you for your message. Please register with us first; then we can answer you here.",
		"Obrigado pela sua mensagem. Por favor, cadastre-se conosco primeiro; depois poderemos responder por aqui.",
	}
	TextInstructions = Text{
		"You answer text messages on behalf of a company. Be brief, friendly and honest. If you do not know, say so.",
		"Você responde mensagens de texto em nome de uma empresa. Seja breve, gentil e honesto. Se não souber, diga que não sabe.",
	}
)

// In returns the text in a language, in English where it has none in that language.
func (t Text) In(language Language) string {
	if language == BrazilianPortuguese {
		return t.portuguese
	}
	return t.english
}
