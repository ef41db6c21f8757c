package broker

import (
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/replica"
	"github.com/reprise-mq/reprise/broker/trace"
)

// mendPause is how long a replica waits before it asks another for what its disk has
// damaged, and by how much longer after each attempt that failed, up to maxMendPause.
const (
	mendPause    = 200 * env.Millisecond
	maxMendPause = 5 * env.Second
)

// CopyFromAny is replica.Host. While this node does not know the cluster, because it
// is the meta group's log that is damaged, it asks the nodes that it hears from.
func (n *Node) CopyFromAny(id api.GroupID, attempt int, segment api.Index, position int64, length int, done func([]byte, error)) {
	peers := n.holders(id)
	if len(peers) == 0 {
		done(nil, errNoRoute)
		return
	}
	n.copyFrom(peers[attempt%len(peers)], id, segment, position, length, done)
}

// holders are the addresses of the other nodes that may have a group's log.
func (n *Node) holders(id api.GroupID) []env.Endpoint {
	var list []env.Endpoint
	add := func(node api.NodeID) {
		if address, ok := n.addressOf(node); ok && node != n.identity.node {
			list = append(list, address)
		}
	}
	switch p := n.meta.state.PartitionOf(id); {
	case id == api.MetaGroup && !n.meta.informed():
		for _, node := range n.heardNodes() {
			list = append(list, n.peers.heard[node].at)
		}
	case id == api.MetaGroup:
		for _, node := range n.meta.state.Nodes() {
			add(node.ID)
		}
	case p != nil && n.meta.informed():
		for _, r := range p.Replicas {
			add(r.Node)
		}
	}
	return list
}

// Pause is replica.Host.
func (n *Node) Pause(times int, then func()) {
	n.timers.at(n.world.Clock.Now()+min(env.Time(times)*mendPause, maxMendPause), then)
}

// LogLost is replica.Host: another incarnation has to take the replica's place. The
// meta group itself never gives anything up.
func (n *Node) LogLost(id api.GroupID) {
	p := n.meta.state.PartitionOf(id)
	if p == nil || !n.meta.informed() {
		return // the meta group's log may still be opened, or restored itself
	}
	me := uint64(n.identity.node)
	n.trace(trace.Event{Level: trace.Mark, Name: "replica renewed", Group: id})
	n.tellMeta(&api.Request{Body: &api.Request_MoveReplica{MoveReplica: &api.MoveReplicaRequest{
		Topic: &api.TopicRef{Id: uint64(p.Topic.ID)}, Partition: int32(p.Number), From: me, To: me,
	}}})
}

// Waits is replica.Host.
func (n *Node) Waits(id api.GroupID) bool {
	return n.failed == nil && n.groups[id] != nil && n.groups[id].restoring
}

// incarnation is the replica of a group here, also while its log is being restored;
// 0 while there is none yet.
func (n *Node) incarnation(g *group) api.ReplicaID {
	switch {
	case g.replica != nil:
		return g.replica.ID()
	case g.restoring:
		return n.journal.Image(g.id).Replica
	}
	return 0
}

// abandon ends a replica whose log is being restored.
func (n *Node) abandon(g *group, done func()) {
	replica.Discard(n.replicaConfig(g, n.incarnation(g)), done)
}

// scrub has one group after the other look for damage in a part of its log.
func (n *Node) scrub() {
	groups := n.order
	next := slices.IndexFunc(groups, func(g *group) bool { return g.id > n.scrubbed })
	if next < 0 {
		next = 0
	}
	n.scrubbed = groups[next].id
	if r := groups[next].replica; r != nil {
		r.Scrub(n.cfg.ScrubBytes)
	}
}
