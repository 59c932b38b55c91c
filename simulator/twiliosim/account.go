package twiliosim

import (
	"maps"
	"slices"
	"sync"
	"time"

	"parley/internal/domain"
)

// maxMessages bounds the memory: the oldest message is forgotten beyond it.
const maxMessages = 50_000

// statusReceived is the status of an inbound message.
const statusReceived domain.Status = "received"

// The directions of a message, in Twilio's words.
const (
	directionInbound  = "inbound"
	directionOutbound = "outbound-api"
)

// Message is one message of the account, as GET /simulate/messages shows it.
type Message struct {
	Sid            string         `json:"sid"`
	Direction      string         `json:"direction"`
	From           string         `json:"from"`
	To             string         `json:"to"`
	Body           string         `json:"body"`
	Media          []domain.Media `json:"media,omitempty"`
	Status         domain.Status  `json:"status"`
	ErrorCode      int            `json:"error_code,omitempty"`
	StatusCallback string         `json:"status_callback,omitempty"` // as it was given
	Callbacks      []Callback     `json:"callbacks,omitempty"`       // in the order in which they were answered
	CreatedAt      time.Time      `json:"created_at"`
	UpdatedAt      time.Time      `json:"updated_at"`
	SentAt         *time.Time     `json:"sent_at,omitempty"`
}

// Callback is one status callback and what came back.
type Callback struct {
	Status     domain.Status `json:"status"`
	StatusCode int           `json:"status_code,omitempty"` // 0 where no answer came
	Error      string        `json:"error,omitempty"`
	At         time.Time     `json:"at"`
}

// Requests is how many creates the account received, whatever became of them.
type Requests struct {
	Creates int            `json:"creates"`
	ByTo    map[string]int `json:"by_to"`
}

// account is the account that is played, with everything that is remembered of it. It is safe for concurrent use, and
// hands out copies only.
type account struct {
	sid string

	mu       sync.Mutex
	token    string
	messages []*Message // oldest first
	bySid    map[string]*Message
	creates  map[string]int // by recipient
	script   map[string]Rule
}

func newAccount(sid, token string) *account {
	return &account{
		sid: sid, token: token,
		bySid: map[string]*Message{}, creates: map[string]int{}, script: map[string]Rule{},
	}
}

// authToken is the key of Basic auth and of signatures.
func (a *account) authToken() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.token
}

func (a *account) setAuthToken(token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.token = token
}

// add stores a message. Key: its sid; the first one stays.
func (a *account) add(m Message) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.bySid[m.Sid]; known {
		return
	}
	a.messages, a.bySid[m.Sid] = append(a.messages, &m), &m
	if len(a.messages) > maxMessages {
		delete(a.bySid, a.messages[0].Sid)
		a.messages = slices.Delete(a.messages, 0, 1)
	}
}

func (a *account) message(sid string) (Message, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	m, known := a.bySid[sid]
	if !known {
		return Message{}, false
	}
	return m.copy(), true
}

// all returns every message, oldest first.
func (a *account) all() []Message {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]Message, 0, len(a.messages))
	for _, m := range a.messages {
		list = append(list, m.copy())
	}
	return list
}

func (a *account) setStatus(sid string, status domain.Status, errorCode int, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if m, known := a.bySid[sid]; known {
		m.Status, m.ErrorCode, m.UpdatedAt = status, errorCode, at
		if status == domain.StatusSent {
			m.SentAt = &at
		}
	}
}

func (a *account) addCallback(sid string, c Callback) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if m, known := a.bySid[sid]; known {
		m.Callbacks = append(m.Callbacks, c)
	}
}

func (a *account) countCreate(to string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.creates[to]++
}

func (a *account) requests() Requests {
	a.mu.Lock()
	defer a.mu.Unlock()
	counted := Requests{ByTo: maps.Clone(a.creates)}
	for _, n := range a.creates {
		counted.Creates += n
	}
	return counted
}

// ruleFor returns the rule of a create to a recipient, and uses it up by one: the recipient's own, else the rule for
// everybody, else the zero rule.
func (a *account) ruleFor(to string) Rule {
	a.mu.Lock()
	defer a.mu.Unlock()
	rule, own := a.script[to]
	if !own {
		rule = a.script[everybody]
	}
	switch rest := rule; rule.Times {
	case 0: // always
	case 1:
		delete(a.script, rule.To)
	default:
		rest.Times--
		a.script[rule.To] = rest
	}
	return rule
}

func (a *account) setRule(rule Rule) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.script[rule.To] = rule
}

func (a *account) clearScript() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.script)
}

// copy returns the message as it is now. Only its callbacks grow; everything else is replaced and never changed in place.
func (m *Message) copy() Message {
	snapshot := *m
	snapshot.Callbacks = slices.Clone(m.Callbacks)
	return snapshot
}
