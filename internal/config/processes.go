package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"parley/contract"
	"parley/internal/domain"
)

// Webhook is the configuration of the webhook process.
type Webhook struct {
	Log
	Database
	Admin
	Keyset
	Payloads
	Public
	Edge
	Callers
}

// Worker is the configuration of a worker process.
type Worker struct {
	Log
	Database
	Admin
	Keyset
	Payloads
	Public
	Twilio
	Model
	Roles
	Upkeep
	Fallback
}

func (c *Worker) checkTogether() []error {
	if c.DevelopmentOwner != "" && !c.Simulated() {
		return []error{errors.New("PARLEY_DEVELOPMENT_OWNER: refused with Twilio's own API, where it would answer strangers in that owner's name: it needs a simulator's PARLEY_TWILIO_BASE_URL")}
	}
	return nil
}

// Starter is the configuration of the command line tool.
type Starter struct {
	Log
	Database
	Keyset
	Payloads
	Twilio
}

// Doctor is the configuration of 'starter doctor', which looks at more than the other commands need.
type Doctor struct {
	Log
	Database
	Keyset
	Payloads
	Twilio
	Public
}

// Simulator is the configuration of the stand-in for Twilio.
type Simulator struct {
	Log
	Simulated
}

// Log says how much a process tells.
type Log struct {
	LogLevel string `env:"PARLEY_LOG_LEVEL" default:"info" meaning:"least level that is logged: debug, info, warn or error"`
}

// Level returns the level as slog has it.
func (c *Log) Level() slog.Level {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // checked when it was loaded
	return level
}

func (c *Log) check() []error {
	var level slog.Level
	if level.UnmarshalText([]byte(c.LogLevel)) != nil {
		return []error{fmt.Errorf("PARLEY_LOG_LEVEL: want debug, info, warn or error, got %q", c.LogLevel)}
	}
	return nil
}

// Database says where Postgres is.
type Database struct {
	DatabaseURL string `env:"DATABASE_URL" required:"true" secret:"true" meaning:"Postgres 15 or newer, directly or through a pooler: postgres://user:password@host:5432/parley"`
}

func (c *Database) check() []error {
	if c.DatabaseURL == "" {
		return nil // reported as missing
	}
	u, err := url.Parse(c.DatabaseURL)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return []error{errors.New("DATABASE_URL: want postgres://user:password@host:5432/database")}
	}
	return nil
}

// Admin is the second listener of a process.
type Admin struct {
	AdminListen string `env:"PARLEY_ADMIN_LISTEN" default:"127.0.0.1:0" meaning:"address of /healthz, /readyz and /metrics; port 0 takes a free one and logs it. Never expose it to the internet"`
}

func (c *Admin) check() []error { return listenAddress("PARLEY_ADMIN_LISTEN", c.AdminListen) }

// Keyset is the key that encrypts secrets at rest.
type Keyset struct {
	Keyset     string `env:"PARLEY_KEYSET" secret:"true" meaning:"the Tink keyset itself, as 'starter secrets keygen' prints it"`
	KeysetFile string `env:"PARLEY_KEYSET_FILE" meaning:"a file that holds the Tink keyset; used where PARLEY_KEYSET is empty"`
}

func (c *Keyset) check() []error {
	if c.Keyset == "" && c.KeysetFile == "" {
		return []error{errors.New("PARLEY_KEYSET or PARLEY_KEYSET_FILE: one is required: make a keyset with 'starter secrets keygen'")}
	}
	return nil
}

// Source returns the variable, the keyset, and the file that holds it where that is empty.
func (c *Keyset) Source() (variable, text, file string) {
	return "PARLEY_KEYSET", c.Keyset, c.KeysetFile
}

// Payloads is the key that encrypts what Temporal stores. It is another one than Keyset, so that whoever reads histories cannot read tokens.
type Payloads struct {
	PayloadKeyset     string `env:"PARLEY_PAYLOAD_KEYSET" secret:"true" meaning:"the Tink keyset for Temporal's payloads, another one than PARLEY_KEYSET; the same in every process"`
	PayloadKeysetFile string `env:"PARLEY_PAYLOAD_KEYSET_FILE" meaning:"a file that holds that keyset; used where PARLEY_PAYLOAD_KEYSET is empty"`
}

func (c *Payloads) check() []error {
	if c.PayloadKeyset == "" && c.PayloadKeysetFile == "" {
		return []error{errors.New("PARLEY_PAYLOAD_KEYSET or PARLEY_PAYLOAD_KEYSET_FILE: one is required: make a keyset with 'starter secrets keygen'")}
	}
	return nil
}

// Source returns the variable, the keyset, and the file that holds it where that is empty.
func (c *Payloads) Source() (variable, text, file string) {
	return "PARLEY_PAYLOAD_KEYSET", c.PayloadKeyset, c.PayloadKeysetFile
}

// Public is how Twilio reaches the webhook.
type Public struct {
	PublicURL string `env:"PARLEY_PUBLIC_URL" required:"true" meaning:"the webhook's URL as it is configured at Twilio, without /webhooks: https://parley.example.com, or with a prefix that your proxy may leave or take away. Signatures are checked against it"`
}

// plainPath is a path that no proxy writes in another way, and that is no pattern to a router.
var plainPath = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)*/?$`)

func (c *Public) check() []error {
	if c.PublicURL == "" {
		return nil
	}
	u, err := url.Parse(c.PublicURL)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return []error{errors.New("PARLEY_PUBLIC_URL: want https://host[:port][/prefix] without query, fragment or user")}
	}
	if !plainPath.MatchString(u.EscapedPath()) {
		return []error{errors.New("PARLEY_PUBLIC_URL: want a prefix of letters, digits and - . _ ~ alone")}
	}
	if strings.Contains(u.Hostname(), "_") {
		return []error{errors.New("PARLEY_PUBLIC_URL: Twilio refuses a status callback whose host has an underscore")}
	}
	c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	return nil
}

// Edge is the webhook's public listener.
type Edge struct {
	Listen      string `env:"PARLEY_LISTEN" default:":8080" meaning:"address that the webhook listens on for Twilio"`
	MaxInFlight int    `env:"PARLEY_MAX_IN_FLIGHT" default:"200" meaning:"messages that a webhook handles at once, as many statuses, and as many requests for accounts that it does not remember; further ones get 503. There is room for five times as many connections"`
}

func (c *Edge) check() []error {
	problems := listenAddress("PARLEY_LISTEN", c.Listen)
	if c.MaxInFlight < 1 || c.MaxInFlight > 10_000 {
		problems = append(problems, fmt.Errorf("PARLEY_MAX_IN_FLIGHT: want 1 to 10000, got %d", c.MaxInFlight))
	}
	return problems
}

// Callers are programs of the deployment's own that may post to the webhook as Twilio does.
type Callers struct {
	CallerKeys string `env:"PARLEY_CALLER_KEYS" secret:"true" meaning:"keys that programs of yours sign requests to the webhook with, for any account, in X-Parley-Signature; each at least 32 characters, comma-separated. Empty: only Twilio is believed"`
}

// minCallerKey is the shortest key, in characters: as many as Twilio's own tokens have.
const minCallerKey = 32

// CallerKeyList returns the keys.
func (c *Callers) CallerKeyList() (keys []string) {
	for key := range strings.SplitSeq(c.CallerKeys, ",") {
		if key = strings.TrimSpace(key); key != "" {
			keys = append(keys, key)
		}
	}
	return keys
}

func (c *Callers) check() []error {
	for _, key := range c.CallerKeyList() {
		if len(key) < minCallerKey {
			return []error{fmt.Errorf("PARLEY_CALLER_KEYS: want at least %d characters a key", minCallerKey)}
		}
	}
	return nil
}

// Twilio says where Twilio's API is.
type Twilio struct {
	TwilioBaseURL string `env:"PARLEY_TWILIO_BASE_URL" meaning:"another base URL for Twilio's API, such as the simulator's; empty: Twilio's own"`
}

// Simulated reports whether it is somebody else's than Twilio's own, which has hosts in several regions (api.dublin.ie1.twilio.com).
func (c *Twilio) Simulated() bool {
	u, err := url.Parse(c.TwilioBaseURL)
	if err != nil || u.Host == "" {
		return false
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	return host != "twilio.com" && !strings.HasSuffix(host, ".twilio.com")
}

func (c *Twilio) check() []error { return baseURL("PARLEY_TWILIO_BASE_URL", c.TwilioBaseURL) }

// Fallback says whose an inbound message is that is nobody's. Worker checks it.
type Fallback struct {
	DevelopmentOwner string `env:"PARLEY_DEVELOPMENT_OWNER" meaning:"for development alone: the owner of inbound messages whose owner is not known otherwise. It needs a simulator's PARLEY_TWILIO_BASE_URL: never with Twilio's own API"`
}

// Model says who writes the replies.
type Model struct {
	ModelProvider string `env:"PARLEY_MODEL_PROVIDER" default:"scripted" meaning:"who writes replies: openai (any OpenAI-compatible API) or scripted (deterministic, needs no key)"`
	ModelName     string `env:"PARLEY_MODEL_NAME" meaning:"the model's name; required by openai"`
	ModelBaseURL  string `env:"PARLEY_MODEL_BASE_URL" meaning:"another base URL for an OpenAI-compatible API; empty: OpenAI's own"`
	OpenAIAPIKey  string `env:"OPENAI_API_KEY" secret:"true" meaning:"key of the OpenAI-compatible API; required by openai"`

	ModelInputPrice  string `env:"PARLEY_MODEL_INPUT_PRICE" meaning:"what a million tokens of a prompt cost, from 0 to 1000, such as 0.15; empty: not known, and what calls cost is stored as not known"`
	ModelOutputPrice string `env:"PARLEY_MODEL_OUTPUT_PRICE" meaning:"what a million tokens of an answer cost, such as 0.60; one price needs the other, and the currency"`
	ModelCurrency    string `env:"PARLEY_MODEL_CURRENCY" meaning:"the currency of both prices, as in ISO 4217, such as USD"`
}

// The providers of replies.
const (
	ProviderScripted = "scripted"
	ProviderOpenAI   = "openai"
)

// Price returns what the model costs, nil where that is not known.
func (c *Model) Price() *domain.ModelPrice {
	price, err := domain.ParseModelPrice(c.ModelInputPrice, c.ModelOutputPrice, c.ModelCurrency)
	if err != nil { // checked when it was loaded: there is none
		return nil
	}
	return &price
}

func (c *Model) check() []error {
	problems := baseURL("PARLEY_MODEL_BASE_URL", c.ModelBaseURL)
	if c.ModelInputPrice+c.ModelOutputPrice+c.ModelCurrency != "" {
		if _, err := domain.ParseModelPrice(c.ModelInputPrice, c.ModelOutputPrice, c.ModelCurrency); err != nil {
			problems = append(problems, fmt.Errorf("PARLEY_MODEL_INPUT_PRICE, PARLEY_MODEL_OUTPUT_PRICE, PARLEY_MODEL_CURRENCY: all or none: %w", err))
		}
	}
	switch c.ModelProvider {
	case ProviderScripted:
	case ProviderOpenAI:
		if c.ModelName == "" {
			problems = append(problems, errors.New("PARLEY_MODEL_NAME: is required by the provider openai"))
		}
		if c.OpenAIAPIKey == "" {
			problems = append(problems, errors.New("OPENAI_API_KEY: is required by the provider openai"))
		}
	default:
		problems = append(problems, fmt.Errorf("PARLEY_MODEL_PROVIDER: want scripted or openai, got %q", c.ModelProvider))
	}
	return problems
}

// Roles says what a worker process does.
type Roles struct {
	Role  string `env:"PARLEY_ROLE" default:"all" meaning:"roles of a worker, comma-separated: workflow, account, persistence, identity, billing, reply, messaging, upkeep, or all; the flag -role wins"`
	Slots int    `env:"PARLEY_WORKER_SLOTS" default:"50" meaning:"activities that a worker runs at once for each of its roles"`
	Cache int    `env:"PARLEY_WORKFLOW_CACHE" default:"2000" meaning:"flows that a worker of the role workflow keeps in memory, about 200 KB each; one that has no room is read again from its history when something happens to it"`
}

// List returns the roles that the variable names, each once.
func (c *Roles) List() ([]contract.Role, error) {
	if c.Role == "all" {
		return contract.Roles(), nil
	}
	known, wanted := map[contract.Role]bool{}, map[contract.Role]bool{}
	for _, role := range contract.Roles() {
		known[role] = true
	}
	for name := range strings.SplitSeq(c.Role, ",") {
		role := contract.Role(strings.TrimSpace(name))
		if !known[role] {
			return nil, fmt.Errorf("PARLEY_ROLE: no such role: %q", role)
		}
		wanted[role] = true
	}
	var list []contract.Role
	for _, role := range contract.Roles() {
		if wanted[role] {
			list = append(list, role)
		}
	}
	return list, nil
}

func (c *Roles) check() []error {
	var problems []error
	if _, err := c.List(); err != nil {
		problems = append(problems, err)
	}
	if c.Slots < 1 || c.Slots > 10_000 {
		problems = append(problems, fmt.Errorf("PARLEY_WORKER_SLOTS: want 1 to 10000, got %d", c.Slots))
	}
	if c.Cache < 1 || c.Cache > 1_000_000 {
		problems = append(problems, fmt.Errorf("PARLEY_WORKFLOW_CACHE: want 1 to 1000000, got %d", c.Cache))
	}
	return problems
}

// Upkeep says how patient the jobs of the role upkeep are.
type Upkeep struct {
	SweepAfter time.Duration `env:"PARLEY_SWEEP_AFTER" default:"2m" meaning:"how long a message is left to its flow before Temporal is asked whether that is over, and between two questions"`
	SweepAgain time.Duration `env:"PARLEY_SWEEP_AGAIN" default:"1h" meaning:"after how long an attempt of unknown fate is looked for in Twilio's list a second time, before it counts as not sent"`
	PriceAfter time.Duration `env:"PARLEY_PRICE_AFTER" default:"6h" meaning:"how long after a message was accepted Twilio is asked for its price, and between two questions; it is asked for two days"`
}

func (c *Upkeep) check() []error {
	return slices.Concat(positive("PARLEY_SWEEP_AFTER", c.SweepAfter), positive("PARLEY_SWEEP_AGAIN", c.SweepAgain), positive("PARLEY_PRICE_AFTER", c.PriceAfter))
}

func positive(name string, d time.Duration) []error {
	if d <= 0 {
		return []error{fmt.Errorf("%s: want a length of time above 0, got %s", name, d)}
	}
	return nil
}

// Simulated is the account that the simulator plays.
type Simulated struct {
	SimulatorListen string `env:"PARLEY_SIMULATOR_LISTEN" default:"127.0.0.1:8090" meaning:"loopback address of the simulator"`
	AccountSid      string `env:"TWILIO_ACCOUNT_SID" required:"true" meaning:"the account: the simulator plays it, make run TWILIO=1 uses it"`
	AuthToken       string `env:"TWILIO_AUTH_TOKEN" required:"true" secret:"true" meaning:"that account's auth token"`
	InboundURL      string `env:"PARLEY_SIMULATOR_INBOUND_URL" required:"true" meaning:"where the simulator posts inbound messages: the webhook's /webhooks/twilio/inbound"`
}

func (c *Simulated) check() []error {
	problems := append(listenAddress("PARLEY_SIMULATOR_LISTEN", c.SimulatorListen), baseURL("PARLEY_SIMULATOR_INBOUND_URL", c.InboundURL)...)
	if host, _, err := net.SplitHostPort(c.SimulatorListen); err == nil {
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			problems = append(problems, fmt.Errorf("PARLEY_SIMULATOR_LISTEN: the simulator listens on loopback only, got %q", c.SimulatorListen))
		}
	}
	return problems
}

func listenAddress(name, value string) []error {
	if _, _, err := net.SplitHostPort(value); err != nil {
		return []error{fmt.Errorf("%s: want host:port or :port, got %q", name, value)}
	}
	return nil
}

func baseURL(name, value string) []error {
	if value == "" {
		return nil
	}
	if u, err := url.Parse(value); err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		return []error{fmt.Errorf("%s: want http(s)://host[:port][/path]", name)} // not the value: it may hold a password
	}
	return nil
}
