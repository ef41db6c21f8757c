package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// Network is the network of a node: it serves clients and peers, and dials peers.
type Network struct {
	address env.Endpoint
	inbox   Inbox
	server  *grpc.Server
	peers   dialer
	gate    *gate
	// places is how many connections it takes at a time; full hears once that there are as many.
	places int
	full   func()
	// observer is told of every request that was answered; nil is nobody.
	observer func(Answered)

	mu      sync.Mutex
	closed  bool
	clients map[env.Endpoint]client   // at most maxClients
	heard   map[env.Endpoint]*hearing // the latest link of each peer that has one
	last    uint64                    // numbers the clients
	closing chan struct{}             // closed by Close
}

var _ env.Network = (*Network)(nil)

// client is where a client's answers go.
type client interface {
	// answer takes a response, which it must not keep.
	answer(r *api.Response)
}

// NewNetwork makes the network of the node that others reach at address. It hears
// nothing before Serve.
func NewNetwork(address env.Endpoint, inbox Inbox, c Credentials) *Network {
	n := &Network{
		address: address,
		inbox:   inbox,
		peers: dialer{
			inbox: inbox, options: dialOptions(c), patience: dialTimeout, pauses: true,
			links: make(map[env.Endpoint]*link), troubles: make(map[env.Endpoint]trouble),
		},
		places:  maxConnections,
		full:    func() {},
		clients: make(map[env.Endpoint]client),
		heard:   make(map[env.Endpoint]*hearing),
		closing: make(chan struct{}),
	}
	n.server = grpc.NewServer(serverOptions(c, n.meet)...)
	n.peers.open = n.openExchange
	n.gate, _ = newGate(Guard{}) // which has nothing that could be wrong
	RegisterBrokerServer(n.server, &brokerService{network: n})
	RegisterPeerServer(n.server, &peerService{network: n})
	return n
}

// DialBy has connections to peers opened by dial. It is for use before Serve.
func (n *Network) DialBy(dial func(context.Context, string) (net.Conn, error)) {
	n.peers.options = append(n.peers.options, grpc.WithContextDialer(dial))
}

// GuardBy says who is let in, and what for. It is for use before Serve.
func (n *Network) GuardBy(g Guard) (err error) {
	n.gate, err = newGate(g)
	return err
}

// LimitTo has the node take no more than so many connections at a time, and never more than
// it has places for links. Further ones wait until another ends; full is called when that
// happens first, and must not wait. It is for use before Serve.
func (n *Network) LimitTo(connections int, full func()) {
	n.places, n.full = min(connections, maxConnections), sync.OnceFunc(full)
}

// ObserveBy has every request of a client that was answered told to observer, which must
// not wait. It is for use before Serve.
func (n *Network) ObserveBy(observer func(Answered)) { n.observer = observer }

// Serve takes connections from the listener, and closes it, until Close. It
// returns nil after Close, otherwise what is wrong with the listener.
func (n *Network) Serve(l net.Listener) error {
	if err := n.server.Serve(newListener(l, n.places, n.full)); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve at %s: %w", l.Addr(), err)
	}
	return nil
}

// Close ends every link. Answers that wait for a client are sent first, if that
// does not take long.
func (n *Network) Close() {
	n.leave()
	stopped := make(chan struct{})
	go func() {
		n.server.GracefulStop() // waits until every stream has ended
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-time.After(drainTime):
		// What is left now is streams whose client takes nothing, which end here,
		// and connections that have not spoken yet, which gRPC gives handshakeTime
		// and nobody has to wait for.
		go n.server.Stop()
	}
	n.peers.close()
}

// leave lets every stream end.
func (n *Network) leave() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.closed {
		n.closed = true
		close(n.closing)
	}
}

// Send queues a message; see env.Network. It never waits.
func (n *Network) Send(to env.Endpoint, m *api.Message) {
	if isClient(to) {
		n.answer(to, m.GetResponse())
		return
	}
	frames := &Frames{From: string(n.address), Frames: [][]byte{api.EncodeFrame(m)}}
	n.peers.send(to, mustEncode(proto.Marshal(frames)), false)
}

func (n *Network) answer(to env.Endpoint, r *api.Response) {
	n.mu.Lock()
	c := n.clients[to]
	n.mu.Unlock()
	if c == nil {
		n.inbox.Lost(to)
		return
	}
	c.answer(r)
}

// admit gives a client a name; false if there are too many or the node leaves.
func (n *Network) admit(c client) (env.Endpoint, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || len(n.clients) >= maxClients {
		return "", false
	}
	n.last++
	name := env.Endpoint(fmt.Sprintf("%s%d", clientPrefix, n.last))
	n.clients[name] = c
	return name, true
}

func (n *Network) dismiss(name env.Endpoint) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.clients, name)
}

// exchange is a stream to a peer. Nothing comes back on it.
type exchange struct {
	grpc.BidiStreamingClient[Frames, Sasl]
}

func (n *Network) openExchange(ctx context.Context, conn *grpc.ClientConn) (stream, error) {
	s, err := NewPeerClient(conn).Exchange(ctx)
	if err == nil && n.gate.PeerSecret != "" {
		err = n.gate.proveTo(strings.TrimPrefix(conn.Target(), passthrough), func(m *Sasl) error {
			return s.Send(&Frames{From: string(n.address), Sasl: m})
		}, s.Recv)
	}
	return exchange{s}, err
}

func (s exchange) receive(env.Endpoint, func()) {
	for {
		if _, err := s.Recv(); err != nil {
			return
		}
	}
}
