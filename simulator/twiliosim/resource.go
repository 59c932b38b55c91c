package twiliosim

import (
	"fmt"
	"strconv"
	"time"

	"parley/internal/domain"
)

// apiVersion stands in every URL, resource and webhook of this API.
const apiVersion = "2010-04-01"

// priceUnit is the currency of the account.
const priceUnit = "USD"

// resource is a message as Twilio's API writes it. Twilio sends every field, null where it has no value.
type resource struct {
	AccountSid          string            `json:"account_sid"`
	APIVersion          string            `json:"api_version"`
	Body                string            `json:"body"`
	DateCreated         string            `json:"date_created"`
	DateSent            *string           `json:"date_sent"`
	DateUpdated         string            `json:"date_updated"`
	Direction           string            `json:"direction"`
	ErrorCode           *int              `json:"error_code"`
	ErrorMessage        *string           `json:"error_message"`
	From                string            `json:"from"`
	MessagingServiceSid *string           `json:"messaging_service_sid"`
	NumMedia            string            `json:"num_media"`
	NumSegments         string            `json:"num_segments"`
	Price               *string           `json:"price"`
	PriceUnit           string            `json:"price_unit"`
	Sid                 string            `json:"sid"`
	Status              domain.Status     `json:"status"`
	SubresourceURIs     map[string]string `json:"subresource_uris"`
	To                  string            `json:"to"`
	URI                 string            `json:"uri"`
}

// resource returns a message as Twilio's API writes it.
func (a *account) resource(m Message) resource {
	uri := a.messagesPath() + "/" + m.Sid
	written := resource{
		AccountSid:      a.sid,
		APIVersion:      apiVersion,
		Body:            m.Body,
		DateCreated:     rfc2822(m.CreatedAt),
		DateUpdated:     rfc2822(m.UpdatedAt),
		Direction:       m.Direction,
		From:            m.From,
		NumMedia:        strconv.Itoa(len(m.Media)),
		NumSegments:     m.segments(),
		PriceUnit:       priceUnit,
		Sid:             m.Sid,
		Status:          m.Status,
		SubresourceURIs: map[string]string{"media": uri + "/Media.json"},
		To:              m.To,
		URI:             uri + ".json",
	}
	if m.SentAt != nil {
		sent := rfc2822(*m.SentAt)
		written.DateSent = &sent
	}
	if m.price != "" && !time.Now().Before(m.pricedAt) {
		written.Price = &m.price
	}
	if m.ErrorCode != 0 {
		explained := describe(m.ErrorCode)
		written.ErrorCode, written.ErrorMessage = &m.ErrorCode, &explained
	}
	return written
}

// segments counts as Twilio does: only text messages are cut.
func (m Message) segments() string {
	if to, err := domain.ParseAddress(m.To); err != nil || to.Channel != domain.ChannelSMS || len(m.Media) > 0 {
		return "1"
	}
	_, n := domain.Segments(m.Body)
	return strconv.Itoa(n)
}

// usualPrice is what the simulated Twilio takes for a message, as Twilio writes it: less than nothing, a segment 0.0079.
func (m Message) usualPrice() string {
	segments, _ := strconv.Atoi(m.segments()) // a number
	return fmt.Sprintf("-%d.%05d", segments*790/100_000, segments*790%100_000)
}

func (a *account) messagesPath() string {
	return "/" + apiVersion + "/Accounts/" + a.sid + "/Messages"
}

func rfc2822(t time.Time) string { return t.UTC().Format(time.RFC1123Z) }
