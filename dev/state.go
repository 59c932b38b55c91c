package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"parley/internal/localstack"
)

// The numbers of the demonstration; nobody has them.
const (
	demoCompany  = "+14155550100"
	demoCustomer = "+14155550123"
)

// The ports that a checkout tries first. One that is taken, by another checkout for instance, is replaced by a free one,
// which is then remembered.
const (
	portWebhook   = "webhook"
	portAdmin     = "webhook admin"
	portSimulator = "simulator"
	portTemporal  = "temporal"
	portUI        = "temporal ui"
	portPostgres  = "postgres"
)

func firstPorts() map[string]int {
	return map[string]int{
		portWebhook: 8080, portAdmin: 8081, portSimulator: 8090, portTemporal: 7233, portUI: 8233, portPostgres: 54329,
	}
}

// memory of a checkout between runs.
type state struct {
	AccountSid string         `json:"account_sid"` // of the simulated account
	AuthToken  string         `json:"auth_token"`
	Ports      map[string]int `json:"ports"`
}

// loadState reads the checkout's memory, or makes a new one.
func (d *dev) loadState() (state, error) {
	s := state{AccountSid: "AC" + randomHex(), AuthToken: randomHex(), Ports: firstPorts()}
	text, err := os.ReadFile(d.path("state.json"))
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("%s: %w; make reset starts afresh", d.path("state.json"), err)
	}
	return s, nil
}

// randomHex returns 32 random hexadecimal digits, as in Twilio's identifiers.
func randomHex() string {
	random := make([]byte, 16)
	_, _ = rand.Read(random) // never fails
	return hex.EncodeToString(random)
}

// keepPorts takes the checkout's ports for this run, and remembers those that had to be replaced.
func (d *dev) keepPorts(s *state) (map[string]*localstack.Port, error) {
	ports := map[string]*localstack.Port{}
	for name, wanted := range s.Ports {
		port, err := localstack.FreePort(wanted)
		if err != nil {
			return nil, err
		}
		if port.Number != wanted {
			d.out.Say("port %d is taken: %s uses %d from now on", wanted, name, port.Number)
		}
		ports[name], s.Ports[name] = port, port.Number
	}
	return ports, writeJSON(d.path("state.json"), s)
}

// endpoints is .parley/dev.json: what other tools need to know of the running stack. What a run does not have is empty.
type endpoints struct {
	WebhookURL      string `json:"webhook_url"`
	AdminURL        string `json:"admin_url"` // the webhook's
	SimulatorURL    string `json:"simulator_url"`
	DatabaseURL     string `json:"database_url"`
	TemporalAddress string `json:"temporal_address"`
	TemporalUIURL   string `json:"temporal_ui_url"`
	AccountSid      string `json:"account_sid"`
	AuthToken       string `json:"auth_token"`
	CompanyNumber   string `json:"company_number"`
	CustomerNumber  string `json:"customer_number"`
}

func (d *dev) readEndpoints() (endpoints, error) {
	var e endpoints
	text, err := os.ReadFile(d.path("dev.json"))
	if err != nil {
		return e, errors.New("nothing runs in this checkout: start it with make run")
	}
	return e, json.Unmarshal(text, &e)
}

// writeJSON writes a file that only its owner reads: all of these hold secrets.
func writeJSON(path string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return writeSecret(path, string(text)+"\n")
}

// writeSecret replaces a file at once, so that nobody reads half of it.
func writeSecret(path, text string) error {
	temporary := path + ".new"
	if err := errors.Join(os.RemoveAll(temporary), os.WriteFile(temporary, []byte(text), 0o600)); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// shellLines writes an environment as lines that a shell reads (set -a; . .parley/dev.env) and that bin/starter works with.
func shellLines(env []string) string {
	var text strings.Builder
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		fmt.Fprintf(&text, "%s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	}
	return text.String()
}
