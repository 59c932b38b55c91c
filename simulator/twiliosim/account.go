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
	Twin           bool           `json:"twin,omitempty"`  // the failed twin of a message: no create of its own
	Fault          string         `json:"fault,omitempty"` // the fault that it met by chance or by a magic number

	listedAt time.Time // when the list begins to show it
	price    string    // as Twilio writes it; empty for one that has none
	pricedAt time.Time // when a list or a fetch begins to show it
}

// Callback is one status callback and what came back.
type Callback struct {
	Status     domain.Status `json:"status"`
	StatusCode int           `json:"status_code,omitempty"` // 0 where no answer came
	Error      string        `json:"error,omitempty"`
	At         time.Time     `json:"at"`
}

// Requests counts the creates of the account since its start.
type Requests struct {
	Creates      int            `json:"creates"` // that arrived, whatever became of them
	ByTo         map[string]int `json:"by_to"`
	Accepted     int            `json:"accepted"` // that became a message, whatever was answered
	AcceptedByTo map[string]int `json:"accepted_by_to"`
	Faults       map[string]int `json:"faults"` // that met a fault by chance or by a magic number, by its name
}

// account is the account that is played, with everything that is remembered of it. It is safe for concurrent use, and
// hands out copies only.
type account struct {
	sid string

	mu       sync.Mutex
	token    string     // signs webhooks
	password string     // of Basic auth: the token, unless a test made them differ
	second   string     // the secondary token, which Basic auth takes too; empty: there is none
	messages []*Message // oldest first
	bySid    map[string]*Message
	creates  map[string]int // by recipient
	accepted map[string]int // by recipient
	faults   map[string]int // by name
	script   map[string]*scripted
}

func newAccount(sid, token string) *account {
	return &account{
		sid: sid, token: token, password: token,
		bySid: map[string]*Message{}, creates: map[string]int{}, accepted: map[string]int{}, faults: map[string]int{},
		script: map[string]*scripted{},
	}
}

// signingToken is the key of signatures.
func (a *account) signingToken() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.token
}

// admits reports whether Basic auth is right.
func (a *account) admits(user, password string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return user == a.sid && password != "" && (password == a.password || password == a.second)
}

// setSecond makes a secondary token.
func (a *account) setSecond(token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.second = token
}

// setToken changes the token, of the API alone or of signatures too. No other is good from now on.
func (a *account) setToken(token string, apiOnly bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.password, a.second = token, ""
	if !apiOnly {
		a.token = token
	}
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

// accept stores a message that a create became.
func (a *account) accept(m Message) {
	a.add(m)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.accepted[m.To]++
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
	return Requests{
		Creates: sum(a.creates), ByTo: maps.Clone(a.creates),
		Accepted: sum(a.accepted), AcceptedByTo: maps.Clone(a.accepted),
		Faults: maps.Clone(a.faults),
	}
}

// ruleFor returns the rule of a create to a recipient, and uses it up by one: the recipient's own, else the fault of a magic
// number, else the rule for everybody, else the zero rule.
func (a *account) ruleFor(to string) Rule {
	a.mu.Lock()
	defer a.mu.Unlock()
	rule := a.take(to)
	if rule.fault != "" {
		a.faults[rule.fault]++
	}
	return rule
}

func (a *account) take(to string) Rule {
	inForce := a.inForce(to)
	if fault, isMagic := magic(to); isMagic && inForce.To == everybody {
		return fault.paced(inForce.Rule)
	}
	rule, over := inForce.next(to)
	if over {
		delete(a.script, inForce.To)
	}
	return rule
}

// inForce returns the rule that would come next for a recipient; the lock is held.
func (a *account) inForce(to string) *scripted {
	for _, name := range []string{to, everybody} {
		if s, found := a.script[name]; found {
			return s
		}
	}
	return &scripted{}
}

// readRule returns the rule of a recipient without using it up.
func (a *account) readRule(to string) Rule {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.inForce(to).Rule
}

func (a *account) setRule(rule Rule) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.script[rule.To] = &scripted{Rule: rule, creates: map[string]int{}}
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

func sum(counted map[string]int) int {
	total := 0
	for _, n := range counted {
		total += n
	}
	return total
}
