package envtest

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

// probe is a process that writes down what happens to it.
type probe struct {
	t       *testing.T
	clock   env.Clock
	disk    env.Disk
	network env.Network

	inside atomic.Bool // a method runs

	mu        sync.Mutex
	synced    map[env.Ticket]error
	loaded    map[env.Ticket]loaded
	listed    map[env.Ticket]listed
	received  []received
	lost      []env.Endpoint
	woken     []env.Time // the time at each Wake
	unflushed int        // events since the last Flush
	echo      bool       // requests are answered
	rearm     int        // Wakes that ask for another one a millisecond later
}

type loaded struct {
	data []byte
	err  error
}

type listed struct {
	entries []env.FileInfo
	err     error
}

type received struct {
	from    env.Endpoint
	message *api.Message
}

func newProbe(t *testing.T) *probe {
	return &probe{
		t:      t,
		synced: make(map[env.Ticket]error),
		loaded: make(map[env.Ticket]loaded),
		listed: make(map[env.Ticket]listed),
	}
}

func (p *probe) start(c env.Clock, d env.Disk, n env.Network) env.Process {
	p.clock, p.disk, p.network = c, d, n
	return p
}

// event wraps what happens in a method; it sees two methods at once.
func (p *probe) event(f func()) {
	if !p.inside.CompareAndSwap(false, true) {
		p.t.Error("two methods of a process run at the same time")
	}
	p.mu.Lock()
	f()
	p.unflushed++
	p.mu.Unlock()
	p.inside.Store(false)
}

// Wake is part of env.Process.
func (p *probe) Wake() {
	p.event(func() {
		now := p.clock.Now()
		p.woken = append(p.woken, now)
		if p.rearm > 0 {
			p.rearm--
			p.clock.WakeAt(now + env.Millisecond)
		}
	})
}

// Synced is part of env.Process.
func (p *probe) Synced(t env.Ticket, err error) {
	p.event(func() {
		if _, twice := p.synced[t]; twice {
			p.t.Errorf("ticket %d is answered twice", t)
		}
		p.synced[t] = err
	})
}

// Loaded is part of env.Process.
func (p *probe) Loaded(t env.Ticket, data []byte, err error) {
	p.event(func() {
		if _, twice := p.loaded[t]; twice {
			p.t.Errorf("ticket %d is answered twice", t)
		}
		p.loaded[t] = loaded{data, err}
	})
}

// Listed is part of env.Process.
func (p *probe) Listed(t env.Ticket, entries []env.FileInfo, err error) {
	p.event(func() {
		if _, twice := p.listed[t]; twice {
			p.t.Errorf("ticket %d is answered twice", t)
		}
		p.listed[t] = listed{entries, err}
	})
}

// Receive is part of env.Process.
func (p *probe) Receive(from env.Endpoint, m *api.Message) {
	p.event(func() {
		p.received = append(p.received, received{from, m})
		if q := m.GetRequest(); q != nil && p.echo {
			p.network.Send(from, response(q.Id))
		}
	})
}

// Lost is part of env.Process.
func (p *probe) Lost(peer env.Endpoint) {
	p.event(func() { p.lost = append(p.lost, peer) })
}

// Flush is part of env.Process.
func (p *probe) Flush() {
	if !p.inside.CompareAndSwap(false, true) {
		p.t.Error("Flush runs during another method")
	}
	p.mu.Lock()
	p.unflushed = 0
	p.mu.Unlock()
	p.inside.Store(false)
}

// see asks about what was written down.
func (p *probe) see(question func() bool) func() bool {
	return func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return question()
	}
}

// messages is what was received so far.
func (p *probe) messages() []received {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.received)
}

func (p *probe) hears(n int) func() bool {
	return p.see(func() bool { return len(p.received) >= n })
}

func (p *probe) loses(peer env.Endpoint) func() bool {
	return p.see(func() bool { return slices.Contains(p.lost, peer) })
}

func request(id uint64, topic string) *api.Message {
	return &api.Message{Body: &api.Message_Request{Request: &api.Request{
		Id:   id,
		Body: &api.Request_Produce{Produce: &api.ProduceRequest{Topic: &api.TopicRef{Name: topic}, Batch: []byte{1, 2, 3}}},
	}}}
}

func response(id uint64) *api.Message {
	return &api.Message{Body: &api.Message_Response{Response: &api.Response{
		Id:   id,
		Body: &api.Response_Produce{Produce: &api.ProduceResponse{BaseOffset: int64(id)}},
	}}}
}

func peerBatch(from uint64) *api.Message {
	return &api.Message{Body: &api.Message_Peer{Peer: &api.PeerBatch{
		From: from, Raft: []*api.RaftMessage{{Group: 7, Message: []byte("raft")}},
	}}}
}
