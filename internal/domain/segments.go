package domain

import "strings"

// Limits of one SMS segment. A message of several segments gives some of each to the header that joins them.
// https://www.twilio.com/docs/glossary/what-sms-character-limit
const (
	gsmSingle, gsmJoined   = 160, 153 // in septets
	ucs2Single, ucs2Joined = 70, 67   // in UTF-16 units
)

// Encoding is the alphabet in which an SMS travels.
type Encoding string

// The two encodings of an SMS.
const (
	EncodingGSM7 Encoding = "GSM-7"
	EncodingUCS2 Encoding = "UCS-2"
)

// The GSM 03.38 default alphabet, and the characters that take an escape and so count twice.
const (
	gsmBasic    = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsmExtended = "\f^{}\\[~]|€"
)

// Segments returns the encoding of an SMS body and the number of segments Twilio bills for it. An empty body is one
// segment. One character outside GSM-7 turns the whole body to UCS-2. A character of two units never straddles segments.
func Segments(body string) (Encoding, int) {
	encoding, width := EncodingGSM7, gsmWidth
	single, joined := gsmSingle, gsmJoined
	for _, r := range body {
		if gsmWidth(r) == 0 {
			encoding, width, single, joined = EncodingUCS2, ucs2Width, ucs2Single, ucs2Joined
			break
		}
	}
	total, segments, used := 0, 1, 0
	for _, r := range body {
		w := width(r)
		total += w
		if used+w > joined {
			segments, used = segments+1, 0
		}
		used += w
	}
	if total <= single {
		return encoding, 1
	}
	return encoding, segments
}

// gsmWidth returns the septets that a character takes in GSM-7, 0 where it has none.
func gsmWidth(r rune) int {
	switch {
	case strings.ContainsRune(gsmBasic, r):
		return 1
	case strings.ContainsRune(gsmExtended, r):
		return 2
	default:
		return 0
	}
}

// ucs2Width returns the UTF-16 units that a character takes.
func ucs2Width(r rune) int {
	if r > 0xFFFF {
		return 2
	}
	return 1
}
