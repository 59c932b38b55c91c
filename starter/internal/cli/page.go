package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"parley/internal/domain"
)

// width is the terminal that text is laid out for, in characters. Ids are never cut.
const width = 80

func (c *commands) print(found result) error {
	if c.json {
		var document strings.Builder
		encoder := json.NewEncoder(&document)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(found); err != nil {
			return written(err)
		}
		_, err := io.WriteString(c.streams.Out, escaped(document.String()))
		return written(err)
	}
	p := &page{}
	found.print(p)
	_, err := io.WriteString(c.streams.Out, p.text.String())
	return written(err)
}

func written(err error) error {
	if err != nil {
		return domain.Errorf(domain.KindInternal, "print: %w", err)
	}
	return nil
}

// page is text for people. Everything on it is stripped of control characters: bodies, names and errors come from
// strangers, and a terminal obeys what it is sent.
type page struct{ text strings.Builder }

// line adds one line.
func (p *page) line(format string, args ...any) {
	p.text.WriteString(strings.TrimRight(visible(fmt.Sprintf(format, args...)), " ") + "\n")
}

// section begins a new part of the page.
func (p *page) section(title string) {
	if p.text.Len() > 0 {
		p.text.WriteString("\n")
	}
	p.line("%s", title)
}

// field adds a labelled value; an empty one is left out, a long one is wrapped.
func (p *page) field(label, value string) {
	if value == "" {
		return
	}
	const indent = "            " // as wide as the label
	for i, line := range wrap(value, width-len(indent)) {
		if i == 0 {
			p.line("  %-9s %s", label, line)
		} else {
			p.line("%s%s", indent, line)
		}
	}
}

// paragraph adds wrapped text behind an indent.
func (p *page) paragraph(indent, text string) {
	for _, line := range wrap(text, width-len(indent)) {
		p.line("%s%s", indent, line)
	}
}

// table adds rows in columns; the last column is not padded.
func (p *page) table(rows ...[]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
		p.line("%s", line.String())
	}
}

// wrap breaks a text into lines of at most a width, at spaces where it can. Line breaks of the text are kept.
func wrap(text string, width int) []string {
	var lines []string
	for paragraph := range strings.SplitSeq(text, "\n") {
		line := ""
		for word := range strings.FieldsSeq(paragraph) {
			switch {
			case line == "":
				line = word
			case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
				line += " " + word
			default:
				lines = append(lines, line)
				line = word
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// long lays out a command's description.
func long(text string) string { return strings.Join(wrap(text, width), "\n") }

// obeyed reports whether a terminal would obey or hide a character: control characters and marks that turn the direction of text.
func obeyed(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }

// visible replaces what a terminal would obey or hide.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if obeyed(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// escaped writes in a JSON document what a terminal would obey or hide as JSON's escapes, which say the same: JSON itself asks it only of
// the oldest control characters. Between its strings there are no others than line feeds.
func escaped(document string) string {
	var text strings.Builder
	for _, r := range document {
		if r != '\n' && obeyed(r) { // none is beyond four digits
			fmt.Fprintf(&text, `\u%04x`, r)
		} else {
			text.WriteRune(r)
		}
	}
	return text.String()
}

// ErrorText is an error for people, without what a terminal would obey: it may repeat what a stranger wrote, or what somebody has pasted.
func ErrorText(err error) string {
	lines := strings.Split(err.Error(), "\n")
	for i, line := range lines {
		lines[i] = visible(line)
	}
	return strings.Join(lines, "\n")
}

func at(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func atOrEmpty(t *time.Time) string {
	if t == nil {
		return ""
	}
	return at(*t)
}
