package rpc

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

func sliceOf(b []byte) mem.Buffer { return mem.SliceBuffer(b) }

func batchFrom(node uint64) *api.Message {
	return &api.Message{Body: &api.Message_Peer{Peer: &api.PeerBatch{From: node}}}
}

func (s served) exchange() grpc.BidiStreamingClient[Frames, Sasl] {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	s.t.Cleanup(cancel)
	stream, err := NewPeerClient(s.conn()).Exchange(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	return stream
}

func TestDamagedFrameEndsTheLink(t *testing.T) {
	s := serve(t)
	good, bad := api.EncodeFrame(batchFrom(1)), api.EncodeFrame(batchFrom(2))
	bad[len(bad)-1] ^= 1
	stream := s.exchange()
	stream.Send(&Frames{From: "host:1", Frames: [][]byte{good, bad, good}})
	if _, err := stream.Recv(); status.Code(err) != codes.DataLoss {
		t.Fatalf("the link ended with %v", err)
	}
	s.await("the loss of the peer", func() bool { return s.hasLost("host:1") })
	if s.count() != 1 {
		t.Fatalf("%d messages came in, want the one before the damage", s.count())
	}
	s.works()
}

func TestPeersSayWhoTheyAre(t *testing.T) {
	s := serve(t)
	frames := [][]byte{api.EncodeFrame(batchFrom(1))}
	for _, from := range []string{"", "host", "client/1", "client/1:2", "host:"} {
		stream := s.exchange()
		stream.Send(&Frames{From: from, Frames: frames})
		if _, err := stream.Recv(); status.Code(err) != codes.InvalidArgument {
			t.Errorf("from %q the link ended with %v", from, err)
		}
	}
	stream := s.exchange()
	stream.Send(&Frames{From: "host:1"})
	stream.Send(&Frames{From: "host:2", Frames: frames})
	if _, err := stream.Recv(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("with two names the link ended with %v", err)
	}
	if s.count() != 0 {
		t.Fatalf("%d messages came in", s.count())
	}
}

// A link that a later one of the same peer has replaced is lost there and then, and once: when
// its connection is found dead, the later one is not spoken of.
func TestLaterLinksReplaceEarlierOnes(t *testing.T) {
	s := serve(t)
	losses := func() (n int) {
		s.notes.mu.Lock()
		defer s.notes.mu.Unlock()
		return len(s.lost)
	}
	frames := &Frames{From: "host:1", Frames: [][]byte{api.EncodeFrame(batchFrom(1))}}
	older, later := s.exchange(), s.exchange()
	older.Send(frames)
	s.await("a message", func() bool { return s.count() == 1 })
	later.Send(frames)
	s.await("a message of the later link", func() bool { return s.count() == 2 })
	if n := losses(); n != 1 {
		t.Errorf("by then %d links are lost", n)
	}
	if _, err := older.Recv(); status.Code(err) != codes.Aborted {
		t.Errorf("the link that was replaced ended with %v", err)
	}
	later.Send(frames)
	s.await("another message", func() bool { return s.count() == 3 })
	later.CloseSend()
	if _, err := later.Recv(); err == nil {
		t.Error("the later link goes on")
	}
	if n := losses(); n != 2 {
		t.Errorf("after two links %d were lost", n)
	}
}

// A peer that cannot be reached is not dialed at every message.
func TestDialsPause(t *testing.T) {
	s := serve(t)
	l := listen(t, "127.0.0.1:0")
	defer l.Close()
	var dialed atomic.Int64
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			dialed.Add(1)
			c.Close()
		}
	}()
	to := env.Endpoint(l.Addr().String())
	for began := time.Now(); time.Since(began) < 700*time.Millisecond; time.Sleep(time.Millisecond) {
		s.Send(to, batchFrom(1))
	}
	if n := dialed.Load(); n < 2 || n > 6 {
		t.Fatalf("dialed %d times", n)
	}
	if !s.hasLost(to) {
		t.Fatal("nothing was lost")
	}
}

// A peer that was away for long is reached at once when it calls.
func TestCallingPeerIsReached(t *testing.T) {
	a := serve(t)
	l := listen(t, "127.0.0.1:0")
	address := l.Addr().String()
	l.Close()
	a.peers.mu.Lock()
	a.peers.troubles[env.Endpoint(address)] = trouble{pause: retryMax, until: time.Now().Add(time.Hour)}
	a.peers.mu.Unlock()
	a.Send(env.Endpoint(address), batchFrom(1))
	a.await("the loss", func() bool { return a.hasLost(env.Endpoint(address)) })

	inbox := &notes{}
	b := NewNetwork(env.Endpoint(address), inbox, Credentials{})
	go b.Serve(listen(t, address))
	t.Cleanup(b.Close)
	b.Send(a.address, batchFrom(2))
	a.await("the peer's call", func() bool { return a.count() == 1 })
	a.Send(env.Endpoint(address), batchFrom(3))
	a.await("the peer's receipt", func() bool { return inbox.count() == 1 })
}

func TestSeveralWritesKeepTheOrder(t *testing.T) {
	const n = 3000
	a, b := serve(t), serve(t)
	for i := range n {
		a.Send(b.address, batchFrom(uint64(i)))
	}
	b.await("all messages", func() bool { return b.count() == n })
	for i, m := range b.received {
		if m.GetPeer().From != uint64(i) || b.from[i] != a.address {
			t.Fatalf("message %d is %v from %s", i, m, b.from[i])
		}
	}
}

func TestTooLargeAMessageBreaksTheLink(t *testing.T) {
	s := serve(t)
	inbox := &notes{}
	c := NewClientNetwork(inbox, Credentials{})
	defer c.Close()
	q := produce(1, api.Acks_ALL)
	c.Send(s.address, requestMessage(q))
	s.await("a request", func() bool { return s.count() == 1 })
	q.GetProduce().Batch = make([]byte, MaxMessage+1)
	c.Send(s.address, requestMessage(q))
	s.await("the loss", func() bool { return inbox.hasLost(s.address) })
	q.GetProduce().Batch = make([]byte, MaxMessage-100)
	c.Send(s.address, requestMessage(q))
	s.await("another request", func() bool { return s.count() == 2 })
}

// A peer that takes a link, and ends it at once, is not dialed at every message either.
func TestDialsPauseWhereRefused(t *testing.T) {
	a, b := serve(t), serveGuarded(t, Guard{PeerSecret: "secret"})
	var dialed atomic.Int64
	a.DialBy(func(ctx context.Context, to string) (net.Conn, error) {
		dialed.Add(1)
		return (&net.Dialer{}).DialContext(ctx, "tcp", to)
	})
	for began := time.Now(); time.Since(began) < 700*time.Millisecond; time.Sleep(time.Millisecond) {
		a.Send(b.address, batchFrom(1))
	}
	if n := dialed.Load(); n < 2 || n > 6 {
		t.Fatalf("dialed %d times", n)
	}
}

// A link that takes longer than the first may is given more time, until it comes up.
func TestSlowLinksComeUp(t *testing.T) {
	s, inbox := serve(t), &notes{}
	for _, pauses := range []bool{true, false} {
		c := NewClientNetwork(inbox, Credentials{})
		c.nodes.patience, c.nodes.pauses = 20*time.Millisecond, pauses
		c.nodes.options = append(c.nodes.options, grpc.WithContextDialer(func(ctx context.Context, to string) (net.Conn, error) {
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
			return (&net.Dialer{}).DialContext(ctx, "tcp", to)
		}))
		before := s.count()
		s.await("a request over a slow link", func() bool {
			c.Send(s.address, requestMessage(produce(1, api.Acks_NONE)))
			time.Sleep(time.Millisecond)
			return s.count() > before
		})
		c.Close()
	}
}

func TestTroublesAreBounded(t *testing.T) {
	d := dialer{troubles: make(map[env.Endpoint]trouble)}
	for i := range 3 * maxDialed {
		d.remember(&link{to: env.Endpoint(net.JoinHostPort("host", string(rune(i))))})
	}
	if len(d.troubles) > maxDialed {
		t.Fatalf("%d troubles are kept", len(d.troubles))
	}
	d = dialer{troubles: make(map[env.Endpoint]trouble)}
	for _, want := range []time.Duration{50, 100, 200, 400, 800, 1000, 1000} {
		d.remember(&link{to: "host:1", lasted: retryMin})
		if got := d.troubles["host:1"].pause; got != want*time.Millisecond {
			t.Fatalf("the pause is %v, want %v ms", got, want)
		}
	}
	last := dialTimeout
	for _, want := range []time.Duration{4, 8, 10, 10} {
		d.remember(&link{to: "host:1", patience: last, late: true})
		if last = d.troubles["host:1"].patience; last != want*time.Second {
			t.Fatalf("the patience is %v, want %v s", last, want)
		}
	}
	d.remember(&link{to: "host:1", lasted: 2 * retryMax})
	if got := d.troubles["host:1"]; got.pause != retryMin || got.patience != 0 {
		t.Fatalf("after a link that lasted: %v", got)
	}
}
