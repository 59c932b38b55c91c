package twiliosim

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// DoorState says how the second way to Twilio's API behaves.
type DoorState string

// The states of the door.
const (
	DoorOpen    DoorState = "open"    // the API answers, over plain HTTP, one request a connection
	DoorClosed  DoorState = "closed"  // nobody listens: connections are refused
	DoorStalled DoorState = "stalled" // connections are made and never served: over https, the TLS handshake stalls
)

// headerTimeout bounds how long a caller takes to send a request's header.
const headerTimeout = 5 * time.Second

// door is a second listener of Twilio's API, without the control API, for what goes wrong before a request is written:
// that is between a caller and an address, and no rule of a recipient can play it. A test sends its caller there.
type door struct {
	api http.Handler

	mu      sync.Mutex
	address string // kept from the first state on, unless another is asked for
	shut    func() // ends the present state and its connections
}

// set puts the door into a state and returns its address, which stays the same while none is wanted.
func (d *door) set(ctx context.Context, state DoorState, wanted string) (address string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut()
	d.shut = func() {}
	listener, err := (&net.ListenConfig{Control: controlLoopback}).Listen(ctx, "tcp", cmp.Or(wanted, d.address))
	if err != nil {
		return "", fmt.Errorf("open the door: %w", err)
	}
	d.address = listener.Addr().String()
	switch state {
	case DoorOpen:
		server := &http.Server{Handler: d.api, ReadHeaderTimeout: headerTimeout}
		server.SetKeepAlivesEnabled(false)         // else a request could go out on a connection that is just being shut: that is another fault
		go func() { _ = server.Serve(listener) }() // until it is closed
		d.shut = func() { _ = server.Close() }
	case DoorStalled:
		d.shut = func() { _ = listener.Close() } // nobody accepts: the system completes the connections, and they wait
	default:
		_ = listener.Close()
	}
	return d.address, nil
}

// close shuts the door.
func (d *door) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut()
	d.shut = func() {}
}
