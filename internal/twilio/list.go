package twilio

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	api "github.com/twilio/twilio-go/rest/api/v2010"

	"parley/internal/domain"
)

const (
	// pageSize is Twilio's default. A message of 1600 emoji, each written as \uXXXX\uXXXX, takes about 20 KB of JSON: 50 of them
	// are within maxResponse. Between two addresses one page goes back further than a look-up ever needs.
	pageSize = 50
	maxPages = 40
)

// Search says which messages of an account are wanted. A field left zero selects all.
type Search struct {
	From, To string    // as Twilio writes addresses; From is a sender, never a messaging service
	Since    time.Time // created at this time or later
}

// List reads the messages of an account that a search selects, newest first, each once, with the first of the account's logins that Twilio
// accepts. It does not filter by DateSent, which
// is null while a message is queued. Without Since it reads up to 2000 messages.
//
// The list may lag: a message that is not in it may exist. Its errors are Fetch's, but for KindNotFound: an account that
// Twilio does not know is KindConfiguration. A list that could not be read to its end is KindUnavailable, never a shorter list.
// https://www.twilio.com/docs/messaging/api/message-resource#read-multiple-message-resources
func (c *Client) List(ctx context.Context, credentials domain.Credentials, search Search) ([]Message, error) {
	return withEach(credentials, func(login domain.Login) ([]Message, error) { return c.list(ctx, login, search) })
}

func (c *Client) list(ctx context.Context, login domain.Login, search Search) ([]Message, error) {
	var found []Message
	seen := map[string]bool{}
	query := search.query()
	for range maxPages {
		read, err := c.readPage(ctx, login, query)
		if err != nil {
			return nil, err
		}
		older := 0
		for _, m := range read.messages {
			if m.DateCreated.Before(search.Since) {
				older++
			} else if !seen[m.Sid] { // messages that come meanwhile may move others to the next page
				seen[m.Sid] = true
				found = append(found, m)
			}
		}
		// One older message does not end the list: while messages are queued, its order need not be that of their creation.
		if read.next == "" || (older > 0 && older == len(read.messages)) {
			return found, nil
		}
		query = read.next
	}
	return nil, domain.Errorf(domain.KindUnavailable, "listing messages: more than %d pages", maxPages)
}

// query returns the search as the query of the first page.
func (s Search) query() string {
	query := url.Values{"PageSize": {strconv.Itoa(pageSize)}}
	if s.From != "" {
		query.Set("From", s.From)
	}
	if s.To != "" {
		query.Set("To", s.To)
	}
	return query.Encode()
}

// page is one page of the list.
type page struct {
	messages []Message
	next     string // the query of the next page, empty on the last one
}

func (c *Client) readPage(ctx context.Context, login domain.Login, query string) (page, error) {
	call := c.newExchange(ctx)
	call.query = query
	params := (&api.ListMessageParams{}).SetPathAccountSid(login.AccountSid)
	answer, err := call.api(login).PageMessage(params, "", "")
	if err == nil && call.status == http.StatusOK {
		if read, ok := newPage(answer); ok {
			return read, nil
		}
	}
	return page{}, call.readError("listing messages", domain.KindConfiguration, err)
}

// newPage reports false for what is not a page of messages. One message that cannot be read spoils the page: left out, it
// could be the twin that makes another one look like the only one.
//
// Of the next page's URI only the query counts: whatever host or path it names, the credentials go where they always go.
func newPage(answer *api.ListMessageResponse) (page, bool) {
	if answer == nil || answer.Messages == nil {
		return page{}, false
	}
	var read page
	for i := range answer.Messages {
		if !readable(&answer.Messages[i]) {
			return page{}, false
		}
		m := newMessage(&answer.Messages[i])
		if m.DateCreated.IsZero() {
			return page{}, false
		}
		read.messages = append(read.messages, m)
	}
	if uri := value(answer.NextPageUri); uri != "" {
		next, err := url.Parse(uri)
		if err != nil || next.RawQuery == "" {
			return page{}, false
		}
		read.next = next.RawQuery
	}
	return read, true
}
