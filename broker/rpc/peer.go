package rpc

import (
	"net"
	"sync"
	"time"

	"github.com/reprise-mq/reprise/broker/access"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// peerService is what nodes call on each other.
type peerService struct {
	UnimplementedPeerServer
	network *Network
}

var (
	errFrom     = status.Error(codes.InvalidArgument, "the sender does not say, in one way, at which HOST:PORT it is reached")
	errStranger = status.Error(codes.Unauthenticated, "only nodes of the cluster are let in here, and this is none: it shows neither the peer secret nor the certificate of a super user")
	errReplaced = status.Error(codes.Aborted, "a later link of the same sender has taken this one's place")
	errFrame    = status.Error(codes.DataLoss, "a frame was damaged on the way")
)

// Exchange takes what a peer sends; see service.proto. A damaged frame ends the
// link, and the peer opens another. As with a client's link, the reader ends with
// the link, and not the other way round.
func (s *peerService) Exchange(stream grpc.BidiStreamingServer[Frames, Sasl]) error {
	callers := &s.network.gate.callers
	if !callers.enter() {
		return errFull
	}
	settled := sync.OnceFunc(callers.leave)
	defer settled()
	ended, admitted, heard := make(chan error, 1), make(chan struct{}), &hearing{make(chan struct{})}
	go func() { ended <- s.read(stream, heard, func() { close(admitted); settled() }) }()
	late := time.NewTimer(handshakeTime)
	defer late.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-heard.replaced:
			return errReplaced
		case <-s.network.closing:
			return errEnded
		case <-late.C:
			select {
			case <-admitted:
			default:
				return errStranger
			}
		}
	}
}

// read admits a peer and takes what it sends.
func (s *peerService) read(stream grpc.BidiStreamingServer[Frames, Sasl], heard *hearing, admitted func()) error {
	batch, err := s.network.gate.admitPeer(stream)
	if err != nil {
		return err
	}
	admitted()
	from := batch.From
	if _, port, err := net.SplitHostPort(from); err != nil || port == "" || isClient(env.Endpoint(from)) {
		return errFrom
	}
	s.network.peers.calls(env.Endpoint(from))
	s.network.hear(env.Endpoint(from), heard)
	defer s.network.unhear(env.Endpoint(from), heard)
	for ; err == nil; batch, err = stream.Recv() {
		if batch.From != from {
			return errFrom
		}
		if err := s.deliver(env.Endpoint(from), batch.Frames); err != nil {
			return err
		}
	}
	return err
}

func (s *peerService) deliver(from env.Endpoint, frames [][]byte) error {
	for _, frame := range frames {
		m, err := api.DecodeFrame(frame)
		if err != nil {
			return errFrame
		}
		if !s.network.inbox.Receive(from, m, len(frame)) {
			return errEnded
		}
	}
	return nil
}

// hearing is a link that a peer has opened.
type hearing struct{ replaced chan struct{} }

// hear begins a peer's link. If there is one already, that one is lost, though its
// connection may be found dead much later: to say so then would be to speak of this one.
func (n *Network) hear(from env.Endpoint, h *hearing) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if older := n.heard[from]; older != nil {
		close(older.replaced)
		n.inbox.Lost(from)
	}
	n.heard[from] = h
}

// unhear ends a peer's link, and says so unless a later one has.
func (n *Network) unhear(from env.Endpoint, h *hearing) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.heard[from] == h {
		delete(n.heard, from)
		n.inbox.Lost(from)
	}
}

// admitPeer gives the first frames of a peer, once it has shown that it is one.
func (g *gate) admitPeer(stream grpc.BidiStreamingServer[Frames, Sasl]) (*Frames, error) {
	batch, err := stream.Recv()
	switch {
	case err != nil:
		return nil, err
	case g.PeerSecret != "":
		return g.hearPeer(stream, batch)
	case g.Required && !g.super(certified(stream.Context())):
		g.Report("a peer is not let in", from(stream.Context()), errStranger.Error())
		return nil, errStranger
	case batch.Sasl != nil:
		g.Report("a peer is not let in", from(stream.Context()), "it shows a peer secret, and this node was given none: all nodes have it, or none")
		return nil, errStranger
	}
	return batch, nil
}

// hearPeer has a peer show the peer secret.
func (g *gate) hearPeer(stream grpc.BidiStreamingServer[Frames, Sasl], batch *Frames) (*Frames, error) {
	login := converse(func(name string) (access.Credential, bool) { return g.secret, name == peerUser })
	for first := true; ; first = false {
		if batch.Sasl == nil || login.scram.Done() {
			g.Report("a peer is not let in", from(stream.Context()), errStranger.Error())
			return nil, errStranger
		}
		data, err := login.step(batch.Sasl, first)
		if err != nil {
			time.Sleep(g.pause)
			g.Report("a peer is not let in", from(stream.Context()), "it shows another peer secret; all nodes of a cluster have the same")
			return nil, errStranger
		}
		if login.proven() {
			trust(stream.Context())
		}
		if err := stream.Send(&Sasl{Data: data}); err != nil {
			return nil, err
		}
		if batch, err = stream.Recv(); err != nil {
			return nil, err
		}
		if login.proven() {
			return batch, nil
		}
	}
}
