package rpc

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"google.golang.org/grpc"
)

// notes is an Inbox that writes down what comes.
type notes struct {
	mu       sync.Mutex
	received []*api.Message
	from     []env.Endpoint
	lost     []env.Endpoint
	ended    bool
	each     func(env.Endpoint, *api.Message) // at each Receive
}

func (n *notes) Receive(from env.Endpoint, m *api.Message, size int) bool {
	n.mu.Lock()
	ended := n.ended
	if !ended {
		n.received = append(n.received, m)
		n.from = append(n.from, from)
	}
	n.mu.Unlock()
	if !ended && n.each != nil {
		n.each(from, m) // it may send, and hear at once that this is lost
	}
	return !ended
}

func (n *notes) Lost(peer env.Endpoint) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lost = append(n.lost, peer)
}

func (n *notes) end() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended = true
}

func (n *notes) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.received)
}

// sender is the endpoint of a message received, by its number.
func (n *notes) sender(i int) env.Endpoint {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.from[i]
}

func (n *notes) hasLost(peer env.Endpoint) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Contains(n.lost, peer)
}

// served is a Network that serves on loopback.
type served struct {
	*Network
	*notes
	t *testing.T
}

func serve(t *testing.T) served { return serveGuarded(t, Guard{}) }

func serveGuarded(t *testing.T, g Guard) served {
	l := listen(t, "127.0.0.1:0")
	n := &notes{}
	s := served{NewNetwork(env.Endpoint(l.Addr().String()), n, Credentials{}), n, t}
	if err := s.GuardBy(g); err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	t.Cleanup(s.Close)
	return s
}

// conn is a bare connection to the node.
func (s served) conn() *grpc.ClientConn {
	conn, err := grpc.NewClient("passthrough:///"+string(s.address), dialOptions(Credentials{})...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return conn
}

// link is a bare link with the node.
func (s served) link() grpc.BidiStreamingClient[Requests, Responses] {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	s.t.Cleanup(cancel)
	stream, err := NewBrokerClient(s.conn()).Link(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	return stream
}

func (s served) await(what string, done func() bool) {
	s.t.Helper()
	if !until(done) {
		s.t.Fatalf("this never happened: %s", what)
	}
}

// works expects the node to hear a request and its client the answer.
func (s served) works() {
	s.t.Helper()
	before := s.count()
	answered := make(chan *api.Response, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		r, _ := NewBrokerClient(s.conn()).Call(ctx, produce(9, api.Acks_ALL))
		answered <- r
	}()
	s.await("a request", func() bool { return s.count() > before })
	s.Send(s.sender(before), answer(9))
	if r := <-answered; r.GetId() != 9 {
		s.t.Fatalf("the answer is %v", r)
	}
}

func produce(id uint64, acks api.Acks) *api.Request {
	return &api.Request{Id: id, Body: &api.Request_Produce{Produce: &api.ProduceRequest{Acks: acks, Batch: []byte("batch")}}}
}

func answer(id uint64) *api.Message {
	return &api.Message{Body: &api.Message_Response{Response: &api.Response{Id: id}}}
}
