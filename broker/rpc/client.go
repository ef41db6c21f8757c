package rpc

import (
	"context"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// ClientNetwork is the network of a client: it dials nodes.
type ClientNetwork struct {
	nodes dialer
}

var _ env.Network = (*ClientNetwork)(nil)

// NewClientNetwork makes the network of a client.
func NewClientNetwork(inbox Inbox, c Credentials) *ClientNetwork {
	n := &ClientNetwork{nodes: dialer{
		inbox: inbox, options: dialOptions(c),
		links: make(map[env.Endpoint]*link), refused: make(map[env.Endpoint]refusal),
	}}
	n.nodes.open = n.openLink
	return n
}

// Send queues a request; see env.Network. It never waits.
func (n *ClientNetwork) Send(to env.Endpoint, m *api.Message) {
	requests := &Requests{Requests: []*api.Request{m.GetRequest()}}
	n.nodes.send(to, mustEncode(proto.Marshal(requests)))
}

// Close breaks every link.
func (n *ClientNetwork) Close() { n.nodes.close() }

func (n *ClientNetwork) openLink(ctx context.Context, conn *grpc.ClientConn) (stream, error) {
	s, err := NewBrokerClient(conn).Link(ctx)
	return clientStream{s, n.nodes.inbox}, err
}

// clientStream is a link with a node.
type clientStream struct {
	grpc.BidiStreamingClient[Requests, Responses]
	inbox Inbox
}

func (s clientStream) receive(from env.Endpoint, used func()) {
	for {
		batch, err := s.Recv()
		if err != nil {
			return
		}
		used()
		for _, r := range batch.Responses {
			m := &api.Message{Body: &api.Message_Response{Response: r}}
			if !s.inbox.Receive(from, m, len(r.GetFetch().GetBatches())) {
				return
			}
		}
	}
}
