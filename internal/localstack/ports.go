package localstack

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
	"time"
)

// Port is a TCP port on loopback, kept for a child that will listen on it. It is kept by holding the UDP port of the same
// number, which the child does not need: other processes of Parley see that it is taken, and the kernel frees it when
// this process ends, however it ends.
type Port struct {
	Number int
	held   net.PacketConn
}

// Address is the port as host:port.
func (p *Port) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Number)) }

// Release lets others have the port. A child that is being started in this moment has the socket too, until its program
// runs, so the port may be taken for some milliseconds more.
func (p *Port) Release() { _ = p.held.Close() }

// Random ports lie below the ranges that Linux (32768) and macOS (49152) give to outgoing connections, so that no
// connection of anybody takes one between its choice and its use.
const (
	lowestPort  = 20_000
	highestPort = 32_000
)

// FreePort keeps a port that nobody uses: the preferred one if it is not 0 and free, else a random one.
func FreePort(preferred int) (*Port, error) {
	if preferred != 0 {
		if port, err := keepPort(preferred); err == nil {
			return port, nil
		}
	}
	var last error
	for range 200 {
		port, err := keepPort(lowestPort + rand.IntN(highestPort-lowestPort))
		if err == nil {
			return port, nil
		}
		last = err
	}
	return nil, fmt.Errorf("no free port on 127.0.0.1: %w", last)
}

func keepPort(number int) (*Port, error) {
	port := &Port{Number: number}
	held, err := net.ListenPacket("udp4", port.Address())
	if err != nil {
		return nil, err
	}
	// Asked, not tried: a socket that listened here could live on in a child that is being started, and be in the way of
	// the one that the port is for.
	connection, err := net.DialTimeout("tcp4", port.Address(), time.Second)
	if err == nil {
		_ = connection.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		_ = held.Close()
		return nil, fmt.Errorf("somebody listens on %s", port.Address())
	}
	port.held = held
	return port, nil
}
