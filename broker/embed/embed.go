// Package embed runs a whole Reprise cluster inside a Go test, in less than a second:
// the real broker over loopback, with its files in a temporary folder, and faults at
// hand. A node can be killed, stopped in order, started again, or cut off.
//
//	func TestMyConsumer(t *testing.T) {
//		c := embed.Run(t, embed.Config{})
//		app, err := client.New(client.Config{Bootstrap: c.Bootstrap()})
//		...
//		leader, err := c.Leader(ctx, "orders", 0)
//		leader.Kill() // as kill -9 would
//		...
//		leader.Start()
//	}
//
// What runs is what runs on real nodes; only the sizes of files and the unit of time of
// elections are smaller, and can be set with Config.Node.
package embed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/broker/env"
)

// Config is what a cluster is like. A zero field takes the default given with it.
type Config struct {
	// Nodes there are at first (3).
	Nodes int
	// Dir is where the folder with the nodes' data is made (that for temporary files).
	// The folder is removed when the cluster ends.
	Dir string
	// Log takes what the nodes say (nothing).
	Log *slog.Logger
	// SuperUser and Password, if given, have the nodes ask clients who they are, and what
	// ACLs allow them; this user may do everything (everyone may).
	SuperUser, Password string
	// Node changes a node's settings before it starts (none).
	Node func(number int, c *broker.Config)
}

const (
	// maxNodes bounds the nodes of one process.
	maxNodes = 9
	// startTime is how long a cluster or a node may take until it serves.
	startTime = 30 * time.Second
	// leaveTime is how long a node that stops may take to hand over.
	leaveTime = 5 * time.Second
	// lookPause is between two looks at what is waited for.
	lookPause = 2 * time.Millisecond
)

// ErrNodes: there cannot be so many nodes; what wraps it says how many were asked for.
var ErrNodes = fmt.Errorf("one process has 1 to %d nodes", maxNodes)

// Settings for tests: elections are quick, and files small enough to be made at once.
const (
	tick             = 20 * env.Millisecond
	journalFileBytes = 4 << 20
	reserveBytes     = 16 << 20
)

// Cluster is nodes in this process. It and its nodes are for one goroutine at a time;
// clients need not be.
type Cluster struct {
	config Config
	data   string
	wires  *wires
	nodes  []*Node
}

// TB is the part of testing.TB that Run needs.
type TB interface {
	Helper()
	Cleanup(func())
	TempDir() string
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// Run starts a cluster for a test, which fails if that is not possible, and ends it with
// the test.
func Run(t TB, cfg Config) *Cluster {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	c, err := Start(cfg)
	if err != nil {
		t.Fatalf("embed: %v", err)
		return nil
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("embed: %v", err)
		}
	})
	return c
}

// Start starts a cluster and returns when all its nodes serve. Close ends it.
func Start(cfg Config) (*Cluster, error) {
	if cfg.Nodes == 0 {
		cfg.Nodes = 3
	}
	if cfg.Nodes < 1 || cfg.Nodes > maxNodes {
		return nil, fmt.Errorf("%w: %d", ErrNodes, cfg.Nodes)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	data, err := os.MkdirTemp(cfg.Dir, "reprise-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the nodes' data: %w", err)
	}
	c := &Cluster{config: cfg, data: data, wires: newWires()}
	for range cfg.Nodes {
		if _, err := c.Add(); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	if cfg.SuperUser != "" {
		if err := c.awaitSuperUser(); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// awaitSuperUser waits until the user is let in.
func (c *Cluster) awaitSuperUser() error {
	asking, err := client.New(c.as())
	if err != nil {
		return err
	}
	defer asking.Close(context.Background())
	return c.nodes[0].await("knows "+c.config.SuperUser, func() bool {
		_, err := asking.Metadata(context.Background())
		return err == nil
	})
}

// as is how the super user asks, or everyone if there is none.
func (c *Cluster) as() client.Config {
	return client.Config{Bootstrap: c.Bootstrap(), User: c.config.SuperUser, Password: c.config.Password}
}

// Add starts one node more, which joins the cluster, and returns when the cluster counts
// on it: it knows what the cluster knows, and votes where it is to vote.
func (c *Cluster) Add() (*Node, error) {
	if len(c.nodes) >= maxNodes {
		return nil, fmt.Errorf("%w: %d and one more", ErrNodes, len(c.nodes))
	}
	n := &Node{cluster: c, number: len(c.nodes) + 1}
	c.nodes = append(c.nodes, n)
	if err := n.Start(); err != nil {
		return nil, err
	}
	return n, n.await("takes part in the meta group", n.takesPart)
}

// Nodes are all there are, also those that do not run, in the order of their numbers.
func (c *Cluster) Nodes() []*Node { return slices.Clone(c.nodes) }

// Node is the one with a number, from 1.
func (c *Cluster) Node(number int) *Node { return c.nodes[number-1] }

// Bootstrap is the nodes' addresses, as client.Config takes them.
func (c *Cluster) Bootstrap() []string {
	var list []string
	for _, n := range c.nodes {
		list = append(list, n.address)
	}
	return list
}

// Data is the folder with the nodes' data.
func (c *Cluster) Data() string { return c.data }

// Leader is the node that leads a partition; it waits for one until ctx ends.
func (c *Cluster) Leader(ctx context.Context, topic string, partition int32) (*Node, error) {
	asking, err := client.New(c.as())
	if err != nil {
		return nil, err
	}
	defer asking.Close(context.WithoutCancel(ctx))
	for {
		m, err := asking.Metadata(ctx, topic)
		if err != nil {
			return nil, err
		}
		p := m.GetTopics()[0].GetPartitions()
		if partition < 0 || int(partition) >= len(p) {
			return nil, fmt.Errorf("topic %s has %d partitions and no partition %d", topic, len(p), partition)
		}
		if n := c.identified(api.NodeID(p[partition].GetLeader())); n != nil {
			return n, nil
		}
		select {
		case <-time.After(lookPause):
		case <-ctx.Done():
			return nil, fmt.Errorf("nobody leads partition %d of topic %s: %w", partition, topic, ctx.Err())
		}
	}
}

// identified is the node that runs with an identity, nil if none does.
func (c *Cluster) identified(id api.NodeID) *Node {
	i := slices.IndexFunc(c.nodes, func(n *Node) bool { return id != 0 && n.server != nil && n.server.Node() == id })
	if i < 0 {
		return nil
	}
	return c.nodes[i]
}

// Cut takes these nodes and the others apart: neither side hears of the other until
// Heal. Clients still reach all of them. It comes in addition to earlier cuts.
func (c *Cluster) Cut(nodes ...*Node) {
	for _, n := range c.nodes {
		if slices.Contains(nodes, n) {
			continue
		}
		for _, other := range nodes {
			c.wires.cut(n.address, other.address)
		}
	}
}

// Heal ends every cut, and plugs in all that was unplugged.
func (c *Cluster) Heal() { c.wires.heal() }

// Wait returns when ctx ends, or with the error of the first node that stops by itself,
// of those that run when it is called.
func (c *Cluster) Wait(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopped := make(chan error, len(c.nodes))
	for _, n := range c.nodes {
		if s := n.server; s != nil {
			go func() {
				select {
				case <-s.Failed():
					stopped <- fmt.Errorf("node %d stopped: %w", n.number, s.Err())
				case <-ctx.Done():
				}
			}()
		}
	}
	select {
	case err := <-stopped:
		return err
	case <-ctx.Done():
		return nil
	}
}

// Close ends the nodes and removes their data.
func (c *Cluster) Close() error {
	c.wires.heal()
	for _, n := range c.nodes {
		n.Kill()
	}
	return os.RemoveAll(c.data)
}

// folder of a node's data.
func (c *Cluster) folder(number int) string {
	return filepath.Join(c.data, "node-"+strconv.Itoa(number))
}
