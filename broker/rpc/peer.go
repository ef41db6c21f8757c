package rpc

import (
	"net"

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
	errFrom  = status.Error(codes.InvalidArgument, "the sender does not say, in one way, at which HOST:PORT it is reached")
	errFrame = status.Error(codes.DataLoss, "a frame was damaged on the way")
)

// Exchange takes what a peer sends; see service.proto. A damaged frame ends the
// link, and the peer opens another. As with a client's link, the reader ends with
// the link, and not the other way round.
func (s *peerService) Exchange(stream grpc.BidiStreamingServer[Frames, Nothing]) error {
	ended := make(chan error, 1)
	go func() { ended <- s.read(stream) }()
	select {
	case err := <-ended:
		return err
	case <-s.network.closing:
		return errEnded
	}
}

func (s *peerService) read(stream grpc.BidiStreamingServer[Frames, Nothing]) error {
	batch, err := stream.Recv()
	if err != nil {
		return err
	}
	from := batch.From
	if _, port, err := net.SplitHostPort(from); err != nil || port == "" || isClient(env.Endpoint(from)) {
		return errFrom
	}
	s.network.peers.calls(env.Endpoint(from))
	defer s.network.inbox.Lost(env.Endpoint(from))
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
