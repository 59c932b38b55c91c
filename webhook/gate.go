package main

import (
	"container/list"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
)

// gate is a listener with room for so many connections. Where all places are taken, the connection that has kept us waiting longest loses
// its own: one that sends its request slowly, or none at all. So slow clients push each other out, and not the genuine ones, whose requests
// are there within milliseconds and then cannot lose their place until they are answered. A limit that made new connections wait instead
// would be filled by a hundred slow clients a second.
type gate struct {
	net.Listener
	room int
	cut  func() // is told of each connection that lost its place

	mu      sync.Mutex
	open    int
	waiting list.List // the visitors whose next request is not all there, by since when
}

// visitor is a connection.
type visitor struct {
	net.Conn
	place *list.Element // in waiting; nil while its request is handled
}

func newGate(listener net.Listener, room int, cut func()) *gate {
	return &gate{Listener: listener, room: room, cut: cut}
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	conn, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	v := &visitor{Conn: conn}
	if slowest := g.enter(v); slowest != nil {
		_ = slowest.Close() // which ends its reading, and so frees its place
		g.cut()
	}
	return v, nil
}

// enter gives a visitor a place. It returns who has to leave for it.
func (g *gate) enter(v *visitor) (slowest *visitor) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if front := g.waiting.Front(); g.open >= g.room && front != nil {
		slowest = front.Value.(*visitor)
		g.remove(slowest)
	}
	g.open++
	v.place = g.waiting.PushBack(v)
	return slowest
}

// watch is the server's ConnState.
func (g *gate) watch(conn net.Conn, state http.ConnState) {
	v, ours := conn.(*visitor)
	if !ours {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch state {
	case http.StateActive, http.StateIdle: // the first byte of a request came, or it was answered
		g.remove(v)
		v.place = g.waiting.PushBack(v)
	case http.StateClosed, http.StateHijacked:
		g.remove(v)
		g.open--
	case http.StateNew:
	}
}

// remove takes a visitor off the list of those that keep us waiting. The caller holds the lock.
func (g *gate) remove(v *visitor) {
	if v.place != nil {
		g.waiting.Remove(v.place)
		v.place = nil
	}
}

type visitorKey struct{}

// know is the server's ConnContext.
func (g *gate) know(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, visitorKey{}, conn)
}

// keep lets a connection keep its place from the moment that its request is all there, until it is answered.
func (g *gate) keep(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v, ours := r.Context().Value(visitorKey{}).(*visitor); ours {
			r.Body = &body{r.Body, func() {
				g.mu.Lock()
				defer g.mu.Unlock()
				g.remove(v)
			}}
		}
		next.ServeHTTP(w, r)
	})
}

// body tells when it has been read to its end.
type body struct {
	io.ReadCloser
	read func()
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF { // a Reader's end is io.EOF itself
		b.read()
	}
	return n, err
}
