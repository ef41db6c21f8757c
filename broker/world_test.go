package broker_test

import (
	"testing"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/trace"
	"github.com/reprise-mq/reprise/netsim"
	"github.com/reprise-mq/reprise/sim/digest"
	"github.com/reprise-mq/reprise/sim/disk"
	"github.com/reprise-mq/reprise/sim/world"
)

// cluster is simulated nodes and one client that speaks the bare protocol.
type cluster struct {
	t      testing.TB
	world  *world.World
	hosts  map[env.Endpoint]*world.Host
	nodes  map[env.Endpoint]*broker.Node
	failed map[env.Endpoint]error
	client *bare
	home   *world.Host // the client's
	// sent is called with what leaves a process; nil: nobody looks.
	sent func(from, to env.Endpoint, m *api.Message)
}

// calm is a network without faults.
var calm = netsim.Profile{Latency: netsim.Time(100 * env.Microsecond), Jitter: netsim.Time(100 * env.Microsecond)}

// newCluster starts nodes "n1:1" and so on; the first founds, the others join.
func newCluster(t testing.TB, seed uint64, nodes ...env.Endpoint) *cluster {
	t.Helper()
	c := &cluster{
		t: t, hosts: make(map[env.Endpoint]*world.Host),
		nodes: make(map[env.Endpoint]*broker.Node), failed: make(map[env.Endpoint]error),
	}
	c.world = world.New(seed, calm, digest.New(nil), watcher{c})
	c.world.Failed = func(h *world.Host, what string) { t.Errorf("%s panicked: %s", h.Name, what) }
	t.Cleanup(c.world.Close)
	for i, name := range nodes {
		if i == 0 {
			c.start(name, func(cfg *broker.Config) { cfg.Init = true })
		} else {
			c.start(name, func(cfg *broker.Config) { cfg.Join = []env.Endpoint{nodes[0]} })
		}
	}
	c.home = c.world.Host("client", world.Config{Disk: disk.Normal, Client: true})
	c.home.Start(func(p world.Place) env.Process {
		c.client = &bare{network: p.Network, answers: make(map[uint64]*api.Response)}
		return c.client
	})
	return c
}

// start begins a life of a node, on the disk that an earlier life left.
func (c *cluster) start(name env.Endpoint, change func(*broker.Config)) {
	h := c.hosts[name]
	if h == nil {
		h = c.world.Host(name, world.Config{Disk: disk.Normal})
		c.hosts[name] = h
	}
	cfg := broker.DefaultConfig()
	cfg.Address = name
	cfg.JournalFileBytes, cfg.JournalFiles = 64<<10, 4
	cfg.SegmentBytes, cfg.CheckpointBytes = 16<<10, 24<<10
	cfg.SpreadTicks = 0 // tests elect whom they like
	change(&cfg)
	h.Start(func(p world.Place) env.Process {
		n := broker.New(cfg, broker.World{
			Clock: p.Clock, Disk: p.Disk, Network: p.Network, Random: p.Random, Trace: trace.Discard,
		})
		c.nodes[name] = n
		h.After = func() {
			if n.Failed() != nil && h.Up() {
				c.failed[name] = n.Failed()
				h.Kill()
			}
		}
		return n
	})
}

// run lets time pass.
func (c *cluster) run(d env.Time) {
	c.world.Run(c.world.Agenda.Now()+d, func() bool { return false })
}

// ask sends one request to one node and returns its answer, nil if none came
// within ten seconds.
func (c *cluster) ask(to env.Endpoint, q *api.Request) *api.Response {
	c.client.last++
	q.Id = c.client.last
	c.client.network.Send(to, &api.Message{Body: &api.Message_Request{Request: q}})
	limit := c.world.Agenda.Now() + 10*env.Second
	c.world.Run(limit, func() bool { return c.client.answers[q.Id] != nil })
	return c.client.answers[q.Id]
}

// settle asks every node in turn, again and again while they cannot answer yet.
func (c *cluster) settle(q func() *api.Request, nodes ...env.Endpoint) *api.Response {
	c.t.Helper()
	for range 200 {
		for _, to := range nodes {
			r := c.ask(to, q())
			if r != nil && !r.GetError().GetCode().Retriable() {
				return r
			}
		}
		c.run(50 * env.Millisecond)
	}
	c.t.Fatal("no node gave a final answer")
	return nil
}

// bare is a client that remembers every answer.
type bare struct {
	network env.Network
	last    uint64
	answers map[uint64]*api.Response
}

func (b *bare) Receive(_ env.Endpoint, m *api.Message) {
	r := m.GetResponse()
	if b.answers[r.GetId()] != nil {
		panic("a request was answered twice")
	}
	b.answers[r.GetId()] = r
}
func (b *bare) Lost(env.Endpoint)                        {}
func (b *bare) Wake()                                    {}
func (b *bare) Flush()                                   {}
func (b *bare) Synced(env.Ticket, error)                 {}
func (b *bare) Loaded(env.Ticket, []byte, error)         {}
func (b *bare) Listed(env.Ticket, []env.FileInfo, error) {}

// watcher looks on for a test.
type watcher struct{ *cluster }

func (w watcher) Sent(from, to env.Endpoint, m *api.Message) {
	if w.sent != nil {
		w.sent(from, to, m)
	}
}

func (watcher) Returned(env.Endpoint)                 {}
func (watcher) Delivered(_, _ env.Endpoint, _ []byte) {}
func (watcher) CutOff(_, _ env.Endpoint)              {}
func (watcher) Called(env.Endpoint, disk.Operation)   {}
func (watcher) Durable(env.Endpoint, disk.Operation)  {}

func topic(name string) *api.TopicRef { return &api.TopicRef{Name: name} }

func createTopic(name string, partitions int32) *api.Request {
	return &api.Request{Body: &api.Request_CreateTopic{CreateTopic: &api.CreateTopicRequest{Name: name, Partitions: partitions}}}
}

func produce(name string, partition int32, data []byte) *api.Request {
	return &api.Request{Body: &api.Request_Produce{Produce: &api.ProduceRequest{Topic: topic(name), Partition: partition, Batch: data}}}
}

func fetch(name string, offset int64) *api.FetchRequest {
	return &api.FetchRequest{Topic: topic(name), Offset: offset}
}

func fetching(q *api.FetchRequest) *api.Request {
	return &api.Request{Body: &api.Request_Fetch{Fetch: q}}
}

func records(t testing.TB, producer batch.Producer, values ...string) []byte {
	t.Helper()
	var list []batch.Record
	for _, v := range values {
		list = append(list, batch.Record{Value: []byte(v)})
	}
	data, err := batch.Encode(list, producer, batch.Plain{})
	if err != nil {
		t.Fatal(err)
	}
	return data
}
