package envtest

import (
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"google.golang.org/protobuf/proto"
)

var networkTests = []test{
	{"a client's request and its answer", testCall},
	{"a message is encoded when it is sent", testEncoded},
	{"a client's link keeps the order", testLinkOrder},
	{"clients have names of their own", testClientNames},
	{"node to node", testPeers},
	{"a request between nodes is answered", testPeerCall},
	{"a client hears that its node is gone", testNodeGone},
	{"a node hears that its client is gone", testClientGone},
	{"a node hears that its peer is gone", testPeerGone},
	{"nobody there", testNowhere},
	{"a restarted node is reached again", testReached},
}

// client starts a client's probe.
func (b *bench) client() (Host, *probe) {
	p := newProbe(b.t)
	return b.world.Client(p.start), p
}

// peer starts another node's probe.
func (b *bench) peer() (Host, *probe) {
	p := newProbe(b.t)
	return b.world.Node(p.start), p
}

func (b *bench) answering() *bench {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.echo = true
	return b
}

func testCall(t *testing.T, w World) {
	b := newBench(t, w).answering()
	client, p := b.client()
	sent := request(17, "topic")
	client.Do(func() { p.network.Send(b.host.Address(), sent) })
	b.await("the answer", p.hears(1))
	got := p.messages()[0]
	if got.from != b.host.Address() || !proto.Equal(got.message, response(17)) {
		t.Fatalf("the answer is %v from %s", got.message, got.from)
	}
	if q := b.messages()[0].message; !proto.Equal(q, request(17, "topic")) {
		t.Fatalf("the node received %v", q)
	}
}

func testEncoded(t *testing.T, w World) {
	b := newBench(t, w)
	client, p := b.client()
	client.Do(func() {
		m := request(1, "topic")
		p.network.Send(b.host.Address(), m)
		m.GetRequest().GetProduce().Batch[0] = 99
		m.GetRequest().GetProduce().Topic.Name = "changed"
		p.network.Send(b.host.Address(), m)
	})
	b.await("both requests", b.hears(2))
	first, second := b.messages()[0].message, b.messages()[1].message
	if !proto.Equal(first, request(1, "topic")) {
		t.Fatalf("changed after it was sent: %v", first)
	}
	if second.GetRequest().GetProduce().Topic.Name != "changed" {
		t.Fatalf("the second message is the first: %v", second)
	}
}

func testLinkOrder(t *testing.T, w World) {
	const bursts, each = 10, 60
	b := newBench(t, w).answering()
	client, p := b.client()
	for i := range bursts {
		client.Do(func() {
			for j := range each {
				p.network.Send(b.host.Address(), numbered(uint64(i*each+j)))
			}
		})
	}
	b.await("all answers", p.hears(bursts*each))
	for i, m := range b.messages() {
		if m.message.GetRequest().GetId() != uint64(i) {
			t.Fatalf("request %d came as number %d", m.message.GetRequest().GetId(), i)
		}
	}
	for i, m := range p.messages() {
		if m.message.GetResponse().GetId() != uint64(i) {
			t.Fatalf("answer %d came as number %d", m.message.GetResponse().GetId(), i)
		}
	}
}

// numbered is a request of one of several kinds: the order is that of the link,
// not of the kind.
func numbered(id uint64) *api.Message {
	m := request(id, "topic")
	q := m.GetRequest()
	switch id % 3 {
	case 1:
		q.Body = &api.Request_Fetch{Fetch: &api.FetchRequest{Offset: int64(id)}}
	case 2:
		q.Body = &api.Request_Metadata{Metadata: &api.MetadataRequest{}}
	}
	return m
}

func testClientNames(t *testing.T, w World) {
	b := newBench(t, w)
	names := make(map[env.Endpoint]bool)
	for i := range 4 {
		client, p := b.client()
		for range 3 {
			client.Do(func() { p.network.Send(b.host.Address(), request(1, "topic")) })
		}
		b.await("the requests", b.hears(3*(i+1)))
		last := b.messages()[3*i:]
		names[last[0].from] = true
		if last[0].from != last[2].from {
			t.Fatalf("one client is called %s and %s", last[0].from, last[2].from)
		}
	}
	if len(names) != 4 {
		t.Fatalf("4 clients are called %v", names)
	}
}

func testPeers(t *testing.T, w World) {
	b := newBench(t, w)
	peer, p := b.peer()
	b.repeat("the peer's message", p.hears(1), func() { b.network.Send(peer.Address(), peerBatch(1)) })
	got := p.messages()[0]
	if got.from != b.host.Address() || !proto.Equal(got.message, peerBatch(1)) {
		t.Fatalf("the peer received %v from %s", got.message, got.from)
	}
}

// repeat does it again until done: what nodes send each other may be lost.
func (b *bench) repeat(what string, done func() bool, do func()) {
	b.t.Helper()
	for range 50 {
		b.host.Do(do)
		b.mu.Lock()
		b.woken = nil
		b.mu.Unlock()
		b.wakeIn(20 * env.Millisecond)
		b.await("a wake", b.see(func() bool { return len(b.woken) > 0 }))
		if done() {
			return
		}
	}
	b.await(what, done)
}

func testPeerCall(t *testing.T, w World) {
	b := newBench(t, w)
	peer, p := b.peer()
	p.mu.Lock()
	p.echo = true
	p.mu.Unlock()
	b.repeat("the peer's answer", b.hears(1), func() { b.network.Send(peer.Address(), request(5, "topic")) })
	got := b.messages()[0]
	if got.from != peer.Address() || !proto.Equal(got.message, response(5)) {
		t.Fatalf("the answer is %v from %s", got.message, got.from)
	}
}

func testNodeGone(t *testing.T, w World) {
	b := newBench(t, w)
	client, p := b.client()
	client.Do(func() { p.network.Send(b.host.Address(), request(1, "topic")) })
	b.await("the request", b.hears(1))
	b.host.Stop()
	b.await("the client's loss", p.loses(b.host.Address()))
	if len(p.messages()) != 0 {
		t.Fatalf("the client received %v", p.messages())
	}
}

func testClientGone(t *testing.T, w World) {
	b := newBench(t, w)
	client, p := b.client()
	client.Do(func() { p.network.Send(b.host.Address(), request(1, "topic")) })
	b.await("the request", b.hears(1))
	from := b.messages()[0].from
	client.Stop()
	b.await("the node's loss", b.loses(from))
	// Too late an answer does no harm.
	b.host.Do(func() { b.network.Send(from, response(1)) })
	b.wantSync("", nil)
}

func testPeerGone(t *testing.T, w World) {
	b := newBench(t, w)
	peer, p := b.peer()
	b.repeat("a message", p.hears(1), func() { b.network.Send(peer.Address(), peerBatch(1)) })
	peer.Stop()
	b.repeat("the loss", b.loses(peer.Address()), func() { b.network.Send(peer.Address(), request(2, "topic")) })
}

func testNowhere(t *testing.T, w World) {
	b := newBench(t, w)
	nowhere := w.Nowhere()
	b.host.Do(func() { b.network.Send(nowhere, request(1, "topic")) })
	b.await("the node's loss", b.loses(nowhere))
	client, p := b.client()
	client.Do(func() { p.network.Send(nowhere, request(1, "topic")) })
	b.await("the client's loss", p.loses(nowhere))
}

func testReached(t *testing.T, w World) {
	b := newBench(t, w).answering()
	client, p := b.client()
	client.Do(func() { p.network.Send(b.host.Address(), request(1, "topic")) })
	b.await("an answer", p.hears(1))
	b.restart()
	b.answering()
	b.await("the loss", p.loses(b.host.Address()))
	client.Do(func() { p.network.Send(b.host.Address(), request(2, "topic")) })
	b.await("an answer after the restart", p.hears(2))
	if got := p.messages()[1].message; got.GetResponse().GetId() != 2 {
		t.Fatalf("after the restart the answer is %v", got)
	}
}
