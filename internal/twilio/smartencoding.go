package twilio

// smartEncoded returns what Smart Encoding puts in the place of a character, the character itself where it leaves it alone.
// Twilio replaces only where the whole message then fits the GSM alphabet, so what it will do to a body is not foreseen here: two
// bodies are compared with both replaced. Foreign spaces are left to that comparison.
//
// The table is that of Twilio's segment calculator (its page lists the same kinds), odd choices included (the single angle
// quotation marks change their direction). A character that Twilio replaces otherwise than here makes no match, never a wrong one.
// https://www.twilio.com/docs/messaging/services/smart-encoding-char-list
// https://github.com/TwilioDevEd/message-segment-calculator
func smartEncoded(r rune) string {
	// The fullwidth forms repeat ASCII in its order. Twilio leaves their small letters alone, which does no harm here.
	const fullwidth = '\uff01' - '!'
	if r >= '\uff01' && r <= '\uff5e' {
		r -= fullwidth
	}
	switch r {
	case '\u00ab', '\u00bb', '\u02ba', '\u02ee', '\u201c', '\u201d', '\u201e', '\u201f', '\u275d', '\u275e', '\u301d', '\u301e':
		return `"`
	case '`', '\u00b4', '\u02b9', '\u02bb', '\u02bc', '\u02bd', '\u02c8', '\u02ca', '\u02cb', '\u0313', '\u0314', '\u2018', '\u2019', '\u201b',
		'\u275b', '\u275c', '\ufe10', '\ufe11':
		return "'"
	case '\u2010', '\u2013', '\u2014', '\u2015', '\u2022', '\u2043', '\u23bc', '\u23bd', '\ufe63':
		return "-"
	case '\u2026':
		return "..."
	case '\u3002', '\ufe52', '\uff61':
		return "."
	case '\u0326', '\u201a', '\u3001', '\ufe50', '\ufe51', '\uff64':
		return ","
	case '\u02d0', '\u02f8', '\u2982', '\ua789', '\ufe13':
		return ":"
	case '\u204f', '\ufe14', '\ufe54':
		return ";"
	case '\u01c3', '\ufe15', '\ufe57':
		return "!"
	case '\u203c':
		return "!!"
	case '\ufe16', '\ufe56':
		return "?"
	case '\u0337', '\u0338', '\u00f7', '\u2044', '\u2215', '\u29f8':
		return "/"
	case '\u00bc':
		return "1/4"
	case '\u00bd':
		return "1/2"
	case '\u00be':
		return "3/4"
	case '\u20e5', '\u29f5', '\u29f9', '\ufe68':
		return `\`
	case '\u0332', '\u2017':
		return "_"
	case '\u20d2', '\u20d3', '\u2223', '\u239c', '\u239f', '\u23b8', '\u23b9', '\u23d0':
		return "|"
	case '\u02dc', '\u02f7', '\u0303', '\u0330', '\u0334', '\u223c':
		return "~"
	case '\u02c6', '\u0302', '\u1dcd':
		return "^"
	case '\u204e', '\u2217', '\u229b', '\u2722', '\u2723', '\u2724', '\u2725', '\u2731', '\u2732', '\u2733', '\u273a', '\u273b', '\u273c', '\u273d',
		'\u2743', '\u2749', '\u274a', '\u274b', '\u29c6', '\ufe61':
		return "*"
	case '\u02d6', '\ufe62':
		return "+"
	case '\u0347', '\ua78a', '\ufe66':
		return "="
	case '\u203a', '\ufe64':
		return "<"
	case '\u2039', '\ufe65':
		return ">"
	case '\u2768', '\u276a', '\u27ee', '\u2985', '\ufe59':
		return "("
	case '\u2769', '\u276b', '\u27ef', '\u2986', '\ufe5a':
		return ")"
	case '\u2774', '\ufe5b':
		return "{"
	case '\u2775', '\ufe5c':
		return "}"
	case '\ufe5f':
		return "#"
	case '\ufe60':
		return "&"
	case '\ufe69':
		return "$"
	case '\ufe6a':
		return "%"
	case '\ufe6b':
		return "@"
	case '\u0080', '\u008d', '\u0090', '\u009b', '\u009f':
		return " "
	case 0x00, 0x03, 0x04, 0x10, 0x11, 0x12, 0x13, 0x14, 0x17, 0x19, '\u200b', '\u200c', '\u2060', '\ufeff':
		return ""
	default:
		return smallCapital(r)
	}
}

// smallCapital returns the capital that Smart Encoding puts in the place of a small capital, or the character itself.
func smallCapital(r rune) string {
	const (
		small    = "\u1d00\u0299\u1d04\u1d05\u1d07\ua730\u0262\u029c\u026a\u1d0a\u1d0b\u029f\u1d0d\u0274\u1d0f\u1d18\u0280\ua731\u1d1b\u1d1c\u1d20\u1d21\u028f\u1d22"
		capitals = "ABCDEFGHIJKLMNOPRSTUVWYZ" // no Q, no X
	)
	for i, s := range []rune(small) {
		if s == r {
			return capitals[i : i+1]
		}
	}
	return string(r)
}
