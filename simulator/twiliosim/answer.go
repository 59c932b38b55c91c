package twiliosim

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// spoil gives a create the answer of a rule that spoils it.
func (r Rule) spoil(w http.ResponseWriter, request *http.Request) {
	pause(request, milliseconds(r.ResponseDelayMS))
	switch {
	case r.Answer == AnswerHold:
		hang(request)
	case r.Answer == AnswerReset:
		reset(w)
	case r.Answer == AnswerGarbage:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"sid": "SM`)) // it fails only when the caller is gone
	case r.Code == 0:
		r.writePage(w, request)
	default:
		refused := refuse(r.Code)
		refused.Status, refused.retryAfter = r.StatusCode, r.RetryAfter
		refused.write(w)
	}
}

// writePage answers as something between Twilio and the caller would. A redirect leads to where the request came from: a
// caller that follows it is counted again.
func (r Rule) writePage(w http.ResponseWriter, request *http.Request) {
	w.Header().Del("Twilio-Request-Id") // it did not come from Twilio
	w.Header().Set("Content-Type", "text/html")
	if r.StatusCode < 400 {
		w.Header().Set("Location", request.URL.Path)
	}
	writeRetryAfter(w, r.RetryAfter)
	w.WriteHeader(r.StatusCode)
	title := fmt.Sprintf("%d %s", r.StatusCode, http.StatusText(r.StatusCode))
	_, _ = fmt.Fprintf(w, "<html><head><title>%[1]s</title></head><body><h1>%[1]s</h1></body></html>\n", title)
}

func writeRetryAfter(w http.ResponseWriter, seconds int) {
	if seconds > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
	}
}

// pause waits before an answer. When the caller or the simulator goes meanwhile, there is nobody to answer.
func pause(r *http.Request, d time.Duration) {
	if d > 0 && !sleep(r.Context(), d) {
		panic(http.ErrAbortHandler)
	}
}

// await waits until something is done, as pause does.
func await(r *http.Request, done <-chan struct{}) {
	select {
	case <-done:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

// hang never answers: it holds the connection until the caller or the simulator goes, and then drops it.
func hang(r *http.Request) {
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

// reset ends the connection without an answer, as a machine on the way does that has lost it: with a TCP reset.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // no connection of its own: drop what there is
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // the next line ends it in any case
	}
	_ = conn.Close()
}
