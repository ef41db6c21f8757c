package rpc

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/access"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// large is a request that no stranger has a reason to send.
func large(id uint64) *api.Request {
	q := produce(id, api.Acks_ALL)
	q.GetProduce().Topic = &api.TopicRef{Name: "t"}
	q.GetProduce().Batch = make([]byte, 4<<20)
	return q
}

// What a stranger sends, the node does not take in: a call, a link or a peer's.
func TestStrangersSendLittle(t *testing.T) {
	d := &doorkeeper{}
	d.view.Store(&access.View{Version: 1, Users: users(t, "root"), Decoy: decoySecret})
	s, open := serveGuarded(t, d.guard()), serveGuarded(t, Guard{PeerSecret: "secret"})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := NewBrokerClient(s.conn()).Call(ctx, large(1))
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a call: %v", err)
	}
	link := s.link()
	_ = link.Send(&Requests{Requests: []*api.Request{large(1)}}) // Recv tells
	if _, err := link.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("a link: %v", err)
	}
	exchange := open.exchange()
	_ = exchange.Send(&Frames{From: "host:1", Frames: [][]byte{make([]byte, 4<<20)}}) // Recv tells
	if _, err := exchange.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("a peer: %v", err)
	}
}

// Who was let in, or need not say who it is, sends what it likes.
func TestOthersSendMuch(t *testing.T) {
	d := &doorkeeper{}
	d.view.Store(&access.View{Version: 1, Users: users(t, "root"), Decoy: decoySecret})
	g := d.guard()
	g.PeerSecret = "secret"
	s, open := serveGuarded(t, g).echoes(), serveGuarded(t, Guard{PeerSecret: "secret"}).echoes()
	s.asker(Password("root", "toor")).want("who was let in", large(1), api.Code_OK)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if r, err := NewBrokerClient(open.conn()).Call(ctx, large(1)); err != nil || r.GetError() != nil {
		t.Errorf("a call of whom nothing is asked: %v, %v", r, err)
	}
	before := s.count()
	open.Send(s.address, requestMessage(large(2)))
	s.await("what a peer sends", func() bool { return s.count() > before })
}

// A connection on which nobody was let in ends after a while, and one is enough for it to stay.
func TestSilentConnectionsEnd(t *testing.T) {
	l := newListener(listen(t, "127.0.0.1:0"), 2, func() {})
	l.patience = 50 * time.Millisecond
	defer l.Close()
	dial := func() (ours, theirs net.Conn) {
		theirs, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { theirs.Close() })
		theirs.SetReadDeadline(time.Now().Add(10 * time.Second))
		if ours, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ours.Close() })
		return ours, theirs
	}
	_, silent := dial()
	if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a silent connection: %v", err)
	}
	kept, other := dial()
	kept.(*accepted).trusted.Store(true)
	late := time.AfterFunc(2*l.patience, func() { kept.Write([]byte("x")) })
	defer late.Stop()
	if _, err := other.Read(make([]byte, 1)); err != nil {
		t.Errorf("one that is trusted: %v", err)
	}
}

// Strangers that call as peers are few at a time, and take no places from clients.
func TestStrangePeersAreFew(t *testing.T) {
	s := serveGuarded(t, Guard{PeerSecret: "secret"})
	s.gate.callers.places = 1
	first := s.exchange()
	s.await("a stranger", func() bool { return s.gate.callers.present.Load() == 1 })
	if _, err := s.exchange().Recv(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a second stranger: %v", err)
	}
	s.works()
	first.CloseSend()
	s.await("the stranger's end", func() bool { return s.gate.callers.present.Load() == 0 })
	peer := serveGuarded(t, Guard{PeerSecret: "secret"})
	peer.Send(s.address, batchFrom(1))
	s.await("a peer's message", func() bool { return s.count() == 2 })
	s.await("a place for the next", func() bool { return s.gate.callers.present.Load() == 0 })
}

// A node takes so many connections at a time, says so once, and takes the next when one ends.
func TestConnectionsAreFew(t *testing.T) {
	l, n := listen(t, "127.0.0.1:0"), &notes{}
	s := served{NewNetwork(env.Endpoint(l.Addr().String()), n, Credentials{}), n, t}
	var full atomic.Int64
	s.LimitTo(2, func() { full.Add(1) })
	go s.Serve(l)
	t.Cleanup(s.Close)
	send := func(link grpc.BidiStreamingClient[Requests, Responses], id uint64) {
		if err := link.Send(&Requests{Requests: []*api.Request{produce(id, api.Acks_ALL)}}); err != nil {
			t.Error(err)
		}
	}
	conn, second := s.conn(), s.link()
	first, err := NewBrokerClient(conn).Link(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	send(first, 1)
	send(second, 2)
	s.await("two clients", func() bool { return s.count() == 2 })
	waits, err := net.Dial("tcp", string(s.address))
	if err != nil {
		t.Fatal(err)
	}
	defer waits.Close()
	waits.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := waits.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a third connection: %v", err)
	}
	send(first, 3)
	s.await("a client's next request", func() bool { return s.count() == 3 })
	waits.Close()
	conn.Close()
	third := s.link()
	send(third, 4)
	s.await("a client in its place", func() bool { return s.count() == 4 })
	if n := full.Load(); n != 1 {
		t.Errorf("it was said %d times that there are too many", n)
	}
}
