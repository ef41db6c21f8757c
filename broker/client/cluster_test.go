package client_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/broker/client/core/coretest"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/osenv"
	"github.com/reprise-mq/reprise/broker/rpc"
)

// cluster is a make-believe cluster behind real sockets.
type cluster struct {
	t testing.TB
	// mu guards the world, which the nodes share.
	mu    sync.Mutex
	world *coretest.World
	nodes []*node
	// mute nodes take requests and do not answer.
	mute map[api.NodeID]bool
	// ignores, if set, is told of each request, and says whether it stays without an answer.
	ignores func(*api.Request) bool
	// produced counts the produce requests that came.
	produced int
}

// node is one of its processes.
type node struct {
	cluster *cluster
	id      api.NodeID
	address string
	driver  *osenv.Driver
	network *rpc.Network
}

func newCluster(t testing.TB) *cluster {
	c := &cluster{t: t, world: coretest.NewWorld(1, 3), mute: map[api.NodeID]bool{}}
	for id := range api.NodeID(3) {
		n := &node{cluster: c, id: id + 1, address: "127.0.0.1:0"}
		c.nodes = append(c.nodes, n)
		n.start()
		c.world.Rename(n.id, env.Endpoint(n.address))
		t.Cleanup(n.stop)
	}
	c.world.CreateTopic("t", 3)
	return c
}

func (n *node) start() {
	listener, err := net.Listen("tcp", n.address)
	if err != nil {
		n.cluster.t.Fatal(err)
	}
	n.address = listener.Addr().String()
	n.driver = osenv.NewDriver()
	n.network = rpc.NewNetwork(env.Endpoint(n.address), n.driver, rpc.Credentials{})
	n.driver.Start(n)
	go n.network.Serve(listener)
}

func (n *node) stop() {
	n.network.Close()
	n.driver.Stop()
}

// Receive implements env.Process.
func (n *node) Receive(from env.Endpoint, m *api.Message) {
	c := n.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.GetRequest().GetProduce() != nil {
		c.produced++
	}
	if c.ignores != nil && c.ignores(m.GetRequest()) || c.mute[n.id] {
		return
	}
	if response := c.world.Answer(n.id, m.GetRequest()); response != nil {
		n.network.Send(from, &api.Message{Body: &api.Message_Response{Response: response}})
	}
}

func (n *node) Wake()                                    {}
func (n *node) Flush()                                   {}
func (n *node) Lost(env.Endpoint)                        {}
func (n *node) Synced(env.Ticket, error)                 {}
func (n *node) Loaded(env.Ticket, []byte, error)         {}
func (n *node) Listed(env.Ticket, []env.FileInfo, error) {}
func (c *cluster) change(f func(w *coretest.World))      { c.mu.Lock(); defer c.mu.Unlock(); f(c.world) }
func (c *cluster) log(topic string, p int) *coretest.Partition {
	return c.world.Topic(topic).Partitions[p]
}

// ignore has the nodes ask which requests to leave without an answer.
func (c *cluster) ignore(which func(*api.Request) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ignores = which
}

// setMute has no node answer, or all.
func (c *cluster) setMute(mute bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		c.mute[n.id] = mute
	}
}

// client makes a client of the cluster.
func (c *cluster) client(config client.Config) *client.Client {
	for _, n := range c.nodes {
		config.Bootstrap = append(config.Bootstrap, n.address)
	}
	made, err := client.New(config)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		made.Close(ctx)
	})
	return made
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
