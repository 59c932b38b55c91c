package testkit

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"
)

// ModelAnswer is what an OpenAI server does with one call.
type ModelAnswer struct {
	Text       string        // the completion, with Status 0; empty: a completion without text
	Status     int           // an HTTP error instead, such as 401 or 429
	RetryAfter time.Duration // of an error; 0: no such header
	Hang       bool          // no answer until the caller gives up
	Delay      time.Duration // before a completion

	Until <-chan struct{} // a completion comes when this is closed
}

// ModelCall is one call that an OpenAI server received.
type ModelCall struct {
	At       time.Time
	Key      string // of the Authorization header
	Model    string
	Messages []struct {
		Role    string `json:"role"`
		Content any    `json:"content"`
	}
}

// OpenAIServer is an OpenAI-compatible chat-completions API that does as it is told.
type OpenAIServer struct {
	URL string // the base URL, as PARLEY_MODEL_BASE_URL takes it

	mu     sync.Mutex
	script []ModelAnswer
	usual  ModelAnswer
	calls  []ModelCall
	closed chan struct{}
}

// OpenAI starts a server that gives the scripted answers one call after another, then the last one again and again;
// without a script it answers "This is a model's answer.". It is stopped when the test ends.
func OpenAI(t testing.TB, script ...ModelAnswer) *OpenAIServer {
	t.Helper()
	s := &OpenAIServer{closed: make(chan struct{})}
	s.Script(append([]ModelAnswer{}, script...)...)
	server := httptest.NewServer(http.HandlerFunc(s.handle))
	s.URL = server.URL + "/v1"
	t.Cleanup(func() {
		close(s.closed) // lets go of the calls that hang
		server.Close()
	})
	return s
}

// Script replaces the answers from now on; calls that hang go on hanging.
func (s *OpenAIServer) Script(script ...ModelAnswer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script, s.usual = script, ModelAnswer{Text: "This is a model's answer."}
	if len(script) > 0 {
		s.usual = script[len(script)-1]
	}
}

// Calls returns every call so far, in the order of their arrival.
func (s *OpenAIServer) Calls() []ModelCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]ModelCall{}, s.calls...)
}

// Env is the environment that lets a worker use the server.
func (s *OpenAIServer) Env() []string {
	return []string{
		"PARLEY_MODEL_PROVIDER=openai", "PARLEY_MODEL_NAME=test-model", "PARLEY_MODEL_BASE_URL=" + s.URL, "OPENAI_API_KEY=test-key",
	}
}

func (s *OpenAIServer) handle(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/v1/chat/completions" {
		writeError(w, http.StatusNotFound, "no such path: "+r.URL.Path)
		return
	}
	answer, call, err := s.next(r)
	switch {
	case err != nil:
		writeError(w, http.StatusBadRequest, err.Error())
	case answer.Hang:
		s.await(r, s.closed)
	case answer.Status != 0:
		if answer.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(answer.RetryAfter.Seconds())))
		}
		writeError(w, answer.Status, "as scripted")
	default:
		time.Sleep(answer.Delay)
		s.await(r, answer.Until)
		writeJSON(w, http.StatusOK, map[string]any{
			"id": "chatcmpl-test", "object": "chat.completion", "created": time.Now().Unix(), "model": call.Model,
			"choices": []any{map[string]any{
				"index": 0, "finish_reason": "stop", "message": map[string]any{"role": "assistant", "content": answer.Text},
			}},
			"usage": map[string]int{"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
		})
	}
}

// await lets a call wait until something is closed, or nobody waits for its answer any more.
func (s *OpenAIServer) await(r *http.Request, until <-chan struct{}) {
	if until == nil {
		return
	}
	select {
	case <-until:
	case <-r.Context().Done():
	case <-s.closed:
	}
}

// next notes a call and returns what to do with it.
func (s *OpenAIServer) next(r *http.Request) (ModelAnswer, ModelCall, error) {
	call := ModelCall{At: time.Now(), Key: r.Header.Get("Authorization")}
	body, err := io.ReadAll(r.Body) // to its end: only then does the server notice that the caller has gone
	if err != nil {
		return ModelAnswer{}, call, err
	}
	if err := json.Unmarshal(body, &call); err != nil {
		return ModelAnswer{}, call, fmt.Errorf("not a chat completion: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call)
	if len(s.script) == 0 {
		return s.usual, call, nil
	}
	answer := s.script[0]
	s.script = s.script[1:]
	return answer, call, nil
}

func writeError(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]any{"error": map[string]any{"message": message, "type": "test", "code": strconv.Itoa(status)}})
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // fails only when the caller is gone
}
