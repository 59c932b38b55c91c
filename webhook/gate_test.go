package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// gated is a server behind a gate, whose handler reads the body and then waits for release, where that is not nil.
type gated struct {
	address string
	cut     atomic.Int64
	release chan struct{}
	began   chan struct{}
}

func newGated(t *testing.T, room int, release chan struct{}) *gated {
	t.Helper()
	s := &gated{release: release, began: make(chan struct{}, 100)}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr().String()
	g := newGate(listener, room, func() { s.cut.Add(1) })
	server := &http.Server{ConnState: g.watch, ConnContext: g.know, ReadHeaderTimeout: time.Minute, Handler: g.keep(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			return
		}
		s.began <- struct{}{}
		if s.release != nil {
			<-s.release
		}
		w.WriteHeader(http.StatusNoContent)
	}))}
	done := make(chan struct{})
	go func() { _ = server.Serve(g); close(done) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return s
}

// dial opens a connection and writes something to it.
func (s *gated) dial(t *testing.T, text string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

const whole = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"

// answered fails the test unless a connection brings a 204.
func answered(t *testing.T, conn net.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("not answered: %v", err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		t.Errorf("got %s", response.Status)
	}
}

// isCut waits for a connection to be closed by the server.
func isCut(t *testing.T, conn net.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("not cut: %d bytes, %v", n, err)
	}
}

// await waits for something that another goroutine brings about.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// Whoever keeps us waiting longest makes room: who sends nothing, who stops in the header, who stops in the body, who stays after an answer.
func TestSlowClientsMakeRoomForOthers(t *testing.T) {
	t.Parallel()
	const room = 10
	for name, begun := range map[string]string{
		"nothing": "", "half a header": "POST / HTTP/1.1\r\nHos", "half a body": strings.TrimSuffix(whole, "o"), "a whole request": whole,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newGated(t, room, nil)
			var slow []net.Conn
			for range 3 * room {
				conn := s.dial(t, begun)
				if begun == whole {
					answered(t, conn)
				}
				slow = append(slow, conn)
			}
			await(t, "those above the room are cut", func() bool { return s.cut.Load() == 2*room })
			for _, conn := range slow[:room] { // the order in which connections are accepted is theirs, but for a few
				isCut(t, conn)
			}
			answered(t, s.dial(t, whole))
		})
	}
}

func TestWhoIsServedKeepsItsPlace(t *testing.T) {
	t.Parallel()
	const room = 4
	s := newGated(t, room, make(chan struct{}))
	served := s.dial(t, whole)
	<-s.began
	for range 5 * room {
		s.dial(t, "POST / HT")
	}
	await(t, "the others are cut", func() bool { return s.cut.Load() == 5*room+1-room })
	close(s.release)
	answered(t, served)
}

// Places come back: of a few connections at a time none is cut, however many there were.
func TestPlacesComeBack(t *testing.T) {
	t.Parallel()
	const room = 4
	s := newGated(t, room, nil)
	for n := range 10 * room {
		conn := s.dial(t, whole)
		answered(t, conn)
		_, _ = fmt.Fprint(conn, whole) // a second request on it
		answered(t, conn)
		_ = conn.Close()
		if n%room == 0 { // its place is free once the server has seen it go
			answered(t, s.dial(t, strings.Replace(whole, "Host", "Connection: close\r\nHost", 1)))
		}
	}
	if cut := s.cut.Load(); cut > room {
		t.Errorf("%d connections were cut", cut)
	}
}
