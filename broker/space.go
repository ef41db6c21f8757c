package broker

import (
	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/trace"
)

// space is how much room this node's disk has, and who else said that they have
// little. A disk that is really full is too late to find out: what is committed must
// be applied, and has no place. So a node keeps a reserve. Once it has begun, the
// node takes no new records as a leader, and gives leadership away; half of it is
// for what is under way, and for others that still lead. What is below that is for
// the node itself: it takes no entries of partitions any more, like one that is cut
// off, and makes no new replicas, until there is room.
type space struct {
	// low: the reserve has begun. spent: less than half of it is left.
	low, spent bool
	// others say that they are low.
	others map[api.NodeID]bool
}

// heard takes what another node says of its disk.
func (s *space) heard(from api.NodeID, low bool) {
	switch {
	case !low:
		delete(s.others, from)
	case s.others == nil:
		s.others = map[api.NodeID]bool{from: true}
	default:
		s.others[from] = true
	}
}

// watchSpace compares what is free with the reserve. There has to be some more
// before the node goes on, lest it goes back and forth.
func (n *Node) watchSpace() {
	free, reserve := n.world.Disk.Free(), n.cfg.ReserveBytes
	was := n.space.low
	n.space.low = free < reserve || was && free < reserve+reserve/4
	n.meta.moved = n.meta.moved || n.space.spent // what is wanted here has to wait
	n.space.spent = free < reserve/2
	switch {
	case n.space.low && !was:
		n.trace(trace.Event{Level: trace.Warn, Name: "disk is nearly full, produces are refused"})
	case was && !n.space.low:
		n.trace(trace.Event{Level: trace.Info, Name: "disk has room again"})
	}
	if n.space.low {
		n.yield()
	}
}

// yield hands the partitions that this node leads to replicas on nodes with room.
func (n *Node) yield() {
	for _, g := range n.order {
		if g.id == api.MetaGroup || g.replica == nil || !g.replica.Leads() {
			continue
		}
		if to, ok := g.replica.Successor(func(id api.ReplicaID) bool { return n.hasRoom(g.id, id) }); ok {
			g.replica.Transfer(to)
		}
	}
}

// hasRoom reports whether a replica stands on a disk with room, as far as is known.
func (n *Node) hasRoom(group api.GroupID, r api.ReplicaID) bool {
	node, ok := n.nodeOf(group, r)
	if ok && node == n.identity.node {
		return !n.space.low
	}
	return !n.space.others[node]
}

// noRoom says why records cannot be added to a group, nil if they can: its leader's
// disk is low, or those of so many replicas that the others are no majority.
func (n *Node) noRoom(g *group) *api.Error {
	if n.space.low {
		return api.Errorf(api.Code_STORAGE_FULL,
			"node %d has %d bytes free on its disk and keeps %d in reserve; free some space, delete records or move replicas away, then retry",
			n.identity.node, n.world.Disk.Free(), n.cfg.ReserveBytes)
	}
	if len(n.space.others) == 0 {
		return nil
	}
	conf, _ := g.replica.Conf()
	for _, half := range [][]uint64{conf.GetVoters(), conf.GetVotersOutgoing()} {
		low := 0
		for _, id := range half {
			if !n.hasRoom(g.id, api.ReplicaID(id)) {
				low++
			}
		}
		if len(half) > 0 && len(half)-low <= len(half)/2 {
			return api.Errorf(api.Code_STORAGE_FULL,
				"the disks of %d of %d replicas are nearly full; free some space, delete records or move replicas away, then retry", low, len(half))
		}
	}
	return nil
}

// turnsAway reports whether this node has no place for what a message would have it
// write.
func (n *Node) turnsAway(group api.GroupID, m *raftpb.Message) bool {
	if group == api.MetaGroup {
		return false
	}
	switch m.GetType() {
	case raftpb.MsgApp:
		return n.space.spent && len(m.GetEntries()) > 0
	case raftpb.MsgSnap:
		return n.space.low
	}
	return false
}
