package rpc

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/access"
	"github.com/reprise-mq/reprise/broker/api"
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
	l := &listener{listen(t, "127.0.0.1:0"), 50 * time.Millisecond}
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
