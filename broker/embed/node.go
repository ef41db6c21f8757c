package embed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/access"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/meta"
	"github.com/reprise-mq/reprise/broker/rpc"
	"github.com/reprise-mq/reprise/broker/server"
)

// Node is a node of a cluster, which runs or does not.
type Node struct {
	cluster *Cluster
	number  int
	// address is the same for all lives of the node; "" before the first.
	address string
	server  *server.Server // nil while the node does not run
}

// Number of the node in its cluster, from 1.
func (n *Node) Number() int { return n.number }

// Address is the HOST:PORT of the node.
func (n *Node) Address() string { return n.address }

// ID is what the cluster calls the node; 0 while it does not run.
func (n *Node) ID() api.NodeID {
	if n.server == nil {
		return 0
	}
	return n.server.Node()
}

// Running reports whether the node runs.
func (n *Node) Running() bool { return n.server != nil }

// Start starts the node on what its folder has, and returns when it serves. It does
// nothing if the node runs.
func (n *Node) Start() error {
	if n.server != nil {
		return nil
	}
	if err := n.start(); err != nil {
		return err
	}
	return n.await("serves", n.server.Serves)
}

// start starts the node and does not wait.
func (n *Node) start() error {
	cfg := server.Config{
		Node: server.NodeConfig("embedded"), Data: n.cluster.folder(n.number), Listen: n.address,
		Log: n.cluster.config.Log.With("node", n.number), Wire: &wire{wires: n.cluster.wires},
	}
	if n.address == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	cfg.Node.Tick, cfg.Node.JournalFileBytes, cfg.Node.ReserveBytes = tick, journalFileBytes, reserveBytes
	cfg.Node.Init = n.number == 1
	for _, other := range n.cluster.nodes {
		if other != n && other.address != "" && !cfg.Node.Init {
			cfg.Node.Join = append(cfg.Node.Join, env.Endpoint(other.address))
		}
	}
	if user := n.cluster.config.SuperUser; user != "" {
		first, err := rpc.NewUser(user, n.cluster.config.Password)
		if err != nil {
			return fmt.Errorf("start node %d: %w", n.number, err)
		}
		cfg.Node.FirstUser = first
		cfg.Auth = server.Auth{Required: true, SuperUsers: []string{access.UserPrefix + user}, PeerSecret: "of " + n.cluster.data}
	}
	if change := n.cluster.config.Node; change != nil {
		change(n.number, &cfg.Node)
	}
	s, err := again(func() (*server.Server, error) { return server.Start(cfg) })
	if err != nil {
		return fmt.Errorf("start node %d: %w", n.number, err)
	}
	n.server, n.address = s, s.Address()
	return nil
}

// again tries a start some times more while the port is taken: connections of the life
// before may still be ending.
func again(start func() (*server.Server, error)) (s *server.Server, err error) {
	for range 50 {
		if s, err = start(); !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return s, err
}

// takesPart reports whether the node finds itself in the meta group, and as many votes
// given away there as there should be.
func (n *Node) takesPart() bool {
	return slices.ContainsFunc(n.Replicas(), func(g broker.GroupView) bool {
		voters := g.Conf.GetVoters()
		members := slices.Concat(voters, g.Conf.GetLearners())
		return g.Group == api.MetaGroup && slices.Contains(members, uint64(g.Replica)) &&
			len(voters) == min(meta.MaxMetaVoters, (len(members)-1)|1)
	})
}

// await waits until something is so.
func (n *Node) await(what string, is func() bool) error {
	late := time.NewTimer(startTime)
	defer late.Stop()
	look := time.NewTicker(lookPause)
	defer look.Stop()
	for !is() {
		select {
		case <-look.C:
		case <-n.server.Failed():
			return fmt.Errorf("node %d stopped: %w", n.number, n.server.Err())
		case <-late.C:
			return fmt.Errorf("node %d: not after %v: that it %s", n.number, startTime, what)
		}
	}
	return nil
}

// Stop ends the node in order: it hands its leadership over first. It does nothing if
// the node does not run.
func (n *Node) Stop(ctx context.Context) error {
	if n.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, leaveTime)
	defer cancel()
	err := n.server.Shutdown(ctx)
	n.server = nil
	return err
}

// Kill ends the node at once, as kill -9 would. What it was told to sync stays.
func (n *Node) Kill() {
	if n.server != nil {
		n.server.Kill()
		n.server = nil
	}
}

// Unplug cuts the node off from everybody, clients too, until Plug. What is sent is not
// lost at once: connections stall, as they do when a cable is pulled.
func (n *Node) Unplug() { n.cluster.wires.unplug(n.address, true) }

// Plug ends Unplug.
func (n *Node) Plug() { n.cluster.wires.unplug(n.address, false) }

// Syncs counts the syncs of the node's disk in its present life; 0 while it does not run.
func (n *Node) Syncs() uint64 {
	if n.server == nil {
		return 0
	}
	return n.server.Syncs()
}

// Replicas lays the replicas on the node open; nil while it does not run.
func (n *Node) Replicas() []broker.GroupView {
	if n.server == nil {
		return nil
	}
	return n.server.Inspect()
}
