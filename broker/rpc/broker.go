package rpc

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// brokerService is what clients call.
type brokerService struct {
	UnimplementedBrokerServer
	network *Network
}

var (
	errFull   = status.Error(codes.ResourceExhausted, "the node has too many clients, or is leaving; try another")
	errEnded  = status.Error(codes.Unavailable, "the node has stopped; try another")
	errBroken = status.Error(codes.ResourceExhausted, "the client does not take its answers")
)

// Call answers a single request; see service.proto.
func (s *brokerService) Call(ctx context.Context, q *api.Request) (*api.Response, error) {
	n := s.network
	v := n.gate.visitor(ctx)
	c := caller{visitor: v, answered: make(chan *api.Response, 1)}
	name, ok := n.admit(c)
	if !ok {
		return nil, errFull
	}
	defer n.dismiss(name)
	seen := watch{observer: n.observer, client: name}
	seen.begin(q)
	if err := v.allow(q); err != nil {
		r := &api.Response{Id: q.Id, Error: err}
		seen.end(r)
		return r, nil
	}
	if !n.inbox.Receive(name, requestMessage(q), weight(q)) {
		return nil, errEnded
	}
	if !wantsAnswer(q) {
		return &api.Response{Id: q.Id}, nil
	}
	select {
	case r := <-c.answered:
		seen.end(r)
		return r, nil
	case <-n.closing:
		select {
		case r := <-c.answered:
			seen.end(r)
			return r, nil
		default:
			return nil, errEnded
		}
	case <-ctx.Done():
		n.inbox.Lost(name)
		return nil, status.FromContextError(ctx.Err()).Err()
	}
}

func requestMessage(q *api.Request) *api.Message {
	return &api.Message{Body: &api.Message_Request{Request: q}}
}

// caller waits for the answer to one Call.
type caller struct {
	visitor  *visitor
	answered chan *api.Response // with room for one
}

func (c caller) answer(r *api.Response) {
	select {
	case c.answered <- proto.CloneOf(c.visitor.filter(r)):
	default: // answered already
	}
}

// Link serves a client's link; see service.proto. The link ends when this
// returns, and only then do a read and a write that hang; so they have goroutines
// of their own, which end with the link.
func (s *brokerService) Link(stream grpc.BidiStreamingServer[Requests, Responses]) error {
	c := &session{network: s.network, visitor: s.network.gate.visitor(stream.Context()), out: newOutbox()}
	if !c.visitor.enter() {
		return errFull
	}
	defer c.visitor.settled()
	name, ok := s.network.admit(c)
	if !ok {
		return errFull
	}
	c.name = name
	c.watch = watch{observer: s.network.observer, client: name}
	go c.read(stream)
	go c.write(stream)
	late := time.AfterFunc(handshakeTime, func() {
		if c.visitor.stranger() {
			c.out.abort()
		}
	})
	defer late.Stop()
	select {
	case <-c.out.done:
	case <-s.network.closing:
		c.out.finish()
		<-c.out.done
	}
	if !c.out.hadRoom() {
		return errBroken
	}
	return nil
}

// session is a client's link as the node sees it.
type session struct {
	network  *Network
	name     env.Endpoint
	visitor  *visitor
	out      *outbox
	refusing bool         // the link is about to end
	pending  atomic.Int64 // requests without an answer; at most maxPending
	owed     atomic.Int64 // requests whose answer is not queued yet
	drains   atomic.Bool  // no further request comes
	watch    watch
}

func (c *session) read(stream grpc.BidiStreamingServer[Requests, Responses]) {
	defer func() {
		c.network.dismiss(c.name)
		c.network.inbox.Lost(c.name)
	}()
	for {
		c.out.awaitRoom(pauseQueued)
		batch, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			c.drain(stream.Context())
			return
		}
		if err != nil {
			c.out.abort()
			return
		}
		if batch.Sasl != nil {
			c.say(c.visitor.authenticate(batch.Sasl))
		}
		for _, q := range batch.Requests {
			if !c.take(q) {
				c.out.finish() // what the node has answered is still true
				return
			}
		}
	}
}

// drain lets a client that sends nothing more have its answers, as long as it is there.
func (c *session) drain(ctx context.Context) {
	c.drains.Store(true)
	if c.owed.Load() == 0 {
		c.out.finish()
	}
	select {
	case <-c.out.done:
	case <-ctx.Done():
		c.out.abort()
	}
}

func (c *session) write(stream grpc.BidiStreamingServer[Requests, Responses]) {
	if c.out.pump(stream.SendMsg) != nil {
		c.out.abort()
	}
}

// take hands a request to the node; false if the node has ended.
func (c *session) take(q *api.Request) bool {
	c.watch.begin(q)
	if wantsAnswer(q) {
		c.owed.Add(1)
		if c.pending.Add(1) > maxPending {
			c.answer(&api.Response{Id: q.Id, Error: api.Errorf(api.Code_OVERLOADED,
				"%d requests of this client wait for an answer; send fewer at a time", maxPending)})
			return true
		}
	}
	if err := c.visitor.allow(q); err != nil {
		if wantsAnswer(q) {
			c.answer(&api.Response{Id: q.Id, Error: err})
		}
		c.refuse()
		return true
	}
	return c.network.inbox.Receive(c.name, requestMessage(q), weight(q))
}

// refuse ends the link soon, if nobody is let in at its other end: who opens another is
// asked again, and has perhaps something better to say. Till then requests are refused.
func (c *session) refuse() {
	if c.visitor.refused != nil && !c.refusing {
		c.refusing = true
		time.AfterFunc(refusalTime, c.out.finish)
	}
}

func (c *session) say(m *Sasl) {
	c.out.put(mustEncode(proto.Marshal(&Responses{Sasl: m})))
	c.refuse()
}

func (c *session) answer(r *api.Response) {
	c.pending.Add(-1)
	if f := r.GetFetch(); f != nil {
		if waiting := c.out.queued(); waiting+len(f.Batches) > maxQueued/2 {
			// It may be asked again; a link that ends takes all else along.
			r = &api.Response{Id: r.Id, Error: api.Errorf(api.Code_OVERLOADED,
				"%d bytes of answers wait to be sent to this client, and there is no room for more of what it fetches; fetch less at a time, and retry after a pause", waiting)}
		}
	}
	c.watch.end(r)
	piece := mustEncode(proto.Marshal(&Responses{Responses: []*api.Response{c.visitor.filter(r)}}))
	c.out.put(piece)
	if c.owed.Add(-1) == 0 && c.drains.Load() {
		c.out.finish()
	}
}
