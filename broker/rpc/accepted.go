package rpc

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/tap"
)

const (
	// strangerBytes is what a connection may send before a link or call on it is let in,
	// handshakes included. gRPC takes in what comes, whoever sends it and before anybody
	// here can look: as much as a link's window, or a message, for every stream.
	strangerBytes = 64 << 10
	// strangerTime is the patience of a node's listener.
	strangerTime = 2 * handshakeTime
)

// errTooMuch ends a connection; nobody but gRPC hears of it.
var errTooMuch = errors.New("rpc: a stranger has sent more than it takes to say who it is")

// listener makes accepted connections of those that another one gives, and takes no more
// than so many at a time: the others wait in the operating system.
type listener struct {
	net.Listener
	// patience is how long a connection stays open on which nobody was let in.
	patience time.Duration
	// places has a token for every open connection, and perhaps one for the next.
	places chan struct{}
	// full is called when there is no place for the next.
	full   func()
	once   sync.Once
	closed chan struct{}
}

func newListener(l net.Listener, places int, full func()) *listener {
	return &listener{Listener: l, patience: strangerTime, places: make(chan struct{}, places), full: full, closed: make(chan struct{})}
}

// Accept is net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	if !l.enter() {
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		l.leave()
		return nil, err
	}
	giveUpAfter(conn, aliveTimeout)
	c := &accepted{Conn: conn, leave: sync.OnceFunc(l.leave)}
	c.late = time.AfterFunc(l.patience, func() {
		if !c.trusted.Load() {
			_ = conn.Close() // gRPC finds it closed, and lets go of it
		}
	})
	return c, nil
}

// enter waits for a place; false if the listener is closed.
func (l *listener) enter() bool {
	select {
	case l.places <- struct{}{}:
		return true
	default:
		l.full()
	}
	select {
	case l.places <- struct{}{}:
		return true
	case <-l.closed:
		return false
	}
}

func (l *listener) leave() { <-l.places }

// Close is net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// accepted is a connection from a client or a peer.
type accepted struct {
	net.Conn
	// trusted: somebody on it was let in.
	trusted atomic.Bool
	// heard is how much was read while it was not trusted, at most strangerBytes. It is for
	// the reader alone.
	heard int
	late  *time.Timer
	leave func() // gives its place back
}

// Read is net.Conn. Of a stranger it reads no more than it may send.
func (c *accepted) Read(b []byte) (int, error) {
	if c.trusted.Load() {
		return c.Conn.Read(b)
	}
	left := strangerBytes - c.heard
	if left == 0 {
		return 0, errTooMuch
	}
	n, err := c.Conn.Read(b[:min(len(b), left)])
	c.heard += n
	return n, err
}

// Close is net.Conn.
func (c *accepted) Close() error {
	defer c.leave()
	c.late.Stop()
	return c.Conn.Close()
}

// RemoteAddr is net.Conn. By it a stream finds the connection that it came on.
func (c *accepted) RemoteAddr() net.Addr { return origin{c.Conn.RemoteAddr(), c} }

// origin is the address of who connected.
type origin struct {
	net.Addr
	connection *accepted
}

// trust says that somebody was let in who came on a connection.
func trust(ctx context.Context) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return
	}
	if from, ok := p.Addr.(origin); ok && !from.connection.trusted.Swap(true) {
		from.connection.late.Stop()
	}
}

// meet trusts a connection of whose other end nothing more is asked. gRPC calls it at the
// beginning of every stream, before it reads on.
func (n *Network) meet(ctx context.Context, stream *tap.Info) (context.Context, error) {
	if certified(ctx) != "" || !n.gate.asks(stream.FullMethodName) {
		trust(ctx)
	}
	return ctx, nil
}
