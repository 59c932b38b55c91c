package testkit

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// SlowClients are connections to a listener that send one byte a second: half of them never end their header, the others never their body.
// One that is cut comes again a second later.
type SlowClients struct {
	open, cutInHeader, cutInBody atomic.Int64
}

// StartSlowClients opens so many connections, and returns when each has been open. They end with the test, or when stop is called.
func StartSlowClients(t testing.TB, address string, count int) (clients *SlowClients, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	clients = &SlowClients{}
	var opened, running sync.WaitGroup
	opened.Add(count)
	for n := range count {
		running.Go(func() {
			once := sync.OnceFunc(opened.Done)
			for ctx.Err() == nil {
				if n%2 == 0 {
					clients.connect(ctx, address, slowHeader, once, &clients.cutInHeader)
				} else {
					clients.connect(ctx, address, slowBody, once, &clients.cutInBody)
				}
			}
			once()
		})
	}
	opened.Wait()
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return clients, stop
}

// What a slow client sends at once.
const (
	slowHeader = "POST /webhooks/twilio/inbound HTTP/1.1\r\nHost: parley\r\n"
	slowBody   = slowHeader + "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 2000\r\n\r\n"
)

// connect is one connection of a client, until it is cut.
func (s *SlowClients) connect(ctx context.Context, address, first string, opened func(), cut *atomic.Int64) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err == nil {
		defer conn.Close()
		s.open.Add(1)
		defer s.open.Add(-1)
		opened()
		gone := make(chan struct{})
		go func() { defer close(gone); _, _ = conn.Read(make([]byte, 1)) }() // an answer, or the end: either way it is over
		defer func() { _ = conn.Close(); <-gone }()
		for text := first; err == nil; text = "a" {
			if _, err = conn.Write([]byte(text)); err != nil {
				break
			}
			select {
			case <-second.C:
			case <-gone:
				cut.Add(1)
				err = net.ErrClosed
			case <-ctx.Done():
				return
			}
		}
	}
	select {
	case <-second.C:
	case <-ctx.Done():
	}
}

// Open is how many are connected.
func (s *SlowClients) Open() int { return int(s.open.Load()) }

// Cut is how often one was cut while it sent its header, and its body.
func (s *SlowClients) Cut() (inHeader, inBody int) {
	return int(s.cutInHeader.Load()), int(s.cutInBody.Load())
}
