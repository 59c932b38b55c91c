package twiliosim

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"regexp"
	"sync"
	"time"

	"parley/internal/config"
	"parley/internal/domain"
)

// maxRequest bounds the body of a request, in bytes: a long message with ten media URLs takes a tenth of it.
const maxRequest = 256 << 10

// How Twilio writes its identifiers.
var (
	accountSid = regexp.MustCompile(`^AC[0-9a-fA-F]{32}$`)
	messageSid = regexp.MustCompile(`^(SM|MM)[0-9a-fA-F]{32}$`)
)

// Simulator is Twilio, as far as it is played. Its Handler may be served once New has returned.
type Simulator struct {
	account    *account
	webhooks   *webhooks
	door       *door
	inboundURL string
	logger     *slog.Logger
	ctx        context.Context // its lifetime: deliveries and held connections end with it
	deliveries sync.WaitGroup
}

// New returns a simulator that lives until ctx ends. It returns KindConfiguration for an account sid that Twilio could not
// have given out and for an inbound URL that is not on loopback.
func New(ctx context.Context, settings config.Simulated, logger *slog.Logger) (*Simulator, error) {
	if !accountSid.MatchString(settings.AccountSid) {
		return nil, domain.Errorf(domain.KindConfiguration, "TWILIO_ACCOUNT_SID: want AC and 32 hexadecimal digits")
	}
	if err := checkLoopback(settings.InboundURL); err != nil {
		return nil, domain.Errorf(domain.KindConfiguration, "PARLEY_SIMULATOR_INBOUND_URL: %w", err)
	}
	s := &Simulator{
		account:    newAccount(settings.AccountSid, settings.AuthToken),
		webhooks:   newWebhooks(),
		inboundURL: settings.InboundURL,
		logger:     logger,
		ctx:        ctx,
	}
	s.door = &door{api: s.bound(s.api()), address: "127.0.0.1:0", shut: func() {}}
	context.AfterFunc(ctx, s.door.close)
	return s, nil
}

// Handler serves both of the simulator's APIs.
func (s *Simulator) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/"+apiVersion+"/", s.api())
	mux.HandleFunc("POST /simulate/inbound", s.simulateInbound)
	mux.HandleFunc("GET /simulate/messages", s.showMessages)
	mux.HandleFunc("GET /simulate/requests", s.showRequests)
	mux.HandleFunc("PUT /simulate/script", s.setRule)
	mux.HandleFunc("DELETE /simulate/script", s.clearScript)
	mux.HandleFunc("PUT /simulate/token", s.setToken)
	mux.HandleFunc("PUT /simulate/door", s.setDoor)
	return s.bound(mux)
}

// api serves Twilio's API.
func (s *Simulator) api() http.Handler {
	mux := http.NewServeMux()
	const messages = "/" + apiVersion + "/Accounts/{AccountSid}/Messages"
	mux.HandleFunc("POST "+messages+".json", s.counted(s.authenticated(s.create)))
	mux.HandleFunc("GET "+messages+".json", s.authenticated(s.list))
	mux.HandleFunc("GET "+messages+"/{File}", s.authenticated(s.fetch))
	mux.HandleFunc("GET "+messages+"/{Sid}/Media.json", s.authenticated(s.listMedia))
	mux.HandleFunc("GET "+messages+"/{Sid}/Media/{File}", s.authenticated(s.fetchMedia))
	mux.HandleFunc("/", s.authenticated(s.notFound))
	return mux
}

// bound limits the body of a request and ends it with the simulator: one that is held or delayed would outlive it otherwise.
func (s *Simulator) bound(next http.Handler) http.Handler {
	return http.MaxBytesHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(s.ctx, cancel)()
		next.ServeHTTP(w, r.WithContext(ctx))
	}), maxRequest)
}

// Wait returns when the deliveries under way have noticed that the simulator's context ended.
func (s *Simulator) Wait() { s.deliveries.Wait() }

// sleep waits, and reports false when the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // it fails only when the caller is gone
}

// newSid returns an identifier as Twilio's: two letters and 32 hexadecimal digits.
func newSid(prefix string) string {
	random := make([]byte, 16)
	_, _ = rand.Read(random) // never fails
	return prefix + hex.EncodeToString(random)
}
