package rpc

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// ClientNetwork is the network of a client: it dials nodes.
type ClientNetwork struct {
	nodes dialer
	login Login
}

var _ env.Network = (*ClientNetwork)(nil)

// NewClientNetwork makes the network of a client.
func NewClientNetwork(inbox Inbox, c Credentials) *ClientNetwork {
	n := &ClientNetwork{login: c.Login, nodes: dialer{
		inbox: inbox, options: dialOptions(c), patience: dialTimeout,
		links: make(map[env.Endpoint]*link), troubles: make(map[env.Endpoint]trouble),
	}}
	n.nodes.open = n.openLink
	return n
}

// Send queues a request; see env.Network. It never waits.
func (n *ClientNetwork) Send(to env.Endpoint, m *api.Message) {
	q := m.GetRequest()
	n.nodes.send(to, mustEncode(proto.Marshal(&Requests{Requests: []*api.Request{q}})), !wantsAnswer(q))
}

// Close breaks every link. Where requests were sent that are never answered, they are let
// arrive first, if that does not take long.
func (n *ClientNetwork) Close() { n.nodes.close() }

func (n *ClientNetwork) openLink(ctx context.Context, conn *grpc.ClientConn) (stream, error) {
	s, err := NewBrokerClient(conn).Link(ctx)
	if err != nil || n.login == nil {
		return clientStream{s, n.nodes.inbox}, err
	}
	err = n.authenticate(s)
	if err == nil {
		return clientStream{s, n.nodes.inbox}, nil
	}
	why := api.Errorf(api.Code_SASL_AUTHENTICATION_FAILED, "%v", err)
	// The node would say the same of each request, but takes little of a stranger.
	if refused := (refusalError{}); errors.As(err, &refused) {
		why = refused.cause
	} else if _, broken := status.FromError(err); broken || errors.Is(err, io.EOF) {
		return nil, err
	}
	return unproven{why: why, answers: make(chan *api.Response), ended: ctx.Done(), inbox: n.nodes.inbox}, nil
}

// authenticate says who the client is.
func (n *ClientNetwork) authenticate(s grpc.BidiStreamingClient[Requests, Responses]) error {
	user, password, err := n.login()
	if err != nil {
		return err
	}
	return prove(user, password, func(m *Sasl) error { return s.Send(&Requests{Sasl: m}) }, func() (*Sasl, error) {
		answer, err := s.Recv()
		return answer.GetSasl(), err
	})
}

// unproven is a link on which nothing is sent, for the client cannot say who it is, or the
// node has not proven that it knows the client. Requests are refused on this side.
type unproven struct {
	why     *api.Error
	answers chan *api.Response
	ended   <-chan struct{}
	inbox   Inbox
}

// SendMsg is stream.
func (u unproven) SendMsg(message any) error {
	requests := &Requests{}
	if err := proto.Unmarshal(mem.BufferSlice(message.(encoded)).Materialize(), requests); err != nil {
		return err
	}
	for _, q := range requests.Requests {
		if !wantsAnswer(q) {
			continue
		}
		select {
		case u.answers <- &api.Response{Id: q.Id, Error: u.why}:
		case <-u.ended:
			return context.Canceled
		}
	}
	return nil
}

// CloseSend is stream.
func (u unproven) CloseSend() error { return errors.New(u.why.Message) }

// receive is stream. The link ends after a while, so that the next says who the client is
// by then.
func (u unproven) receive(from env.Endpoint, used func()) {
	late := time.NewTimer(refusalTime)
	defer late.Stop()
	for {
		select {
		case r := <-u.answers:
			used()
			if !u.inbox.Receive(from, &api.Message{Body: &api.Message_Response{Response: r}}, 0) {
				return
			}
		case <-late.C:
			return
		case <-u.ended:
			return
		}
	}
}

// clientStream is a link with a node.
type clientStream struct {
	grpc.BidiStreamingClient[Requests, Responses]
	inbox Inbox
}

// receive is stream. When the process has ended, the link is still there for what was sent.
func (s clientStream) receive(from env.Endpoint, used func()) {
	for ended := false; ; {
		batch, err := s.Recv()
		if err != nil {
			return
		}
		used()
		for _, r := range batch.Responses {
			m := &api.Message{Body: &api.Message_Response{Response: r}}
			ended = ended || !s.inbox.Receive(from, m, len(r.GetFetch().GetBatches()))
		}
	}
}
