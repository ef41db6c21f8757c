package embed

import (
	"context"
	"net"
	"sync"
)

// wires says which connections of a cluster carry bytes. One that does not stalls: what
// was written waits, and comes when the wire is whole again, unless somebody has given
// the connection up by then.
type wires struct {
	mu        sync.Mutex
	unplugged map[string]bool
	cuts      map[pair]bool
	changed   chan struct{} // closed and made anew when the wires change
}

// pair of addresses, the smaller first.
type pair [2]string

func pairOf(a, b string) pair { return pair{min(a, b), max(a, b)} }

func newWires() *wires {
	return &wires{unplugged: map[string]bool{}, cuts: map[pair]bool{}, changed: make(chan struct{})}
}

func (w *wires) cut(a, b string) { w.change(func() { w.cuts[pairOf(a, b)] = true }) }

func (w *wires) unplug(address string, off bool) {
	w.change(func() { w.unplugged[address] = off })
}

func (w *wires) heal() {
	w.change(func() {
		clear(w.cuts)
		clear(w.unplugged)
	})
}

func (w *wires) change(how func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	how()
	close(w.changed)
	w.changed = make(chan struct{})
}

// whole reports whether a connection between two addresses carries bytes, and what to
// wait for if not. Of one that was accepted only the own address is known.
func (w *wires) whole(own, other string) (bool, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.unplugged[own] && !w.unplugged[other] && !w.cuts[pairOf(own, other)], w.changed
}

// wire is where a node's connections pass; it is server.Wire.
type wire struct {
	wires *wires
	own   string // the node's address, known once it listens
}

// Listen is server.Wire.
func (w *wire) Listen(l net.Listener) net.Listener {
	w.own = l.Addr().String()
	return &listener{l, w}
}

// Dial is server.Wire.
func (w *wire) Dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return w.tap(conn, address), nil
}

func (w *wire) tap(conn net.Conn, other string) net.Conn {
	return &tapped{Conn: conn, wires: w.wires, own: w.own, other: other, closed: make(chan struct{})}
}

// listener taps what is accepted.
type listener struct {
	net.Listener
	wire *wire
}

func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.wire.tap(conn, ""), nil
}

// tapped is a connection that stalls where its wire is cut.
type tapped struct {
	net.Conn
	wires      *wires
	own, other string
	once       sync.Once
	closed     chan struct{}
}

// Read hands on what came once the wire is whole.
func (t *tapped) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	if !t.wait() {
		return 0, net.ErrClosed
	}
	return n, err
}

// Write waits until the wire is whole.
func (t *tapped) Write(b []byte) (int, error) {
	if !t.wait() {
		return 0, net.ErrClosed
	}
	return t.Conn.Write(b)
}

// Close ends also what waits.
func (t *tapped) Close() error {
	t.once.Do(func() { close(t.closed) })
	return t.Conn.Close()
}

// wait returns when the wire is whole, or false when the connection is closed before.
func (t *tapped) wait() bool {
	for {
		whole, changed := t.wires.whole(t.own, t.other)
		if whole {
			return true
		}
		select {
		case <-changed:
		case <-t.closed:
			return false
		}
	}
}
